"""No lost update: a save goes only over what its sender has seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import MTIME, format_mtime
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .conftest import Clock, Managers
from .gestures import chunk, contents_of, notebook, source_of, text_file


async def refused(act: Awaitable[object]) -> HTTPError:
    with pytest.raises(HTTPError) as error:
        await act
    assert error.value.status_code == 409
    return error.value


async def test_a_save_over_what_another_has_saved_is_a_409_and_both_texts_survive(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(notebook("first"), "n.ipynb")
    await one.get("n.ipynb")
    await other.get("n.ipynb")
    clock.pass_by()
    await other.save(notebook("theirs"), "n.ipynb")
    error = await refused(one.save(notebook("mine"), "n.ipynb"))
    assert "n.ipynb was changed" in str(error.log_message)
    assert await source_of(other, "n.ipynb") == "theirs"
    await one.save(notebook("mine"), "mine.ipynb")
    assert await source_of(one, "mine.ipynb") == "mine"


async def test_after_a_new_look_the_save_goes_over_what_was_seen(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(notebook("first"), "n.ipynb")
    await one.get("n.ipynb", content=False, require_hash=True)
    await other.get("n.ipynb")
    clock.pass_by()
    await other.save(notebook("theirs"), "n.ipynb")
    await one.get("n.ipynb", content=False, require_hash=True)
    await one.save(notebook("mine"), "n.ipynb")
    assert await source_of(one, "n.ipynb") == "mine"


async def test_a_file_deleted_by_another_is_not_brought_back_unasked(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(text_file("first"), "f.txt")
    await store.delete("f.txt")
    clock.pass_by()
    await refused(manager.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {}


async def test_a_file_that_appeared_since_the_look_is_not_overwritten(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    assert not await manager.file_exists("f.txt")
    await store.put("f.txt", b"theirs")
    await refused(manager.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_a_listing_does_not_count_as_a_look(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(text_file("first"), "f.txt")
    await store.put("f.txt", b"theirs")
    clock.pass_by()
    await manager.get("")
    await refused(manager.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_a_path_never_seen_is_saved_over(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("f.txt", b"old")
    await manager.save(text_file("new"), "f.txt")
    assert await contents_of(store) == {"f.txt": b"new"}


async def test_an_upload_does_not_overwrite_what_appeared_while_it_ran(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    assert not await manager.file_exists("f.bin")
    await manager.save(chunk(1, "mine"), "f.bin")
    await store.put("f.bin", b"theirs")
    clock.pass_by()
    assert await manager.file_exists("f.bin")
    await refused(manager.save(chunk(-1, "more"), "f.bin"))
    assert await contents_of(store) == {"f.bin": b"theirs"}


Create = Callable[[NBForgeContentsManager], Awaitable[dict[str, object]]]


@pytest.mark.parametrize(
    ("create", "taken", "got"),
    [
        (lambda cm: cm.new_untitled(type="notebook"), "Untitled.ipynb", "Untitled1.ipynb"),
        (lambda cm: cm.new_untitled(type="file", ext=".txt"), "untitled.txt", "untitled1.txt"),
        (lambda cm: cm.copy("a.txt"), "a-Copy1.txt", "a-Copy2.txt"),
    ],
)
async def test_a_name_taken_in_the_last_moment_is_passed_over(
    manager: NBForgeContentsManager,
    store: MemoryStorage,
    faults: FaultyStorage,
    create: Create,
    taken: str,
    got: str,
) -> None:
    await store.put("a.txt", b"a")

    async def take() -> None:
        await store.put(taken, b"theirs")

    faults.faults += [Fault("put", taken, hook=take), Fault("copy", taken, hook=take)]
    assert (await create(manager))["path"] == got
    assert (await contents_of(store))[taken] == b"theirs"


async def test_renaming_does_not_overwrite_a_name_taken_in_the_last_moment(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await store.put("a.txt", b"a")

    async def take() -> None:
        await store.put("b.txt", b"theirs")

    faults.faults.append(Fault("copy", "b.txt", hook=take))
    await refused(manager.rename("a.txt", "b.txt"))
    assert await contents_of(store) == {"a.txt": b"a", "b.txt": b"theirs"}


async def test_what_was_saved_while_it_was_renamed_is_kept_under_the_old_name(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await store.put("a.txt", b"old")

    async def save() -> None:
        await store.put("a.txt", b"newer")

    faults.faults.append(Fault("delete_many", hook=save))
    await refused(manager.rename("a.txt", "b.txt"))
    assert await contents_of(store) == {"a.txt": b"newer", "b.txt": b"old"}


async def test_renaming_takes_what_is_there_now_not_what_was_seen(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(text_file("seen"), "a.txt")
    await store.put("a.txt", b"newer")
    clock.pass_by()
    await manager.rename("a.txt", "b.txt")
    assert await contents_of(store) == {"b.txt": b"newer"}


async def test_hash_and_time_survive_a_rename_and_are_in_its_answer(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    saved = await manager.save(notebook("a"), "a.ipynb")
    clock.pass_by()
    renamed = await manager.update({"path": "b.ipynb"}, "a.ipynb")
    clock.pass_by()
    looked = await manager.get("b.ipynb", content=False, require_hash=True)
    for model in (renamed, looked):
        assert (model["hash"], model["last_modified"]) == (saved["hash"], saved["last_modified"])
        assert model["hash_algorithm"] == "sha256"


async def test_a_file_that_was_not_there_at_the_look_before_the_save_is_not_overwritten(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    assert not await manager.file_exists("new.txt")
    clock.pass_by(5)  # beyond all that the storage remembers
    await store.put("new.txt", b"theirs")
    await refused(manager.save(text_file("ours"), "new.txt"))
    assert await contents_of(store) == {"new.txt": b"theirs"}


async def test_a_file_that_was_there_at_the_look_before_the_save_is_saved_over(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    assert not await manager.file_exists("new.txt")
    await store.put("new.txt", b"theirs")
    clock.pass_by(5)
    assert await manager.file_exists("new.txt")
    await manager.save(text_file("ours"), "new.txt")
    assert await contents_of(store) == {"new.txt": b"ours"}


async def test_what_another_program_wrote_is_shown_as_later_than_what_was_shown_before(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    """Else a collaboration room takes it for unchanged, and saves its own text over it."""
    saved = await manager.save(text_file("ours"), "a.txt")
    for text, hours in (("theirs", 2), ("older still", 3)):
        moment = saved["last_modified"] - timedelta(hours=hours)
        await store.put("a.txt", text.encode(), metadata={MTIME: format_mtime(moment)})
        before, saved = saved, await manager.get("a.txt", content=True)
        assert saved["content"] == text
        assert saved["last_modified"] > before["last_modified"]
        clock.pass_by()
        looked = await manager.get("a.txt", content=False)
        assert looked["last_modified"] == saved["last_modified"]
