"""CacheStorage: how much memory it takes, at most."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from jupyter_nbforge.storage.wrappers import CacheStorage
from jupyter_nbforge.testing.faults import Fault

from .cache_world import World
from .helpers import read
from .retry_world import Small

KIB = 1024
SIZE = 4 * KIB
ROOM = 3 * (SIZE + KIB)
"""Room for three objects of `SIZE` and what each of them counts for besides."""


async def world_with(paths: str, *, max_bytes: int = ROOM, **traits: Any) -> World:
    world = World(max_bytes=max_bytes, **traits)
    for path in paths:
        await world.store.put(path, path.encode() * SIZE)
    return world


def remembered(storage: CacheStorage) -> str:
    return "".join(path for path in "abcdefgh" if path in storage._objects)


async def test_the_one_least_recently_used_goes_first() -> None:
    world = await world_with("abcd")
    for path in "abcad":
        await read(world.storage, path)
    assert remembered(world.storage) == "acd"
    assert world.storage._objects.used == ROOM


async def test_a_write_counts_as_a_use_and_within_the_limit() -> None:
    world = await world_with("abcd")
    for path in "abc":
        await read(world.storage, path)
    await world.storage.put("a", b"A" * SIZE)
    await read(world.storage, "d")
    assert remembered(world.storage) == "acd"
    assert world.storage._objects.used == ROOM


async def test_a_write_that_has_become_too_large_is_forgotten() -> None:
    world = await world_with("a", max_object_bytes=SIZE)
    await read(world.storage, "a")
    await world.storage.put("a", b"a" * (SIZE + 1))
    assert world.storage._objects.used == 0


async def test_what_has_become_too_large_elsewhere_is_forgotten() -> None:
    world = await world_with("a", max_object_bytes=SIZE)
    await read(world.storage, "a")
    await world.store.put("a", b"a" * (SIZE + 1))
    await read(world.storage, "a")
    assert world.storage._objects.used == 0


async def test_even_empty_objects_count() -> None:
    world = World(max_bytes=3 * KIB)
    for number in range(10):
        await world.store.put(f"{number}", b"")
        await read(world.storage, f"{number}")
    assert len(world.storage._objects._table) == 3


@pytest.mark.parametrize("traits", [{"max_bytes": SIZE}, {"max_object_bytes": SIZE}], ids=str)
async def test_a_large_object_is_passed_on_piece_by_piece(traits: dict[str, Any]) -> None:
    world = World(Small(), **traits)
    await world.store.put("a", b"12" * (SIZE // 2 + 1))
    pieces = Fault("chunk", hook=_nothing, times=None)
    world.faulty.faults.append(pieces)
    for _ in range(2):
        async with world.storage.get("a") as reader:
            before = pieces.befallen
            assert await anext(reader.chunks) == b"12"
            assert pieces.befallen == before + 1
    assert world.storage._objects.used == 0


async def _nothing() -> None: ...


async def test_where_the_limit_is_0_reads_are_passed_on() -> None:
    world = await world_with("a", max_bytes=0)
    hold = world.hold("get")
    first = asyncio.create_task(read(world.storage, "a"))
    await hold.begun.wait()
    assert await read(world.storage, "a") == b"a" * SIZE
    hold.free.set()
    await first
    assert world.take() == ({"get": 2}, 2 * SIZE)
    assert world.storage._objects.used == 0


async def test_what_slow_readers_hold_counts_too() -> None:
    world = await world_with("abcde")
    async with AsyncExitStack() as slow:
        for path in "abc":
            await slow.enter_async_context(world.storage.get(path))
        assert world.storage._objects.used == ROOM
        held = Fault("chunk", path="d", hook=_nothing, times=None)
        world.faulty.faults.append(held)
        reader = await slow.enter_async_context(world.storage.get("d"))
        assert held.befallen == 0, "it was taken into memory for which there is no room"
        assert await reader.read() == b"d" * SIZE
        assert remembered(world.storage) == "abc"
    await read(world.storage, "e")
    assert remembered(world.storage).endswith("e")
    assert world.storage._objects.used == ROOM


@pytest.mark.parametrize("confirmed", [False, True])
async def test_what_is_forgotten_while_it_is_read_counts_until_it_is_closed(
    confirmed: bool,
) -> None:
    world = await world_with("a")
    if confirmed:
        await read(world.storage, "a")
    async with world.storage.get("a"), world.storage.get("a"):
        await world.storage.delete("a")
        assert world.storage._objects.used == SIZE + KIB
    assert world.storage._objects.used == 0


async def test_an_object_of_the_limits_size_is_replaced_when_it_has_changed() -> None:
    world = await world_with("a", max_bytes=SIZE + KIB)
    await read(world.storage, "a")
    await world.store.put("a", b"A" * SIZE)
    await read(world.storage, "a")
    world.take()
    assert await read(world.storage, "a") == b"A" * SIZE
    assert world.take() == ({"get": 1}, 0)


async def test_a_body_longer_than_told_is_not_taken_into_memory() -> None:
    """The metadata tells too little, as of an object that the store unpacks on the way."""
    world = World(Small())
    meta = await world.store.put("a", b"12")
    await world.store.put("b", b"345678")
    stored = world.store._objects["b"]
    world.store._objects["a"] = type(stored)(meta, stored.data)
    taken = Fault("chunk", hook=_nothing, times=None)
    world.faulty.faults.append(taken)
    async with world.storage.get("a") as reader:
        assert taken.befallen == 2
        assert await reader.read() == b"345678"
    assert "a" not in world.storage._objects
    assert world.storage._objects.used == 0


async def test_a_limit_that_is_lowered_holds_from_the_next_read_on() -> None:
    world = await world_with("abc")
    for path in "abc":
        await read(world.storage, path)
    world.storage.max_bytes = ROOM // 3
    await world.store.put("c", b"C" * SIZE)
    await read(world.storage, "c")
    assert remembered(world.storage) == "c"
    assert world.storage._objects.used == ROOM // 3
