"""A store, the storage that remembers, and the time."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime, timezone
from typing import TypeVar

from jupyter_nbforge.storage import (
    ObjectMeta,
    StorageError,
    Version,
    WriteCondition,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage

T = TypeVar("T")


class CopyTellsLittle(MemoryStorage):
    """A store that answers to a copy as S3 does: its own time, no type, no hash of ours."""

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        meta = await super().copy(
            source, target, condition=condition, source_version=source_version
        )
        return replace(
            meta,
            last_modified=datetime(2001, 1, 1, tzinfo=timezone.utc),
            content_type=None,
            content_hash=None,
        )


class World:
    """A store, the storage that remembers, and the time."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.store = CopyTellsLittle()
        self.faulty = FaultyStorage(self.store)
        self.counting = CountingStorage(self.faulty)
        self.storage = ShortMemoryStorage(self.counting, clock=lambda: self.now)

    async def requests(self, awaitable: Awaitable[T]) -> list[str]:
        """The calls that reach the store, whatever their outcome."""
        self.counting.reset()
        with contextlib.suppress(StorageError):
            await awaitable
        return [operation for operation, _ in self.counting.calls]


async def upload(storage: ShortMemoryStorage, path: str) -> ObjectMeta:
    started = await storage.create_multipart_upload(path)
    await started.upload_part(1, b"1")
    return await started.complete()
