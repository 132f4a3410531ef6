"""Bytes on their way to the store: in bounded memory, in parts, and whole or not at all."""

from __future__ import annotations

import asyncio
import logging
import threading
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tornado.web import HTTPError

from jupyter_nbforge.contents import uploads as uploads_module
from jupyter_nbforge.contents.outgoing import Memory, Outgoing, _Collected, part_size_of
from jupyter_nbforge.contents.uploads import Uploads
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    PreconditionError,
    TooLargeError,
    UnavailableError,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import Capabilities, IfAbsent, IfMatch
from jupyter_nbforge.storage.wrappers import WrapperStorage
from jupyter_nbforge.storage.wrappers.upload import WrapperUpload
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage

from .gestures import contents_of

PART = 8


class Limited(WrapperStorage):
    """A store with other capabilities than the one it is made of."""

    def __init__(self, inner: BaseStorageService, **capabilities: Any) -> None:
        super().__init__(inner)
        self._changes = capabilities

    @property
    def capabilities(self) -> Capabilities:
        return replace(self.inner.capabilities, **self._changes)


def outgoing(storage: BaseStorageService, memory: Memory | None = None) -> Outgoing:
    return Outgoing(
        storage,
        "a",
        content_type="text/plain",
        part_size=PART,
        memory=memory or Memory(1024, PART),
        log=logging.getLogger("test"),
    )


@asynccontextmanager
async def blocked() -> AsyncIterator[tuple[Any, asyncio.Event, asyncio.Event]]:
    """A store to which no part gets before the first event; the second: one is on its way."""
    free, sent = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        sent.set()
        await free.wait()

    faulty = FaultyStorage(MemoryStorage(), Fault("upload_part", hook=wait, times=None))
    yield faulty, free, sent
    free.set()


async def test_a_part_is_sent_while_the_next_one_is_collected() -> None:
    async with blocked() as (storage, free, sent):
        upload = outgoing(storage)
        await upload.add(bytes(PART + 1))
        await sent.wait()
        await upload.add(bytes(PART - 1))
        free.set()
        assert (await upload.finish(None)).size == 2 * PART


async def test_no_byte_is_taken_beyond_two_parts_of_memory() -> None:
    async with blocked() as (storage, free, _):
        upload = outgoing(storage)
        await upload.add(bytes(2 * PART))
        more = asyncio.create_task(upload.add(b"x"))
        await asyncio.wait({more}, timeout=0.05)
        assert not more.done()
        free.set()
        await more
        assert (await upload.finish(None)).size == 2 * PART + 1


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART])
async def test_what_fits_into_one_part_is_one_write_with_its_hash(size: int) -> None:
    store = MemoryStorage()
    counting = CountingStorage(store)
    upload = outgoing(counting)
    await upload.add(bytes(size))
    meta = await upload.finish(IfAbsent())
    assert dict(counting.counts) == {"put": 1}
    assert meta.content_hash is not None
    assert meta.content_hash.algorithm == "sha256"
    assert meta == await store.head("a")


async def test_more_than_a_part_is_a_multipart_upload() -> None:
    store = MemoryStorage()
    counting = CountingStorage(store)
    upload = outgoing(counting)
    await upload.add(bytes(3 * PART))
    meta = await upload.finish(IfAbsent())
    assert counting.counts["upload_part"] == 3
    assert counting.counts["put"] == 0
    assert meta == await store.head("a")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.binary(max_size=3 * PART), max_size=12), st.sampled_from([0, 4, 16, 1024]))
def test_bytes_arrive_in_their_order_however_they_come(pieces: list[bytes], limit: int) -> None:
    async def upload_all() -> dict[str, bytes]:
        store = MemoryStorage()
        upload = outgoing(store, Memory(limit, PART))
        for piece in pieces:
            await upload.add(piece)
        await upload.finish(None)
        return await contents_of(store)

    assert asyncio.run(upload_all()) == {"a": b"".join(pieces)}


