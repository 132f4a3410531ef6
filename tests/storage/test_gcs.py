"""What is GCSStorage's own, beside the rules that hold for every storage."""

from __future__ import annotations

import json
import logging
from contextlib import aclosing
from datetime import datetime, timezone
from typing import Any

import google.oauth2.credentials
import pytest

from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.types import (
    ByteRange,
    ContentHash,
    IfAbsent,
    IfMatch,
    ObjectMeta,
    Version,
    WriteCondition,
)

from .conftest import MakeGCS
from .gcs_stub import (
    BODY_HEADERS,
    GENERATION,
    found,
    place,
    query,
    refusal,
    resource,
    stub_gcs,
    xml_refusal,
)
from .stub import Request, answer

OTHER = Version("1")
KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
WRITTEN = datetime(2024, 1, 1, tzinfo=timezone.utc)
SOURCE = ObjectMeta("a", 8, WRITTEN, Version(GENERATION))


async def read(storage: GCSStorage, path: str, **options: Any) -> bytes:
    async with storage.get(path, **options) as reader:
        return await reader.read()


def reply_with(request: Request, number: int) -> bytes:
    """What a store answers to each kind of request about ``a`` of eight bytes."""
    what = place(request)
    if what == "GET /o":
        return found({"kind": "storage#objects"})
    if what.startswith("GET /bucket/"):
        return answer(200, b"12345678", **BODY_HEADERS)
    if "rewriteTo" in what:
        return found({"done": True, "resource": resource("b")})
    return answer(204) if request.method == "DELETE" else found(resource())


def sent_resource(request: Request) -> dict[str, Any]:
    """The properties that a multipart upload sends."""
    described: dict[str, Any] = json.loads(request.body.split(b"\r\n\r\n")[1].split(b"\r\n--")[0])
    return described


# What is sent.


async def test_each_call_is_one_request() -> None:
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests) as storage:
        await storage.put("a", b"12345678", condition=IfAbsent())
        await storage.put("a", bytes(20 * 2**20))
        await storage.head("a")
        await read(storage, "a")
        await storage.copy("a", "b", source_version=Version(GENERATION))
        await storage.move(SOURCE, "b", condition=IfAbsent())
        await storage.delete("a", condition=IfMatch(OTHER))
        _ = [page async for page in storage.list_pages("")]
    assert [place(request) for request in requests] == [
        "POST /upload/o",
        "POST /upload/o",
        "GET /o/a",
        "GET /bucket/a",
        "POST /o/a/rewriteTo/b/bucket/o/b",
        "POST /o/a/moveTo/o/b",
        "DELETE /o/a",
        "GET /o",
    ]


async def test_conditions_are_sent_as_generations() -> None:
    requests: list[Request] = []
    both: list[WriteCondition] = [IfAbsent(), IfMatch(Version("7"))]
    async with stub_gcs(reply_with, requests=requests) as storage:
        for condition in both:
            await storage.put("a", b"", condition=condition)
            await storage.copy("a", "b", condition=condition, source_version=Version("9"))
            await storage.move(SOURCE, "b", condition=condition)
        await storage.put("a", b"")
        await storage.delete("a")
        await storage.delete("a", condition=IfMatch(Version("7")))
    names = ("ifGenerationMatch", "ifSourceGenerationMatch")
    assert [tuple(map(query(request).get, names)) for request in requests] == [
        ("0", None),
        ("0", "9"),
        ("0", GENERATION),
        ("7", None),
        ("7", "9"),
        ("7", GENERATION),
        (None, None),
        (None, None),
        ("7", None),
    ]


async def test_the_payer_is_named_with_each_request(make_gcs: MakeGCS) -> None:
    requests: list[Request] = []
    account = make_gcs().credentials_file
    options: dict[str, Any] = {"user_project": "payer", "credentials_file": account}
    async with stub_gcs(reply_with, requests=requests, **options) as storage:
        await storage.put("a", b"")
        await storage.head("a")
        await read(storage, "a")
        await storage.copy("a", "b")
        await storage.move(SOURCE, "b")
        await storage.delete("a")
        _ = [page async for page in storage.list_pages("")]
        url = await storage.get_presigned_url("a")
    for request in requests:
        header = request.headers.get("x-goog-user-project")
        assert (query(request).get("userProject") or header) == "payer"
    assert len(requests) == 7
    assert "userProject=payer&" in url


