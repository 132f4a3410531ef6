"""/files/: parts of a file, and what a client has of it already."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from jupyter_nbforge.contents.validators import etag_of, version_of
from jupyter_nbforge.storage import ByteRange, Version
from jupyter_nbforge.testing.faults import Fault

from .api import Answer, Api, Store
from .files_world import Look, faulty, watched

DATA = b"0123456789"
LONG_AGO = "Sun, 06 Nov 1994 08:49:37 GMT"
FUTURE = "Thu, 01 Jan 2099 00:00:00 GMT"

# What is small enough to be kept is read whole before it is passed on.
pytestmark = pytest.mark.settings({"CacheStorage": {"max_bytes": 0}})

memory_only = pytest.mark.stores("memory")


async def _get(api: Api, name: str = "a.bin", **headers: str) -> Answer:
    """GET with headers, in which an underscore stands for a hyphen."""
    given = {header.replace("_", "-"): value for header, value in headers.items()}
    return await api.call("GET", "files", name, headers=given)


def _is_whole(answer: Answer, data: bytes = DATA) -> bool:
    return (answer.status, answer.body) == (200, data) and "Content-Range" not in answer.headers


@pytest.mark.parametrize(
    ("asked", "body", "content_range"),
    [
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=-10", DATA, "bytes 0-9/10"),
        ("bytes=-11", DATA, "bytes 0-9/10"),
        ("bytes=0-0", b"0", "bytes 0-0/10"),
        ("Bytes=9-", b"9", "bytes 9-9/10"),
    ],
)
async def test_the_last_bytes_can_be_asked_for(
    api: Api, store: Store, asked: str, body: bytes, content_range: str
) -> None:
    store.put("a.bin", DATA)
    answer = await _get(api, Range=asked)
    assert (answer.status, answer.body) == (206, body)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    ("data", "asked"),
    [(DATA, "bytes=10-"), (DATA, "bytes=10-12"), (DATA, "bytes=-0"), (b"", "bytes=-5")],
)
async def test_a_range_outside_the_file_is_a_416_without_a_body(
    api: Api, store: Store, data: bytes, asked: str
) -> None:
    store.put("a.bin", data)
    answer = await _get(api, Range=asked)
    assert (answer.status, answer.body) == (416, b"")
    assert answer.headers["Content-Range"] == f"bytes */{len(data)}"


@memory_only
@pytest.mark.parametrize("asked", ["bytes=-", "bytes=", "bytes=--1", "bytes=-1,-2", "bytes=1-2;"])
async def test_what_is_no_range_gives_the_whole_file(api: Api, store: Store, asked: str) -> None:
    store.put("a.bin", DATA)
    assert _is_whole(await _get(api, Range=asked))


async def test_a_copy_that_is_current_is_not_read_from_the_store(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)
    etag = (await _get(api)).headers["Etag"]
    version = (await manager.storage.head("a.bin")).version
    seen = watched(manager)
    answer = await _get(api, If_None_Match=etag)
    assert (answer.status, answer.body, answer.headers["Etag"]) == (304, b"", etag)
    # The store itself compared, so it sent nothing.
    assert seen.looks == [Look("get", None, None, version)]


@memory_only
@pytest.mark.parametrize("form", ["{0}", "W/{0}", '"x", {0}', '"x,y" , W/{0},"z"', "*"])
async def test_any_form_of_if_none_match_is_understood(
    api: Api, store: Store, manager: Any, form: str
) -> None:
    store.put("a.bin", DATA)
    etag = (await _get(api)).headers["Etag"]
    seen = watched(manager)
    for method in ("GET", "HEAD"):
        headers = {"If-None-Match": form.format(etag), "If-Modified-Since": LONG_AGO}
        answer = await api.call(method, "files", "a.bin", headers=headers)
        assert (answer.status, answer.body) == (304, b""), method
        assert answer.headers["Etag"] == etag
    assert len(seen.looks) == 2
    assert seen.chunks == 0


@memory_only
async def test_if_none_match_rules_out_if_modified_since(api: Api, store: Store) -> None:
    store.put("a.bin", DATA)
    assert _is_whole(await _get(api, If_None_Match='"other"', If_Modified_Since=FUTURE))
    missing = await _get(api, "missing.bin", If_None_Match="*")
    assert missing.status == 404


@pytest.mark.stores("memory", "seaweedfs")
async def test_if_modified_since_compares_whole_seconds(api: Api, store: Store) -> None:
    store.put("a.bin", DATA)
    modified = (await _get(api)).headers["Last-Modified"]
    before = _moved(modified, -1)
    for method in ("GET", "HEAD"):
        for date, status in {modified: 304, FUTURE: 304, before: 200, LONG_AGO: 200}.items():
            headers = {"If-Modified-Since": date}
            answer = await api.call(method, "files", "a.bin", headers=headers)
            assert answer.status == status, (method, date)


@memory_only
@pytest.mark.parametrize("date", ["soon", "", "Mon, 01 Jan 99999999999 00:00:00 GMT", "1"])
async def test_a_condition_that_is_no_date_is_none(api: Api, store: Store, date: str) -> None:
    store.put("a.bin", DATA)
    assert _is_whole(await _get(api, If_Modified_Since=date, If_Unmodified_Since=date))
    assert _is_whole(await _get(api, If_Range=date, Range="bytes=1-2"))


@memory_only
async def test_a_file_that_is_not_the_one_that_is_meant_is_a_412(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)
    answer = await _get(api)
    etag, modified = answer.headers["Etag"], answer.headers["Last-Modified"]
    for met in (etag, f'"x", {etag}', "*"):
        assert _is_whole(await _get(api, If_Match=met, If_Unmodified_Since=LONG_AGO)), met
    assert _is_whole(await _get(api, If_Unmodified_Since=modified))
    seen = watched(manager)
    for failed in (
        {"If_Match": '"x"'},
        {"If_Match": f"W/{etag}"},
        {"If_Match": '"x"', "If_None_Match": etag},
        {"If_Unmodified_Since": _moved(modified, -1)},
        {"If_Unmodified_Since": LONG_AGO, "If_None_Match": etag},
    ):
        answer = await _get(api, **failed)
        assert (answer.status, answer.body) == (412, b""), failed
    assert seen.operations == ["get"] * 5
    assert seen.chunks == 0


def _moved(date: str, seconds: int) -> str:
    return format_datetime(parsedate_to_datetime(date) + timedelta(seconds=seconds), usegmt=True)


async def test_a_part_goes_on_with_the_version_that_if_range_names(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)
    etag = (await _get(api)).headers["Etag"]
    seen = watched(manager)
    for asked, body in {"bytes=7-": b"789", "bytes=-2": b"89"}.items():
        answer = await _get(api, Range=asked, If_Range=etag)
        assert (answer.status, answer.body) == (206, body)
    assert seen.operations == ["get", "head", "get"]
    store.put("a.bin", b"another one")
    for asked in ("bytes=7-", "bytes=-2", "bytes=99-"):
        assert _is_whole(await _get(api, Range=asked, If_Range=etag), b"another one"), asked


@memory_only
async def test_if_range_is_met_by_a_strong_tag_only(api: Api, store: Store) -> None:
    store.put("a.bin", DATA)
    etag = (await _get(api)).headers["Etag"]
    for tag in (f"W/{etag}", f'{etag}, "x"', "*", etag.strip('"')):
        assert _is_whole(await _get(api, Range="bytes=7-", If_Range=tag)), tag


@memory_only
async def test_if_range_may_be_the_very_date_if_that_tells_versions_apart(
    api: Api, store: Store
) -> None:
    store.put("a.bin", DATA)
    store.client.backdate(store.prefix + "a.bin", 3600)
    modified = (await _get(api)).headers["Last-Modified"]
    for asked in ("bytes=7-", "bytes=-3"):
        answer = await _get(api, Range=asked, If_Range=modified)
        assert (answer.status, answer.body) == (206, b"789")
        for date in (_moved(modified, 1), _moved(modified, -1), FUTURE, LONG_AGO):
            assert _is_whole(await _get(api, Range=asked, If_Range=date)), date


@memory_only
async def test_a_date_of_which_the_second_is_not_over_is_no_reason_for_a_part(
    api: Api, store: Store, manager: Any
) -> None:
    # As if it was written in this very second, whenever the second ends.
    store.put("a.bin", DATA)
    store.client.backdate(store.prefix + "a.bin", -2)
    modified = (await _get(api)).headers["Last-Modified"]
    assert parsedate_to_datetime(modified) > datetime.now(timezone.utc)
    assert _is_whole(await _get(api, Range="bytes=7-", If_Range=modified))


@memory_only
async def test_each_answer_costs_the_requests_that_it_must(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)
    store.put("a", b"text")
    etag = (await _get(api)).headers["Etag"]
    seen = watched(manager)
    for method, name, headers, operations in [
        ("GET", "a.bin", {}, ["get"]),
        ("GET", "a", {}, ["get"]),
        ("GET", "a.bin", {"Range": "bytes=1-2"}, ["get"]),
        ("GET", "a.bin", {"Range": "bytes=-2"}, ["head", "get"]),
        ("GET", "a.bin", {"Range": "bytes=10-"}, ["get"]),
        ("GET", "a.bin", {"Range": "bytes=-0"}, ["head"]),
        ("GET", "a.bin", {"Range": "bytes=1-2", "If-Range": etag}, ["get"]),
        ("GET", "a.bin", {"Range": "bytes=1-2", "If-Range": "W/" + etag}, ["get"]),
        ("GET", "a.bin", {"Range": "bytes=1-2", "If-Range": '"x"'}, ["get", "get"]),
        ("GET", "a.bin", {"Range": "bytes=-2", "If-None-Match": etag}, ["head"]),
        ("GET", "a.bin", {"If-Modified-Since": FUTURE}, ["get"]),
        ("GET", "a.bin", {"If-None-Match": "*"}, ["head"]),
        ("HEAD", "a.bin", {}, ["head"]),
        ("HEAD", "a", {}, ["get"]),
    ]:
        seen.looks.clear()
        await api.call(method, "files", name, headers=dict(headers))
        assert seen.operations == operations, (method, name, headers)


async def test_a_file_replaced_between_look_and_read_comes_in_one_version(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)

    async def replace() -> None:
        store.put("a.bin", b"another, longer one")

    between = Fault("get", hook=replace)
    faulty(manager).faults.append(between)
    answer = await _get(api, Range="bytes=-4")
    assert between.befallen == 1
    assert (answer.status, answer.body) == (206, b" one")
    assert answer.headers["Content-Range"] == "bytes 15-18/19"
    assert answer.headers["Etag"] == (await _get(api)).headers["Etag"]


@memory_only
async def test_a_file_that_never_stands_still_is_to_be_asked_for_again(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)

    async def replace() -> None:
        store.put("a.bin", DATA)

    faulty(manager).faults.append(Fault("get", hook=replace, times=None))
    answer = await _get(api, Range="bytes=-4")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    "version",
    [
        *('"d41d8cd98f00b204e9800998ecf8427e-3"', '"0x8DC"', "1715000000000001"),
        *('"=x"', '"a"b"', "%41", '"%41"', '""', "W/1", '"'),
    ],
)
def test_every_version_has_a_tag_that_leads_back_to_it(version: str) -> None:
    assert version_of(_checked_tag(version)) == version


@pytest.mark.parametrize("version", ["", "*", "ü", "a b", "a\r\nX-Evil: 1", "\0"])
def test_no_store_is_asked_for_a_version_that_is_no_plain_word(version: str) -> None:
    assert version_of(_checked_tag(version)) is None


def _checked_tag(version: str) -> str:
    etag = etag_of(Version(version))
    assert re.fullmatch(r'"[!#-~]*"', etag)
    return etag


@memory_only
async def test_an_invented_tag_is_met_by_nothing(api: Api, store: Store) -> None:
    store.put("a.bin", DATA)
    for tag in ('"=*"', '"=%0d%0aX-Evil:%201"', '"="', '"=%FC"', '"=%"', '"\xfc"', '"=*'):
        assert _is_whole(await _get(api, If_None_Match=tag)), tag
        assert _is_whole(await _get(api, If_Range=tag, Range="bytes=1-2")), tag
        assert (await _get(api, If_Match=tag)).status == 412, tag


def test_versions_that_differ_have_tags_that_differ() -> None:
    versions = ["a", '"a"', '"=a"', "=a", '"=%22a%22"', "%61", '"%61"']
    assert len({etag_of(Version(version)) for version in versions}) == len(versions)


@memory_only
async def test_a_range_goes_to_the_store_as_it_is(api: Api, store: Store, manager: Any) -> None:
    store.put("a.bin", DATA)
    seen = watched(manager)
    await _get(api, Range="bytes=2-4")
    assert seen.looks == [Look("get", ByteRange(2, 5))]
