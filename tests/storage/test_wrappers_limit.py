"""LimitStorage: so many at once and no more, and nobody waits for themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

import pytest

from jupyter_nbforge.storage import BaseStorageService, ListPage, NotFoundError
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import LimitStorage
from jupyter_nbforge.testing.faults import CalledStorage
from tests.storage.helpers import listing, put_all, read

T = TypeVar("T")


class Gauge(CalledStorage):
    """Measures how many calls are under way at once."""

    def __init__(self, inner: BaseStorageService) -> None:
        super().__init__(inner)
        self.now = self.most = 0

    async def call(self, operation: str, path: str, act: Callable[[], Awaitable[T]]) -> T:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(0.001)
            return await act()
        finally:
            self.now -= 1


@pytest.fixture
def gauge() -> Gauge:
    return Gauge(MemoryStorage())


def within_a_second(awaitable: Awaitable[T]) -> Awaitable[T]:
    """Fails where a deadlock would wait for ever."""
    return asyncio.wait_for(awaitable, 1)


def operations(storage: BaseStorageService) -> Iterator[Awaitable[object]]:
    for number in range(4):
        yield storage.head("a")
        yield read(storage, "a")
        yield storage.put(f"b{number}", b"")
        yield storage.delete(f"c{number}")
        yield storage.delete_many([f"d{number}"])
        yield storage.copy("a", f"e{number}")
        yield listing(storage.list_pages(""))
        yield upload(storage, f"f{number}")


async def upload(storage: BaseStorageService, path: str) -> None:
    async with await storage.create_multipart_upload(path) as started:
        await asyncio.gather(*(started.upload_part(number, b"1") for number in (1, 2, 3)))
        await started.complete()


async def test_no_more_than_max_concurrency_are_under_way_at_once(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=3)
    await storage.put("a", b"1")
    await within_a_second(asyncio.gather(*operations(storage)))
    assert gauge.most == 3


async def test_a_get_holds_its_place_until_it_is_closed(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=1)
    await storage.put("a", b"1")
    async with storage.get("a"):
        other = asyncio.create_task(storage.head("a"))
        await asyncio.sleep(0.02)
        assert not other.done()
    await within_a_second(other)


async def test_a_listing_holds_no_place_while_its_consumer_works(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=1)
    await put_all(storage, ["a", "b"])

    async def copy(path: str) -> None:
        await storage.copy(path, f"copies/{path}")

    async for page in storage.list_pages("", page_size=1):
        await within_a_second(
            asyncio.gather(*(asyncio.create_task(copy(meta.path)) for meta in page.objects))
        )
    assert (await listing(storage.list_pages("copies/"))).paths == ["copies/a", "copies/b"]


async def test_a_task_that_holds_a_place_does_not_wait_for_itself(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=2)
    await put_all(storage, ["a", "b"])

    async def copy_by_hand(path: str) -> None:
        async with storage.get(path) as reader:
            await asyncio.sleep(0.01)
            await storage.put(f"copies/{path}", await reader.read())

    await within_a_second(asyncio.gather(copy_by_hand("a"), copy_by_hand("b")))


async def test_a_shared_place_is_free_only_after_its_last_use(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=1)
    await put_all(storage, ["a", "b"])
    first, second = storage.get("a"), storage.get("b")
    await first.__aenter__()
    await second.__aenter__()
    await first.__aexit__(None, None, None)
    other = asyncio.create_task(storage.head("a"))
    await asyncio.sleep(0.02)
    assert not other.done()
    await second.__aexit__(None, None, None)
    await within_a_second(other)


async def test_a_place_is_free_again_after_an_error_and_a_cancellation(gauge: Gauge) -> None:
    storage = LimitStorage(gauge, max_concurrency=1)
    for _ in range(3):
        with pytest.raises(NotFoundError):
            await storage.head("missing")
        cancelled = asyncio.create_task(storage.put("a", b""))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    await within_a_second(storage.put("a", b""))


def test_each_event_loop_has_its_own_places() -> None:
    storage = LimitStorage(Gauge(MemoryStorage()), max_concurrency=1)

    async def use() -> None:
        await asyncio.gather(storage.put("a", b""), storage.put("b", b""))

    asyncio.run(use())
    asyncio.run(use())


class Endless(MemoryStorage):
    async def list_pages(self, *args: object, **kwargs: object) -> AsyncIterator[ListPage]:
        while True:
            yield ListPage()


async def test_a_listing_that_is_given_up_leaves_no_place_taken() -> None:
    storage = LimitStorage(Endless(), max_concurrency=1)
    async for _ in storage.list_pages(""):
        break
    await within_a_second(storage.put("a", b""))


class Held(CalledStorage):
    """Reads and copies wait until `go`; `begun` is released by each."""

    def __init__(self, inner: BaseStorageService) -> None:
        super().__init__(inner)
        self.begun, self.go = asyncio.Semaphore(0), asyncio.Event()

    async def call(self, operation: str, path: str, act: Callable[[], Awaitable[T]]) -> T:
        if operation in ("get", "copy", "move", "complete"):
            self.begun.release()
            await self.go.wait()
        return await act()


async def test_what_may_take_long_never_holds_the_last_eighth_of_the_places() -> None:
    held = Held(MemoryStorage())
    storage = LimitStorage(held, max_concurrency=8)
    stored = await storage.put("a", b"1")
    upload = await storage.create_multipart_upload("u")
    await upload.upload_part(1, b"1")
    work = [read(storage, "a") for _ in range(4)]
    copies = [storage.copy("a", f"c{number}") for number in range(4)]
    tasks = [asyncio.ensure_future(one) for one in (*work, *copies, upload.complete())]
    for _ in range(7):
        await within_a_second(held.begun.acquire())
    await within_a_second(storage.put("b", b"2"))
    await within_a_second(listing(storage.list_pages("")))
    assert held.begun.locked(), "an eighth one was begun"
    held.go.set()
    await within_a_second(asyncio.gather(*tasks))
    moved = await storage.move(stored, "m")
    assert moved.size == 1


@pytest.mark.parametrize("places", [2, 4])
async def test_open_reads_leave_a_place_where_there_are_few(places: int) -> None:
    """Else copies in both directions between two mounts would wait for each other."""
    held = Held(MemoryStorage())
    storage = LimitStorage(held, max_concurrency=places)
    await storage.put("a", b"1")
    reads = [asyncio.ensure_future(read(storage, "a")) for _ in range(places)]
    for _ in range(places - 1):
        await within_a_second(held.begun.acquire())
    await within_a_second(storage.put("b", b"2"))
    held.go.set()
    await within_a_second(asyncio.gather(*reads))