async def test_the_payer_counts_more_than_a_persons_own_project(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = google.oauth2.credentials.Credentials("token", quota_project_id="own")
    monkeypatch.setattr("google.auth.default", lambda **options: (person, None))
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests, user_project="payer") as storage:
        await storage.head("a")
        await read(storage, "a")
    assert [request.headers["x-goog-user-project"] for request in requests] == ["payer"] * 2


async def test_key_and_storage_class_are_asked_for_with_each_write() -> None:
    kept: dict[str, Any] = {
        "contentType": "text/x",
        "metadata": {"mtime": "1.5"},
        "cacheControl": "no-store",
    }

    def reply(request: Request, number: int) -> bytes:
        if request.method == "GET":
            return found(resource(**kept))
        if "resumable" in request.target:
            return answer(200, location="http://127.0.0.1:9/session")
        return reply_with(request, number)

    requests: list[Request] = []
    options: dict[str, Any] = {"kms_key_name": KEY, "storage_class": "NEARLINE"}
    async with stub_gcs(reply, requests=requests, **options) as storage:
        await storage.put("a", b"")
        await storage.copy("a", "b")
        await storage.create_multipart_upload("a")
    put, look, copy, upload = requests
    assert query(put)["kmsKeyName"] == query(upload)["kmsKeyName"] == KEY
    assert query(copy)["destinationKmsKeyName"] == KEY
    assert sent_resource(put)["storageClass"] == "NEARLINE"
    assert json.loads(upload.body)["storageClass"] == "NEARLINE"
    # As soon as a copy is told anything the store takes nothing over by itself.
    assert place(look) == "GET /o/a"
    assert json.loads(copy.body) == {**kept, "storageClass": "NEARLINE"}
    assert query(copy)["ifSourceGenerationMatch"] == GENERATION


async def test_nothing_is_asked_for_unless_configured() -> None:
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests) as storage:
        await storage.put("a", b"")
        await storage.copy("a", "b")
    put, copy = requests
    assert query(put) == {"uploadType": "multipart"}
    assert set(sent_resource(put)) == {"contentType", "metadata", "name", "crc32c"}
    assert (query(copy), copy.body) == ({}, b"")


@pytest.mark.parametrize("content_type", ["text/plain", "é", 'multipart/x; y="z"'])
async def test_a_content_type_arrives_and_breaks_nothing(
    content_type: str, make_gcs: MakeGCS
) -> None:
    async with aclosing(make_gcs()) as storage:
        meta = await storage.put("a", b"data\r\n--", content_type=content_type)
        assert meta.content_type == content_type
        assert (await storage.head("a")).content_type == content_type
        assert await read(storage, "a") == b"data\r\n--"


async def test_a_content_type_ends_no_line_of_a_request() -> None:
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests) as storage:
        await storage.put("a", b"data", content_type="a\r\nb: c")
    assert b"\nb: c" not in requests[0].body
    assert sent_resource(requests[0])["contentType"] == "a\r\nb: c"


