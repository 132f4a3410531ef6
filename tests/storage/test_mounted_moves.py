"""Copies and moves from one mount to another: nothing lost, nothing half-written."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
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
    NotFoundError,
    ObjectMeta,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import format_saver, stamp
from jupyter_nbforge.storage.transfer import PART_SIZE
from jupyter_nbforge.storage.wrappers import MountedStorage, ReadOnlyStorage
from jupyter_nbforge.testing.faults import Fault, unavailable

from .helpers import listing, read
from .mounted_world import World

MOMENT = datetime(2024, 2, 3, 4, 5, 6, 789012, tzinfo=timezone.utc)
SMALL, LARGE = b"a notebook" * 50, bytes(range(256)) * (PART_SIZE * 5 // 4 // 256)
SIZES = pytest.mark.parametrize("data", [SMALL, LARGE, b""], ids=["small", "large", "empty"])


async def saved(storage: BaseStorageService, path: str, data: bytes = SMALL) -> ObjectMeta:
    """An object as a save of ours makes it."""
    metadata = {**stamp(data, MOMENT), **format_saver("ada")}
    return await storage.put(path, data, content_type="text/x-own", metadata=metadata)


@SIZES
async def test_a_copy_keeps_bytes_type_time_hash_and_saver(data: bytes) -> None:
    world = World("", "shared")
    source = await saved(world.storage, "x", data)
    copied = await world.storage.copy("x", "shared/y", condition=IfAbsent())
    found = await world.storage.head("shared/y")
    assert copied == found
    assert (found.path, found.size) == ("shared/y", len(data))
    assert (found.content_type, found.last_modified) == ("text/x-own", MOMENT)
    assert (found.content_hash, found.saved_by) == (source.content_hash, "ada")
    assert await read(world.stores["shared"], "y") == data
    assert await world.storage.head("x") == source


async def test_a_large_object_passes_in_parts_and_memory_never_holds_it() -> None:
    world = World("", "shared")
    await saved(world.storage, "x", LARGE)
    await world.storage.copy("x", "shared/x")
    calls = world.asked()["shared"]
    assert calls.count("upload_part") == 2
    assert "put" not in calls


@SIZES
async def test_a_move_leaves_the_object_at_its_new_path_alone(data: bytes) -> None:
    world = World("", "shared")
    moved = await world.storage.move(await saved(world.storage, "x", data), "shared/x")
    assert moved == await world.storage.head("shared/x")
    assert await read(world.storage, "shared/x") == data
    assert (await listing(world.storage.list_pages(""))).paths == []


async def test_conditions_are_on_the_target_and_on_the_version_of_the_source() -> None:
    world = World("", "shared")
    source = await saved(world.storage, "x")
    there = await world.storage.put("shared/x", b"theirs")
    with pytest.raises(AlreadyExistsError, match="'shared/x'"):
        await world.storage.copy("x", "shared/x", condition=IfAbsent())
    with pytest.raises(AlreadyExistsError):
        await world.storage.move(source, "shared/x", condition=IfAbsent())
    with pytest.raises(PreconditionError):
        await world.storage.copy("x", "shared/x", condition=IfMatch(Version("other")))
    with pytest.raises(PreconditionError):
        await world.storage.copy("x", "shared/y", source_version=Version("other"))
    with pytest.raises(NotFoundError, match="'none'"):
        await world.storage.copy("none", "shared/y")
    assert await read(world.storage, "shared/x") == b"theirs"
    assert (await listing(world.storage.list_pages("shared/"))).paths == ["shared/", "shared/x"]
    await world.storage.copy("x", "shared/x", condition=IfMatch(there.version))
    assert await read(world.storage, "shared/x") == SMALL


async def test_the_marker_of_a_mount_is_copied_as_that_of_a_folder() -> None:
    world = World("", "shared")
    made = await world.storage.copy("shared/", "other/")
    assert made.content_type == "application/x-directory"
    assert (await listing(world.stores[""].list_pages(""))).prefixes == ["other/"]


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("fault", ["cut", "damaged", "broken"])
async def test_what_does_not_arrive_as_it_is_becomes_no_target_and_the_source_stays(
    fault: str, data: bytes
) -> None:
    world = World("", "shared")
    source = await saved(world.storage, "x", data)
    error = unavailable if fault == "broken" else None
    world.faults[""].faults.append(
        Fault("chunk", "x", error=error, times=None, damages=fault == "damaged")
    )
    with pytest.raises(UnavailableError):
        await world.storage.move(source, "shared/x")
    assert (await listing(world.stores["shared"].list_pages(""))).paths == []
    assert await read(world.stores[""], "x") == data


class Damaging(MemoryStorage):
    """A store that keeps something else than it was sent, and says nothing."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(multipart=False)

    async def put(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        return await super().put(path, data[:-1] + b"?", **options)


async def test_a_target_that_keeps_something_else_is_taken_back_and_the_source_stays() -> None:
    world = World("", "shared", stores={"shared": Damaging()})
    source = await saved(world.storage, "x")
    with pytest.raises(UnavailableError, match="'shared/x' did not arrive as it was sent"):
        await world.storage.move(source, "shared/x")
    assert (await listing(world.stores["shared"].list_pages(""))).paths == []
    assert await read(world.stores[""], "x") == SMALL


async def test_a_source_that_somebody_saves_meanwhile_stays_as_they_saved_it() -> None:
    world = World("", "shared")
    source = await saved(world.storage, "x")

    async def save() -> None:
        await world.stores[""].put("x", b"theirs")

    world.faults["shared"].faults.append(Fault("put", "x", hook=save))
    with pytest.raises(PreconditionError):
        await world.storage.move(source, "shared/x")
    assert await read(world.stores[""], "x") == b"theirs"
    assert await read(world.stores["shared"], "x") == SMALL


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_move_that_is_killed_anywhere_leaves_the_object_whole_somewhere(
    data: bytes,
) -> None:
    for skip in range(40):
        world = World("", "shared")
        source = await saved(world.storage, "x", data)
        stop = Fault("*[!k]", hook=_cancel, skip=skip)  # any call but a chunk
        for faults in world.faults.values():
            faults.faults.append(stop)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.ensure_future(world.storage.move(source, "shared/x"))
        await asyncio.sleep(0)
        stop.times = 0
        found = [
            await read(store, "x")
            for store in world.stores.values()
            if (await listing(store.list_pages(""))).paths
        ]
        assert found
        assert set(found) == {data}
        if not stop.befallen:
            break
    else:
        raise AssertionError("the end never came")


async def _cancel() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def test_nothing_is_read_for_a_copy_that_would_be_refused() -> None:
    root, kept = MemoryStorage(), MemoryStorage()
    world = World("", "ro", stores={"": root, "ro": ReadOnlyStorage(kept)})
    source = await saved(root, "x")
    theirs = await saved(kept, "y")
    world.asked()
    for attempt in (
        world.storage.copy("x", "ro/x"),
        world.storage.move(source, "ro/x"),
        world.storage.move(ObjectMeta("ro/y", 1, MOMENT, theirs.version), "y"),
    ):
        with pytest.raises(PermissionDeniedError, match="read-only"):
            await attempt
    assert world.asked() == {}


async def test_a_disk_takes_and_gives_what_it_cannot_keep_of_an_object(tmp_path: Path) -> None:
    """A disk has no metadata: what comes back from it gets its hash anew, and keeps its time."""
    disk, store = LocalStorage(root=str(tmp_path)), MemoryStorage()
    storage = MountedStorage({"": store, "disk": disk})
    try:
        await storage.move(await saved(storage, "x"), "disk/sub/x")
        assert (tmp_path / "sub" / "x").read_bytes() == SMALL
        await storage.move(await storage.head("disk/sub/x"), "back")
    finally:
        await storage.aclose()
    found = await storage.head("back")
    assert found.content_hash is not None
    assert found.content_hash.value == hashlib.sha256(SMALL).hexdigest()
    assert abs(found.last_modified - MOMENT).total_seconds() < 0.001
    assert not (tmp_path / "sub" / "x").exists()


async def test_an_answer_that_is_lost_loses_no_object() -> None:
    for operation in ("put", "delete"):
        world = World("", "shared")
        source = await saved(world.storage, "x")
        for faults in world.faults.values():
            faults.lose_answer(operation)
        with contextlib.suppress(StorageError):
            await world.storage.move(source, "shared/x")
        found = [
            await read(store, "x")
            for store in world.stores.values()
            if (await listing(store.list_pages(""))).paths
        ]
        assert set(found) == {SMALL}
