"""The copies of a folder's objects: in which order, and what is done where one is missing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.web import HTTPError

from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ObjectMeta
from jupyter_nbforge.storage.wrappers import WrapperStorage

from .conftest import Managers
from .gestures import contents_of

TREE = ("old/", "old/a/", "old/a/b/", "old/a/b/c.txt", "old/d.txt", "old/e.txt")
FILES = {path for path in TREE if not path.endswith("/")}


class WatchedStorage(WrapperStorage):
    """Notes which copies are under way together."""

    def __init__(self, inner: MemoryStorage) -> None:
        super().__init__(inner)
        self.running: set[str] = set()
        self.together: set[frozenset[str]] = set()

    async def copy(self, source: str, target: str, **options: Any) -> ObjectMeta:
        self.running.add(source)
        for _ in range(5):
            await asyncio.sleep(0)
        self.together.add(frozenset(self.running))
        self.running.discard(source)
        return await super().copy(source, target, **options)


class LosingStorage(WrapperStorage):
    """Forgets the first copies of a path, after it has said that they were made."""

    def __init__(self, inner: MemoryStorage, path: str, losses: int) -> None:
        super().__init__(inner)
        self.path = path
        self.losses = losses

    async def copy(self, source: str, target: str, **options: Any) -> ObjectMeta:
        copied = await super().copy(source, target, **options)
        if source == self.path and self.losses:
            self.losses -= 1
            await self.inner.delete(target)
        return copied


async def fill(store: MemoryStorage) -> None:
    for path in TREE:
        await store.put(path, path.encode())


async def test_a_marker_of_a_folder_is_copied_while_nothing_in_that_folder_is(
    managers: Managers,
) -> None:
    store = MemoryStorage()
    await fill(store)
    watched = WatchedStorage(store)
    await managers(watched).rename("old", "new")
    for group in watched.together:
        markers = {path for path in group if path.endswith("/")}
        for marker in markers:
            assert not any(path.startswith(marker) for path in group - {marker})
    assert any(len(group & FILES) > 1 for group in watched.together)


@pytest.mark.parametrize("path", TREE)
async def test_a_copy_that_has_vanished_is_made_again_before_its_source_is_deleted(
    managers: Managers, path: str
) -> None:
    store = MemoryStorage()
    await fill(store)
    await managers(LosingStorage(store, path, 1)).rename("old", "new")
    expected = {old.replace("old/", "new/", 1): old.encode() for old in TREE}
    assert await contents_of(store) == expected


async def test_without_its_copy_no_source_is_deleted(managers: Managers) -> None:
    store = MemoryStorage()
    await fill(store)
    with pytest.raises(HTTPError, match="did not arrive"):
        await managers(LosingStorage(store, "old/d.txt", 2)).rename("old", "new")
    left = await contents_of(store)
    assert {path: path.encode() for path in TREE}.items() <= left.items()
