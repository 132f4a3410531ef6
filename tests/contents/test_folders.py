"""Folders that are only prefixes: whole, separate, and never lost half way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.faults import (
    CountingStorage,
    Fault,
    FaultyStorage,
    unavailable,
)

from .conftest import Clock, Managers
from .gestures import contents_of, notebook, text_file

TREE = {f"old/{name}": name.encode() for name in ("a.txt", "b/c.txt", "b/d/e.txt", "f.ipynb")}


async def filled(store: MemoryStorage) -> None:
    for path, data in TREE.items():
        await store.put(path, data)
    await store.put("old2/a.txt", b"sibling")
    await store.put("old.txt", b"sibling")


def moved(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {path.replace("old/", "new/", 1): data for path, data in tree.items()}


SIBLINGS = {"old2/a.txt": b"sibling", "old.txt": b"sibling"}


async def test_renaming_a_folder_moves_all_of_it_and_nothing_beside_it(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await filled(store)
    await manager.rename("old", "new")
    assert await contents_of(store) == {**moved(TREE), **SIBLINGS}


@pytest.mark.parametrize("operation", ["copy", "delete_many", "list_pages", "put", "head"])
async def test_a_folder_rename_that_is_stopped_anywhere_loses_nothing_and_can_be_finished(
    managers: Managers, operation: str
) -> None:
    for skip in range(40):
        store = MemoryStorage()
        await filled(store)
        faults = FaultyStorage(store)
        fault = Fault(operation, error=unavailable, skip=skip)
        faults.faults.append(fault)
        with contextlib.suppress(HTTPError):
            await managers(faults).rename("old", "new")
        if not fault.befallen:
            assert skip > 0
            break
        found = await contents_of(store)
        for path, data in TREE.items():
            assert data in (found.get(path), found.get(path.replace("old/", "new/", 1)))
        if not any(path.startswith("new/") for path in found) or any(
            path.startswith("old/") for path in found
        ):
            await managers(store).rename("old", "new")
        found = await contents_of(store)
        left = {path: data for path, data in found.items() if not path.startswith(".nbforge/")}
        assert left == {**moved(TREE), **SIBLINGS}
    else:
        raise AssertionError("the fault never stopped falling")


async def test_what_appears_in_a_folder_while_it_is_moved_stays_where_it_was_put(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await filled(store)

    async def save() -> None:
        await store.put("old/late.txt", b"late")
        await store.put("old/a.txt", b"newer")

    faults.faults.append(Fault("delete_many", hook=save))
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", "new")
    assert refused.value.status_code == 409
    found = await contents_of(store)
    assert (found["old/late.txt"], found["old/a.txt"]) == (b"late", b"newer")
    assert found["new/a.txt"] == b"a.txt"


@pytest.mark.parametrize("target", ["new", "new.d"])
async def test_a_folder_is_not_renamed_onto_an_existing_name(
    manager: NBForgeContentsManager, store: MemoryStorage, target: str
) -> None:
    await filled(store)
    await store.put("new/x.txt", b"theirs")
    await store.put("new.d", b"theirs")
    before = await contents_of(store)
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", target)
    assert refused.value.status_code == 409
    assert await contents_of(store) == before


async def test_a_folder_is_not_renamed_into_itself(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await filled(store)
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", "old/b/x")
    assert refused.value.status_code == 400


async def test_a_folder_stays_when_its_last_file_is_deleted(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("a/b/c.txt", b"c")
    await manager.delete("a/b/c.txt")
    assert (await manager.get("a/b"))["content"] == []
    await manager.delete("a/b")
    assert (await manager.get("a"))["content"] == []


async def test_a_folder_stays_when_its_last_file_or_folder_is_moved_away(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("a/c.txt", b"c")
    await store.put("b/c/d.txt", b"d")
    await manager.rename("a/c.txt", "c.txt")
    await manager.rename("b/c", "c")
    for folder in ("a", "b"):
        assert (await manager.get(folder))["content"] == []
    assert {"c.txt", "c/d.txt"} <= set(await contents_of(store))


async def test_a_folder_that_is_not_empty_is_deleted_only_if_that_is_configured(
    managers: Managers, store: MemoryStorage
) -> None:
    await filled(store)
    with pytest.raises(HTTPError) as refused:
        await managers().delete("old")
    assert refused.value.status_code == 400
    assert await contents_of(store) == {**TREE, **SIBLINGS}
    await managers(always_delete_dir=True).delete("old")
    assert await contents_of(store) == SIBLINGS


@pytest.mark.parametrize("keep", ["old/", "old/.s3keep", "old/.gcskeep", "old/.s3fskeep"])
async def test_a_folder_that_only_a_marker_keeps_is_empty(
    manager: NBForgeContentsManager, store: MemoryStorage, keep: str
) -> None:
    await store.put(keep, b"")
    assert [entry["path"] for entry in (await manager.get(""))["content"]] == ["old"]
    assert (await manager.get("old"))["content"] == []
    await manager.delete("old")
    assert await contents_of(store) == {}


async def test_nothing_is_done_to_a_name_that_is_both_a_file_and_a_folder(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    await store.put("both", b"file")
    await store.put("both/x.txt", b"x")
    before = await contents_of(store)
    manager = managers(always_delete_dir=True)
    assert len((await manager.get(""))["content"]) == 2
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: manager.delete_file("both"),
        lambda: manager.rename("both", "other"),
        lambda: manager.copy("both"),
        lambda: manager.save({"type": "directory"}, "both"),
    ]
    for act in acts:
        clock.pass_by()
        with pytest.raises(HTTPError) as refused:
            await act()
        assert refused.value.status_code == 409
        assert "both a file and a folder" in str(refused.value.log_message)
    assert await contents_of(store) == before


async def test_copying_a_folder_copies_all_of_it_and_its_own_copy_too(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await filled(store)
    assert (await manager.copy("old", "old"))["path"] == "old/old"
    assert (await manager.copy("old", ""))["path"] == "old-Copy1"
    found = await contents_of(store)
    for path, data in TREE.items():
        assert found[f"old/{path}"] == data
        assert found[path.replace("old/", "old-Copy1/", 1)] == data
        assert found[f"old-Copy1/{path}"] == data


async def test_keys_that_are_no_paths_are_neither_shown_nor_touched(
    managers: Managers, store: MemoryStorage
) -> None:
    # A bucket may hold them; the reference provider takes them only past its own check.
    await filled(store)
    for key in ("/lead", "old/../x", "old//y", "old/\x01"):
        await store.put("tmp", key.encode())
        stored = store._objects.pop("tmp")
        store._objects[key] = replace(stored, meta=replace(stored.meta, path=key))
    manager = managers(always_delete_dir=True)
    names = {entry["path"] for entry in (await manager.get(""))["content"]}
    assert names == {"old", "old2", "old.txt"}
    await manager.rename("old", "new")
    assert {"/lead", "old/../x", "old//y", "old/\x01"} <= set(store._objects)


async def test_the_root_cannot_be_deleted_or_renamed(manager: NBForgeContentsManager) -> None:
    await manager.save(notebook(), "a.ipynb")
    for act in (manager.delete(""), manager.rename("", "x"), manager.save(text_file(""), "/")):
        with pytest.raises(HTTPError) as refused:
            await act
        assert refused.value.status_code == 400


async def test_a_move_that_never_began_does_not_let_a_later_one_merge_folders(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await filled(store)
    faults.fail("copy", times=None)
    with pytest.raises(HTTPError):
        await manager.rename("old", "new")
    faults.faults.clear()
    await store.put("new/theirs.txt", b"theirs")
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", "new")
    assert refused.value.status_code == 409
    assert not any(path.startswith("new/a") for path in await contents_of(store))


async def test_moving_the_rest_leaves_only_what_has_no_place(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage, clock: Clock
) -> None:
    await filled(store)

    async def save() -> None:
        await store.put("old/a.txt", b"newer")

    faults.faults.append(Fault("delete_many", hook=save))
    for _ in range(2):
        clock.pass_by()
        with pytest.raises(HTTPError) as refused:
            await manager.rename("old", "new")
        assert refused.value.status_code == 409
    assert "old/a.txt" in str(refused.value.log_message)
    left = {path for path in await contents_of(store) if path.startswith("old/")}
    assert left == {"old/a.txt"}


async def test_a_folder_stays_when_all_its_files_go_at_once(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for name in "abcd":
        await store.put(f"d/{name}.txt", name.encode())
    await asyncio.gather(
        manager.delete("d/a.txt"),
        manager.delete("d/b.txt"),
        manager.rename("d/c.txt", "c.txt"),
        manager.rename("d/d.txt", "d.txt"),
    )
    assert (await manager.get("d"))["content"] == []


@pytest.mark.parametrize("marker", ["d/", "d/.s3keep"])
async def test_a_marker_that_holds_bytes_is_not_deleted_as_if_it_were_nothing(
    manager: NBForgeContentsManager, store: MemoryStorage, marker: str
) -> None:
    await store.put(marker, b"notes")
    with pytest.raises(HTTPError) as refused:
        await manager.delete("d")
    assert refused.value.status_code == 400
    assert await contents_of(store) == {marker: b"notes"}


async def test_nothing_is_made_below_a_file(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("a.txt", b"a")
    for model in ({"type": "directory"}, text_file("x")):
        with pytest.raises(HTTPError) as refused:
            await manager.save(model, "a.txt/b")
        assert refused.value.status_code == 400
    assert await contents_of(store) == {"a.txt": b"a"}


async def test_a_copy_gets_no_hidden_name(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("-Copy1.env", b"x")
    await store.put("-Copy1.nbforge/checkpoints/n.ipynb/checkpoint-1", b"forged")
    for path in ("-Copy1.env", "-Copy1.nbforge"):
        assert not (await manager.copy(path))["path"].startswith(".")
    assert not await contents_of(store, ".")


async def test_what_was_a_file_and_is_now_a_folder_is_renamed_as_one(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(text_file("x"), "thing")
    await store.delete("thing")
    await store.put("thing/a.txt", b"a")
    clock.pass_by()
    assert (await manager.update({"path": "other"}, "thing"))["type"] == "directory"
    assert await contents_of(store) == {"other/a.txt": b"a"}


async def test_a_hook_that_changes_what_is_saved_changes_a_copy_and_overwrites_nothing(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    def shout(model: dict[str, object], **_: object) -> None:
        model["content"] = str(model["content"]).upper()

    await store.put("a.txt", b"a")
    await store.put("d/a.txt", b"a")
    await store.put("b.txt", b"theirs")
    manager.register_pre_save_hook(shout)
    assert (await manager.copy("a.txt"))["path"] == "a-Copy1.txt"
    assert (await manager.copy("d"))["path"] == "d-Copy1"
    with pytest.raises(HTTPError) as refused:
        await manager.copy("a.txt", "b.txt")
    assert refused.value.status_code == 409
    found = await contents_of(store)
    assert (found["a-Copy1.txt"], found["b.txt"]) == (b"A", b"theirs")


@pytest.mark.parametrize("ext", [5, ["x"], {"a": 1}, "/sub/x", "/"])
async def test_an_extension_that_is_none_is_a_400(
    manager: NBForgeContentsManager, store: MemoryStorage, ext: str
) -> None:
    with pytest.raises(HTTPError) as refused:
        await manager.new_untitled(ext=ext)
    assert refused.value.status_code == 400
    assert await contents_of(store) == {}


@pytest.mark.parametrize("name", ["x\ud800", "x\x01", "x\n"])
async def test_a_name_that_no_store_takes_is_a_400_and_leaves_no_trace(
    manager: NBForgeContentsManager, store: MemoryStorage, name: str
) -> None:
    await filled(store)
    before = await contents_of(store)
    for act in (
        manager.rename("old", name),
        manager.rename("old.txt", name),
        manager.save(text_file("x"), name),
        manager.save({**text_file("x"), "chunk": 1}, name),
    ):
        with pytest.raises(HTTPError) as refused:
            await act
        assert refused.value.status_code == 400
    assert await contents_of(store) == before


async def test_questions_about_one_name_do_not_list_all_that_begin_like_it(
    manager: NBForgeContentsManager, store: MemoryStorage, requests: CountingStorage
) -> None:
    for number in range(2500):
        await store.put(f"f{number:04}.txt", b"")
    await store.put("f", b"x")
    await manager.rename("f", "fx")
    assert requests.counts["list_pages"] <= 4
    requests.reset()
    await manager.copy("fx", "f.copy")
    assert requests.counts["list_pages"] <= 3


async def test_making_a_folder_that_exists_is_no_error(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put("d/a.txt", b"a")
    for _ in range(2):
        await manager.get("")
        assert (await manager.save({"type": "directory"}, "d"))["type"] == "directory"


async def test_two_servers_never_get_the_same_untitled_folder(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    async def take() -> None:
        await store.put("Untitled Folder/", b"")

    faults.faults.append(Fault("put", "Untitled Folder/", hook=take))
    assert (await manager.new_untitled(type="directory"))["path"] == "Untitled Folder 1"
