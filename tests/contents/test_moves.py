"""Renaming a file on a store that moves an object in one step."""

from __future__ import annotations

import contextlib

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ObjectMeta, WriteCondition
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage

from .conftest import Clock, Managers
from .gestures import contents_of, notebook, source_of, text_file


@pytest.fixture
def store() -> MemoryStorage:
    """In place of the one of this directory: a store with atomic moves."""
    return MemoryStorage(atomic_move=True)


async def test_a_rename_is_one_move_between_the_copies_and_the_end_of_the_checkpoints(
    managers: Managers, requests: CountingStorage, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await manager.save(notebook("first"), "book-a.ipynb")
    clock.pass_by(3)
    requests.calls.clear()
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert [operation for operation, _ in requests.calls] == [
        "list_pages",
        "copy",
        "move",
        "delete_many",
    ]
    assert await source_of(manager, "book-b.ipynb") == "first"
    assert len(await manager.list_checkpoints("book-b.ipynb")) == 1
    assert not [path for path in await contents_of(store) if "book-a.ipynb" in path]


async def test_a_rename_onto_a_file_is_refused_and_both_stay(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await manager.save(text_file("a"), "a.txt")
    await store.put("b.txt", b"b")
    clock.pass_by()
    with pytest.raises(HTTPError) as error:
        await manager.rename("a.txt", "b.txt")
    assert error.value.status_code == 409
    found = await contents_of(store)
    assert (found["a.txt"], found["b.txt"]) == (b"a", b"b")


async def test_what_is_renamed_is_what_another_has_saved_meanwhile(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await manager.save(text_file("mine"), "a.txt")
    await store.put("a.txt", b"theirs")
    clock.pass_by()
    await manager.rename("a.txt", "b.txt")
    assert (await manager.get("b.txt"))["content"] == "theirs"
    assert "a.txt" not in await contents_of(store)


async def test_a_rename_whose_answer_was_lost_leaves_one_whole_file(
    managers: Managers, faults: FaultyStorage, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await manager.save(text_file("mine"), "a.txt")
    clock.pass_by()
    faults.lose_answer("move", "b.txt")
    with pytest.raises(HTTPError):
        await manager.rename("a.txt", "b.txt")
    found = await contents_of(store)
    assert (found.get("a.txt"), found["b.txt"]) == (None, b"mine")
    assert (await manager.get("b.txt"))["content"] == "mine"


class Refusing(MemoryStorage):
    """Moves in two steps, and says so only once it was asked to."""

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        self.atomic_move = False
        return await super().move(source, target, condition=condition)


async def test_a_store_that_turns_out_not_to_move_in_one_step_renames_all_the_same(
    managers: Managers, clock: Clock
) -> None:
    refusing = Refusing(atomic_move=True)
    manager = managers(refusing)
    await manager.save(notebook("first"), "book-a.ipynb")
    clock.pass_by()
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert await source_of(manager, "book-b.ipynb") == "first"
    assert len(await manager.list_checkpoints("book-b.ipynb")) == 1
    assert not [path for path in await contents_of(refusing) if "book-a" in path]


CHECKPOINTS = ".nbforge/checkpoints/book-a.ipynb/"

both = pytest.mark.parametrize("atomic", [True, False])


async def _book_with_two_checkpoints(manager: NBForgeContentsManager, clock: Clock) -> None:
    await manager.save(notebook("first"), "book-a.ipynb")
    clock.pass_by(3)
    await manager.save(notebook("second"), "book-a.ipynb")
    await manager.create_checkpoint("book-a.ipynb")
    assert len(await manager.list_checkpoints("book-a.ipynb")) == 2
    clock.pass_by()


@both
async def test_a_checkpoint_that_another_has_deleted_is_not_missed_by_a_rename(
    managers: Managers, store: MemoryStorage, clock: Clock, atomic: bool
) -> None:
    store.atomic_move = atomic
    manager = managers()
    await _book_with_two_checkpoints(manager, clock)
    await store.delete(CHECKPOINTS + "checkpoint-1")
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert await source_of(manager, "book-b.ipynb") == "second"
    assert len(await manager.list_checkpoints("book-b.ipynb")) == 1
    assert not [path for path in await contents_of(store) if "book-a" in path]


@both
async def test_a_checkpoint_that_another_has_replaced_moves_as_it_is_now(
    managers: Managers, store: MemoryStorage, clock: Clock, atomic: bool
) -> None:
    store.atomic_move = atomic
    manager = managers()
    await _book_with_two_checkpoints(manager, clock)
    await store.put(CHECKPOINTS + "checkpoint-1", b"theirs")
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    found = await contents_of(store, ".nbforge/checkpoints/book-b.ipynb/")
    assert b"theirs" in found.values()
    assert len(found) == 2
    assert not [path for path in await contents_of(store) if "book-a" in path]


async def test_a_file_that_has_moved_is_renamed_although_old_checkpoints_stay_behind(
    managers: Managers,
    faults: FaultyStorage,
    store: MemoryStorage,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = managers()
    await _book_with_two_checkpoints(manager, clock)
    faults.fail("delete_many", times=None)
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert await source_of(manager, "book-b.ipynb") == "second"
    assert len(await manager.list_checkpoints("book-b.ipynb")) == 2
    assert "could not be deleted" in caplog.text
    # What the person saves next goes over what they have renamed, and over nothing else.
    await store.put("book-b.ipynb", b"{}")
    with pytest.raises(HTTPError) as error:
        await manager.save(notebook("third"), "book-b.ipynb")
    assert error.value.status_code == 409


async def test_a_refused_rename_leaves_no_checkpoints_at_the_other_file(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await _book_with_two_checkpoints(manager, clock)
    await store.put("book-b.ipynb", b"{}")
    before = await contents_of(store)
    with pytest.raises(HTTPError) as error:
        await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert error.value.status_code == 409
    assert await contents_of(store) == before


@both
async def test_of_a_rename_that_fails_at_the_checkpoints_the_source_stays(
    managers: Managers, faults: FaultyStorage, store: MemoryStorage, clock: Clock, atomic: bool
) -> None:
    store.atomic_move = atomic
    manager = managers()
    await _book_with_two_checkpoints(manager, clock)
    faults.fail("copy", ".nbforge/checkpoints/book-b.ipynb/*", times=None)
    with pytest.raises(HTTPError) as error:
        await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert error.value.status_code == 503
    assert await source_of(manager, "book-a.ipynb") == "second"
    assert len([path for path in await contents_of(store) if path.startswith(CHECKPOINTS)]) == 2


class Killed(BaseException):
    """The server is no more."""


@both
@pytest.mark.parametrize("operation", ["copy", "move", "delete_many"])
@pytest.mark.parametrize("effect", [False, True], ids=["before", "after"])
async def test_a_rename_stopped_anywhere_has_the_file_with_all_its_checkpoints_and_a_repeat_ends_it(
    managers: Managers, clock: Clock, atomic: bool, operation: str, effect: bool
) -> None:
    for skip in range(5):
        store = MemoryStorage(atomic_move=atomic)
        faults = FaultyStorage(store)
        await _book_with_two_checkpoints(managers(store), clock)
        fault = Fault(operation, error=Killed, lost_answer=effect, skip=skip)  # type: ignore[arg-type] # no Exception, as a kill is none
        faults.faults.append(fault)
        with contextlib.suppress(Killed):
            await managers(faults).rename("book-a.ipynb", "book-b.ipynb")
        if not fault.befallen:
            break
        names = [path for path in await contents_of(store) if path.startswith("book-")]
        for name in names:
            if names == [name]:
                assert len(await managers(store).list_checkpoints(name)) == 2
        # As after a start: another manager, that has been shown nothing.
        if "book-a.ipynb" in names:
            await managers(store).rename("book-a.ipynb", "book-b.ipynb")
        found = await contents_of(store)
        assert await source_of(managers(store), "book-b.ipynb") == "second"
        assert len([path for path in found if "checkpoints/book-b.ipynb/" in path]) == 2
        assert "book-a.ipynb" not in found
    else:
        raise AssertionError("the fault never stopped falling")


async def _refused(manager: NBForgeContentsManager) -> None:
    with pytest.raises(HTTPError) as error:
        await manager.rename("a.txt", "b.txt")
    assert error.value.status_code == 409


@both
async def test_an_equal_file_that_was_written_by_itself_is_no_rename_that_was_stopped(
    managers: Managers, store: MemoryStorage, clock: Clock, atomic: bool
) -> None:
    store.atomic_move = atomic
    for path in ("a.txt", "b.txt"):
        await managers().save(text_file("the same"), path)
    await _refused(managers())
    assert set(await contents_of(store)) == {"a.txt", "b.txt"}


@both
async def test_a_copy_that_a_person_has_made_and_seen_is_no_rename_that_was_stopped(
    managers: Managers, store: MemoryStorage, clock: Clock, atomic: bool
) -> None:
    store.atomic_move = atomic
    manager = managers()
    await manager.save(text_file("the same"), "a.txt")
    await manager.copy("a.txt", "b.txt")
    await _refused(manager)
    assert set(await contents_of(store)) == {"a.txt", "b.txt"}


@both
async def test_a_file_of_the_same_time_with_other_bytes_is_no_rename_that_was_stopped(
    managers: Managers, store: MemoryStorage, atomic: bool
) -> None:
    store.atomic_move = atomic
    for path, data in (("a.txt", b"mine"), ("b.txt", b"hers")):
        await store.put(path, data, metadata={"mtime": "1700000000.5"})
    await _refused(managers())
    assert set(await contents_of(store)) == {"a.txt", "b.txt"}


@both
async def test_equal_files_of_one_whole_second_are_no_rename_that_was_stopped(
    managers: Managers, store: MemoryStorage, atomic: bool
) -> None:
    store.atomic_move = atomic
    for path in ("a.txt", "b.txt"):
        await store.put(path, b"the same", metadata={"mtime": "1700000000"})
    await _refused(managers())
    assert set(await contents_of(store)) == {"a.txt", "b.txt"}
