"""What somebody else does while a file goes away, its folder does, or a file is being uploaded."""

from __future__ import annotations

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .conftest import Clock, Managers
from .gestures import chunk, contents_of, notebook, source_of, text_file
from .test_races import look, refused, writing


async def looked_in_vain(manager: NBForgeContentsManager, path: str) -> None:
    """JupyterLab's look before a save finds nothing, which it takes for leave to save."""
    with pytest.raises(HTTPError) as error:
        await look(manager, path)
    assert error.value.status_code == 404


# Deleting


async def test_a_notebook_that_somebody_deleted_comes_back_only_after_it_was_told(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(notebook("mine"), "n.ipynb")
    await look(manager, "n.ipynb")
    await store.delete("n.ipynb")
    clock.pass_by()
    await looked_in_vain(manager, "n.ipynb")
    assert not await manager.file_exists("n.ipynb")
    sentence = await refused(manager.save(notebook("more"), "n.ipynb"))
    assert sentence.startswith("n.ipynb was deleted or moved in the store")
    assert "n.ipynb" not in await contents_of(store)
    await looked_in_vain(manager, "n.ipynb")
    await manager.save(notebook("more"), "n.ipynb")
    assert await source_of(manager, "n.ipynb") == "more"


async def test_a_notebook_deleted_between_look_and_save_comes_back_only_after_it_was_told(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(notebook("mine"), "n.ipynb")
    clock.pass_by()
    await look(manager, "n.ipynb")
    await store.delete("n.ipynb")
    assert "deleted or moved" in await refused(manager.save(notebook("more"), "n.ipynb"))
    clock.pass_by()
    await looked_in_vain(manager, "n.ipynb")
    await manager.save(notebook("more"), "n.ipynb")
    assert await source_of(manager, "n.ipynb") == "more"


async def test_a_notebook_that_was_deleted_here_is_saved_anew_unasked(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    await manager.save(notebook("mine"), "n.ipynb")
    await manager.delete_file("n.ipynb")
    clock.pass_by()
    await looked_in_vain(manager, "n.ipynb")
    await manager.save(notebook("more"), "n.ipynb")
    assert await source_of(manager, "n.ipynb") == "more"


async def test_a_name_that_was_never_there_is_saved_unasked(
    manager: NBForgeContentsManager,
) -> None:
    await looked_in_vain(manager, "n.ipynb")
    await looked_in_vain(manager, "n.ipynb")
    await manager.save(notebook("mine"), "n.ipynb")
    assert await source_of(manager, "n.ipynb") == "mine"


# Folders


async def test_a_folder_that_somebody_renamed_does_not_come_back_with_an_open_notebook(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(notebook("mine"), "old/n.ipynb")
    await look(one, "old/n.ipynb")
    await other.rename("old", "new")
    clock.pass_by()
    await looked_in_vain(one, "old/n.ipynb")
    assert "deleted or moved" in await refused(one.save(notebook("more"), "old/n.ipynb"))
    assert list(await contents_of(store, "old")) == []
    assert await source_of(one, "new/n.ipynb") == "mine"


async def test_what_is_saved_while_its_folder_is_deleted_stays(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage
) -> None:
    one, other = managers(always_delete_dir=True), managers(store)
    await one.save(text_file("old"), "d/a.txt")
    await one.save(text_file("old"), "d/b.txt")
    await other.get("d/a.txt")

    async def save() -> None:
        await other.save(text_file("newer"), "d/a.txt")
        await other.save(text_file("new"), "d/c.txt")

    faults.faults.append(Fault("delete_many", hook=save))
    assert "still there" in await refused(one.delete_file("d"))
    files = await contents_of(store, "d/")
    assert {path: data for path, data in files.items() if path != "d/"} == {
        "d/a.txt": b"newer",
        "d/c.txt": b"new",
    }
    await one.delete_file("d")
    assert list(await contents_of(store, "d/")) == []


async def test_what_is_saved_while_its_folder_is_renamed_stays(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage
) -> None:
    one, other = managers(), managers(store)
    await one.save(text_file("old"), "d/a.txt")
    await other.get("d/a.txt")

    async def save() -> None:
        await other.save(text_file("newer"), "d/a.txt")

    faults.faults.append(Fault("delete_many", "d/a.txt", hook=save))
    await refused(one.rename("d", "e"))
    files = await contents_of(store)
    assert (files["d/a.txt"], files["e/a.txt"]) == (b"newer", b"old")


# Uploads


async def upload(manager: NBForgeContentsManager, path: str, *texts: str) -> None:
    """All chunks but the last, as a browser sends them."""
    for number, text in enumerate(texts, 1):
        await manager.file_exists(path)
        await manager.save(chunk(number, text), path)


@pytest.mark.parametrize("before", [None, b"before"])
async def test_of_two_uploads_of_one_name_the_last_to_end_is_told_and_no_bytes_are_mixed(
    managers: Managers, store: MemoryStorage, before: bytes | None
) -> None:
    one, other = managers(), managers()
    if before is not None:
        await store.put("f.bin", before)
    await upload(one, "f.bin", "1", "2")
    await upload(other, "f.bin", "a")
    await one.save(chunk(-1, "3"), "f.bin")
    assert "Upload it again" in await refused(other.save(chunk(-1, "b"), "f.bin"))
    assert await contents_of(store) == {"f.bin": b"123"}


async def test_an_upload_does_not_overwrite_what_was_saved_while_it_ran(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    one, other = managers(), managers()
    await store.put("f.txt", b"before")
    await other.get("f.txt")
    await upload(one, "f.txt", "1")
    await other.save(text_file("theirs"), "f.txt")
    clock.pass_by()
    await refused(one.save(chunk(-1, "2"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_a_save_does_not_overwrite_what_was_uploaded_since_the_look(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    one, other = managers(), managers()
    await store.put("f.txt", b"before")
    await other.get("f.txt")
    await upload(one, "f.txt", "1")
    await one.save(chunk(-1, "2"), "f.txt")
    await refused(other.save(text_file("theirs"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"12"}


async def test_an_upload_over_what_has_changed_is_told_so_at_once_and_replaces_it_if_repeated(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await upload(manager, "f.bin", "1")
    await manager.save(chunk(-1, "2"), "f.bin")
    await store.put("f.bin", b"theirs")
    clock.pass_by()
    assert "Upload it again" in await refused(upload(manager, "f.bin", "3"))
    await upload(manager, "f.bin", "3")
    await manager.save(chunk(-1, "4"), "f.bin")
    assert await contents_of(store) == {"f.bin": b"34"}


async def test_a_repeated_upload_does_not_replace_what_its_sender_was_not_told_of(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage, clock: Clock
) -> None:
    await upload(manager, "f.bin", "1")
    await manager.save(chunk(-1, "2"), "f.bin")
    await store.put("f.bin", b"theirs")
    clock.pass_by()
    await refused(upload(manager, "f.bin", "3"))
    faults.faults.append(Fault("put", "f.bin", hook=writing(store, "f.bin", b"theirs, too")))
    await upload(manager, "f.bin", "3")
    await refused(manager.save(chunk(-1, "4"), "f.bin"))
    assert await contents_of(store) == {"f.bin": b"theirs, too"}
