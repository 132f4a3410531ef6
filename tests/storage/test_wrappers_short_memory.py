"""ShortMemoryStorage: answers what was just learnt, and never anything else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    ContentHash,
    IfAbsent,
    IfMatch,
    NotFoundError,
    ObjectMeta,
    PreconditionError,
    StorageError,
    Version,
    WriteCondition,
)
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.storage.wrappers.remembered import Recent
from jupyter_nbforge.testing.faults import CountingStorage, Fault

from .helpers import listing, put_all, read
from .memory_world import World, upload


@pytest.fixture
def world() -> World:
    return World()


async def test_head_after_our_own_put_is_answered_from_memory(world: World) -> None:
    meta = await world.storage.put("a", b"1")
    assert await world.requests(world.storage.head("a")) == []
    assert await world.storage.head("a") == meta


async def test_head_after_our_own_upload_is_answered_from_memory(world: World) -> None:
    meta = await upload(world.storage, "a")
    assert await world.requests(world.storage.head("a")) == []
    assert await world.storage.head("a") == meta


async def test_head_after_our_own_delete_is_not_found_from_memory(world: World) -> None:
    await put_all(world.store, ["a", "b", "c"])
    await world.storage.delete("a")
    await world.storage.delete_many(["b", "c"])
    for path in ("a", "b", "c"):
        assert await world.requests(world.storage.head(path)) == []
        with pytest.raises(NotFoundError) as raised:
            await world.storage.head(path)
        assert raised.value.path == path


async def test_what_a_disk_does_to_the_markers_of_folders_is_not_guessed(tmp_path: Path) -> None:
    storage = ShortMemoryStorage(LocalStorage(root=str(tmp_path)))
    with pytest.raises(NotFoundError):
        await storage.head("made/")
    await storage.put("made/a", b"1")
    assert storage.recall("made/") is not False
    await storage.put("f/", b"")
    await storage.delete("f/")
    await storage.put("f/a", b"1")
    assert (await storage.head("f/")).path == "f/"
    await storage.delete("f/")
    assert (await storage.head("f/")).path == "f/"


async def test_head_goes_to_the_store_when_our_own_write_is_too_old(world: World) -> None:
    await world.storage.put("a", b"1")
    world.now += 2.0
    assert await world.requests(world.storage.head("a")) == ["head"]


async def test_a_read_never_answers_a_head(world: World) -> None:
    await world.store.put("a", b"1")
    await world.storage.head("a")
    assert await world.requests(world.storage.head("a")) == ["head"]
    await read(world.storage, "a")
    assert await world.requests(world.storage.head("a")) == ["head"]


async def test_a_read_after_our_own_write_lets_the_next_head_go_to_the_store(world: World) -> None:
    await world.storage.put("a", b"1")
    await read(world.storage, "a")
    assert await world.requests(world.storage.head("a")) == ["head"]


async def test_get_always_goes_to_the_store(world: World) -> None:
    await world.storage.put("a", b"1")
    assert await world.requests(read(world.storage, "a")) == ["get"]
    assert await world.requests(read(world.storage, "a")) == ["get"]


@pytest.mark.parametrize("look", ["head", "get"])
async def test_recall_tells_what_a_look_showed(world: World, look: str) -> None:
    meta = await world.store.put("a", b"1")
    for path in ("a", "absent"):
        try:
            await (world.storage.head(path) if look == "head" else read(world.storage, path))
        except NotFoundError:
            assert path == "absent"
    assert world.storage.recall("a") == meta
    assert world.storage.recall("absent") is False
    assert world.storage.recall("unknown") is None
    world.now += 2.0
    assert world.storage.recall("a") is None
    assert world.storage.recall("absent") is None


async def test_recall_tells_of_our_own_writes(world: World) -> None:
    storage = world.storage
    assert storage.recall("a") is None
    assert await storage.put("a", b"1") == storage.recall("a")
    assert await upload(storage, "c") == storage.recall("c")
    copied = await storage.copy("a", "b")
    assert storage.recall("b") == copied
    await storage.delete("a")
    await storage.delete_many(["b"])
    assert storage.recall("a") is storage.recall("b") is False


async def test_recall_prefers_what_was_learnt_last(world: World) -> None:
    storage = world.storage
    with pytest.raises(NotFoundError):
        await storage.head("f/a")
    world.now += 0.5
    await world.store.put("f/a", b"1")
    await listing(storage.list_pages("f/"))
    assert isinstance(storage.recall("f/a"), ObjectMeta)
    world.now += 0.5
    await world.store.delete("f/a")
    with pytest.raises(NotFoundError):
        await storage.head("f/a")
    assert storage.recall("f/a") is False


async def test_recall_prefers_the_full_metadata_of_the_same_version(world: World) -> None:
    class ListsLittle(MemoryStorage):
        async def list_pages(self, prefix: str, **options):  # type: ignore[no-untyped-def]
            async for page in super().list_pages(prefix, **options):
                objects = tuple(replace(meta, content_type=None) for meta in page.objects)
                yield replace(page, objects=objects)

    storage = ShortMemoryStorage(ListsLittle(), clock=lambda: world.now)
    await storage.inner.put("a", b"1", content_type="text/plain")
    meta = await storage.head("a")
    world.now += 0.5
    await listing(storage.list_pages(""))
    assert storage.recall("a") == meta


@pytest.mark.parametrize("look", ["head", "get"])
async def test_an_answer_from_before_our_own_write_does_not_replace_it(
    world: World, look: str
) -> None:
    await world.store.put("a", b"1")
    written: list[ObjectMeta] = []

    async def write() -> None:
        written.append(await world.storage.put("a", b"22"))

    world.faulty.faults.append(Fault(look, lost_answer=True, hook=write))
    await (world.storage.head("a") if look == "head" else read(world.storage, "a"))
    assert world.storage.recall("a") == written[0]
    assert await world.requests(world.storage.head("a")) == []
    assert await world.storage.head("a") == written[0]


async def test_an_absence_from_before_our_own_write_does_not_replace_it(world: World) -> None:
    async def write() -> None:
        await world.storage.put("a", b"22")
        raise NotFoundError("'a' does not exist.", path="a")

    world.faulty.faults.append(Fault("head", hook=write))
    with pytest.raises(NotFoundError):
        await world.storage.head("a")
    assert isinstance(world.storage.recall("a"), ObjectMeta)


async def test_the_look_that_began_last_wins(world: World) -> None:
    first = await world.store.put("a", b"1")

    async def change_and_look() -> None:
        world.now += 0.1
        await world.store.put("a", b"22")
        await world.storage.head("a")

    world.faulty.faults.append(Fault("head", lost_answer=True, hook=change_and_look))
    assert await world.storage.head("a") == first
    assert world.storage.recall("a") == await world.store.head("a")


async def test_writes_of_ours_that_overlap_leave_nothing_known(world: World) -> None:
    """The order in which the store took them cannot be seen from here."""

    async def write() -> None:
        await world.storage.put("a", b"second")

    world.faulty.faults.append(Fault("put", hook=write))
    await world.storage.put("a", b"first")
    assert world.storage.recall("a") is None
    assert await world.requests(world.storage.head("a")) == ["head"]


@pytest.mark.parametrize("operation", ["put", "delete", "delete_many", "copy", "complete"])
async def test_a_write_of_unknown_outcome_leaves_nothing_known(
    world: World, operation: str
) -> None:
    storage = world.storage
    writes: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: storage.put("a", b"22"),
        "delete": lambda: storage.delete("a"),
        "delete_many": lambda: storage.delete_many(["a"]),
        "copy": lambda: storage.copy("b", "a"),
        "complete": lambda: upload(storage, "a"),
    }
    await put_all(storage, ["a", "b"])
    await listing(storage.list_pages(""))
    world.faulty.lose_answer(operation)
    with pytest.raises(StorageError):
        await writes[operation]()
    assert storage.recall("a") is None
    assert await world.requests(storage.head("a")) == ["head"]
    assert await world.requests(listing(storage.list_pages(""))) == ["list_pages"]


async def test_a_cancelled_write_leaves_nothing_known(world: World) -> None:
    await world.storage.put("a", b"1")
    world.faulty.faults.append(Fault("put", lost_answer=True, delay=60))
    task = asyncio.create_task(world.storage.put("a", b"22"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await world.requests(world.storage.head("a")) == ["head"]
    assert (await world.storage.head("a")).size == 2


@pytest.mark.parametrize("condition", [IfAbsent(), IfMatch(Version("other"))])
async def test_a_refused_write_lets_the_next_look_go_to_the_store(
    world: World, condition: WriteCondition
) -> None:
    await world.storage.put("a", b"1")
    with pytest.raises((AlreadyExistsError, PreconditionError)):
        await world.storage.put("a", b"2", condition=condition)
    assert await world.requests(world.storage.head("a")) == ["head"]


@pytest.mark.parametrize("learn", ["put", "get", "head"])
async def test_a_copy_of_what_is_known_answers_with_its_full_metadata(
    world: World, learn: str
) -> None:
    storage = world.storage
    original = await world.store.put("a", b"1", content_type="t/x", metadata=stamp(b"1"))
    if learn == "put":
        original = await storage.put("a", b"1", content_type="t/x", metadata=stamp(b"1"))
    elif learn == "get":
        await read(storage, "a")
    else:
        await storage.head("a")
    copied = await storage.copy("a", "b")
    assert await world.requests(storage.head("b")) == []
    assert copied == await storage.head("b") == await world.store.head("b")
    assert copied == replace(original, path="b", version=copied.version)


async def test_a_copy_of_a_copy_is_known_too(world: World) -> None:
    await world.storage.put("a", b"1", content_type="t/x", metadata=stamp(b"1"))
    await world.storage.copy("a", "b")
    assert await world.storage.copy("b", "c") == await world.store.head("c")


async def test_a_copy_of_what_is_not_known_is_remembered_for_recall_only(world: World) -> None:
    await world.store.put("a", b"1", content_type="t/x")
    await listing(world.storage.list_pages(""))
    answer = await world.storage.copy("a", "b")
    assert world.storage.recall("b") == answer
    assert await world.requests(world.storage.head("b")) == ["head"]
    # Nor does the incomplete answer become the source of a further one.
    world.storage._facts.drop("b")
    answer = await world.storage.copy("a", "b")
    assert (await world.storage.copy("b", "c")).content_type is None
    assert await world.requests(world.storage.head("c")) == ["head"]


async def test_a_copy_of_another_version_than_the_known_one_is_not_taken_for_it(
    world: World,
) -> None:
    storage = world.storage
    await storage.put("a", b"1")
    changed = await world.store.put("a", b"2")
    await storage.copy("a", "b", source_version=changed.version)
    assert await world.requests(storage.head("b")) == ["head"]
    await world.store.put("a", b"333")
    await storage.copy("a", "c")
    assert await world.requests(storage.head("c")) == ["head"]


async def test_a_copy_with_another_hash_than_the_known_one_is_not_taken_for_it(
    world: World,
) -> None:
    storage = ShortMemoryStorage(MemoryStorage())
    counting = CountingStorage(storage.inner)
    storage.inner = counting
    await storage.put("a", b"1", metadata=stamp(b"1"))
    await counting.inner.put("a", b"2", metadata=stamp(b"2"))
    await storage.copy("a", "b")
    assert (await storage.head("b")).content_hash == ContentHash("sha256", stamp(b"2")["sha256"])


async def test_a_copy_during_which_we_wrote_the_source_is_not_known(world: World) -> None:
    async def write() -> None:
        await world.storage.put("a", b"2")

    await world.storage.put("a", b"1")
    world.faulty.faults.append(Fault("copy", hook=write))
    await world.storage.copy("a", "b")
    assert await world.requests(world.storage.head("b")) == ["head"]


async def test_a_copy_whose_source_is_gone_forgets_the_source(world: World) -> None:
    await world.storage.put("a", b"1")
    await world.store.delete("a")
    with pytest.raises(NotFoundError):
        await world.storage.copy("a", "b")
    assert world.storage.recall("a") is None


async def test_seconds_of_zero_remembers_nothing(world: World) -> None:
    world.storage.seconds = 0
    await world.storage.put("f/a", b"1")
    await listing(world.storage.list_pages("f/"))
    assert world.storage.recall("f/a") is None
    assert world.storage.recall_folder("f") is None
    assert await world.requests(world.storage.head("f/a")) == ["head"]
    assert await world.requests(listing(world.storage.list_pages("f/"))) == ["list_pages"]


async def test_closing_forgets_everything(world: World) -> None:
    await world.storage.put("a", b"1")
    await world.storage.aclose()
    assert world.storage.recall("a") is None


async def test_memory_of_paths_and_listings_is_bounded(world: World) -> None:
    for number in range(5000):
        await world.storage.put(f"f{number}/a", b"")
    assert len(world.storage._facts) == len(world.storage._folders) == 4096
    for number in range(100):
        await listing(world.storage.list_pages(f"f{number}/"))
    assert len(world.storage._listings) <= 64


def test_the_sum_of_sizes_bounds_a_table_and_the_oldest_goes_first() -> None:
    table: Recent[str, str] = Recent(10, size=len)
    table.put("a", "xxxx")
    table.put("b", "xxxx")
    table.put("a", "xxx")
    table.put("c", "xxxx")
    assert list(table) == ["a", "c"]
    table.put("d", "x" * 11)
    assert list(table) == ["a", "c"]
    table.drop("a")
    table.drop("a")
    table.put("e", "xxxxxx")
    assert list(table) == ["c", "e"]
