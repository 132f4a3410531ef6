"""From one storage to another: what is kept, what is compared, what is left after a failure."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    BaseStorageService,
    Capabilities,
    IfAbsent,
    IfMatch,
    ObjectMeta,
    PreconditionError,
    StorageError,
    TooLargeError,
    UnavailableError,
    create_storage_service,
)
from jupyter_nbforge.storage import transfer as transfers
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import format_saver, sha256_of, stamp
from jupyter_nbforge.storage.transfer import transfer
from jupyter_nbforge.storage.types import ContentHash
from jupyter_nbforge.storage.wrappers.base import WrapperStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage

from .helpers import listing, read
from .retry_world import Small

MOMENT = datetime(2021, 2, 3, 4, 5, 6, 789012, tzinfo=timezone.utc)
PART = 10
SMALL, LARGE = b"0123456", b"0123456789" * 4 + b"rest"


@pytest.fixture(params=[SMALL, LARGE, b""], ids=["one write", "parts", "empty"])
def data(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setattr(transfers, "PART_SIZE", PART)
    content: bytes = request.param
    return content


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "PART_SIZE", PART)


class Md5(WrapperStorage):
    """Shows the MD5 of an object of which no better hash is known, as S3 and Azure do."""

    def __init__(self, inner: BaseStorageService, md5: str) -> None:
        super().__init__(inner)
        self.md5 = md5

    def get(self, path: str, **options: Any) -> Any:
        return _Relabelled(self.inner.get(path, **options), self.md5)


class _Relabelled:
    def __init__(self, opening: Any, md5: str) -> None:
        self.opening, self.md5 = opening, md5

    async def __aenter__(self) -> Any:
        reader = await self.opening.__aenter__()
        return replace(reader, meta=replace(reader.meta, content_hash=ContentHash("md5", self.md5)))

    async def __aexit__(self, *exc_info: object) -> None:
        await self.opening.__aexit__(*exc_info)


class Damaging(MemoryStorage):
    """Keeps other bytes than it was sent, and answers as if it had not."""

    checks = False

    def changed(self, data: bytes) -> bytes:
        return b"x" + data[1:]

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(checked_writes=self.checks)

    async def put(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        meta = await super().put(path, self.changed(data), **options)
        return replace(meta, size=len(data))


class Truncating(Damaging):
    checks = True

    def changed(self, data: bytes) -> bytes:
        return data[:-1]


class NoParts(MemoryStorage):
    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(multipart=False, max_put_size=len(LARGE))

    async def create_multipart_upload(self, path: str, **options: Any) -> Any:
        raise AssertionError("it takes no parts")


async def stored(data: bytes, metadata: Mapping[str, str] | None = None) -> Small:
    """A storage that gives bodies in chunks of two bytes, with `data` at ``a``."""
    source = Small()
    metadata = stamp(data, MOMENT) | format_saver("Ada") if metadata is None else metadata
    await source.put("a", data, content_type="text/x-forge", metadata=metadata)
    return source


async def paths(storage: BaseStorageService) -> list[str]:
    return (await listing(storage.list_pages("", delimiter=None))).paths


async def test_all_that_is_known_of_an_object_is_carried_over(data: bytes) -> None:
    source, target = await stored(data), MemoryStorage()
    sent: list[int] = []
    meta = await transfer(source, "a", target, "folder/b", progress=sent.append)
    assert await read(target, "folder/b") == data
    assert meta == await target.head("folder/b")
    assert (meta.last_modified, meta.content_type) == (MOMENT, "text/x-forge")
    assert meta.content_hash == ContentHash("sha256", sha256_of(data))
    assert meta.saved_by == "Ada"
    assert sum(sent) == len(data)


async def test_what_fits_into_one_write_gets_a_hash_on_the_way(in_parts: None) -> None:
    source, target = await stored(SMALL, metadata={}), MemoryStorage()
    meta = await transfer(source, "a", target, "b")
    assert meta.content_hash == ContentHash("sha256", sha256_of(SMALL))


async def test_what_is_on_a_disk_gets_a_hash_before_it_goes_in_parts(
    in_parts: None, tmp_path: Path
) -> None:
    source, target = LocalStorage(root=str(tmp_path)), MemoryStorage()
    (tmp_path / "a.ipynb").write_bytes(LARGE)
    meta = await transfer(source, "a.ipynb", target, "b.ipynb")
    assert meta.content_hash == ContentHash("sha256", sha256_of(LARGE))
    assert meta.content_type == "application/x-ipynb+json"
    assert meta.last_modified == (await source.head("a.ipynb")).last_modified


async def test_to_a_disk_go_the_bytes_and_the_time(data: bytes, tmp_path: Path) -> None:
    source, target = await stored(data), LocalStorage(root=str(tmp_path))
    meta = await transfer(source, "a", target, "folder/b", condition=IfAbsent())
    assert (tmp_path / "folder/b").read_bytes() == data
    assert meta == await target.head("folder/b")
    assert meta.last_modified == MOMENT


async def test_the_marker_of_a_folder_is_carried_over(tmp_path: Path) -> None:
    disk, store = LocalStorage(root=str(tmp_path)), MemoryStorage()
    (tmp_path / "a").mkdir()
    meta = await transfer(disk, "a/", store, "b/")
    assert (meta.size, meta.content_type) == (0, "application/x-directory")
    await transfer(store, "b/", disk, "c/")
    assert (tmp_path / "c").is_dir()


async def test_the_condition_is_on_the_target(data: bytes) -> None:
    source, inner = await stored(data), MemoryStorage()
    target = CountingStorage(inner)
    first = await inner.put("b", b"first")
    second = await inner.put("b", b"second")
    with pytest.raises(AlreadyExistsError):
        await transfer(source, "a", target, "b", condition=IfAbsent())
    with pytest.raises(PreconditionError):
        await transfer(source, "a", target, "b", condition=IfMatch(first.version))
    assert await read(inner, "b") == b"second"
    assert target.counts["abort"] == target.counts["create_multipart_upload"]
    await transfer(source, "a", target, "b", condition=IfMatch(second.version))
    assert await read(inner, "b") == data


async def test_another_version_of_the_source_is_not_taken(data: bytes) -> None:
    source, target = await stored(data), MemoryStorage()
    version = (await source.head("a")).version
    await source.put("a", b"changed")
    with pytest.raises(PreconditionError):
        await transfer(source, "a", target, "b", source_version=version)
    assert await paths(target) == []


async def test_a_target_that_takes_no_parts_gets_one_write(in_parts: None) -> None:
    source, target = await stored(LARGE), NoParts()
    await transfer(source, "a", target, "b")
    assert await read(target, "b") == LARGE
    source = await stored(LARGE + b"x")
    with pytest.raises(TooLargeError):
        await transfer(source, "a", target, "c")
    assert await paths(target) == ["b"]


class Limited(MemoryStorage):
    """Takes parts of certain sizes, and not many of them."""

    limits = Capabilities()

    @property
    def capabilities(self) -> Capabilities:
        return self.limits


@pytest.mark.parametrize(
    ("size", "limits", "parts"),
    [
        (25, Capabilities(), [10, 10, 5]),
        (25, Capabilities(min_part_size=12), [12, 12, 1]),
        (25, Capabilities(max_part_size=8), [8, 8, 8, 1]),
        (5, Capabilities(max_put_size=4), [5]),
        (25, Capabilities(max_parts=2), [13, 12]),
    ],
)
async def test_parts_keep_to_both_limits_of_the_target(
    in_parts: None, size: int, limits: Capabilities, parts: list[int]
) -> None:
    source, target = MemoryStorage(), Limited()
    await source.put("a", bytes(size))
    target.limits = limits
    sent: list[int] = []
    await transfer(source, "a", target, "b", progress=sent.append)
    assert sent == parts


async def test_more_than_the_parts_of_a_target_can_hold_is_refused_before_it_is_read(
    in_parts: None,
) -> None:
    source, target = FaultyStorage(await stored(LARGE)), Limited()
    target.limits = Capabilities(max_part_size=8, max_parts=3)
    source.faults.append(Fault("chunk", error=lambda: AssertionError("it is read")))
    with pytest.raises(TooLargeError):
        await transfer(source, "a", target, "b")


@pytest.mark.parametrize("fault", [Fault("chunk", skip=1), Fault("chunk", skip=1, damages=True)])
async def test_of_bytes_that_are_not_the_source_nothing_appears(data: bytes, fault: Fault) -> None:
    source = FaultyStorage(await stored(data), replace(fault))
    target = CountingStorage(MemoryStorage())
    await target.put("b", b"before")
    if data:
        with pytest.raises(UnavailableError, match=r"not read whole|damaged"):
            await transfer(source, "a", target, "b")
        assert await read(target, "b") == b"before"
        assert target.counts["abort"] == target.counts["create_multipart_upload"]
    await transfer(source, "a", target, "b")
    assert await read(target, "b") == data


async def test_a_body_that_ends_early_is_seen_where_no_hash_is_known(data: bytes) -> None:
    source = FaultyStorage(await stored(data, metadata={}), Fault("chunk", skip=1))
    target = MemoryStorage()
    if data:
        with pytest.raises(UnavailableError, match="not read whole"):
            await transfer(source, "a", target, "b")
        assert await paths(target) == []


async def test_the_md5_of_a_store_tells_damage_too(data: bytes) -> None:
    md5 = hashlib.md5(data).hexdigest()
    source = FaultyStorage(await stored(data, metadata={}), Fault("chunk", damages=True))
    target = MemoryStorage()
    if data:
        with pytest.raises(UnavailableError, match="damaged"):
            await transfer(Md5(source, md5), "a", target, "b")
        assert await paths(target) == []
    await transfer(Md5(source, md5), "a", target, "b")
    assert await read(target, "b") == data


async def test_what_another_tool_left_the_old_hash_with_gets_the_right_one(data: bytes) -> None:
    source = await stored(data, metadata=stamp(b"what was there before", MOMENT))
    target = CountingStorage(MemoryStorage())
    sent: list[int] = []
    meta = await transfer(source, "a", target, "b", progress=sent.append)
    assert await read(target, "b") == data
    assert meta.content_hash == ContentHash("sha256", sha256_of(data))
    assert meta.last_modified == MOMENT
    assert sum(sent) == len(data)
    assert target.counts["abort"] == max(0, target.counts["create_multipart_upload"] - 1)


@pytest.mark.parametrize("target_class", [Damaging, Truncating])
async def test_what_did_not_arrive_as_it_was_sent_is_deleted(
    data: bytes, target_class: type[Damaging]
) -> None:
    source, target = await stored(data), target_class()
    if not data:
        return
    with pytest.raises(UnavailableError, match="is not kept there"):
        await transfer(source, "a", target, "b")
    assert await paths(target) == []


async def test_what_could_not_be_deleted_is_told_to_be_damaged(in_parts: None) -> None:
    target = FaultyStorage(Damaging())
    target.fail("delete")
    with pytest.raises(UnavailableError, match="Delete it"):
        await transfer(await stored(SMALL), "a", target, "b")


async def test_what_another_writes_over_a_damaged_object_is_not_deleted(in_parts: None) -> None:
    inner = Damaging()

    async def overtake() -> None:
        await MemoryStorage.put(inner, "b", b"theirs")

    target = FaultyStorage(inner, Fault("delete", hook=overtake))
    with pytest.raises(UnavailableError, match="as it was sent"):
        await transfer(await stored(SMALL), "a", target, "b")
    assert await read(inner, "b") == b"theirs"


async def test_what_another_writes_meanwhile_is_not_deleted(in_parts: None) -> None:
    inner = MemoryStorage()

    async def overtake() -> None:
        await inner.put("b", b"theirs")

    target = FaultyStorage(inner, Fault("put", lost_answer=True, hook=overtake))
    with pytest.raises(PreconditionError):
        await transfer(await stored(SMALL), "a", target, "b")
    assert await read(inner, "b") == b"theirs"


@pytest.mark.parametrize("operation", ["create_multipart_upload", "upload_part", "complete"])
async def test_a_transfer_that_is_cancelled_leaves_no_upload_behind(
    in_parts: None, operation: str
) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        reached.set()
        await go_on.wait()

    counting = CountingStorage(MemoryStorage())
    target = FaultyStorage(counting, Fault(operation, hook=wait))
    running = asyncio.create_task(transfer(await stored(LARGE), "a", target, "b"))
    await reached.wait()
    running.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert counting.counts["create_multipart_upload"] == counting.counts["abort"] == 1
    assert await paths(counting) == []


async def test_a_failure_of_the_abort_does_not_hide_what_went_wrong(in_parts: None) -> None:
    target = FaultyStorage(MemoryStorage())
    target.fail("upload_part")
    target.faults.append(Fault("abort", error=lambda: StorageError("no abort")))
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await transfer(await stored(LARGE), "a", target, "b")


async def test_memory_holds_two_parts_at_most(in_parts: None) -> None:
    taken, held = 0, 0
    source = await stored(bytes(200))

    class Watched(WrapperStorage):
        def get(self, path: str, **options: Any) -> Any:
            return _Counted(self.inner.get(path, **options), count)

    def count(chunk: bytes) -> None:
        nonlocal taken
        taken += len(chunk)

    sent = 0

    def note(size: int) -> None:
        nonlocal sent, held
        held = max(held, taken - sent)
        sent += size

    await transfer(Watched(source), "a", MemoryStorage(), "b", progress=note)
    assert (taken, sent) == (200, 200)
    assert PART <= held <= 2 * PART


class _Counted:
    def __init__(self, opening: Any, count: Any) -> None:
        self.opening, self.count = opening, count

    async def __aenter__(self) -> Any:
        reader = await self.opening.__aenter__()
        return replace(reader, chunks=self._chunks(reader))

    async def _chunks(self, reader: Any) -> AsyncIterator[bytes]:
        async for chunk in reader.chunks:
            self.count(chunk)
            yield chunk

    async def __aexit__(self, *exc_info: object) -> None:
        await self.opening.__aexit__(*exc_info)


async def test_no_memory_of_what_was_sent_passes_for_what_arrived(data: bytes) -> None:
    """The standard stack answers from what it has written; the comparison asks the store."""

    class Stacked(WrapperStorage):
        pass

    storage = create_storage_service("memory://")
    provider: Any = storage
    while not isinstance(provider, MemoryStorage):
        around, provider = provider, provider.inner
    around.inner = target = Damaging()
    await storage.put("b", b"before")
    assert await read(storage, "b") == b"xefore"  # in the memory of the stack from now on
    if not data:
        return
    with pytest.raises(UnavailableError, match="as it was sent"):
        await transfer(await stored(data), "a", storage, "b")
    assert await paths(target) == []
    await storage.aclose()
