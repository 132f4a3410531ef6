"""What is AzureStorage's own, beside the rules that hold for every storage."""

from __future__ import annotations

import logging
from contextlib import aclosing
from typing import Any

import pytest

from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
)
from jupyter_nbforge.storage.types import (
    ByteRange,
    ContentHash,
    IfAbsent,
    IfMatch,
    ObjectMeta,
    Version,
    WriteCondition,
)
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.proxy import CountingProxy

from .azure_stub import blob, content_md5, created, record, refusal, stub_azure
from .conftest import MakeAzure
from .stub import Request

OTHER = Version('"0x0"')


async def read(storage: AzureStorage, path: str, **options: Any) -> bytes:
    async with storage.get(path, **options) as reader:
        return await reader.read()


async def sdk(storage: AzureStorage, path: str) -> Any:
    """The SDK's client of an object, for what our code never does."""
    return (await storage._connection.client()).blob(path)


async def listed(storage: AzureStorage, prefix: str = "", **options: Any) -> list[str]:
    pages = storage.list_pages(prefix, delimiter=None, **options)
    return [meta.path async for page in pages for meta in page.objects]


async def test_what_others_wrote_has_the_stores_time_and_md5(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    from azure.storage.blob import ContentSettings

    async with aclosing(make_azure(azurite_server)) as storage:
        settings = ContentSettings(content_type="text/plain")
        await (await sdk(storage, "a")).upload_blob(b"data", content_settings=settings)
        meta = await storage.head("a")
        assert meta.content_hash == ContentHash("md5", "8d777f385d3dfec8815d20f7496026dc")
        assert meta.content_type == "text/plain"
        assert [found async for page in storage.list_pages("") for found in page.objects] == [meta]
        async with storage.get("a") as reader:
            assert reader.meta == meta


async def test_a_listing_tells_hash_and_type_and_the_stores_time(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        metadata = {"mtime": "1700000000.000000", "sha256": "0" * 64}
        put = await storage.put("a", b"data", content_type="text/x-forge", metadata=metadata)
        (found,) = [meta async for page in storage.list_pages("") for meta in page.objects]
    assert (found.version, found.size) == (put.version, 4)
    assert (found.content_hash, found.content_type) == (put.content_hash, put.content_type)
    assert found.last_modified.year > put.last_modified.year


async def test_what_was_joined_from_parts_has_no_md5(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(2, b"end")
        await upload.upload_part(1, b"beginning ")
        meta = await upload.complete()
        assert meta.content_hash is None
        assert meta == await storage.head("a")
        assert await read(storage, "a") == b"beginning end"


async def test_a_snapshot_does_not_keep_an_object(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        for path in ("a", "b", "c"):
            await storage.put(path, b"1")
            await (await sdk(storage, path)).create_snapshot()
        await storage.delete("a")
        await storage.delete_many(["b", "c"])
        assert await listed(storage) == []


# What is sent.


async def test_each_primitive_is_one_request(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with CountingProxy(azurite_server.endpoint_url, "azure") as proxy:
        storage = make_azure(azurite_server, account_url=proxy.endpoint_url)
        async with aclosing(storage):
            meta = await storage.put("a", bytes(3 * 2**20), condition=IfAbsent())
            assert proxy.take() == {"PUT": 1}
            await storage.head("a")
            assert proxy.take() == {"HEAD": 1}
            assert len(await read(storage, "a", if_match=meta.version)) == meta.size
            assert proxy.take() == {"GET": 1}
            await read(storage, "a", byte_range=ByteRange(5, 10))
            assert proxy.take() == {"GET": 1}
            copied = await storage.copy("a", "b", source_version=meta.version)
            assert proxy.take() == {"COPY": 1}
            assert (copied.path, copied.size) == ("b", meta.size)
            assert (await storage.copy("a", "b")).size == meta.size
            assert proxy.take() == {"COPY": 1}
            assert [found async for page in storage.list_pages("") for found in page.objects]
            assert proxy.take() == {"LIST": 1}
            await storage.delete("b")
            assert proxy.take() == {"DELETE": 1}
            with pytest.raises(NotFoundError):
                await storage.head("b")
            assert proxy.take() == {"HEAD": 1}
            upload = await storage.create_multipart_upload("c")
            await upload.upload_part(1, b"1")
            await upload.complete()
            assert proxy.take() == {"PART": 1, "COMPLETE": 1}
            await storage.delete_many(["a", "c"])
            assert proxy.take() == {"BATCH": 1}
            assert await listed(storage) == []


@pytest.mark.parametrize("size", [0, 10, 3 * 2**20])
async def test_a_body_is_sent_with_its_checksum_which_the_store_keeps(
    size: int, azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = record(monkeypatch)
    async with aclosing(make_azure(azurite_server)) as storage:
        data = bytes(size)
        put = await storage.put("a", data)
        upload = await storage.create_multipart_upload("b")
        await upload.upload_part(1, data or b"1")
        properties = await (await sdk(storage, "a")).get_blob_properties()
        assert bytes(properties.content_settings.content_md5).hex() == (
            put.content_hash and put.content_hash.value
        )
        assert await read(storage, "a") == data
    assert sent[0].headers["content-md5"] == content_md5(data)
    assert sent[0].headers["content-length"] == str(size)
    assert sent[1].headers["content-md5"] == content_md5(data or b"1")


async def test_a_body_that_changes_on_the_way_is_refused(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def wrong(data: bytes) -> str:
        return content_md5(b"original")

    monkeypatch.setattr("jupyter_nbforge.storage.azure_objects.content_md5", wrong)
    async with aclosing(make_azure(azurite_server)) as storage:
        with pytest.raises(StorageError) as caught:
            await storage.put("a", b"damaged!")
        assert caught.value.retryable
        with pytest.raises(NotFoundError):
            await storage.head("a")


async def test_tier_and_encryption_scope_are_asked_for_with_each_write(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = record(monkeypatch)
    options = {"access_tier": "Cool", "encryption_scope": "notebooks"}
    async with aclosing(make_azure(azurite_server, **options)) as storage:
        await storage.put("put", b"1")
        await storage.copy("put", "copy")
        upload = await storage.create_multipart_upload("upload")
        await upload.upload_part(1, b"1")
        await upload.complete()
        assert (await (await sdk(storage, "put")).get_blob_properties()).blob_tier == "Cool"
    writes = [request for request in sent if request.method == "PUT"]
    assert len(writes) == 4
    for request in writes:
        assert request.headers["x-ms-encryption-scope"] == "notebooks"
        part = request.query.get("comp") == "block"
        assert request.headers.get("x-ms-access-tier") == (None if part else "Cool")


async def test_nothing_is_asked_for_unless_configured(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = record(monkeypatch)
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", b"1")
    assert not {name for name in sent[0].headers if "encryption" in name or "tier" in name}


async def test_more_than_one_request_takes_is_refused_here(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.azure.MAX_PUT_SIZE", 3)
    sent = record(monkeypatch)
    async with aclosing(make_azure(azurite_server)) as storage:
        with pytest.raises(TooLargeError):
            await storage.put("a", b"data")
    assert not sent


@pytest.mark.parametrize("secret", ["account_key", "sas_token"])
async def test_no_log_tells_a_secret(
    secret: str,
    azurite_server: AzuriteServer,
    make_azure: MakeAzure,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    with_key = make_azure(azurite_server)
    signature = await container_sas(with_key)
    options: dict[str, Any] = {"container": with_key.container}
    if secret == "sas_token":
        options |= {"account_key": "", "sas_token": signature}
    async with aclosing(with_key), aclosing(make_azure(azurite_server, **options)) as storage:
        await storage.put("a", b"1")
        await storage.copy("a", "b")
        assert await listed(storage) == ["a", "b"]
        with pytest.raises(NotFoundError):
            await storage.copy("none", "c")
        url = await with_key.get_presigned_url("a")
    assert len(caplog.records) > 3
    text = "\n".join(f"{entry.getMessage()} {entry.exc_info}" for entry in caplog.records)
    assert azurite_server.account_key not in text
    assert "sig=" not in text.replace("sig=REDACTED", "").replace("sig=*****", "")
    assert url.rpartition("sig=")[2] not in text


async def container_sas(storage: AzureStorage, permission: str = "racwdl") -> str:
    """A SAS for the container of a storage that has the key."""
    from datetime import datetime, timedelta, timezone

    from azure.storage.blob import generate_container_sas

    account = storage._connection.account
    return generate_container_sas(
        account.name,
        storage.container,
        account_key=account.key,
        permission=permission,
        expiry=datetime.now(timezone.utc) + timedelta(hours=1),
    )


# Copies.


async def test_conditions_on_copy(azurite_server: AzuriteServer, make_azure: MakeAzure) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        old = await storage.put("target", b"old")
        source = await storage.put("source", b"source")

        async def refused(kind: type[StorageError], path: str, **options: Any) -> None:
            paths = {"origin": "source", "target": "target"} | {
                name: options.pop(name) for name in ("origin", "target") if name in options
            }
            with pytest.raises(kind) as caught:
                await storage.copy(paths["origin"], paths["target"], **options)
            assert type(caught.value) is kind
            assert caught.value.path == path

        other, mine = IfMatch(OTHER), IfMatch(old.version)
        await refused(AlreadyExistsError, "target", condition=IfAbsent())
        await refused(PreconditionError, "target", condition=other)
        await refused(PreconditionError, "absent", target="absent", condition=other)
        await refused(PreconditionError, "source", source_version=OTHER)
        await refused(
            PreconditionError, "source", target="b", source_version=OTHER, condition=IfAbsent()
        )
        await refused(PreconditionError, "source", source_version=OTHER, condition=mine)
        await refused(
            AlreadyExistsError, "target", source_version=source.version, condition=IfAbsent()
        )
        await refused(NotFoundError, "absent", origin="absent")
        await refused(NotFoundError, "absent", origin="absent", target="b", condition=IfAbsent())
        assert await storage.head("target") == old
        await storage.copy("source", "target", condition=mine, source_version=source.version)
        assert await read(storage, "target") == b"source"


async def test_a_copy_of_what_was_changed_since_it_was_seen_has_the_new_bytes_and_size(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", b"12")
        await storage.put("b", b"taken")
        await (await sdk(storage, "a")).upload_blob(b"12345", overwrite=True)
        with pytest.raises(AlreadyExistsError):
            await storage.copy("a", "b", condition=IfAbsent())
        copied = await storage.copy("a", "c", condition=IfAbsent())
        assert copied.size == 5
        assert await read(storage, "c") == b"12345"


async def test_a_copy_of_something_unknown_has_the_right_size(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await (await sdk(storage, "a")).upload_blob(b"123456")
        assert (await storage.copy("a", "b")).size == 6


LARGE = bytes(300_000) + b"x" * 300_000 + b"end"
PROPERTIES: dict[str, Any] = {
    "content_encoding": "gzip",
    "content_language": "fr",
    "cache_control": "no-store",
}


async def put_large(storage: AzureStorage) -> ObjectMeta:
    """An object with all kinds of properties, of which more is than one copy takes."""
    from azure.storage.blob import ContentSettings

    settings = ContentSettings(content_type="text/x-test", **PROPERTIES)
    metadata = {"mtime": "1700000000.000000", "other": "kept"}
    await (await sdk(storage, "a")).upload_blob(LARGE, content_settings=settings, metadata=metadata)
    storage.max_copy_size = 250_000
    return await storage.head("a")


async def test_a_copy_too_large_for_one_request_is_made_in_parts(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.azure_copies._COPY_PART_SIZE", 250_000)
    async with aclosing(make_azure(azurite_server)) as storage:
        source = await put_large(storage)
        sent = record(monkeypatch)
        target = await storage.copy("a", "b", condition=IfAbsent(), source_version=source.version)
        monkeypatch.undo()
        assert target == await storage.head("b")
        assert await read(storage, "b") == LARGE
        assert (target.content_type, target.size) == ("text/x-test", len(LARGE))
        assert target.last_modified == source.last_modified
        assert source.content_hash is not None
        assert target.content_hash == source.content_hash
        found = await (await sdk(storage, "b")).get_blob_properties()
        assert found.metadata == {"mtime": "1700000000.000000", "other": "kept"}
        assert {name: found.content_settings[name] for name in PROPERTIES} == PROPERTIES
    parts = [request for request in sent if request.query.get("comp") == "block"]
    assert len(parts) == 3
    assert {request.headers["x-ms-source-if-match"] for request in parts} == {source.version}
    assert not [request for request in sent if "x-ms-requires-sync" in request.headers]


async def test_a_large_copy_keeps_its_conditions(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.azure_copies._COPY_PART_SIZE", 250_000)
    async with aclosing(make_azure(azurite_server)) as storage:
        source = await put_large(storage)
        old = await storage.put("b", b"old")
        for condition, kind in (
            (IfAbsent(), AlreadyExistsError),
            (IfMatch(OTHER), PreconditionError),
        ):
            with pytest.raises(kind):
                await storage.copy("a", "b", condition=condition)
        with pytest.raises(PreconditionError):
            await storage.copy("a", "c", source_version=OTHER)
        assert await storage.head("b") == old
        assert await listed(storage) == ["a", "b"]
        await storage.copy("a", "b", condition=IfMatch(old.version), source_version=source.version)
        assert (await storage.head("b")).size == len(LARGE)


async def test_a_copy_refused_for_its_size_is_made_in_parts() -> None:
    def reply(request: Request, number: int) -> bytes:
        if request.method == "HEAD":
            return blob(b"", content_length=str(300 * 2**20))
        if "comp=block" in request.target:
            return blob().replace(b" 200 ", b" 201 ", 1)
        return refusal(409, "InvalidSourceBlobSize")

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        copied = await storage.copy("a", "b")
    assert copied.size == 300 * 2**20
    ranges = {
        request.headers["x-ms-source-range"]
        for request in requests
        if "comp=block&" in request.target
    }
    assert ranges == {"bytes=0-268435455", "bytes=268435456-314572799"}


async def test_a_copy_refused_for_another_reason_is_not_tried_in_parts(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(request: Request, number: int) -> bytes:
        if request.method == "HEAD":
            return blob(b"12345")[:-5]
        return refusal(400, "InvalidInput")

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        with pytest.raises(StorageError, match="InvalidInput"):
            await storage.copy("a", "b")
    assert [request.method for request in requests] == ["PUT", "HEAD"]


# Uploads in parts.


async def test_two_uploads_to_one_path_do_not_mix(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        first = await storage.create_multipart_upload("a")
        second = await storage.create_multipart_upload("a")
        await first.upload_part(1, b"1")
        await second.upload_part(1, b"2")
        await second.upload_part(2, b"22")
        await second.complete()
        with pytest.raises(NotFoundError, match="upload it again"):
            await first.complete()
        assert await read(storage, "a") == b"222"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, NotFoundError),
        (IfAbsent(), AlreadyExistsError),
        (IfMatch(OTHER), PreconditionError),
        (IfMatch(Version('"0x1"')), NotFoundError),
    ],
)
async def test_where_the_parts_are_gone_the_condition_comes_first(
    condition: WriteCondition | None, expected: type[StorageError]
) -> None:
    """Azure discards them when the object is written at once, which Azurite does not."""

    def reply(request: Request, number: int) -> bytes:
        if request.method == "HEAD":
            return blob()
        return created() if "comp=block&" in request.target else refusal(400, "InvalidBlockList")

    async with stub_azure(reply) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, b"1")
        with pytest.raises(expected) as caught:
            await upload.complete(condition=condition)
    assert type(caught.value) is expected


async def test_a_commit_whose_answer_was_lost_can_be_made_again(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        upload = await storage.create_multipart_upload("a")
        await upload.upload_part(1, b"1")
        await upload.complete()
        upload._ended = False
        await upload.complete()
        assert await read(storage, "a") == b"1"


# Deleting many.


async def test_many_are_deleted_only_at_their_versions(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        metas = [await storage.put(path, path.encode()) for path in ("a", "b", "c", "d")]
        versions = {meta.path: meta.version for meta in metas[:3]}
        await storage.put("b", b"changed")
        sent = record(monkeypatch)
        with pytest.raises(PreconditionError) as caught:
            await storage.delete_many(["a", "b", "c", "d", "e"], versions=versions)
        assert caught.value.path == "b"
        assert [request.method for request in sent] == ["POST"]
        assert await listed(storage) == ["b"]
        assert await read(storage, "b") == b"changed"


async def test_a_batch_has_128_objects_at_most(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = record(monkeypatch)
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a/7", b"")
        await storage.put("b", b"")
        await storage.delete_many(f"a/{number}" for number in range(129))
        assert sorted(request.method for request in sent[2:]) == ["DELETE", "POST"]
        assert await listed(storage) == ["b"]


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "InvalidInput"), (403, "AuthorizationResourceTypeMismatch"), (501, "NotImplemented")],
)
async def test_a_store_without_batches_gets_single_deletes(status: int, code: str) -> None:
    def reply(request: Request, number: int) -> bytes:
        if request.method == "POST":
            return refusal(status, code)
        return blob().replace(b" 200 ", b" 202 ", 1)

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        await storage.delete_many(["a", "b"])
        await storage.delete_many(["c", "d"])
    assert [request.method for request in requests].count("POST") == 1
    deleted = {request.target for request in requests if request.method == "DELETE"}
    assert deleted == {f"/container/{name}" for name in "abcd"}


async def test_a_batch_that_fails_for_now_is_not_taken_for_one_that_is_not_offered() -> None:
    requests: list[Request] = []
    busy = refusal(503, "ServerBusy")
    async with stub_azure(lambda request, number: busy, requests=requests) as storage:
        for _ in range(2):
            with pytest.raises(StorageError) as caught:
                await storage.delete_many(["a", "b"])
            assert caught.value.retryable
    assert [request.method for request in requests] == ["POST", "POST"]


# Listings.


async def test_a_listing_is_in_the_order_of_bytes_and_complete(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    """Azurite lists the emoji before the letter."""
    names = ["a", "a\uff21", "a\uff21/b", "a🦀", "a🦀/b", "b", "\uff21", "🦀", "🦀/\uff21", "🦀/🦀"]
    async with aclosing(make_azure(azurite_server, hierarchical_namespace=False)) as storage:
        for name in names:
            await storage.put(name, b"")
        for size in (1, 2, 3, 100):
            assert await listed(storage, page_size=size) == names
            for start_after in names:
                found = await listed(storage, page_size=size, start_after=start_after)
                assert found == [name for name in names if name > start_after]


async def test_names_that_xml_cannot_write_are_listed() -> None:
    entry = (
        '<Blob><Name Encoded="true">a%20b%EF%BF%BF</Name><Properties><Etag>0x1</Etag>'
        "<Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>"
        "<Content-Length>1</Content-Length></Properties><Metadata/></Blob>"
        '<BlobPrefix><Name Encoded="true">b%EF%BF%BF/</Name></BlobPrefix>'
    )
    page = f"<EnumerationResults><Blobs>{entry}</Blobs><NextMarker/></EnumerationResults>"
    async with stub_azure(lambda request, number: blob(page.encode())) as storage:
        pages = [page async for page in storage.list_pages("")]
    assert [meta.path for meta in pages[0].objects] == ["a b\uffff"]
    assert pages[0].objects[0].version == '"0x1"'
    assert pages[0].prefixes == ("b\uffff/",)


# Reading.


async def test_a_range_that_the_store_ignores_is_refused() -> None:
    async with stub_azure(lambda request, number: blob(b"12345")) as storage:
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(1))
        with pytest.raises(NotSupportedError):
            await read(storage, "a", byte_range=ByteRange(0, 3))
        assert await read(storage, "a", byte_range=ByteRange(0)) == b"12345"
        assert await read(storage, "a", byte_range=ByteRange(0, 9)) == b"12345"


async def test_a_compressed_object_is_read_as_it_is_stored() -> None:
    packed = blob(b"\x1f\x8bpacked", content_encoding="gzip")
    async with stub_azure(lambda request, number: packed) as storage:
        assert await read(storage, "a") == b"\x1f\x8bpacked"


async def test_a_connection_is_used_again_after_reads_that_were_left(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server, max_connections=1)) as storage:
        await storage.put("a", bytes(4 * 2**20))
        for _ in range(5):
            async with storage.get("a") as reader:
                assert await anext(aiter(reader.chunks))
            async with storage.get("a"):
                pass
            with pytest.raises(NotFoundError):
                await read(storage, "none")
        assert len(await read(storage, "a")) == 4 * 2**20
