"""A manager on a counted memory store, and other tools on the same store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import PrefixStorage, ShortMemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage

Managers = Callable[..., NBForgeContentsManager]


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float = 60.0) -> None:
        self.now += seconds


@pytest.fixture
def store() -> MemoryStorage:
    """The bucket itself, as any other tool sees it."""
    return MemoryStorage()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def requests(store: MemoryStorage) -> CountingStorage:
    """What reaches the bucket."""
    return CountingStorage(store)


@pytest.fixture
def faults(requests: CountingStorage) -> FaultyStorage:
    """What goes wrong on the way there."""
    return FaultyStorage(requests)


@pytest.fixture(autouse=True)
def _own_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))


@pytest.fixture
def managers(
    faults: FaultyStorage, clock: Clock, jp_asyncio_loop: asyncio.AbstractEventLoop
) -> Iterator[Managers]:
    """Makes managers, each as of a server of its own, on the one bucket."""
    made: list[NBForgeContentsManager] = []

    def make(inner: BaseStorageService | None = None, **traits: Any) -> NBForgeContentsManager:
        storage = ShortMemoryStorage(PrefixStorage(inner or faults), clock=clock)
        made.append(NBForgeContentsManager(storage=storage, **traits))
        return made[-1]

    yield make
    for manager in made:
        jp_asyncio_loop.run_until_complete(manager.aclose())
        manager.notary.store.close()


@pytest.fixture
def manager(managers: Managers) -> NBForgeContentsManager:
    return managers()
