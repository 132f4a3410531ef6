"""CacheStorage: reads of the same object at the same time are one request."""

from __future__ import annotations

import asyncio
import traceback
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    BaseStorageService,
    NotModifiedError,
    StorageError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.errors import MissingExtraError
from jupyter_nbforge.storage.wrappers import LimitStorage
from jupyter_nbforge.storage.wrappers.cache import CacheStorage
from jupyter_nbforge.storage.wrappers.shared_reads import fresh

from .cache_world import World, settled
from .helpers import read

DATA = b"data"


@pytest.fixture
def world() -> World:
    return World()


def start(storage: BaseStorageService, count: int, **options: Any) -> list[asyncio.Task[bytes]]:
    return [asyncio.create_task(read(storage, "a", **options)) for _ in range(count)]


async def outcomes(tasks: list[asyncio.Task[bytes]]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


def is_at_rest(storage: CacheStorage) -> bool:
    """Whether nothing is left of any request, nor of memory that is in use."""
    return not (storage._reads or storage._watches or storage._objects._in_use)


@pytest.mark.parametrize("remembered", [True, False])
async def test_equal_reads_at_once_are_one_request(world: World, remembered: bool) -> None:
    await world.store.put("a", DATA)
    if remembered:
        await read(world.storage, "a")
    world.take()
    hold = world.hold("get")
    reads = start(world.storage, 5)
    await hold.begun.wait()
    await settled()
    hold.free.set()
    assert await outcomes(reads) == [DATA] * 5
    assert world.take() == ({"get": 1}, 0 if remembered else len(DATA))
    assert is_at_rest(world.storage)


async def test_who_asks_while_the_body_comes_shares_it(world: World) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("chunk")
    reads = start(world.storage, 1)
    await hold.begun.wait()
    reads += start(world.storage, 1)
    await settled()
    hold.free.set()
    assert await outcomes(reads) == [DATA] * 2
    assert world.take() == ({"get": 1}, len(DATA))


async def test_a_reader_that_does_not_read_on_holds_nobody_up(world: World) -> None:
    await world.store.put("a", DATA)
    async with world.storage.get("a"):
        assert await read(world.storage, "a") == DATA


async def test_reads_with_other_conditions_are_requests_of_their_own(world: World) -> None:
    meta = await world.store.put("a", DATA)
    hold = world.hold("get")
    plain = start(world.storage, 2)
    await hold.begun.wait()
    current = start(world.storage, 1, if_none_match=meta.version)
    other = start(world.storage, 1, if_match=meta.version)
    assert isinstance((await outcomes(current))[0], NotModifiedError)
    assert await outcomes(other) == [DATA]
    hold.free.set()
    assert await outcomes(plain) == [DATA] * 2
    assert world.take()[0] == {"get": 3}


async def test_equal_conditions_are_shared_with_their_outcome(world: World) -> None:
    meta = await world.store.put("a", DATA)
    hold = world.hold("get")
    reads = start(world.storage, 3, if_none_match=meta.version)
    await hold.begun.wait()
    await settled()
    hold.free.set()
    assert {type(outcome) for outcome in await outcomes(reads)} == {NotModifiedError}
    assert world.take()[0] == {"get": 1}
    assert is_at_rest(world.storage)


async def test_large_objects_are_not_shared_and_nobody_waits_for_anothers_body() -> None:
    world = World(max_object_bytes=3)
    await world.store.put("a", DATA)
    hold = world.hold("get")
    reads = start(world.storage, 4)
    await hold.begun.wait()
    await settled()
    first_body = world.hold("chunk")
    hold.free.set()
    await first_body.begun.wait()
    await asyncio.wait(reads[1:])
    first_body.free.set()
    assert await outcomes(reads) == [DATA] * 4
    assert world.take()[0] == {"get": 4}
    assert is_at_rest(world.storage)


async def test_an_error_goes_to_all_as_an_exception_of_each_ones_own(world: World) -> None:
    world.faulty.fail("get")
    hold = world.hold("get")
    world.faulty.faults.reverse()
    reads = start(world.storage, 4)
    await hold.begun.wait()
    await settled()
    world.faulty.faults[0].error = lambda: UnavailableError(
        "Slow down.", path="a", retryable=True, retry_after=3.0
    )
    hold.free.set()
    errors = await outcomes(reads)
    assert len({id(error) for error in errors}) == 4
    for error in errors:
        assert isinstance(error, UnavailableError)
        assert (str(error), error.path, error.retry_after) == ("Slow down.", "a", 3.0)
    lengths = [len(traceback.extract_tb(error.__traceback__)) for error in errors[1:]]
    assert len(set(lengths)) == 1, "a traceback was shared"
    assert all(error.__cause__ is error.__context__ is None for error in errors[1:])
    assert world.take()[0] == {"get": 1}
    assert is_at_rest(world.storage)


def test_a_fresh_error_says_all_that_the_first_one_says() -> None:
    for first in (
        UnavailableError("No.", path="a", retryable=True, outcome_unknown=True, retry_after=1.0),
        MissingExtraError("Install it.", path="b"),
    ):
        second = fresh(first)
        assert type(second) is type(first)
        assert second is not first
        assert (str(second), vars(second)) == (str(first), vars(first))
        assert second.path == first.path


@pytest.mark.parametrize("gone", [[0], [2], [0, 1], [1, 3]])
async def test_who_goes_away_takes_nobody_along(world: World, gone: list[int]) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("chunk")
    reads = start(world.storage, 4)
    await hold.begun.wait()
    await settled()
    taken_over = world.hold("get")
    for number in gone:
        reads[number].cancel()
    await settled()
    assert taken_over.begun.is_set() == (0 in gone)
    hold.free.set()
    taken_over.free.set()
    for number, outcome in enumerate(await outcomes(reads)):
        if number in gone:
            assert isinstance(outcome, asyncio.CancelledError)
        else:
            assert outcome == DATA
    assert world.take()[0] == {"get": 2 if 0 in gone else 1}
    assert is_at_rest(world.storage)


async def test_a_request_that_nobody_waits_for_any_more_is_cancelled(world: World) -> None:
    await world.store.put("a", DATA)
    limited = LimitStorage(world.storage.inner, max_concurrency=1)
    world.storage.inner = limited
    hold = world.hold("chunk")
    reads = start(world.storage, 3)
    await hold.begun.wait()
    await settled()
    for task in reads:
        task.cancel()
    await asyncio.wait(reads)
    assert hold.cancelled
    assert is_at_rest(world.storage)
    # Its place, and so its connection, is free.
    assert await read(limited, "a") == DATA


async def test_who_is_cancelled_when_the_bytes_are_there_holds_none_of_them(world: World) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("get")
    follower: list[asyncio.Task[bytes]] = []

    async def lead() -> None:
        async with world.storage.get("a"):
            # What the other one waits for has come, and it does not know yet.
            follower[0].cancel()

    leader = asyncio.create_task(lead())
    await hold.begun.wait()
    follower += start(world.storage, 1)
    await settled()
    hold.free.set()
    await asyncio.wait([leader, *follower])
    assert follower[0].cancelled()
    assert is_at_rest(world.storage)


async def test_of_two_reads_of_one_version_one_is_remembered(world: World) -> None:
    meta = await world.store.put("a", DATA)
    hold = world.hold("chunk")
    plain = start(world.storage, 1)
    await hold.begun.wait()
    await read(world.storage, "a", if_match=meta.version)
    hold.free.set()
    await outcomes(plain)
    await world.storage.delete("a")
    assert world.storage._objects.used == 0


async def test_a_failure_that_is_no_storages_error_is_not_shared(world: World) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("get")
    world.faulty.faults[0].error = lambda: RuntimeError("a mistake")
    reads = start(world.storage, 3)
    await hold.begun.wait()
    await settled()
    hold.free.set()
    first, *others = await outcomes(reads)
    assert isinstance(first, RuntimeError)
    assert others == [DATA] * 2
    assert is_at_rest(world.storage)


@pytest.mark.parametrize("fails", [False, True])
async def test_who_asks_after_a_write_of_ours_gets_nothing_older(world: World, fails: bool) -> None:
    await world.store.put("a", b"old")
    hold = world.hold("chunk")
    before = start(world.storage, 2)
    await hold.begun.wait()
    if fails:
        world.faulty.lose_answer("put")
        with pytest.raises(UnavailableError):
            await world.storage.put("a", b"new")
    else:
        await world.storage.put("a", b"new")
    after = start(world.storage, 2)
    assert await outcomes(after) == [b"new"] * 2
    hold.free.set()
    assert await outcomes(before) == [b"old"] * 2
    assert await read(world.storage, "a") == b"new"


async def test_who_takes_over_after_a_write_of_ours_gets_nothing_older(world: World) -> None:
    """The first reader goes away; those who waited ask again, and not for an older request."""
    await world.store.put("a", b"old")
    hold = world.hold("chunk")
    before = start(world.storage, 2)
    await hold.begun.wait()
    await settled()
    await world.storage.put("a", b"new")
    before[0].cancel()
    assert (await outcomes(before))[1] == b"new"


async def test_a_marker_that_a_write_below_it_has_made_is_seen(world: World) -> None:
    """On a disk it is there with the first file in its folder."""
    hold = world.hold("get", "f/")
    before = asyncio.create_task(read(world.storage, "f/"))
    await hold.begun.wait()
    await world.storage.put("f/a", b"")
    await world.store.put("f/", b"")
    assert await read(world.storage, "f/") == b""
    assert world.take()[0]["get"] == 2
    hold.free.set()
    await before


async def test_reads_of_other_paths_do_not_wait(world: World) -> None:
    await world.store.put("a", DATA)
    await world.store.put("b", b"other")
    hold = world.hold("get", "a")
    reads = start(world.storage, 1)
    await hold.begun.wait()
    assert await read(world.storage, "b") == b"other"
    hold.free.set()
    await outcomes(reads)


def test_two_event_loops_never_wait_for_each_other() -> None:
    world = World()

    async def abandoned() -> None:
        await world.store.put("a", DATA)
        world.hold("get")
        reads = start(world.storage, 2)
        await settled()
        for task in reads:
            task.cancel()

    asyncio.run(abandoned())
    assert asyncio.run(read(world.storage, "a")) == DATA
    assert asyncio.run(read(world.storage, "a")) == DATA
    assert is_at_rest(world.storage)


async def test_a_read_in_another_thread_does_not_wait_for_one_in_this(world: World) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("get")
    reads = start(world.storage, 1)
    await hold.begun.wait()
    assert await asyncio.to_thread(asyncio.run, read(world.storage, "a")) == DATA
    hold.free.set()
    assert await outcomes(reads) == [DATA]


async def test_a_version_asked_for_is_not_served_from_a_read_of_another(world: World) -> None:
    await world.store.put("a", DATA)
    hold = world.hold("get")
    reads = start(world.storage, 1)
    await hold.begun.wait()
    with pytest.raises(StorageError):
        await read(world.storage, "a", if_match=Version("other"))
    hold.free.set()
    await outcomes(reads)
