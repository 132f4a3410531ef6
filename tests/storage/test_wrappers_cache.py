"""CacheStorage: bytes that the store confirms, and calls that are shared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import (
    NotFoundError,
    NotModifiedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ByteRange, ListPage, Version
from jupyter_nbforge.storage.wrappers import CacheStorage, cache
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage, unavailable

from .helpers import put_all, read


class World:
    """A store, what goes wrong on the way to it, what is asked of it, and the cache."""

    def __init__(self, **traits: Any) -> None:
        self.store = MemoryStorage()
        self.faulty = FaultyStorage(self.store)
        self.counting = CountingStorage(self.faulty)
        self.storage = CacheStorage(self.counting, **traits)
        self.sent: list[int] = []

    async def bodies(self, awaitable: Awaitable[Any]) -> int:
        """How many bodies the store sends meanwhile."""
        before = len(self.faulty.faults)
        seen = Fault("chunk", hook=self._note, times=None)
        self.faulty.faults.append(seen)
        await awaitable
        self.faulty.faults.remove(seen)
        assert len(self.faulty.faults) == before
        return seen.befallen

    async def _note(self) -> None: ...

    def hold(self, operation: str) -> tuple[asyncio.Event, asyncio.Event]:
        """Let the next such call begin (the first event) and wait (for the second)."""
        began, free = asyncio.Event(), asyncio.Event()

        async def wait() -> None:
            began.set()
            await free.wait()

        self.faulty.faults.append(Fault(operation, hook=wait))
        return began, free


@pytest.fixture
def world() -> World:
    return World()


async def settled() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_was_read_is_confirmed_and_not_sent_again(world: World) -> None:
    await world.store.put("a", b"data")
    first = await read(world.storage, "a")
    world.counting.reset()
    assert await world.bodies(read(world.storage, "a")) == 0
    assert dict(world.counting.counts) == {"get": 1}
    assert first == await read(world.storage, "a") == b"data"


async def test_what_is_read_again_has_all_that_a_read_shows(world: World) -> None:
    await world.store.put("a", b"data", content_type="text/x", metadata={"mtime": "5.000000"})
    for _ in range(2):
        async with world.storage.get("a") as reader, world.store.get("a") as fresh:
            assert reader.meta == fresh.meta


async def test_what_we_wrote_is_confirmed_and_not_sent(world: World) -> None:
    meta = await world.storage.put("a", b"data")
    assert await world.bodies(read(world.storage, "a")) == 0
    async with world.storage.get("a") as reader:
        assert reader.meta == meta


async def test_what_somebody_else_has_changed_is_seen_at_once(world: World) -> None:
    await world.storage.put("a", b"ours")
    await world.store.put("a", b"theirs")
    assert await read(world.storage, "a") == b"theirs"
    await world.store.delete("a")
    with pytest.raises(NotFoundError):
        await read(world.storage, "a")


@pytest.mark.parametrize(
    "write",
    [
        lambda storage: storage.put("a", b"new"),
        lambda storage: storage.copy("b", "a"),
        lambda storage: storage.delete("a"),
        lambda storage: storage.delete_many(["a", "c"]),
    ],
)
async def test_after_a_write_of_ours_nothing_older_is_kept(
    world: World, write: Callable[[CacheStorage], Awaitable[Any]]
) -> None:
    await put_all(world.store, ["a", "b"])
    await read(world.storage, "a")
    await write(world.storage)
    entry = world.storage._entries.get("a")
    assert entry is None or entry.data == b"new"


async def test_a_range_and_a_condition_are_passed_on(world: World) -> None:
    meta = await world.storage.put("a", b"data")
    async with world.storage.get("a", byte_range=ByteRange(1, 3)) as reader:
        assert await reader.read() == b"at"
    with pytest.raises(NotModifiedError):
        await read(world.storage, "a", if_none_match=meta.version)
    with pytest.raises(PreconditionError):
        await read(world.storage, "a", if_match=Version("other"))


async def test_a_large_object_is_passed_on_in_pieces_and_not_kept() -> None:
    world = World(max_object_bytes=3)
    await world.store.put("a", b"data")
    for _ in range(2):
        assert await world.bodies(read(world.storage, "a")) > 0
    assert not world.storage._entries


async def test_no_more_is_kept_than_allowed_and_the_least_used_goes_first() -> None:
    world = World(max_bytes=10, max_object_bytes=8)
    for path in "abc":
        await world.storage.put(path, b"1234")
        await read(world.storage, "a")
    assert sorted(world.storage._entries) == ["a", "c"]
    assert world.storage._entries.currsize <= 10


async def test_where_nothing_is_to_be_kept_nothing_is() -> None:
    world = World(max_bytes=0)
    await world.storage.put("a", b"data")
    assert await world.bodies(read(world.storage, "a")) > 0


async def test_a_body_that_breaks_off_is_an_error_and_is_not_kept(world: World) -> None:
    await world.store.put("a", b"data")
    world.faulty.faults.append(Fault("chunk"))
    with pytest.raises(UnavailableError):
        await read(world.storage, "a")
    assert await read(world.storage, "a") == b"data"


async def test_a_head_that_shows_another_time_of_the_same_version_counts(world: World) -> None:
    """On S3 the same bytes are the same version, whoever has written them and when."""
    meta = await world.storage.put("a", b"data")
    later = replace(meta, last_modified=meta.last_modified + timedelta(hours=1))
    world.store._objects["a"] = replace(world.store._objects["a"], meta=later)
    assert (await world.storage.head("a")) == later
    async with world.storage.get("a") as reader:
        assert reader.meta == later


async def test_reads_at_the_same_time_are_one(world: World) -> None:
    await world.store.put("a", b"data")
    began, free = world.hold("get")
    reads = [asyncio.create_task(read(world.storage, "a")) for _ in range(5)]
    await began.wait()
    await settled()
    free.set()
    assert await asyncio.gather(*reads) == [b"data"] * 5
    assert world.counting.counts["get"] == 1


async def test_large_reads_at_the_same_time_are_one_each() -> None:
    world = World(max_object_bytes=3)
    await world.store.put("a", b"data")
    assert await asyncio.gather(*(read(world.storage, "a") for _ in range(5))) == [b"data"] * 5
    assert world.counting.counts["get"] == 5


async def test_an_error_is_told_to_all_who_wait(world: World) -> None:
    began, free = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        await free.wait()

    world.faulty.faults.append(Fault("get", error=unavailable, hook=wait))
    reads = [asyncio.create_task(read(world.storage, "a")) for _ in range(5)]
    await began.wait()
    await settled()
    free.set()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert {type(result) for result in results} == {UnavailableError}
    assert len(set(map(id, results))) == 5
    assert all(isinstance(e, StorageError) and e.retryable for e in results)
    assert world.counting.counts["get"] == 1


@pytest.mark.parametrize("gone", [0, 2])
async def test_who_goes_away_takes_nobody_along(world: World, gone: int) -> None:
    await world.store.put("a", b"data")
    began, free = world.hold("get")
    reads = [asyncio.create_task(read(world.storage, "a")) for _ in range(4)]
    await began.wait()
    await settled()
    reads[gone].cancel()
    await settled()
    free.set()
    results = await asyncio.gather(*reads, return_exceptions=True)
    assert isinstance(results.pop(gone), asyncio.CancelledError)
    assert results == [b"data"] * 3


async def test_who_asks_after_our_write_does_not_get_what_was_read_before_it(world: World) -> None:
    await world.store.put("a", b"old")
    began, free = world.hold("chunk")
    before = asyncio.create_task(read(world.storage, "a"))
    await began.wait()
    await world.storage.put("a", b"new")
    after = asyncio.create_task(read(world.storage, "a"))
    await settled()
    free.set()
    assert await before == b"old"
    assert await after == b"new"
    assert await read(world.storage, "a") == b"new"


async def names(storage: CacheStorage, prefix: str) -> list[str]:
    pages: list[ListPage] = [page async for page in storage.list_pages(prefix)]
    return [meta.path for page in pages for meta in page.objects]


async def test_listings_at_the_same_time_are_one(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b", "g"])
    began, free = world.hold("list_pages")
    listings = [asyncio.create_task(names(world.storage, "f/")) for _ in range(5)]
    await began.wait()
    await settled()
    free.set()
    assert await asyncio.gather(*listings) == [["f/a", "f/b"]] * 5
    assert world.counting.counts["list_pages"] == 1


async def test_a_listing_that_is_not_read_to_its_end_leaves_nobody_waiting(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    pages = world.storage.list_pages("f/")
    await anext(pages)
    other = asyncio.create_task(names(world.storage, "f/"))
    await settled()
    await pages.aclose()  # type: ignore[attr-defined]
    assert await other == ["f/a", "f/b"]


async def test_what_is_listed_while_a_listing_is_gone_through_waits_for_nothing(
    world: World,
) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    async for _ in world.storage.list_pages("f/"):
        listings = (names(world.storage, "f/") for _ in range(3))
        assert await asyncio.wait_for(asyncio.gather(*listings), 5) == [["f/a", "f/b"]] * 3


class Paged(MemoryStorage):
    """Gives pages of two, as a store gives pages of a thousand."""

    async def list_pages(self, prefix: str, **options: Any) -> AsyncIterator[ListPage]:
        async for page in super().list_pages(prefix, **{**options, "page_size": 2}):
            yield page


async def test_a_listing_of_many_pages_is_shared_by_those_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache, "_FULL_PAGE", 2)
    store = Paged()
    await put_all(store, [f"f/{number}" for number in range(7)])
    counting = CountingStorage(FaultyStorage(store, Fault("list_pages", hook=settled)))
    storage = CacheStorage(counting)
    expected = [f"f/{number}" for number in range(7)]
    assert await asyncio.gather(*(names(storage, "f/") for _ in range(4))) == [expected] * 4
    assert counting.counts["list_pages"] == 4


async def test_no_page_is_fetched_that_nobody_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_FULL_PAGE", 2)
    store = Paged()
    await put_all(store, [f"f/{number}" for number in range(7)])
    counting = CountingStorage(store)
    async for _ in CacheStorage(counting).list_pages("f/"):
        break
    assert counting.counts["list_pages"] == 1


async def test_who_lists_after_our_write_sees_it(world: World) -> None:
    await put_all(world.store, ["f/a"])
    began, free = world.hold("list_pages")
    before = asyncio.create_task(names(world.storage, "f/"))
    await began.wait()
    await world.storage.put("f/b", b"")
    after = asyncio.create_task(names(world.storage, "f/"))
    assert await after == ["f/a", "f/b"]
    free.set()
    await before


def test_two_event_loops_do_not_wait_for_each_other() -> None:
    world = World()
    asyncio.run(world.storage.put("a", b"data"))
    for _ in range(2):
        assert asyncio.run(read(world.storage, "a")) == b"data"
