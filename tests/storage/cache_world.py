"""A store, what goes wrong on the way to it, what it sends, and the cache before it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from jupyter_nbforge.storage import ObjectMeta, ObjectReader, Version, WriteCondition
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import CacheStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage


class HashVersions(MemoryStorage):
    """A store whose versions are hashes of the bytes, as S3's are."""

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        self._next = Version(hashlib.md5(data, usedforsecurity=False).hexdigest())
        return await super().put(
            path, data, condition=condition, content_type=content_type, metadata=metadata
        )

    def _next_version(self) -> Version:
        return self._next


class Sending(CountingStorage):
    """Counts the bytes that are sent, too."""

    sent = 0

    async def chunks(self, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
        async for chunk in reader.chunks:
            self.sent += len(chunk)
            yield chunk


class Hold:
    """Makes calls wait: `begun` is set when one does, and `free` lets it go on."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.free = asyncio.Event()
        self.cancelled = False

    async def wait(self) -> None:
        self.begun.set()
        try:
            await self.free.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class World:
    """A store, what goes wrong on the way to it, what it sends, and the cache before it."""

    def __init__(self, store: MemoryStorage | None = None, **traits: Any) -> None:
        self.store = store or MemoryStorage()
        self.faulty = FaultyStorage(self.store)
        self.sending = Sending(self.faulty)
        self.storage = CacheStorage(self.sending, **traits)

    def take(self) -> tuple[dict[str, int], int]:
        """How often the store was asked for what, and how many bytes it sent, since the last."""
        seen = dict(self.sending.counts), self.sending.sent
        self.sending.reset()
        self.sending.sent = 0
        return seen

    def hold(self, operation: str, path: str = "*", *, answered: bool = False) -> Hold:
        """Make the next such call wait; with `answered`, after the store has done it."""
        hold = Hold()
        fault = Fault(operation, path, hook=hold.wait, lost_answer=answered)
        self.faulty.faults.append(fault)
        return hold


async def settled() -> None:
    """Let every task go on until it waits for something."""
    for _ in range(20):
        await asyncio.sleep(0)
