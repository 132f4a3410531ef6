"""Listings of S3 are parsed by a parser of our own: exactly, and not on the event loop."""

from __future__ import annotations

import threading
from contextlib import aclosing
from datetime import datetime, timezone
from typing import Any

import pytest

from jupyter_nbforge.storage import s3_pages
from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.storage.s3_pages import PAGE, parse_page
from jupyter_nbforge.storage.types import ListPage, ObjectMeta, Version
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeS3
from .stub import answer, stub_s3

MOMENT = datetime(2026, 5, 1, 12, 30, 15, 250_000, tzinfo=timezone.utc)


def page_of(*inside: str, root: str = "ListBucketResult") -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(inside)}</{root}>'
    ).encode()


def contents(key: str) -> str:
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-05-01T12:30:15.250Z</LastModified>"
        "<ETag>&quot;abc&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def meta(path: str) -> ObjectMeta:
    return ObjectMeta(path, 12, MOMENT, Version('"abc"'))


def prefix(name: str) -> str:
    return f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"


def test_a_page_has_its_objects_its_prefixes_and_where_it_goes_on() -> None:
    body = page_of(
        "<IsTruncated>true</IsTruncated><NextContinuationToken>x/y+z=</NextContinuationToken>",
        contents("a b+c%20&amp;"),
        prefix("d/"),
        contents("z"),
    )
    assert parse_page(body) == {
        PAGE: ListPage((meta("a b+c%20&"), meta("z")), ("d/",)),
        "IsTruncated": True,
        "NextContinuationToken": "x/y+z=",
    }


def test_names_that_were_sent_encoded_are_decoded_once() -> None:
    body = page_of(
        "<EncodingType>url</EncodingType>",
        contents("a+b%2Bc%2520%C3%A9%01"),
        prefix("d%2Fe+f/"),
    )
    found = parse_page(body)
    assert found is not None
    assert found[PAGE] == ListPage((meta("a b+c%20é\x01"),), ("d/e f/",))


def test_an_empty_listing_is_an_empty_page() -> None:
    found = parse_page(page_of())
    assert found == {PAGE: ListPage(), "IsTruncated": False, "NextContinuationToken": None}


@pytest.mark.parametrize("body", [b"", b"<html>", page_of(root="Error"), page_of()[:-5]])
def test_what_is_no_listing_is_left_to_botocore(body: bytes) -> None:
    assert parse_page(body) is None


DECLARED = '<!DOCTYPE x [<!ENTITY name "of the declaration">]>'
WITH_TYPE = page_of(contents("&name;")).replace(b"?>", f"?>{DECLARED}".encode())


@pytest.mark.parametrize(
    "body",
    [
        WITH_TYPE,
        WITH_TYPE.replace(b'"UTF-8"', b'"UTF-16"').decode().encode("utf-16"),
        page_of(contents("a").replace("<Key>a</Key>", "")),
        page_of(contents("a").replace(">12<", ">twelve<")),
        page_of(contents("a").replace("T12:30:15.250Z", "T99")),
        page_of(contents("a").replace("ETag>", "Tag>")),
    ],
)
async def test_a_listing_that_cannot_be_relied_on_is_an_error_and_shows_nothing(
    body: bytes,
) -> None:
    assert parse_page(body) == {}
    async with stub_s3(lambda request, number: answer(200, body)) as storage:
        with pytest.raises(StorageError, match="no listing"):
            [page async for page in storage.list_pages("")]


def test_a_name_like_a_document_type_is_a_name() -> None:
    found = parse_page(page_of(contents("&lt;!DOCTYPE x&gt;")))
    assert found is not None
    assert found[PAGE] == ListPage((meta("<!DOCTYPE x>"),))


@pytest.mark.parametrize("body", [page_of(root="Other"), b"", b"<html></html>"])
async def test_an_answer_that_is_no_listing_is_an_error_and_no_empty_folder(body: bytes) -> None:
    async with stub_s3(lambda request, number: answer(200, body)) as storage:
        with pytest.raises(StorageError):
            [page async for page in storage.list_pages("")]


async def test_a_page_of_a_listing_is_taken_apart_in_a_thread(
    seaweed_server: SeaweedServer, make_s3: MakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = set[int]()
    parse = s3_pages.parse_page

    def watched(body: bytes) -> Any:
        threads.add(threading.get_ident())
        return parse(body)

    monkeypatch.setattr(s3_pages, "parse_page", watched)
    async with aclosing(make_s3(seaweed_server)) as storage:
        await storage.put("a", b"1")
        assert [page async for page in storage.list_pages("")]
    assert threads
    assert threading.get_ident() not in threads
