"""Folders in a store that has none: seen whoever made them, whole, and apart from siblings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from nbformat import writes
from nbformat.v4 import new_notebook

from .api import Api, Store, text_model

NO_PHANTOMS = pytest.mark.stores("memory", "moto")
"""SeaweedFS goes on listing a prefix for some 150 seconds after its last object has gone:
https://github.com/seaweedfs/seaweedfs/issues/9810."""


@NO_PHANTOMS
async def test_folders_without_markers_are_seen_opened_renamed_and_deleted(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a/b/c.ipynb", writes(new_notebook()))
    assert await api.names("") == ["a"]
    assert await api.names("a") == ["b"]
    assert (await api.get("a/b/c.ipynb"))["type"] == "notebook"
    assert (await api.get("a/b", content=0))["type"] == "directory"
    await api.rename("a", "z")
    assert await api.names("") == ["z"]
    assert (await api.get("z/b/c.ipynb"))["type"] == "notebook"
    manager.always_delete_dir = True
    await api.delete("z")
    assert store.paths() == []


async def test_folders_made_in_a_console_are_seen_and_used(api: Api, store: Store) -> None:
    store.put("folder/", b"")
    assert [(e["name"], e["type"]) for e in (await api.get(""))["content"]] == [
        ("folder", "directory")
    ]
    assert await api.names("folder") == []
    await api.save_text("folder/a.txt", "a")
    await api.rename("folder", "moved")
    assert await api.names("moved") == ["a.txt"]
    await api.delete("moved/a.txt")
    await api.delete("moved")
    assert store.paths() == []


@pytest.mark.parametrize("keep", [".s3keep", ".gcskeep", ".s3fskeep"])
async def test_keep_files_of_other_managers_keep_a_folder_and_are_not_shown(
    api: Api, store: Store, manager: Any, keep: str
) -> None:
    manager.allow_hidden = True
    store.put(f"d/{keep}", b"")
    assert await api.names("") == ["d"]
    assert await api.names("d") == []
    await api.rename("d", "e")
    assert await api.names("e") == []
    manager.always_delete_dir = False
    await api.delete("e")
    assert store.paths() == []


@NO_PHANTOMS
async def test_a_folder_stays_when_its_last_file_is_deleted(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    await api.delete("d/a.txt")
    assert await api.names("") == ["d"]
    assert await api.names("d") == []
    assert store.paths() == ["d/"]


@NO_PHANTOMS
async def test_a_folder_stays_when_its_last_file_is_moved_away(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    await api.rename("d/a.txt", "a.txt")
    assert await api.names("") == ["a.txt", "d"]
    assert store.paths() == ["a.txt", "d/"]


@NO_PHANTOMS
async def test_a_folder_stays_when_its_last_folder_is_moved_away_or_deleted(
    api: Api, store: Store, manager: Any
) -> None:
    manager.always_delete_dir = True
    store.put("d/e/a.txt", "a")
    store.put("f/g/b.txt", "b")
    await api.rename("d/e", "e")
    await api.delete("f/g")
    assert await api.names("") == ["d", "e", "f"]
    assert await api.names("d") == []
    assert await api.names("f") == []


async def test_a_folder_that_is_not_empty_is_not_deleted(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    answer = await api.contents("DELETE", "d")
    assert answer.status == 400
    assert "not empty" in answer.message
    assert store.paths() == ["d/a.txt"]


async def test_a_folder_with_only_hidden_files_is_not_empty(api: Api, store: Store) -> None:
    store.put("d/.hidden", "precious")
    assert (await api.contents("DELETE", "d")).status == 400
    assert store.get("d/.hidden") == b"precious"


@NO_PHANTOMS
async def test_always_delete_dir_deletes_a_folder_with_all_that_is_in_it(
    api: Api, store: Store, manager: Any
) -> None:
    manager.always_delete_dir = True
    for path in ("d/a.txt", "d/e/b.txt", "d/e/f/c.txt", "other.txt"):
        store.put(path, path)
    await api.delete("d")
    assert store.paths() == ["other.txt"]
    assert (await api.contents("GET", "d")).status == 404


SIBLINGS = ["data.bak", "data.txt", "data2/b.txt", "data-3/c.txt", "dat", "data "]


async def test_deleting_a_folder_leaves_its_siblings_alone(
    api: Api, store: Store, manager: Any
) -> None:
    manager.always_delete_dir = True
    for path in [*SIBLINGS, "data/a.txt"]:
        store.put(path, path)
    await api.delete("data")
    assert store.paths() == sorted(SIBLINGS)


async def test_renaming_a_folder_leaves_its_siblings_alone(api: Api, store: Store) -> None:
    for path in [*SIBLINGS, "data/a.txt", "data/data/a.txt"]:
        store.put(path, path)
    await api.rename("data", "moved")
    assert store.paths() == sorted([*SIBLINGS, "moved/a.txt", "moved/data/a.txt"])
    assert store.get("moved/data/a.txt") == b"data/data/a.txt"


async def test_renaming_or_deleting_a_file_leaves_names_that_begin_alike_alone(
    api: Api, store: Store
) -> None:
    for path in ("a", "a.bak", "ab/x.txt"):
        store.put(path, path)
    assert await api.names("") == ["a", "a.bak", "ab"]
    await api.rename("a", "moved")
    await api.delete("moved")
    assert store.paths() == ["a.bak", "ab/x.txt"]


async def test_a_file_beside_a_folder_of_the_same_name_is_never_destroyed(
    api: Api, store: Store, manager: Any
) -> None:
    manager.always_delete_dir = True
    store.put("a", "the file")
    store.put("a/b.txt", "in the folder")
    for method, path, body in (
        ("DELETE", "a", None),
        ("PATCH", "a", {"path": "moved"}),
        ("POST", "", {"copy_from": "a"}),
    ):
        answer = await api.contents(method, path, body)
        assert answer.status == 409, (method, answer.status, answer.body)
        assert "both a file and a folder" in answer.message
    assert store.get("a") == b"the file"
    assert store.get("a/b.txt") == b"in the folder"
    entries = [(entry["name"], entry["type"]) for entry in (await api.get(""))["content"]]
    assert sorted(entries) == [("a", "directory"), ("a", "file")]
    assert await api.text("a/b.txt") == "in the folder"


async def test_a_file_below_a_file_is_refused(api: Api, store: Store) -> None:
    store.put("a.txt", "a")
    answer = await api.contents("PUT", "a.txt/b.txt", text_model("x"))
    assert answer.status in (400, 404, 409), answer.body
    assert store.paths() == ["a.txt"]


async def test_a_folder_is_not_moved_into_itself(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    answer = await api.contents("PATCH", "d", {"path": "d/e"})
    assert answer.status in (400, 409), answer.body
    assert store.paths() == ["d/a.txt"]


async def test_a_renamed_folder_can_be_renamed_back(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save_text("d/a.txt", "a")
    for source, target in (("d", "e"), ("e", "d"), ("d", "e")):
        await api.rename(source, target)
    assert await api.names("e") == ["a.txt"]
    assert (await api.contents("GET", "d")).status == 404


@pytest.mark.stores("memory", "moto")
@pytest.mark.timeout(180)
async def test_a_listing_of_2500_objects_is_complete(api: Api, store: Store) -> None:
    names = [f"{number:04}.txt" for number in range(2500)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, [f"big/{name}" for name in names]))
    assert await api.names("big") == names


@pytest.mark.stores("memory")
async def test_a_folder_of_2500_objects_is_renamed_whole(api: Api, store: Store) -> None:
    names = [f"{number:04}.txt" for number in range(2500)]
    for name in names:
        store.put(f"big/{name}", name)
    await api.rename("big", "moved")
    assert store.paths() == [f"moved/{name}" for name in names]


@pytest.mark.stores("seaweedfs")
@pytest.mark.timeout(300)
async def test_a_folder_of_1100_objects_is_copied_renamed_and_deleted_whole(
    store: Store, manager: Any
) -> None:
    names = [f"{number:04}.txt" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, [f"big/{name}" for name in names], names))
    copied = (await manager.copy("big"))["path"]
    await manager.rename("big", "moved")
    assert {f"{folder}/{name}" for folder in (copied, "moved") for name in names} == {
        path for path in store.paths() if path.endswith(".txt")
    }
    assert store.get(f"{copied}/1099.txt") == store.get("moved/1099.txt") == b"1099.txt"
    manager.always_delete_dir = True
    await manager.delete(copied)
    await manager.delete("moved")
    assert not [path for path in store.paths() if path.endswith(".txt")]
