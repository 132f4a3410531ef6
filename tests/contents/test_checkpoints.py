"""Checkpoints: bounded in number, never lost by accident, always with their file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeCheckpoints, NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage, _Stored
from jupyter_nbforge.storage.metadata import sha256_of
from jupyter_nbforge.storage.types import ObjectMeta, Version
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage

from .conftest import Clock, Managers
from .gestures import contents_of, notebook, press_ctrl_s, source_of

PREFIX = ".nbforge/checkpoints/"


class EtagStorage(MemoryStorage):
    """Its versions are digests of the bytes, as the ETags of S3 are."""

    async def put(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        meta = await super().put(path, data, **options)
        return self._named(meta, data)

    async def copy(self, source: str, target: str, **options: Any) -> ObjectMeta:
        meta = await super().copy(source, target, **options)
        return self._named(meta, self._objects[target].data)

    def _named(self, meta: ObjectMeta, data: bytes) -> ObjectMeta:
        named = replace(meta, version=Version(sha256_of(data)))
        self._objects[meta.path] = _Stored(named, data)
        return named


async def saved(manager: NBForgeContentsManager, clock: Clock, *texts: str) -> str:
    path = (await manager.new_untitled(type="notebook"))["path"]
    for text in texts:
        clock.pass_by()
        await press_ctrl_s(manager, path, text)
    return str(path)


async def test_each_save_by_hand_keeps_one_more_checkpoint(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    path = await saved(manager, clock, "a", "b", "c")
    models = await manager.list_checkpoints(path)
    assert len(models) == 3
    assert [model["last_modified"] for model in models] == sorted(
        model["last_modified"] for model in models
    )
    for model, text in zip(models, "abc", strict=True):
        await manager.restore_checkpoint(model["id"], path)
        assert await source_of(manager, path) == text


async def test_the_newest_checkpoints_are_kept_and_the_oldest_gives_way(
    managers: Managers, clock: Clock, store: MemoryStorage
) -> None:
    manager = managers()
    assert isinstance(manager.checkpoints, NBForgeCheckpoints)
    manager.checkpoints.max_checkpoints = 3
    path = await saved(manager, clock, *"abcde")
    texts = []
    for model in await manager.list_checkpoints(path):
        await manager.restore_checkpoint(model["id"], path)
        texts.append(await source_of(manager, path))
    assert texts == ["c", "d", "e"]
    assert len(await contents_of(store, PREFIX)) == 3


async def test_a_checkpoint_costs_one_copy_however_many_there_are(
    manager: NBForgeContentsManager, clock: Clock, requests: CountingStorage
) -> None:
    path = await saved(manager, clock, *"abcdef")
    requests.reset()
    clock.pass_by()
    await press_ctrl_s(manager, path, "g")
    assert dict(requests.counts) == {"head": 1, "put": 1, "copy": 1}


async def test_the_first_save_makes_one_checkpoint_and_the_next_autosave_none(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    path = await saved(manager, clock)
    assert await manager.list_checkpoints(path) == []
    for text in "ab":
        clock.pass_by()
        await manager.save(notebook(text), path)
        assert len(await manager.list_checkpoints(path)) == 1


async def test_a_save_by_hand_that_made_the_first_checkpoint_makes_no_second(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    path = await saved(manager, clock, "a")
    assert len(await manager.list_checkpoints(path)) == 1


async def test_a_save_succeeds_when_its_checkpoint_does_not(
    manager: NBForgeContentsManager, clock: Clock, faults: FaultyStorage, store: MemoryStorage
) -> None:
    path = await saved(manager, clock)
    faults.fail("copy")
    await manager.save(notebook("kept"), path)
    assert b"kept" in (await contents_of(store))[path]


async def test_checkpoints_and_their_times_move_with_a_renamed_file(
    manager: NBForgeContentsManager, clock: Clock, store: MemoryStorage
) -> None:
    path = await saved(manager, clock, "a", "b")
    before = await manager.list_checkpoints(path)
    await manager.rename(path, "new.ipynb")
    after = await manager.list_checkpoints("new.ipynb")
    assert [one["last_modified"].replace(microsecond=0) for one in after] == [
        one["last_modified"].replace(microsecond=0) for one in before
    ]
    assert all(key.startswith(f"{PREFIX}new.ipynb/") for key in await contents_of(store, PREFIX))
    await manager.restore_checkpoint(after[0]["id"], "new.ipynb")
    assert await source_of(manager, "new.ipynb") == "a"


async def test_a_moved_checkpoint_gives_way_as_any_other(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    assert isinstance(manager.checkpoints, NBForgeCheckpoints)
    manager.checkpoints.max_checkpoints = 2
    path = await saved(manager, clock, "a", "b")
    await manager.rename(path, "new.ipynb")
    clock.pass_by()
    await press_ctrl_s(manager, "new.ipynb", "c")
    texts = []
    for model in await manager.list_checkpoints("new.ipynb"):
        await manager.restore_checkpoint(model["id"], "new.ipynb")
        texts.append(await source_of(manager, "new.ipynb"))
    assert texts == ["b", "c"]


async def test_checkpoints_move_with_the_folder_of_their_file(
    manager: NBForgeContentsManager, clock: Clock, store: MemoryStorage
) -> None:
    await manager.save({"type": "directory"}, "old")
    await manager.save(notebook("a"), "old/n.ipynb")
    await manager.create_checkpoint("old/n.ipynb")
    await manager.rename("old", "new")
    assert len(await manager.list_checkpoints("new/n.ipynb")) == 1
    assert not await contents_of(store, f"{PREFIX}old/")


@pytest.mark.parametrize("target", ["x.ipynb", "folder"])
async def test_checkpoints_are_deleted_with_their_file_or_folder(
    managers: Managers, store: MemoryStorage, target: str
) -> None:
    manager = managers(always_delete_dir=True)
    path = "x.ipynb" if target == "x.ipynb" else "folder/x.ipynb"
    await manager.save(notebook(), path)
    await manager.create_checkpoint(path)
    assert await contents_of(store, PREFIX)
    await manager.delete(target)
    assert not await contents_of(store, PREFIX)


async def test_deleting_a_file_leaves_the_checkpoints_of_its_siblings(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for path in ("a.ipynb", "a.ipynb.ipynb", "a/a.ipynb"):
        await manager.save(notebook(), path)
    await manager.delete("a.ipynb")
    kept = await contents_of(store, PREFIX)
    assert {key.rpartition("/")[0] for key in kept} == {
        f"{PREFIX}a.ipynb.ipynb",
        f"{PREFIX}a/a.ipynb",
    }


async def test_a_checkpoint_of_another_server_is_not_overwritten(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    path = await saved(one, clock)
    await other.list_checkpoints(path)
    for manager, text in ((one, "of one"), (other, "of the other")):
        clock.pass_by()
        await press_ctrl_s(manager, path, text)
    texts = []
    clock.pass_by()
    for model in await one.list_checkpoints(path):
        await one.get(path, content=False)
        await one.restore_checkpoint(model["id"], path)
        texts.append(await source_of(one, path))
    assert sorted(texts) == ["of one", "of the other"]


async def test_after_a_restore_the_next_save_is_no_conflict(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    path = await saved(manager, clock, "a", "b")
    first = (await manager.list_checkpoints(path))[0]
    await manager.restore_checkpoint(first["id"], path)
    clock.pass_by()
    await press_ctrl_s(manager, path, "c")
    assert await source_of(manager, path) == "c"


@pytest.mark.parametrize(
    "checkpoint_id",
    ["", "checkpoint-9", "checkpoint", "..", "../x.ipynb", "checkpoint-1/../2", "checkpoint-0"],
)
async def test_an_unknown_checkpoint_is_a_404_and_touches_nothing(
    manager: NBForgeContentsManager, clock: Clock, store: MemoryStorage, checkpoint_id: str
) -> None:
    path = await saved(manager, clock, "a")
    before = await contents_of(store)
    for act in (manager.restore_checkpoint, manager.delete_checkpoint):
        with pytest.raises(HTTPError) as refused:
            await act(checkpoint_id, path)
        assert refused.value.status_code == 404
    assert await contents_of(store) == before


async def test_a_checkpoint_of_a_file_that_is_gone_is_a_404(
    manager: NBForgeContentsManager,
) -> None:
    with pytest.raises(HTTPError) as refused:
        await manager.create_checkpoint("gone.ipynb")
    assert refused.value.status_code == 404


async def test_a_checkpoint_is_not_restored_over_what_another_has_saved_unseen(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    path = await saved(one, clock, "a", "b")
    await other.get(path)
    clock.pass_by()
    await other.save(notebook("theirs"), path)
    first = (await one.list_checkpoints(path))[0]
    with pytest.raises(HTTPError) as refused:
        await one.restore_checkpoint(first["id"], path)
    assert refused.value.status_code == 409
    assert await source_of(one, path) == "theirs"


async def test_the_times_of_checkpoints_survive_the_rename_of_a_folder(
    manager: NBForgeContentsManager, clock: Clock
) -> None:
    await manager.save({"type": "directory"}, "old")
    for text in "abc":
        clock.pass_by()
        await manager.save(notebook(text), "old/n.ipynb")
        await manager.create_checkpoint("old/n.ipynb")
    before = await manager.list_checkpoints("old/n.ipynb")
    await manager.rename("old", "new")
    after = await manager.list_checkpoints("new/n.ipynb")
    assert all(model["id"].count("-") == 2 for model in after)
    for one, other in zip(before, after, strict=True):
        assert abs((one["last_modified"] - other["last_modified"]).total_seconds()) < 0.001


async def test_checkpoints_of_files_long_gone_do_not_hinder_the_rename_of_a_folder(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for folder in ("new", "old"):
        await manager.save(notebook(folder), f"{folder}/n.ipynb")
        await manager.create_checkpoint(f"{folder}/n.ipynb")
    await store.delete("new/n.ipynb")
    await manager.aclose()
    await manager.rename("old", "new")
    assert len(await manager.list_checkpoints("new/n.ipynb")) == 1
    assert await source_of(manager, "new/n.ipynb") == "old"


async def test_checkpoints_of_the_same_text_do_not_stand_in_each_others_way(
    managers: Managers, clock: Clock
) -> None:
    manager = managers(EtagStorage())
    path = await saved(manager, clock, "first")
    for count in range(2, 9):
        clock.pass_by()
        await press_ctrl_s(manager, path, "the same text")
        clock.pass_by()
        ids = [model["id"] for model in await manager.list_checkpoints(path)]
        assert len(set(ids)) == len(ids) == min(count, 5)
