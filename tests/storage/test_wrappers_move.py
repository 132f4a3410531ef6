"""A move through the wrappers: one operation, recognised after a lost answer, remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    BaseStorageService,
    ContentHash,
    IfAbsent,
    NotFoundError,
    ObjectMeta,
    PreconditionError,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage

from .helpers import listing, read
from .retry_world import World


@pytest.fixture
def world() -> World:
    return World(MemoryStorage(atomic_move=True))


async def _stamped(storage: BaseStorageService, path: str, data: bytes) -> ObjectMeta:
    return await storage.put(path, data, metadata=stamp(data))


async def test_a_move_recognises_its_own_earlier_success(world: World) -> None:
    source = await _stamped(world.store, "a", b"bytes")
    world.faulty.lose_answer("move", "b")
    moved = await world.storage.move(source, "b", condition=IfAbsent())
    assert moved == await world.store.head("b")
    assert (await listing(world.store.list_pages(""))).paths == ["b"]


async def test_a_move_whose_answer_was_lost_takes_nobody_elses_object_for_its_own(
    world: World,
) -> None:
    source = await _stamped(world.store, "a", b"bytes")

    async def another_came() -> None:
        await world.store.delete("b")
        await _stamped(world.store, "b", b"other")

    world.faulty.lose_answer("move", "b").hook = another_came
    with pytest.raises((NotFoundError, PreconditionError)):
        await world.storage.move(source, "b", condition=IfAbsent())
    assert await read(world.store, "b") == b"other"


@pytest.mark.parametrize("shift", [timedelta(0), timedelta(seconds=1)])
async def test_a_move_of_what_had_gone_before_is_no_success(world: World, shift: timedelta) -> None:
    source = await _stamped(world.store, "a", b"bytes")
    await world.store.delete("a")
    await world.store.put("b", b"bytes")
    with pytest.raises(NotFoundError):
        await world.storage.move(
            replace(source, last_modified=source.last_modified - shift), "b", condition=IfAbsent()
        )


@pytest.mark.parametrize("algorithm", ["md5", "crc32c"])
async def test_a_move_of_what_another_tool_has_written_recognises_its_success_by_the_hash(
    algorithm: str,
) -> None:
    """Its time is the store's own, which a move changes."""
    store = MemoryStorage(atomic_move=True)
    world = World(store)
    source = await store.put("a", b"bytes")
    source = replace(source, content_hash=ContentHash(algorithm, "0f"))

    async def as_the_store_has_it() -> None:
        stored = store._objects["b"]
        meta = replace(
            stored.meta,
            content_hash=source.content_hash,
            last_modified=source.last_modified + timedelta(seconds=5),
        )
        store._objects["b"] = replace(stored, meta=meta)

    world.faulty.lose_answer("move", "b").hook = as_the_store_has_it
    moved = await world.storage.move(source, "b", condition=IfAbsent())
    assert moved == await store.head("b")


async def test_a_refused_move_is_not_tried_again(world: World) -> None:
    source = await _stamped(world.store, "a", b"1")
    await _stamped(world.store, "b", b"2")
    with pytest.raises(AlreadyExistsError):
        await world.storage.move(source, "b", condition=IfAbsent())
    assert [operation for operation, _ in world.counting.calls] == ["move"]


async def test_a_move_answers_the_questions_that_follow_it() -> None:
    counting = CountingStorage(MemoryStorage(atomic_move=True))
    storage = ShortMemoryStorage(counting)
    source = await _stamped(storage, "a", b"bytes")
    moved = await storage.move(source, "b")
    counting.calls.clear()
    assert (storage.recall("a"), storage.recall("b")) == (False, moved)
    assert await storage.head("b") == moved
    with pytest.raises(NotFoundError):
        await storage.head("a")
    assert counting.calls == []
    assert moved == await counting.head("b")


async def test_a_move_of_an_object_known_by_half_is_looked_at_again() -> None:
    counting = CountingStorage(MemoryStorage(atomic_move=True))
    storage = ShortMemoryStorage(counting)
    source = replace(await _stamped(counting, "a", b"bytes"), content_hash=None)
    await storage.move(source, "b")
    assert (await storage.head("b")).content_hash is not None


async def test_a_failed_move_leaves_nothing_known_of_either_path() -> None:
    storage = ShortMemoryStorage(MemoryStorage(atomic_move=True))
    source = await _stamped(storage, "a", b"1")
    await _stamped(storage, "b", b"2")
    with pytest.raises(AlreadyExistsError):
        await storage.move(source, "b", condition=IfAbsent())
    assert (storage.recall("a"), storage.recall("b")) == (None, None)