async def test_without_memory_many_uploads_at_once_come_to_their_end() -> None:
    store, memory = MemoryStorage(), Memory(PART, PART)

    async def one(number: int) -> None:
        upload = outgoing(Moved(store, f"f{number}"), memory)
        for _ in range(6):
            await upload.add(bytes([number]) * (PART - 1))
        await upload.finish(None)

    await asyncio.wait_for(asyncio.gather(*map(one, range(20))), 30)
    found = await contents_of(store)
    assert found == {f"f{number}": bytes([number]) * 6 * (PART - 1) for number in range(20)}
    assert memory.take(PART // 2)


class Moved(WrapperStorage):
    """Takes the object under another path."""

    def __init__(self, inner: BaseStorageService, path: str) -> None:
        super().__init__(inner)
        self._path = path

    async def create_multipart_upload(self, path: str, **options: Any) -> Any:
        return await self.inner.create_multipart_upload(self._path, **options)


async def test_nothing_is_to_be_seen_before_the_end_and_nothing_is_left_after_an_abort() -> None:
    store, memory = MemoryStorage(), Memory(1024, PART)
    counting = CountingStorage(store)
    upload = outgoing(counting, memory)
    await upload.add(bytes(5 * PART))
    assert await contents_of(store) == {}
    await upload.abort()
    await upload.abort()
    assert await contents_of(store) == {}
    assert counting.counts["abort"] == 1
    assert memory.take(512)


@pytest.mark.parametrize("size", [1, 3 * PART])
async def test_the_condition_holds_when_the_object_appears(size: int) -> None:
    store = MemoryStorage()
    seen = await store.put("a", b"seen")
    for condition, error in ((IfAbsent(), AlreadyExistsError), (IfMatch(seen.version), None)):
        upload = outgoing(store)
        await upload.add(bytes(size))
        if error is None:
            assert (await upload.finish(condition)).size == size
        else:
            with pytest.raises(error):
                await upload.finish(condition)
            await upload.abort()
            assert await contents_of(store) == {"a": b"seen"}
    upload = outgoing(store)
    await upload.add(bytes(size))
    with pytest.raises(PreconditionError):
        await upload.finish(IfMatch(seen.version))
    await upload.abort()


async def test_a_part_that_cannot_be_sent_fails_what_comes_after_it() -> None:
    faulty = FaultyStorage(MemoryStorage())
    faulty.fail("upload_part")
    upload = outgoing(faulty)
    with pytest.raises(UnavailableError):
        await upload.add(bytes(4 * PART))
    await upload.abort()


async def test_a_store_without_parts_is_given_one_object() -> None:
    store = MemoryStorage()
    upload = outgoing(Limited(store, multipart=False), Memory(PART, PART))
    await upload.add(bytes(10 * PART))
    await upload.finish(IfAbsent())
    assert (await store.head("a")).size == 10 * PART


async def test_what_no_write_can_take_is_refused_before_it_is_kept() -> None:
    upload = outgoing(Limited(MemoryStorage(), multipart=False, max_put_size=2 * PART))
    await upload.add(bytes(2 * PART))
    with pytest.raises(TooLargeError):
        await upload.add(b"x")
    await upload.abort()


async def test_more_parts_than_the_store_takes_are_refused() -> None:
    upload = outgoing(Limited(MemoryStorage(), max_parts=2, max_part_size=PART))
    with pytest.raises(TooLargeError):
        await upload.add(bytes(3 * PART + 1))
    await upload.abort()


STORES = {
    "s3": (Capabilities(min_part_size=5 * 2**20, max_part_size=5 * 2**30, max_parts=10_000), 48.8),
    "azure": (Capabilities(max_part_size=4000 * 2**20, max_parts=50_000), 190.7),
}
"""The limits of a multipart upload, and TiB of the largest object."""


@pytest.mark.parametrize("store", STORES)
def test_the_parts_of_an_upload_reach_at_least_five_tebibytes(store: str) -> None:
    capabilities, largest = STORES[store]
    sizes = [
        part_size_of(number, 16 * 2**20, capabilities)
        for number in range(1, capabilities.max_parts + 1)
    ]
    assert sizes == sorted(sizes)
    assert set(sizes[: capabilities.max_parts // 2]) == {16 * 2**20}
    assert max(sizes) <= capabilities.max_part_size
    assert min(sizes) >= capabilities.min_part_size
    assert 5 <= sum(sizes) / 2**40 <= largest


def test_a_part_is_never_smaller_than_the_store_wants() -> None:
    assert part_size_of(1, 2**20, Capabilities(min_part_size=5 * 2**20)) == 5 * 2**20


async def test_an_idle_upload_is_given_up_by_itself() -> None:
    counting = CountingStorage(MemoryStorage())
    now = [100.0]
    uploads = Uploads(0.5, lambda path: outgoing(counting), timer=lambda: now[0])
    await uploads.add("a", 1, "x" * (2 * PART), "text", None)
    now[0] += 1
    aborted = asyncio.Event()
    asyncio.get_running_loop().call_later(10, aborted.set)
    while not counting.counts["abort"]:
        assert not aborted.is_set()
        await asyncio.sleep(0.01)
    assert not uploads.is_running("a")
    await uploads.aclose()


async def test_closing_gives_up_what_is_under_way_and_waits_for_it() -> None:
    counting = CountingStorage(MemoryStorage())
    uploads = Uploads(100, lambda path: outgoing(counting))
    await uploads.add("a", 1, "x" * (3 * PART), "text", None)
    await uploads.aclose()
    assert counting.counts["abort"] == 1


async def test_a_cancelled_chunk_ends_its_upload_and_leaves_no_part() -> None:
    async with blocked() as (storage, free, _):
        counting = CountingStorage(storage)
        uploads = Uploads(100, lambda path: outgoing(counting))
        chunk = asyncio.create_task(uploads.add("a", 1, "x" * (5 * PART), "text", None))
        await asyncio.wait({chunk}, timeout=0.05)
        chunk.cancel()
        with pytest.raises(asyncio.CancelledError):
            await chunk
        assert not uploads.is_running("a")
        await uploads.aclose()
        assert counting.counts["abort"] == counting.counts["create_multipart_upload"] == 1
        free.set()


async def test_an_upload_that_is_being_begun_when_it_is_given_up_is_ended_in_the_store() -> None:
    began, free = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await free.wait()

    counting = CountingStorage(MemoryStorage())
    upload = outgoing(FaultyStorage(counting, Fault("create_multipart_upload", hook=wait)))
    await upload.add(bytes(PART + 1))
    await began.wait()
    aborting = asyncio.create_task(upload.abort())
    await asyncio.sleep(0)
    free.set()
    await aborting
    assert counting.counts["create_multipart_upload"] == counting.counts["abort"] == 1


async def test_a_chunk_that_waits_while_its_upload_is_begun_again_is_refused() -> None:
    async with blocked() as (storage, free, _):
        uploads = Uploads(100, lambda path: outgoing(storage))
        await uploads.add("a", 1, "x" * (PART + 1), "text", None)
        await uploads.add("a", 2, "y" * (PART - 1), "text", None)
        waiting = asyncio.create_task(uploads.add("a", 3, "z", "text", None))
        await asyncio.wait({waiting}, timeout=0.05)
        await uploads.add("a", 1, "x" * (PART + 1), "text", None)
        with pytest.raises(HTTPError) as refused:
            await waiting
        assert refused.value.status_code == 409
        free.set()
        await uploads.aclose()


async def test_an_upload_is_not_idle_while_a_chunk_of_it_waits() -> None:
    now = [0.0]
    async with blocked() as (storage, free, _):
        uploads = Uploads(10, lambda path: outgoing(storage), timer=lambda: now[0])
        await uploads.add("a", 1, "x" * 2 * PART, "text", None)
        waiting = asyncio.create_task(uploads.add("a", 2, "z", "text", None))
        await asyncio.wait({waiting}, timeout=0.05)
        now[0] = 11.0
        assert uploads.is_running("a")
        free.set()
        assert await waiting == 2 * PART + 1
        await uploads.aclose()


async def test_what_is_given_up_while_a_chunk_is_written_to_disk_sends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, go_on = asyncio.Event(), threading.Event()
    loop, write = asyncio.get_running_loop(), _Collected._write

    def slow(collected: _Collected, data: bytes) -> None:
        loop.call_soon_threadsafe(began.set)
        go_on.wait()
        write(collected, data)

    monkeypatch.setattr(_Collected, "_write", slow)
    counting = CountingStorage(MemoryStorage())
    uploads = Uploads(100, lambda path: outgoing(counting, Memory(2, PART)))
    chunk = asyncio.create_task(uploads.add("a", 1, "x" * (5 * PART), "text", None))
    await began.wait()
    await uploads.aclose()
    go_on.set()
    with pytest.raises(HTTPError):
        await chunk
    assert dict(counting.counts) == {}


async def test_closing_leaves_no_task_however_long_the_store_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads_module, "_SECONDS_TO_ABORT", 0.05)

    async def hang() -> None:
        await asyncio.Event().wait()

    faulty = FaultyStorage(MemoryStorage(), Fault("abort", hook=hang, times=None))
    before = asyncio.all_tasks()
    uploads = Uploads(100, lambda path: outgoing(faulty))
    await uploads.add("a", 1, "x" * (3 * PART), "text", None)
    await uploads.aclose()
    assert asyncio.all_tasks() == before


class Sink(WrapperStorage):
    """Takes parts slowly and keeps none."""

    async def create_multipart_upload(self, path: str, **options: Any) -> Any:
        return _SinkUpload(await self.inner.create_multipart_upload(path, **options))


class _SinkUpload(WrapperUpload):
    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


async def test_memory_holds_little_more_than_two_parts_of_a_large_upload() -> None:
    part = 2**20
    upload = Outgoing(
        Sink(MemoryStorage()),
        "a",
        content_type="text/plain",
        part_size=part,
        memory=Memory(64 * part, part),
        log=logging.getLogger("test"),
    )
    tracemalloc.start()
    try:
        for _ in range(40 * 16):
            await upload.add(bytes(part // 16))
            await asyncio.sleep(0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    await upload.abort()
    assert peak < 2.6 * part


async def test_a_store_is_told_of_each_part_whether_another_follows() -> None:
    told: list[bool] = []

    class Told(WrapperStorage):
        async def create_multipart_upload(self, path: str, **options: Any) -> Any:
            return _ToldUpload(await self.inner.create_multipart_upload(path, **options))

    class _ToldUpload(WrapperUpload):
        async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
            told.append(more)
            await super().upload_part(number, data, more=more)

    upload = outgoing(Told(MemoryStorage()))
    await upload.add(bytes(3 * PART))
    await upload.finish(None)
    assert told == [True, True, False]
