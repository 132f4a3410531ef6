"""Renaming a file on a store that moves an object in one step."""

from __future__ import annotations

import pytest
from tornado.web import HTTPError

from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ObjectMeta, WriteCondition
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage

from .conftest import Clock, Managers
from .gestures import contents_of, notebook, source_of, text_file


@pytest.fixture
def store() -> MemoryStorage:
    """In place of the one of this directory: a store with atomic moves."""
    return MemoryStorage(atomic_move=True)


async def test_a_rename_is_one_move_for_the_file_and_one_for_each_checkpoint(
    managers: Managers, requests: CountingStorage, store: MemoryStorage, clock: Clock
) -> None:
    manager = managers()
    await manager.save(notebook("first"), "book-a.ipynb")
    clock.pass_by(3)
    requests.calls.clear()
    await manager.rename("book-a.ipynb", "book-b.ipynb")
    assert [operation for operation, _ in requests.calls] == ["list_pages", "move", "move"]
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
