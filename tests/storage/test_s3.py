"""What is S3Storage's own, beside the rules that hold for every storage."""

from __future__ import annotations

import asyncio
import logging
import urllib.error
import urllib.request
from contextlib import aclosing
from datetime import datetime, timezone
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
)
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.types import (
    ByteRange,
    ContentHash,
    IfAbsent,
    IfMatch,
    Version,
    WriteCondition,
)
from jupyter_nbforge.testing.servers import LocalServer, MotoServer, SeaweedServer

from .conftest import MakeS3
from .sdk import Sent, record, sdk
from .stub import Request, answer, refusal, stub_s3

OTHER = Version('"00000000000000000000000000000000"')
PART = 5 * 2**20


@pytest.fixture(params=["moto_server", "seaweed_server"])
def server(request: pytest.FixtureRequest) -> LocalServer:
    found: LocalServer = request.getfixturevalue(request.param)
    return found


async def read(storage: S3Storage, path: str, **options: Any) -> bytes:
    async with storage.get(path, **options) as reader:
        return await reader.read()


async def raw(storage: S3Storage, operation: str, path: str, **options: Any) -> Any:
    """An operation of S3 on a key, past our code."""
    return await getattr(await sdk(storage), operation)(Bucket=storage.bucket, Key=path, **options)


ODD = [
    "\u00e9",
    "e\u0301",
    "\u65e5\u672c/\u8a9e",
    "a b",
    "a+b",
    "a%b",
    "a%2Fb",
    "a%252Fb",
    "a#b",
    "a?b=c&d",
    "'a\"b",
    "<a>&b",
    "a;b:c@d=e$f,g",
    "~a*(b)!",
    "{a}|^`[b]",
    "\U0001f600.ipynb",
    "a\u200bb",
    "\ufffe",
    "a\uffff",
]


