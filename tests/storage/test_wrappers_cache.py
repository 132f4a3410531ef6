"""CacheStorage: what was read is confirmed by the store, and not sent again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    BaseStorageService,
    ByteRange,
    NotFoundError,
    NotModifiedError,
    ObjectMeta,
    PreconditionError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.wrappers import CacheStorage
from jupyter_nbforge.testing.faults import Fault

from .cache_world import HashVersions, World, settled
from .helpers import put_all, read


@pytest.fixture
def world() -> World:
    return World()


async def meta_of(storage: BaseStorageService, path: str) -> ObjectMeta:
    async with storage.get(path) as reader:
        await reader.read()
        return reader.meta


async def test_what_was_read_is_confirmed_and_not_sent_again(world: World) -> None:
    await world.store.put("a", b"data")
    assert await read(world.storage, "a") == b"data"
    assert world.take() == ({"get": 1}, 4)
    assert await read(world.storage, "a") == b"data"
    assert world.take() == ({"get": 1}, 0)


async def test_what_is_read_again_has_all_that_a_fresh_read_shows(world: World) -> None:
    await world.store.put("a", b"data", content_type="text/x", metadata=stamp(b"data"))
    for _ in range(2):
        assert await meta_of(world.storage, "a") == await meta_of(world.store, "a")


async def test_the_bytes_are_given_out_without_a_copy(world: World) -> None:
    await world.store.put("a", b"data")
    assert await read(world.storage, "a") is await read(world.storage, "a")


async def test_an_empty_object_is_remembered_as_it_is(world: World) -> None:
    await world.store.put("a", b"")
    for _ in range(2):
        assert await read(world.storage, "a") == b""
    await world.storage.put("a", b"")
    async with world.storage.get("a") as reader:
        assert [chunk async for chunk in reader.chunks] == []


async def test_what_was_changed_elsewhere_is_seen_at_once(world: World) -> None:
    await world.store.put("a", b"old")
    await read(world.storage, "a")
    await world.store.put("a", b"theirs")
    assert await read(world.storage, "a") == b"theirs"
    await world.store.delete("a")
    with pytest.raises(NotFoundError):
        await read(world.storage, "a")
    assert world.storage._objects.used == 0


async def test_a_write_of_what_was_read_is_remembered_in_its_place(world: World) -> None:
    await world.store.put("a", b"old")
    await read(world.storage, "a")
    meta = await world.storage.put("a", b"new", content_type="text/x", metadata=stamp(b"new"))
    world.take()
    assert await meta_of(world.storage, "a") == meta
    assert await read(world.storage, "a") == b"new"
    assert world.take() == ({"get": 2}, 0)


async def test_what_was_written_does_not_change_with_its_owners_buffer(world: World) -> None:
    await world.store.put("a", b"old")
    await read(world.storage, "a")
    buffer: Any = bytearray(b"new")
    await world.storage.put("a", buffer)
    buffer[:] = b"???"
    assert await read(world.storage, "a") == b"new"


async def test_a_write_of_what_nobody_has_read_takes_no_memory(world: World) -> None:
    await world.storage.put("a", b"data")
    assert world.storage._objects.used == 0


async def finished_upload(storage: CacheStorage) -> None:
    upload = await storage.create_multipart_upload("a")
    await upload.upload_part(1, b"new")
    await upload.complete()


WRITES: dict[str, Callable[[CacheStorage], Awaitable[Any]]] = {
    "delete": lambda storage: storage.delete("a"),
    "delete_many": lambda storage: storage.delete_many(["b", "a"]),
    "copy": lambda storage: storage.copy("b", "a"),
    "upload": finished_upload,
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_forgets_what_was_read_of_its_path(world: World, name: str) -> None:
    await put_all(world.store, ["a", "b"])
    await read(world.storage, "a")
    await WRITES[name](world.storage)
    assert "a" not in world.storage._objects


async def test_a_move_forgets_both_of_its_paths(world: World) -> None:
    await put_all(world.store, ["a", "b"])
    source = await meta_of(world.storage, "a")
    await read(world.storage, "b")
    await world.storage.move(source, "b")
    assert not {"a", "b"} & {path for path in "ab" if path in world.storage._objects}


async def test_a_write_that_failed_leaves_nothing_known(world: World) -> None:
    await world.store.put("a", b"old")
    await read(world.storage, "a")
    world.faulty.lose_answer("put", "a")
    with pytest.raises(UnavailableError):
        await world.storage.put("a", b"new")
    assert "a" not in world.storage._objects
    assert await read(world.storage, "a") == b"new"


async def test_of_two_writes_at_once_neither_is_remembered() -> None:
    world = World(HashVersions())
    await world.store.put("a", b"old")
    await read(world.storage, "a")
    hold = world.hold("put", answered=True)
    first = asyncio.create_task(world.storage.put("a", b"same", metadata=stamp(b"same")))
    await hold.begun.wait()
    second = await world.storage.put("a", b"same", metadata=stamp(b"same"))
    hold.free.set()
    await first
    assert await meta_of(world.storage, "a") == second


async def test_a_read_that_a_write_of_ours_overtakes_is_not_remembered(world: World) -> None:
    await world.store.put("a", b"old")
    hold = world.hold("chunk")
    reading = asyncio.create_task(read(world.storage, "a"))
    await hold.begun.wait()
    await world.storage.put("a", b"new")
    hold.free.set()
    assert await reading == b"old"
    assert "a" not in world.storage._objects


async def test_a_range_is_passed_on(world: World) -> None:
    await world.store.put("a", b"data")
    for _ in range(2):
        assert await read(world.storage, "a", byte_range=ByteRange(1, 3)) == b"at"
    assert world.storage._objects.used == 0


@pytest.mark.parametrize("remembered", [True, False])
async def test_the_callers_own_conditions_keep_their_meaning(
    world: World, remembered: bool
) -> None:
    meta = await world.store.put("a", b"data")
    if remembered:
        await read(world.storage, "a")
    other = Version("other")
    assert await read(world.storage, "a", if_match=meta.version) == b"data"
    assert await read(world.storage, "a", if_none_match=other) == b"data"
    for if_match in (None, meta.version):
        with pytest.raises(NotModifiedError):
            await read(world.storage, "a", if_match=if_match, if_none_match=meta.version)
    with pytest.raises(PreconditionError):
        await read(world.storage, "a", if_match=other)
    with pytest.raises(PreconditionError):
        await read(world.storage, "a", if_match=other, if_none_match=meta.version)


async def test_a_version_asked_for_is_confirmed_and_not_sent_again(world: World) -> None:
    meta = await world.store.put("a", b"data")
    await read(world.storage, "a")
    world.take()
    assert await read(world.storage, "a", if_match=meta.version) == b"data"
    assert world.take() == ({"get": 1}, 0)


async def test_a_version_asked_for_that_has_gone_is_refused(world: World) -> None:
    meta = await world.store.put("a", b"data")
    await read(world.storage, "a")
    await world.store.put("a", b"theirs")
    with pytest.raises(PreconditionError):
        await read(world.storage, "a", if_match=meta.version)
    await world.store.delete("a")
    with pytest.raises(NotFoundError):
        await read(world.storage, "a", if_match=meta.version)


async def test_a_body_that_breaks_off_is_an_error_and_not_remembered(world: World) -> None:
    await world.store.put("a", b"data")
    world.faulty.fail("chunk")
    with pytest.raises(UnavailableError):
        await read(world.storage, "a")
    assert world.storage._objects.used == 0
    assert await read(world.storage, "a") == b"data"


async def test_a_body_of_another_length_than_told_is_not_remembered(world: World) -> None:
    await world.store.put("a", b"data")
    world.faulty.faults.append(Fault("chunk"))
    assert await read(world.storage, "a") == b""
    assert "a" not in world.storage._objects


async def test_a_read_that_is_cancelled_leaves_nothing_behind(world: World) -> None:
    await world.store.put("a", b"data")
    hold = world.hold("chunk")
    reading = asyncio.create_task(read(world.storage, "a"))
    await hold.begun.wait()
    reading.cancel()
    await asyncio.wait({reading})
    assert hold.cancelled
    assert (world.storage._objects.used, world.storage._reads) == (0, {})


async def test_a_head_tells_reads_the_time_of_bytes_that_were_written_again() -> None:
    world = World(HashVersions())
    await world.store.put("a", b"data", metadata={"mtime": "1.000000"})
    await read(world.storage, "a")
    again = await world.store.put("a", b"data", metadata={"mtime": "2.000000"})
    assert await world.storage.head("a") == again
    assert await meta_of(world.storage, "a") == again


async def test_a_head_that_a_write_of_ours_overtakes_tells_reads_nothing() -> None:
    world = World(HashVersions())
    await world.store.put("a", b"data", metadata={"mtime": "1.000000"})
    await read(world.storage, "a")
    hold = world.hold("head", answered=True)
    looking = asyncio.create_task(world.storage.head("a"))
    await hold.begun.wait()
    ours = await world.storage.put("a", b"data", metadata={"mtime": "2.000000"})
    hold.free.set()
    await looking
    assert await meta_of(world.storage, "a") == ours


async def test_a_head_that_a_write_of_ours_overtakes_forgets_nothing(world: World) -> None:
    await world.store.put("a", b"data")
    await read(world.storage, "a")
    await world.store.put("a", b"theirs")
    hold = world.hold("head", answered=True)
    looking = asyncio.create_task(world.storage.head("a"))
    await hold.begun.wait()
    await world.storage.put("a", b"ours")
    hold.free.set()
    await looking
    assert "a" in world.storage._objects


async def test_a_head_of_another_version_frees_the_memory(world: World) -> None:
    await put_all(world.store, ["a", "b"])
    await read(world.storage, "a")
    await read(world.storage, "b")
    await world.store.put("a", b"theirs")
    await world.storage.head("a")
    await world.store.delete("b")
    with pytest.raises(NotFoundError):
        await world.storage.head("b")
    assert world.storage._objects.used == 0


async def test_a_closed_storage_remembers_nothing(world: World) -> None:
    await world.store.put("a", b"data")
    await read(world.storage, "a")
    await world.storage.aclose()
    await settled()
    assert world.storage._objects.used == 0
    assert await read(world.storage, "a") == b"data"
