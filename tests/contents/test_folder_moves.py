"""A folder's move that is stopped, with all that belongs to it; and what is written down of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.contents import transfers
from jupyter_nbforge.contents.journal import begin_move, begun_move, end_move
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.testing.faults import Fault, FaultyStorage, unavailable

from .conftest import Managers
from .gestures import contents_of

CHECKPOINTS = ".nbforge/checkpoints/"
FILES = {f"old/{name}": name.encode() for name in ("a.ipynb", "b/c.ipynb", "d.txt", "")}
KEPT = {
    f"{CHECKPOINTS}old/a.ipynb/checkpoint-1-5": b"first",
    f"{CHECKPOINTS}old/a.ipynb/checkpoint-2-7": b"second",
    f"{CHECKPOINTS}old/b/c.ipynb/checkpoint-1-9": b"third",
}


def moved(objects: dict[str, bytes]) -> dict[str, bytes]:
    return {path.replace("old/", "new/", 1): data for path, data in objects.items()}


async def fill(store: MemoryStorage) -> None:
    for path, data in {**FILES, **KEPT}.items():
        await store.put(path, data)


async def test_a_folder_of_a_disk_is_renamed_with_its_checkpoints(
    managers: Managers, tmp_path: Path
) -> None:
    (tmp_path / "disk").mkdir()
    disk = LocalStorage(root=str(tmp_path / "disk"))
    for path, data in {**FILES, **KEPT, "old/b/empty/": b""}.items():
        await disk.put(path, data)
    await managers(disk).rename("old", "new")
    found = await contents_of(disk)
    files = {path: data for path, data in found.items() if not path.endswith("/")}
    assert files == {path: data for path, data in moved({**FILES, **KEPT}).items() if data}
    assert "new/b/empty/" in found
    assert not [path for path in found if path.startswith("old/")]


@pytest.mark.parametrize("operation", ["copy", "delete_many", "list_pages", "put", "get", "delete"])
async def test_a_rename_stopped_anywhere_and_repeated_leaves_files_and_checkpoints_at_one_place(
    managers: Managers, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_DELETED_AT_ONCE", 2)
    for skip in range(40):
        store = MemoryStorage()
        await fill(store)
        faults = FaultyStorage(store)
        fault = Fault(operation, error=unavailable, skip=skip)
        faults.faults.append(fault)
        with contextlib.suppress(HTTPError):
            await managers(faults).rename("old", "new")
        if not fault.befallen:
            assert skip > 0
            break
        found = await contents_of(store)
        for path, data in {**FILES, **KEPT}.items():
            assert data in (found.get(path), found.get(path.replace("old/", "new/", 1)))
        if any(path.startswith("old/") for path in found):
            await managers(store).rename("old", "new")
            left = await contents_of(store)
            assert left == {**moved(FILES), **moved(KEPT)}
        else:
            left = await contents_of(store)
            assert {**moved(FILES), **moved(KEPT)}.items() <= left.items()
    else:
        raise AssertionError("the fault never stopped falling")


async def test_checkpoints_of_files_long_gone_do_not_come_to_a_folder_renamed_to_theirs(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await fill(store)
    await store.put(f"{CHECKPOINTS}new/a.ipynb/checkpoint-3-1", b"of another")
    await manager.rename("old", "new")
    assert await contents_of(store) == {**moved(FILES), **moved(KEPT)}


async def test_a_checkpoint_whose_place_is_taken_holds_no_file_up(
    managers: Managers, store: MemoryStorage, caplog: pytest.LogCaptureFixture
) -> None:
    await fill(store)
    faults = FaultyStorage(store)
    taken = f"{CHECKPOINTS}new/a.ipynb/checkpoint-1-5"

    async def take() -> None:
        await store.put(taken, b"of another")

    faults.faults.append(Fault("copy", taken, hook=take))
    await managers(faults).rename("old", "new")
    found = await contents_of(store)
    assert moved(FILES).items() <= found.items()
    assert found[f"{CHECKPOINTS}old/a.ipynb/checkpoint-1-5"] == b"first"
    assert "did not all move along" in caplog.text


async def test_a_copy_that_was_made_before_is_known_by_its_bytes_where_hashes_do_not_tell(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    same = b"x" * 3_000_000
    await store.put("old/a.bin", same, metadata=stamp(same))
    await store.put("old/b.bin", same, metadata=stamp(same))

    async def copy_otherwise() -> None:
        await store.put("new/a.bin", same)
        await store.put("new/b.bin", same[:-1] + b"y")

    faults.faults.append(Fault("copy", "new/a.bin", hook=copy_otherwise))
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", "new")
    assert refused.value.status_code == 409
    assert "'old/b.bin'" in str(refused.value.log_message)
    assert set(await contents_of(store, "old/")) == {"old/b.bin"}


NAMES = {'quoted"\\', "é 🙂/x", "plain.txt", ""}


async def test_what_is_written_down_of_a_move_is_read_as_it_was() -> None:
    store = MemoryStorage()
    await begin_move(store, 'o"ld', "né w", NAMES)
    assert await begun_move(store, 'o"ld', "né w") == NAMES
    assert await begun_move(store, "né w", 'o"ld') is None
    await end_move(store, 'o"ld', "né w")
    assert await begun_move(store, 'o"ld', "né w") is None


async def test_of_an_empty_folder_a_move_is_written_down_too() -> None:
    store = MemoryStorage()
    await begin_move(store, "old", "new", [])
    assert await begun_move(store, "old", "new") == set()