async def test_a_body_that_changes_on_the_way_is_refused(
    make_gcs: MakeGCS, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jupyter_nbforge.storage import gcs_values

    checked = gcs_values.checksum_of
    monkeypatch.setattr(gcs_values, "checksum_of", lambda data: checked(b"what was meant"))
    async with aclosing(make_gcs()) as storage:
        with pytest.raises(StorageError):
            await storage.put("a", b"what arrived")
        with pytest.raises(NotFoundError):
            await storage.head("a")


# What is read.


async def test_what_others_wrote_has_the_stores_time_and_hash() -> None:
    hashes = {"md5Hash": "jXd/OF09/siBXSD3SWAm3A==", "crc32c": "AAAAAQ=="}

    def reply(request: Request, number: int) -> bytes:
        if place(request) == "GET /o":
            return found({"kind": "storage#objects", "items": [resource(**hashes)]})
        if place(request) == "GET /bucket/a":
            named = f"crc32c=AAAAAQ==,md5={hashes['md5Hash']}"
            return answer(200, b"12345678", x_goog_hash=named, **BODY_HEADERS)
        return found(resource(**hashes))

    async with stub_gcs(reply) as storage:
        meta = await storage.head("a")
        assert meta.content_hash == ContentHash("md5", "8d777f385d3dfec8815d20f7496026dc")
        assert (meta.size, meta.content_type) == (8, "text/plain")
        # To the second: the answer to a read says no more.
        assert meta.last_modified == WRITTEN
        listed = [item async for page in storage.list_pages("") for item in page.objects]
        assert listed == [meta]
        async with storage.get("a") as reader:
            assert reader.meta == meta


async def test_a_composed_object_has_its_crc32c_for_a_hash() -> None:
    async with stub_gcs(lambda request, number: found(resource(crc32c="AAAAAQ=="))) as storage:
        meta = await storage.head("a")
    assert meta.content_hash == ContentHash("crc32c", "00000001")


async def test_hashes_may_come_in_two_headers() -> None:
    def reply(request: Request, number: int) -> bytes:
        whole = answer(206, b"12", content_range="bytes 1-2/8", **BODY_HEADERS)
        hashes = b"x-goog-hash: crc32c=AAAAAQ==\r\nx-goog-hash: md5=AAAAAA==\r\n"
        return whole.replace(b"x-goog-generation", hashes + b"x-goog-generation")

    async with stub_gcs(reply) as storage, storage.get("a", byte_range=ByteRange(1, 3)) as reader:
        assert reader.meta.content_hash == ContentHash("md5", "00000000")
        assert reader.meta.size == 8
        assert await reader.read() == b"12"


async def test_what_is_stored_packed_is_given_as_it_is_stored() -> None:
    """gzip is how the object is kept, not how it came: sizes and ranges are of the stored bytes."""
    headers = {**BODY_HEADERS, "content_encoding": "gzip"}
    requests: list[Request] = []

    def reply(request: Request, number: int) -> bytes:
        return answer(200, b"\x1f\x8b packed"[:8], **headers)

    async with stub_gcs(reply, requests=requests) as storage, storage.get("a") as reader:
        assert await reader.read() == b"\x1f\x8b packed"[:8]
        assert reader.meta.size == 8
    assert requests[0].headers["accept-encoding"] == "gzip"


async def test_a_checksum_is_checked_only_of_whole_objects() -> None:
    headers = {**BODY_HEADERS, "x_goog_hash": "crc32c=AAAAAA=="}

    def reply(request: Request, number: int) -> bytes:
        return answer(206, b"1234", content_range="bytes 0-3/8", **headers)

    async with stub_gcs(reply) as storage:
        assert await read(storage, "a", byte_range=ByteRange(0, 4)) == b"1234"


async def test_a_range_that_the_store_ignores_is_refused() -> None:
    whole = answer(200, b"12345678", **BODY_HEADERS)
    async with stub_gcs(lambda request, number: whole) as storage:
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(1))
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(0, 3))
        assert await read(storage, "a", byte_range=ByteRange(0)) == b"12345678"
        assert await read(storage, "a", byte_range=ByteRange(0, 9)) == b"12345678"


async def test_the_store_may_answer_a_condition_of_a_read_itself() -> None:
    requests: list[Request] = []
    async with stub_gcs(lambda request, number: answer(304), requests=requests) as storage:
        with pytest.raises(NotModifiedError):
            await read(storage, "a", if_none_match=Version("7"))
    assert requests[0].headers["x-goog-if-generation-not-match"] == "7"


async def test_a_store_that_ignores_the_conditions_of_a_read_is_seen_through() -> None:
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests) as storage:
        with pytest.raises(NotModifiedError):
            await read(storage, "a", if_none_match=Version(GENERATION))
        with pytest.raises(PreconditionError):
            await read(storage, "a", if_match=OTHER)
        assert await read(storage, "a", if_none_match=Version("etag")) == b"12345678"
    assert requests[1].headers["x-goog-if-generation-match"] == OTHER
    assert "x-goog-if-generation-not-match" not in requests[-1].headers


async def test_a_read_with_a_failed_condition_tells_a_missing_object() -> None:
    def reply(request: Request, number: int) -> bytes:
        if place(request) == "GET /bucket/a":
            return xml_refusal(412, "PreconditionFailed")
        return (
            reply_with(request, number) if place(request) == "GET /o" else refusal(404, "notFound")
        )

    async with stub_gcs(reply) as storage:
        for version in (OTHER, Version("etag")):
            with pytest.raises(NotFoundError):
                await read(storage, "a", if_match=version)


