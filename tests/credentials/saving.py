"""Somebody who saves again and again while the server's credentials come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.types import IfMatch, Version


class Saver:
    """Saves one file, each time upon the version before; a save that fails raises."""

    def __init__(self, storage: BaseStorageService, path: str = "work/n.ipynb") -> None:
        self.saves = 0
        self._storage = storage
        self._path = path
        self._version: Version | None = None

    async def save(self) -> None:
        """One save, and a look whether it is what the store has."""
        self.saves += 1
        text = f"save {self.saves}".encode()
        condition = None if self._version is None else IfMatch(self._version)
        meta = await self._storage.put(self._path, text, condition=condition)
        self._version = meta.version
        async with self._storage.get(self._path) as reader:
            assert await reader.read() == text

    async def save_until(self, enough: Callable[[], bool], timeout: float = 60.0) -> None:
        """Save until a condition holds."""

        async def go_on() -> None:
            while not enough():
                await self.save()

        await asyncio.wait_for(go_on(), timeout)
