"""CacheStorage: listings of the same folder at the same time are one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

import pytest

from jupyter_nbforge.storage import BaseStorageService, ListPage, UnavailableError
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import Capabilities
from jupyter_nbforge.storage.wrappers import (
    CacheStorage,
    LimitStorage,
    WrapperStorage,
    shared_listings,
)
from jupyter_nbforge.testing.faults import Fault

from .cache_world import World, settled
from .helpers import listing, put_all

NAMES = [f"f/{number}" for number in range(6)]


@pytest.fixture
def world(jp_asyncio_loop: asyncio.AbstractEventLoop) -> World:
    """Six objects, two on each page of a listing."""
    made = World(MemoryStorage(page_size=2))
    jp_asyncio_loop.run_until_complete(put_all(made.store, NAMES))
    return made


def start(storage: BaseStorageService, count: int, **options: Any) -> list[asyncio.Task[Any]]:
    async def names() -> list[str]:
        return (await listing(storage.list_pages("f/", **options))).paths

    return [asyncio.create_task(names()) for _ in range(count)]


async def outcomes(tasks: list[asyncio.Task[Any]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def pages_of(storage: BaseStorageService, **options: Any) -> AsyncGenerator[ListPage, None]:
    return cast("AsyncGenerator[ListPage, None]", storage.list_pages("f/", **options))


def asked(world: World) -> int:
    return world.take()[0].get("list_pages", 0)


def held(storage: CacheStorage) -> int:
    return sum(len(flight._held) for flight in storage._listings._flights.values())


async def test_equal_listings_at_once_are_one(world: World) -> None:
    hold = world.hold("list_pages")
    listings = start(world.storage, 5)
    await hold.begun.wait()
    await settled()
    hold.free.set()
    assert await outcomes(listings) == [NAMES] * 5
    assert asked(world) == 3
    assert held(world.storage) == 0


@pytest.mark.parametrize(
    "options", [{"delimiter": None}, {"start_after": "f/0"}, {"page_size": 1}], ids=str
)
async def test_another_listing_is_one_of_its_own(world: World, options: dict[str, Any]) -> None:
    hold = world.hold("list_pages")
    plain = start(world.storage, 1)
    await hold.begun.wait()
    expected = await outcomes(start(world.store, 1, **options))
    assert await outcomes(start(world.storage, 1, **options)) == expected
    hold.free.set()
    await outcomes(plain)


async def test_no_page_is_asked_for_before_somebody_wants_it(world: World) -> None:
    pages = pages_of(world.storage)
    await anext(pages)
    await settled()
    assert asked(world) == 1
    await pages.aclose()
    assert asked(world) == 0


async def test_no_page_is_held_that_everybody_has_had(world: World) -> None:
    async for _ in world.storage.list_pages("f/"):
        assert held(world.storage) == 0
    world.take()
    quick, slow = await two_at_once(world)
    await anext(quick)
    assert held(world.storage) == 1
    await slow.aclose()
    assert held(world.storage) == 0
    await quick.aclose()


class Remembering(WrapperStorage):
    """Knows the listings that it has begun."""

    made: tuple[Any, ...] = ()

    def list_pages(self, prefix: str, **options: Any) -> AsyncIterator[ListPage]:
        pages = self.inner.list_pages(prefix, **options)
        self.made = (*self.made, pages)
        return pages


async def test_a_listing_that_everybody_has_left_is_closed_at_once(world: World) -> None:
    world.storage.inner = remembering = Remembering(world.storage.inner)
    both = await two_at_once(world)
    for pages in both:
        assert remembering.made[0].ag_frame is not None
        await pages.aclose()
    assert len(remembering.made) == 1
    assert remembering.made[0].ag_frame is None


async def test_who_comes_after_the_first_page_gets_a_new_listing(world: World) -> None:
    pages = pages_of(world.storage)
    await anext(pages)
    await world.store.put("f/0a", b"")
    assert "f/0a" in (await outcomes(start(world.storage, 1)))[0]
    await pages.aclose()


async def test_a_listing_within_the_same_listing_waits_for_nothing(world: World) -> None:
    async for _ in world.storage.list_pages("f/"):
        assert await outcomes(start(world.storage, 1)) == [NAMES]


async def test_a_listing_within_a_read_waits_for_no_place_of_its_own() -> None:
    """A task that holds a place of the limit shares it with all that it does."""
    world = World(MemoryStorage(page_size=2), max_object_bytes=0)
    await put_all(world.store, NAMES)
    world.storage.inner = LimitStorage(world.storage.inner, max_concurrency=1)
    async with world.storage.get("f/0"):
        assert (await listing(world.storage.list_pages("f/"))).paths == NAMES


async def two_at_once(world: World) -> list[AsyncGenerator[ListPage, None]]:
    """Two that share a listing and have had its first page."""
    hold = world.hold("list_pages")
    both = [pages_of(world.storage) for _ in range(2)]
    firsts = [asyncio.create_task(_next(pages)) for pages in both]
    await hold.begun.wait()
    await settled()
    hold.free.set()
    await asyncio.gather(*firsts)
    assert asked(world) == 1
    return both


async def _next(pages: AsyncGenerator[ListPage, None]) -> ListPage:
    return await anext(pages)


async def rest(pages: AsyncGenerator[ListPage, None]) -> list[str]:
    return (await listing(pages)).paths


async def test_who_stands_still_holds_nobody_up(world: World) -> None:
    quick, slow = await two_at_once(world)
    assert await rest(quick) == NAMES[2:]
    assert held(world.storage) == 2
    assert await rest(slow) == NAMES[2:]
    assert asked(world) == 2
    assert held(world.storage) == 0


@pytest.mark.parametrize("ordered", [True, False])
async def test_who_lags_far_behind_goes_on_alone_and_misses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, ordered: bool
) -> None:
    monkeypatch.setattr(shared_listings, "_HELD_ENTRIES", 3)
    capabilities = Capabilities(ordered_listing=ordered)
    monkeypatch.setattr(MemoryStorage, "capabilities", property(lambda self: capabilities))
    quick, slow = await two_at_once(world)
    assert await rest(quick) == NAMES[2:]
    assert held(world.storage) <= 1
    assert await rest(slow) == NAMES[2:]


async def test_who_leaves_early_takes_nobody_along(world: World) -> None:
    first, second = await two_at_once(world)
    await first.aclose()
    assert await rest(second) == NAMES[2:]
    assert asked(world) == 2


async def test_a_listing_that_is_just_dropped_is_cleared_away(world: World) -> None:
    first, second = await two_at_once(world)
    del first
    gc.collect()
    await settled()
    assert await rest(second) == NAMES[2:]
    assert held(world.storage) == 0


@pytest.mark.parametrize("gone", [0, 2])
@pytest.mark.parametrize("skip", [0, 1])
async def test_who_is_cancelled_takes_nobody_along(world: World, gone: int, skip: int) -> None:
    hold = world.hold("list_pages")
    world.faulty.faults[0].skip = skip
    begun = world.hold("list_pages") if skip else hold
    listings = start(world.storage, 3)
    await begun.begun.wait()
    await settled()
    begun.free.set()
    await hold.begun.wait()
    listings[gone].cancel()
    await settled()
    hold.free.set()
    results = await outcomes(listings)
    assert isinstance(results.pop(gone), asyncio.CancelledError)
    assert results == [NAMES] * 2
    assert held(world.storage) == 0


async def test_a_request_that_nobody_waits_for_any_more_is_cancelled(world: World) -> None:
    limited = LimitStorage(world.storage.inner, max_concurrency=1)
    world.storage.inner = limited
    hold = world.hold("list_pages")
    listings = start(world.storage, 3)
    await hold.begun.wait()
    await settled()
    for task in listings:
        task.cancel()
    await asyncio.wait(listings)
    assert hold.cancelled
    # Its place, and so its connection, is free.
    assert (await listing(limited.list_pages("f/"))).paths == NAMES


@pytest.mark.parametrize("page", [0, 1])
async def test_an_error_goes_to_all_as_an_exception_of_each_ones_own(
    world: World, page: int
) -> None:
    hold = world.hold("list_pages")
    fault = world.faulty.fail("list_pages", skip=page)
    if page == 0:
        world.faulty.faults[0].error = fault.error
    listings = start(world.storage, 3)
    await hold.begun.wait()
    await settled()
    hold.free.set()
    errors = await outcomes(listings)
    assert [type(error) for error in errors] == [UnavailableError] * 3
    assert len({id(error) for error in errors}) == 3
    assert asked(world) == page + 1


async def test_a_listing_that_broke_never_looks_complete(world: World) -> None:
    world.faulty.faults.append(Fault("list_pages", error=lambda: RuntimeError("odd"), skip=1))
    first, second = await two_at_once(world)
    with pytest.raises(RuntimeError):
        await rest(first)
    assert await rest(second) == NAMES[2:]


@pytest.mark.parametrize("path", ["f/x", "f/deep/x", "f/"])
async def test_who_asks_after_a_write_of_ours_sees_it(world: World, path: str) -> None:
    hold = world.hold("list_pages", answered=True)
    before = start(world.storage, 1, delimiter=None)
    await hold.begun.wait()
    await world.storage.put(path, b"")
    assert path in (await outcomes(start(world.storage, 1, delimiter=None)))[0]
    hold.free.set()
    assert path not in (await outcomes(before))[0][:2]


async def test_a_write_elsewhere_detaches_nobody(world: World) -> None:
    hold = world.hold("list_pages")
    listings = start(world.storage, 1)
    await hold.begun.wait()
    await world.storage.put("g/x", b"")
    listings += start(world.storage, 1)
    await settled()
    hold.free.set()
    assert await outcomes(listings) == [NAMES] * 2
    assert asked(world) == 3


def test_two_event_loops_never_wait_for_each_other() -> None:
    world = World()

    async def abandoned() -> None:
        await put_all(world.store, NAMES)
        world.hold("list_pages")
        start(world.storage, 2)
        await settled()

    asyncio.run(abandoned())
    assert asyncio.run(names_of(world.storage)) == NAMES


def test_a_loop_that_was_closed_leaves_nothing_behind() -> None:
    world = World()

    async def join() -> None:
        world.storage._listings._join("f/", "f/", lambda: world.store.list_pages("f/"))

    loop = asyncio.new_event_loop()
    loop.run_until_complete(join())
    loop.close()
    asyncio.run(names_of(world.storage))
    assert loop not in {place for place, _ in world.storage._listings._flights}


async def names_of(storage: CacheStorage) -> list[str]:
    return (await listing(storage.list_pages("f/"))).paths