@pytest.mark.parametrize("name", ODD)
async def test_a_copy_takes_any_name_and_leaves_its_neighbours(
    name: str, server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        await storage.put(f"from/{name}", name.encode())
        await storage.put("from/other", b"other")
        await storage.copy(f"from/{name}", f"to/{name}", condition=IfAbsent())
        assert await read(storage, f"to/{name}") == name.encode()
        await storage.delete_many([f"from/{name}", f"to/{name}"])
        found = [
            meta.path
            async for page in storage.list_pages("", delimiter=None)
            for meta in page.objects
        ]
        assert found == ["from/other"]


async def test_what_others_wrote_has_the_stores_time_and_md5(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        await raw(storage, "put_object", "a", Body=b"data", ContentType="text/plain")
        meta = await storage.head("a")
        assert meta.content_hash == ContentHash("md5", "8d777f385d3dfec8815d20f7496026dc")
        assert meta.content_type == "text/plain"
        listed = [found async for page in storage.list_pages("") for found in page.objects]
        assert [(found.path, found.size, found.version) for found in listed] == [
            ("a", 4, meta.version)
        ]
        assert listed[0].content_hash is None
        assert listed[0].last_modified.utcoffset() is not None
        async with storage.get("a") as reader:
            assert reader.meta == meta


async def test_the_etag_of_an_upload_in_parts_is_no_hash(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(2, b"end")
        await upload.upload_part(1, bytes(PART))
        meta = await upload.complete()
        assert meta.content_hash is None
        assert meta == await storage.head("a")
        assert meta.size == PART + 3


@pytest.mark.parametrize(
    "headers",
    [
        {"x_amz_server_side_encryption": "aws:kms"},
        {"x_amz_server_side_encryption": "aws:kms:dsse"},
        {"x_amz_server_side_encryption_customer_algorithm": "AES256"},
    ],
)
async def test_the_etag_of_an_encrypted_object_is_no_hash(headers: dict[str, str]) -> None:
    usual = {
        "etag": '"8d777f385d3dfec8815d20f7496026dc"',
        "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    }

    async def hash_with(**more: str) -> ContentHash | None:
        reply = answer(200, b"", **usual, **more)
        async with stub_s3(lambda request, number: reply) as storage:
            return (await storage.head("a")).content_hash

    assert await hash_with() is not None
    assert await hash_with(x_amz_server_side_encryption="AES256") is not None
    assert await hash_with(**headers) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-29T12:00:01.123Z", datetime(2024, 2, 29, 12, 0, 1, 123000, timezone.utc)),
        ("2024-02-29T12:00:01Z", datetime(2024, 2, 29, 12, 0, 1, 0, timezone.utc)),
        ("2024-02-29T12:00:01.123456789Z", datetime(2024, 2, 29, 12, 0, 1, 123456, timezone.utc)),
        ("2024-02-29T14:00:01+02:00", datetime(2024, 2, 29, 12, 0, 1, 0, timezone.utc)),
        ("2024-02-29T12:00:01", datetime(2024, 2, 29, 12, 0, 1, 0, timezone.utc)),
        ("Thu, 29 Feb 2024 12:00:01 GMT", datetime(2024, 2, 29, 12, 0, 1, 0, timezone.utc)),
    ],
)
async def test_a_listing_has_the_stores_time_as_it_writes_it(text: str, expected: datetime) -> None:
    entry = f'<Key>a</Key><Size>1</Size><ETag>"1"</ETag><LastModified>{text}</LastModified>'
    reply = answer(
        200, f"<ListBucketResult><Contents>{entry}</Contents></ListBucketResult>".encode()
    )
    async with stub_s3(lambda request, number: reply) as storage:
        found = [meta async for page in storage.list_pages("") for meta in page.objects]
    assert found[0].last_modified == expected
    assert found[0].last_modified.tzinfo is timezone.utc


# Conditions: SeaweedFS alone honours all of them.


async def test_conditions_on_put(server: LocalServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(server)) as storage:
        first = await storage.put("a", b"1", condition=IfAbsent())
        with pytest.raises(AlreadyExistsError):
            await storage.put("a", b"2", condition=IfAbsent())
        second = await storage.put("a", b"3", condition=IfMatch(first.version))
        with pytest.raises(PreconditionError):
            await storage.put("a", b"4", condition=IfMatch(first.version))
        with pytest.raises(PreconditionError):
            await storage.put("b", b"5", condition=IfMatch(first.version))
        assert await read(storage, "a") == b"3"
        assert await storage.head("a") == second


async def test_conditions_on_delete(server: LocalServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(server)) as storage:
        meta = await storage.put("a", b"1")
        with pytest.raises(PreconditionError):
            await storage.delete("a", condition=IfMatch(OTHER))
        with pytest.raises(PreconditionError):
            await storage.delete("b", condition=IfMatch(meta.version))
        assert await storage.head("a") == meta
        await storage.delete("a", condition=IfMatch(meta.version))
        with pytest.raises(NotFoundError):
            await storage.head("a")
        await storage.delete("a")


async def test_conditions_on_copy(seaweed_server: SeaweedServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        await check_conditions_on_copy(storage)


async def check_conditions_on_copy(storage: S3Storage) -> None:
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
    await refused(NotFoundError, "absent", origin="absent", target="b", condition=IfAbsent())
    assert await storage.head("target") == old
    found = await storage.copy(
        "source", "target", condition=IfMatch(old.version), source_version=source.version
    )
    assert await read(storage, "target") == b"source"
    assert (await storage.head("target")).version == found.version
    await storage.copy("source", "b", condition=IfAbsent(), source_version=source.version)
    assert await read(storage, "b") == b"source"


@pytest.mark.parametrize("told", [False, None])
async def test_without_conditional_copies_a_look_comes_first(
    told: bool | None, moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server, conditional_copy=told)) as storage:
        await check_conditions_on_copy(storage)


async def test_conditions_on_an_upload(seaweed_server: SeaweedServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        old = await storage.put("a", b"old")
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, b"new")
        with pytest.raises(AlreadyExistsError):
            await upload.complete(condition=IfAbsent())
        with pytest.raises(PreconditionError):
            await upload.complete(condition=IfMatch(OTHER))
        assert await storage.head("a") == old
        meta = await upload.complete(condition=IfMatch(old.version))
        assert meta == await storage.head("a")
        assert await read(storage, "a") == b"new"


async def test_without_conditional_writes_a_look_comes_first_and_is_said_once(
    moto_server: MotoServer, make_s3: MakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"conditional_put": False, "conditional_delete": False}
    storage = make_s3(moto_server, log=logging.getLogger("test"), **options)
    async with aclosing(storage):
        sent = await record(storage)
        meta = await storage.put("a", b"1", condition=IfAbsent())
        with pytest.raises(AlreadyExistsError):
            await storage.put("a", b"2", condition=IfAbsent())
        with pytest.raises(PreconditionError):
            await storage.put("a", b"2", condition=IfMatch(OTHER))
        with pytest.raises(PreconditionError):
            await storage.delete("a", condition=IfMatch(OTHER))
        await storage.delete("a", condition=IfMatch(meta.version))
    for request in sent:
        assert not {"If-Match", "If-None-Match"} & set(request["headers"])
    assert sent.operations.count("PutObject") == 1
    assert sent.operations.count("DeleteObject") == 1
    warned = [record.getMessage() for record in caplog.records if record.name == "test"]
    assert [message.split()[0] for message in warned] == [
        "S3Storage.conditional_put",
        "S3Storage.conditional_delete",
    ]


# Deleting many.


@pytest.mark.parametrize("in_batches", [True, False])
async def test_many_are_deleted_only_at_their_versions(
    in_batches: bool, seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server, conditional_delete_many=in_batches)) as storage:
        metas = [await storage.put(path, path.encode()) for path in ("a", "b", "c", "d")]
        versions = {meta.path: meta.version for meta in metas[:3]}
        await storage.put("b", b"changed")
        sent = await record(storage)
        with pytest.raises(PreconditionError) as caught:
            await storage.delete_many(["a", "b", "c", "d", "e"], versions=versions)
        assert caught.value.path == "b"
        assert await read(storage, "b") == b"changed"
        for path in ("a", "c", "d"):
            with pytest.raises(NotFoundError):
                await storage.head(path)
        assert ("DeleteObject" in sent.operations) is not in_batches


async def test_a_store_that_ignores_versions_in_batches_deletes_nothing_by_mistake(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        meta = await storage.put("a", b"1")
        with pytest.raises(PreconditionError):
            await storage.delete_many(["a"], versions={"a": OTHER})
        assert await storage.head("a") == meta


@pytest.mark.parametrize(("told", "in_batches"), [(None, True), (True, True), (False, False)])
def test_amazon_gets_versions_in_batches(told: bool | None, in_batches: bool) -> None:
    storage = S3Storage(bucket="bucket", conditional_delete=told)
    found = storage._conditions.known("batch_match")
    assert found is not None
    assert found.kept is in_batches


async def test_2500_objects_are_listed_page_by_page_and_deleted_in_batches(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        expected = sorted(f"a/{number}" for number in range(2500))
        limit = asyncio.Semaphore(32)

        async def put(path: str) -> None:
            async with limit:
                await storage.put(path, b"")

        await asyncio.gather(*map(put, expected))
        sent = await record(storage)
        pages = [page async for page in storage.list_pages("a/")]
        assert [len(page.objects) for page in pages] == [1000, 1000, 500]
        assert [meta.path for page in pages for meta in page.objects] == expected
        sizes = [len(page.objects) async for page in storage.list_pages("a/", page_size=900)]
        assert sizes == [900, 900, 700]
        assert sent.operations == ["ListObjectsV2"] * 6
        sent.clear()
        await storage.put("b", b"")
        await storage.delete_many(expected)
        assert sent.operations == ["PutObject"] + ["DeleteObjects"] * 3
        left = [
            meta.path
            async for page in storage.list_pages("", delimiter=None)
            for meta in page.objects
        ]
        assert left == ["b"]


async def test_a_store_without_batches_gets_single_deletes() -> None:
    def reply(request: Request, number: int) -> bytes:
        return refusal(501, "NotImplemented") if request.method == "POST" else answer(204)

    requests: list[Request] = []
    async with stub_s3(reply, requests=requests) as storage:
        await storage.delete_many(["a", "b"])
    deleted = {request.target for request in requests if request.method == "DELETE"}
    assert deleted == {"/bucket/a", "/bucket/b"}


async def test_an_error_for_one_key_of_a_batch_is_raised() -> None:
    result = b"<DeleteResult><Error><Key>b</Key><Code>SlowDown</Code></Error></DeleteResult>"
    async with stub_s3(lambda request, number: answer(200, result)) as storage:
        with pytest.raises(StorageError) as caught:
            await storage.delete_many(["a", "b"])
    assert caught.value.path == "b"
    assert caught.value.retryable


# Versioned buckets.


async def test_a_versioned_bucket_behaves_the_same_and_keeps_what_was(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server, versioned=True)) as storage:
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
        client = await sdk(storage)
        kept = await client.list_object_versions(Bucket=storage.bucket, Prefix="a")
        assert {second.version, first.version} <= {entry["ETag"] for entry in kept["Versions"]}


# What is sent.


async def test_encryption_and_storage_class_are_asked_for_with_each_write(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    options: dict[str, Any] = {
        "server_side_encryption": "aws:kms",
        "sse_kms_key_id": "arn:aws:kms:us-east-1:123456789012:key/mine",
        "storage_class": "STANDARD_IA",
    }
    async with aclosing(make_s3(moto_server, **options)) as storage:
        sent = await record(storage)
        put = await storage.put("put", b"1")
        copied = await storage.copy("put", "copy")
        upload = await storage.create_multipart_upload("upload")
        await upload.upload_part(1, b"1")
        uploaded = await upload.complete()
        writes = [
            request
            for request in sent
            if request["operation"] in ("PutObject", "CopyObject", "CreateMultipartUpload")
        ]
        assert len(writes) == 3
        for request in writes:
            assert request["headers"]["x-amz-server-side-encryption"] == "aws:kms"
            key_id = request["headers"]["x-amz-server-side-encryption-aws-kms-key-id"]
            assert key_id == options["sse_kms_key_id"]
            assert request["headers"]["x-amz-storage-class"] == "STANDARD_IA"
        for path in ("put", "copy", "upload"):
            found = await raw(storage, "head_object", path)
            assert found["ServerSideEncryption"] == "aws:kms"
            assert found["StorageClass"] == "STANDARD_IA"
        assert put.content_hash is None
        assert put == await storage.head("put")
        assert uploaded == await storage.head("upload")
        assert copied.size == 1


async def test_nothing_is_asked_for_unless_configured(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        sent = await record(storage)
        await storage.put("a", b"1")
    names = {name.lower() for name in sent[0]["headers"]}
    assert not {name for name in names if "encryption" in name or "storage-class" in name}


@pytest.mark.parametrize("size", [0, 10, 3 * 2**20])
async def test_a_body_is_sent_at_once_with_its_checksum(
    size: int, server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        sent = await record(storage)
        data = bytes(size)
        await storage.put("a", data)
        assert await read(storage, "a") == data
    headers = {name.lower(): value for name, value in sent[0]["headers"].items()}
    assert "x-amz-checksum-crc32" in headers
    assert "expect" not in headers
    assert "transfer-encoding" not in headers


async def test_a_body_that_changes_on_the_way_is_refused(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        client = await sdk(storage)

        def damage(request: Any, **kwargs: Any) -> None:
            request.body = b"damaged!"

        client.meta.events.register("before-send.s3.PutObject", damage)
        with pytest.raises(StorageError) as caught:
            await storage.put("a", b"original")
        assert caught.value.retryable
        with pytest.raises(NotFoundError):
            await storage.head("a")


async def test_a_put_is_one_request_and_so_is_a_get_and_a_copy(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server, conditional_copy=True)) as storage:
        sent = await record(storage)
        meta = await storage.put("a", b"data")
        copied = await storage.copy("a", "b", source_version=meta.version)
        await read(storage, "a")
    assert sent.operations == ["PutObject", "CopyObject", "GetObject"]
    assert (copied.size, copied.path) == (4, "b")


async def test_a_copy_of_something_unknown_has_the_right_size(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        await storage.put("a", b"12")
        await raw(storage, "put_object", "a", Body=b"12345")
        await raw(storage, "put_object", "b", Body=b"123456")
        assert (await storage.copy("a", "c")).size == 5
        assert (await storage.copy("b", "d")).size == 6


# Large copies.


async def test_a_copy_too_large_for_one_request_is_made_in_parts(
    server: LocalServer, make_s3: MakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.s3_multipart._COPY_PART_SIZE", PART)
    async with aclosing(make_s3(server)) as storage:
        data = bytes(PART) + b"x" * PART + b"end"
        metadata = {"mtime": "1700000000.000000", "other": "kept"}
        await storage.put("a", data, content_type="text/x-test", metadata=metadata)
        source = await storage.head("a")
        storage.max_copy_size = PART
        sent = await refuse_copies(storage)
        target = await storage.copy("a", "b", condition=IfAbsent(), source_version=source.version)
        assert target == await storage.head("b")
        assert await read(storage, "b") == data
        assert (target.content_type, target.size) == ("text/x-test", len(data))
        assert target.last_modified == source.last_modified
        assert (await raw(storage, "head_object", "b"))["Metadata"] == metadata
        assert sent.operations.count("UploadPartCopy") == 3


async def refuse_copies(storage: S3Storage) -> Sent:
    """Let CopyObject be answered as S3 answers for more than 5 GiB."""
    from botocore.awsrequest import AWSResponse

    class TooLarge(AWSResponse):
        @property
        def content(self) -> Any:
            async def body() -> bytes:
                return b"<Error><Code>InvalidRequest</Code></Error>"

            return body()

    def refuse(**kwargs: Any) -> AWSResponse:
        headers: Any = {}
        return TooLarge("", 400, headers, object())

    (await sdk(storage)).meta.events.register("before-send.s3.CopyObject", refuse)
    return await record(storage)


async def test_a_large_copy_keeps_its_conditions(
    seaweed_server: SeaweedServer, make_s3: MakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.s3_multipart._COPY_PART_SIZE", PART)
    async with aclosing(make_s3(seaweed_server)) as storage:
        await storage.put("a", bytes(PART + 1))
        old = await storage.put("b", b"old")
        storage.max_copy_size = PART
        await refuse_copies(storage)
        with pytest.raises(AlreadyExistsError):
            await storage.copy("a", "b", condition=IfAbsent())
        with pytest.raises(PreconditionError):
            await storage.copy("a", "c", source_version=OTHER)
        assert await storage.head("b") == old
        client = await sdk(storage)
        pending = await client.list_multipart_uploads(Bucket=storage.bucket)
        assert not pending.get("Uploads")


async def test_a_copy_refused_for_another_reason_is_not_tried_in_parts(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        await storage.put("a", b"small")
        sent = await refuse_copies(storage)
        with pytest.raises(StorageError, match="InvalidRequest"):
            await storage.copy("a", "b")
        assert "CreateMultipartUpload" not in sent.operations


# Reading.


async def test_a_range_that_the_store_ignores_is_refused() -> None:
    headers = {"etag": '"1"', "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
    async with stub_s3(lambda request, number: answer(200, b"12345", **headers)) as storage:
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(1))
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(0, 3))
        assert await read(storage, "a", byte_range=ByteRange(0)) == b"12345"
        assert await read(storage, "a", byte_range=ByteRange(0, 9)) == b"12345"


async def test_a_connection_is_used_again_after_reads_that_were_left(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server, max_connections=1)) as storage:
        await storage.put("a", bytes(4 * 2**20))
        for _ in range(5):
            async with storage.get("a") as reader:
                assert await anext(aiter(reader.chunks))
            async with storage.get("a"):
                pass
        assert len(await read(storage, "a")) == 4 * 2**20


# Presigned URLs.


async def test_a_presigned_url_reads_and_writes_without_credentials(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        await storage.put("a b+%#?\u00e9", b"data")
        url = await storage.get_presigned_url("a b+%#?\u00e9", 60)
        assert await asyncio.to_thread(fetch, url) == b"data"
        url = await storage.get_presigned_url("new", 60.5, method="PUT")
        await asyncio.to_thread(fetch, url, b"written")
        assert await read(storage, "new") == b"written"


def fetch(url: str, data: bytes | None = None) -> bytes:
    method = "GET" if data is None else "PUT"
    headers = {} if data is None else {"Content-Type": "text/plain"}
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return bytes(response.read())


async def test_a_presigned_url_is_for_one_method_and_one_key(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        await storage.put("a", b"data")
        await storage.put("b", b"secret")
        url = await storage.get_presigned_url("a")
        for wrong in ((url.replace("/a?", "/b?"), None), (url, b"written")):
            with pytest.raises(urllib.error.HTTPError) as caught:
                await asyncio.to_thread(fetch, *wrong)
            with caught.value:
                assert caught.value.code == 403


@pytest.mark.parametrize("expires_in", [0, -1, 7 * 24 * 3600 + 1])
async def test_a_presigned_url_lives_at_most_seven_days(expires_in: float) -> None:
    storage = S3Storage(bucket="bucket", access_key_id="a", secret_access_key="b")
    async with aclosing(storage):
        with pytest.raises(NotSupportedError):
            await storage.get_presigned_url("a", expires_in)


async def test_nobody_presigns_without_credentials() -> None:
    async with aclosing(S3Storage(bucket="bucket", anonymous=True)) as storage:
        with pytest.raises(NotSupportedError):
            await storage.get_presigned_url("a")
