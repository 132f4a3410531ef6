"""Two names of one object: by mounts that overlap, and on a disk by links."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.contents.transfers import same_content
from jupyter_nbforge.storage import stamp
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.mounts import create_mounted_storage
from jupyter_nbforge.storage.wrappers import MountedStorage

from .gestures import text_file

Trees = Callable[[Mapping[str, Path]], NBForgeContentsManager]


@pytest.fixture
def trees() -> Iterator[Trees]:
    """Makes managers on directories by the folders that they are mounted at."""
    made: list[NBForgeContentsManager] = []

    def make(folders: Mapping[str, Path]) -> NBForgeContentsManager:
        urls = {point: folder.as_uri() for point, folder in folders.items()}
        storage = create_mounted_storage(urls, environ={})
        made.append(NBForgeContentsManager(storage=storage))
        return made[-1]

    yield make
    for manager in made:
        manager.notary.close()


async def _is_refused(renaming: Awaitable[object]) -> None:
    with pytest.raises(HTTPError) as refused:
        await renaming
    assert refused.value.status_code == 409


async def test_a_file_moved_to_itself_through_an_overlapping_mount_stays(
    trees: Trees, tmp_path: Path
) -> None:
    team, alice = tmp_path / "team", tmp_path / "team" / "alice"
    alice.mkdir(parents=True)
    manager = trees({"": alice, "team": team})
    await manager.save(text_file("mine"), "f.txt")
    await _is_refused(manager.rename("f.txt", "team/alice/f.txt"))
    assert (alice / "f.txt").read_text() == "mine"


async def test_a_file_moved_to_itself_through_a_link_stays(trees: Trees, tmp_path: Path) -> None:
    files, other = tmp_path / "files", tmp_path / "other"
    (files / "folder").mkdir(parents=True)
    (files / "link").symlink_to(files / "folder", target_is_directory=True)
    other.symlink_to(files, target_is_directory=True)
    manager = trees({"": files, "other": other})
    await manager.save(text_file("mine"), "folder/f.txt")
    (files / "folder" / "l.txt").symlink_to(files / "folder" / "f.txt")
    for name in ("link/f.txt", "other/folder/f.txt", "folder/l.txt"):
        await _is_refused(manager.rename("folder/f.txt", name))
        assert (files / "folder" / "f.txt").read_text() == "mine"


async def test_a_copy_in_a_store_that_checks_no_write_is_read_before_it_counts_as_equal() -> None:
    tree = MountedStorage({"": MemoryStorage(), "other": MemoryStorage()})
    one = await tree.put("a", b"12", metadata=stamp(b"12"))
    for data in (b"12", b"21"):
        other = await tree.put("other/a", data, metadata=stamp(b"12"))
        assert one.content_hash == other.content_hash
        assert await same_content(tree, one, other) is (data == b"12")