async def test_conditions_hold_where_a_range_begins_after_the_end(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        meta = await storage.put("a", b"1")
        beyond = ByteRange(5)
        assert await read(storage, "a", byte_range=beyond, if_match=meta.version) == b""
        with pytest.raises(PreconditionError):
            await read(storage, "a", byte_range=beyond, if_match=OTHER)
        with pytest.raises(NotModifiedError):
            await read(storage, "a", byte_range=beyond, if_none_match=meta.version)


# Listings.


async def test_a_listing_asks_for_pages_and_no_more_than_it_needs() -> None:
    def reply(request: Request, number: int) -> bytes:
        token = query(request).get("pageToken")
        page = {"kind": "storage#objects", "items": [resource(f"a{token}")]}
        return found(page if token == "2" else {**page, "nextPageToken": "2" if token else "1"})

    requests: list[Request] = []
    async with stub_gcs(reply, requests=requests) as storage:
        pages = [page async for page in storage.list_pages("a", page_size=5000)]
    assert [meta.path for page in pages for meta in page.objects] == ["aNone", "a1", "a2"]
    assert [query(request).get("pageToken") for request in requests] == [None, "1", "2"]
    first = query(requests[0])
    assert (first["maxResults"], first["prefix"], first["delimiter"]) == ("1000", "a", "/")
    assert first["fields"].startswith("kind,nextPageToken,prefixes,items(")


# Copies.


async def test_a_large_copy_takes_as_many_rounds_as_the_store_wants() -> None:
    def reply(request: Request, number: int) -> bytes:
        token = query(request).get("rewriteToken")
        if token == "two":
            return found({"done": True, "resource": resource("b", metadata={"mtime": "1.5"})})
        return found({"done": False, "rewriteToken": "two" if token else "one"})

    requests: list[Request] = []
    async with stub_gcs(reply, requests=requests) as storage:
        meta = await storage.copy("a", "b", condition=IfAbsent(), source_version=OTHER)
    assert (meta.path, meta.size, meta.version) == ("b", 8, GENERATION)
    assert meta.last_modified == datetime.fromtimestamp(1.5, timezone.utc)
    assert [query(request).get("rewriteToken") for request in requests] == [None, "one", "two"]
    for request in requests:
        assert query(request)["ifGenerationMatch"] == "0"
        assert query(request)["ifSourceGenerationMatch"] == OTHER


async def test_conditions_on_copy(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        old = await storage.put("target", b"old")
        source = await storage.put("source", b"source")

        async def refused(
            kind: type[StorageError],
            path: str,
            *,
            origin: str = "source",
            target: str = "target",
            condition: WriteCondition | None = None,
            version: Version | None = None,
        ) -> None:
            with pytest.raises(kind) as caught:
                await storage.copy(origin, target, condition=condition, source_version=version)
            assert type(caught.value) is kind
            assert caught.value.path == path

        await refused(AlreadyExistsError, "target", condition=IfAbsent())
        await refused(PreconditionError, "target", condition=IfMatch(OTHER))
        await refused(PreconditionError, "absent", target="absent", condition=IfMatch(OTHER))
        await refused(PreconditionError, "source", version=OTHER)
        await refused(PreconditionError, "source", target="b", version=OTHER, condition=IfAbsent())
        await refused(PreconditionError, "source", version=OTHER, condition=IfMatch(old.version))
        await refused(AlreadyExistsError, "target", version=source.version, condition=IfAbsent())
        await refused(NotFoundError, "absent", origin="absent")
        await refused(NotFoundError, "absent", origin="absent", condition=IfMatch(old.version))
        await refused(NotFoundError, "absent", origin="absent", target="b", condition=IfAbsent())
        assert await storage.head("target") == old
        assert await read(storage, "target") == b"old"


async def test_a_source_that_changes_under_a_copy_into_another_class_is_tried_again() -> None:
    looks = iter([resource(), resource(generation="8"), resource(generation="8")])

    def reply(request: Request, number: int) -> bytes:
        return found(next(looks)) if request.method == "GET" else refusal(412, "conditionNotMet")

    async with stub_gcs(reply, storage_class="NEARLINE") as storage:
        with pytest.raises(UnavailableError, match="replaced") as caught:
            await storage.copy("a", "b", condition=IfAbsent())
    assert caught.value.retryable


# Moves.


async def test_a_move_is_one_request_and_keeps_what_the_object_is(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        source = await storage.put("a", b"data", content_type="text/x", metadata={"mtime": "1.5"})
        moved = await storage.move(source, "b c/%2F")
        assert moved == await storage.head("b c/%2F")
        assert moved.last_modified == source.last_modified
        assert moved.content_type == "text/x"
        with pytest.raises(NotFoundError):
            await storage.head("a")


@pytest.mark.parametrize(
    ("refused", "remembered"),
    [
        (refusal(400, "invalid"), True),
        (refusal(501, "notImplemented"), True),
        (refusal(405, "methodNotAllowed"), True),
        (refusal(404, "notFound"), True),
        (refusal(403, "forbidden"), False),
    ],
)
async def test_where_the_store_does_not_move_it_copies_and_deletes(
    refused: bytes, remembered: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def reply(request: Request, number: int) -> bytes:
        return refused if "moveTo" in request.target else reply_with(request, number)

    requests: list[Request] = []
    log = logging.getLogger("test")
    async with stub_gcs(reply, requests=requests, log=log) as storage:
        assert storage.capabilities.atomic_move
        for _ in range(2):
            moved = await storage.move(SOURCE, "b", condition=IfAbsent())
            assert (moved.path, moved.version) == ("b", GENERATION)
        assert storage.capabilities.atomic_move is not remembered
    copied = [request for request in requests if "rewriteTo" in request.target]
    deleted = [request for request in requests if request.method == "DELETE"]
    moves = [request for request in requests if "moveTo" in request.target]
    assert (len(copied), len(deleted), len(moves)) == (2, 2, 1 if remembered else 2)
    assert query(copied[0]) == {
        "ifGenerationMatch": "0",
        "ifSourceGenerationMatch": GENERATION,
    }
    assert query(deleted[0]) == {"ifGenerationMatch": GENERATION}
    warned = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert len(warned) == 1
    assert "copied and then deleted" in warned[0]


async def test_a_move_that_is_refused_for_another_reason_says_so() -> None:
    """Then the copy is refused as well, and nothing is concluded from it."""

    def reply(request: Request, number: int) -> bytes:
        return refusal(403, "forbidden") if request.method == "POST" else reply_with(request, 1)

    requests: list[Request] = []
    async with stub_gcs(reply, requests=requests) as storage:
        with pytest.raises(PermissionDeniedError):
            await storage.move(SOURCE, "b")
        assert storage.capabilities.atomic_move
    assert not [request for request in requests if request.method == "DELETE"]


@pytest.mark.parametrize("reason", ["backendError", "rateLimitExceeded"])
async def test_a_move_that_failed_for_a_moment_is_not_made_another_way(reason: str) -> None:
    requests: list[Request] = []
    status = 503 if reason == "backendError" else 429
    async with stub_gcs(
        lambda request, number: refusal(status, reason), requests=requests
    ) as storage:
        with pytest.raises(UnavailableError) as caught:
            await storage.move(SOURCE, "b")
    assert caught.value.retryable
    assert len(requests) == 1


async def test_with_atomic_move_off_the_store_is_not_asked() -> None:
    requests: list[Request] = []
    async with stub_gcs(reply_with, requests=requests, atomic_move=False) as storage:
        await storage.move(SOURCE, "b")
    assert [request.method for request in requests] == ["POST", "DELETE"]
    assert "rewriteTo" in requests[0].target


async def test_a_move_onto_itself_loses_nothing(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        source = await storage.put("a", b"kept")
        with pytest.raises(StorageError):
            await storage.move(source, "a")
        assert await read(storage, "a") == b"kept"
        assert storage.capabilities.atomic_move


# Versioned buckets.


async def test_a_versioned_bucket_behaves_the_same(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs(versioned=True)) as storage:
        first = await storage.put("a", b"1")
        second = await storage.put("a", b"2", condition=IfMatch(first.version))
        assert await storage.head("a") == second
        await storage.delete("a")
        with pytest.raises(NotFoundError):
            await storage.head("a")
        assert [page.objects async for page in storage.list_pages("") if page.objects] == []
        await storage.delete("a")
        third = await storage.put("a", b"3", condition=IfAbsent())
        assert await storage.head("a") == third
