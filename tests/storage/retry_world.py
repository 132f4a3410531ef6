"""A store, what goes wrong on the way to it, and the storage that tries again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from jupyter_nbforge.storage import (
    BaseStorageService,
    MultipartUpload,
    ObjectReader,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage


class Small(MemoryStorage):
    """Bodies come in chunks of two bytes."""

    def get(self, path: str, **options: Any) -> AbstractAsyncContextManager[ObjectReader]:
        return self._in_pieces(super().get(path, **options))

    @asynccontextmanager
    async def _in_pieces(
        self, opening: AbstractAsyncContextManager[ObjectReader]
    ) -> AsyncIterator[ObjectReader]:
        async with opening as reader:
            data = await reader.read()
            yield ObjectReader(reader.meta, self._pieces(data))

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(data), 2):
            yield data[start : start + 2]


class World:
    """A store, what goes wrong on the way to it, and the storage that tries again."""

    def __init__(self, store: BaseStorageService | None = None, **options: Any) -> None:
        self.store = store or Small()
        self.faulty = FaultyStorage(self.store)
        self.counting = CountingStorage(self.faulty)
        self.storage = RetryStorage(self.counting, **{"wait_max": 0.0, **options})


async def started_upload(storage: BaseStorageService, **options: Any) -> MultipartUpload:
    upload = await storage.create_multipart_upload("target", **options)
    await upload.upload_part(2, b"cd")
    await upload.upload_part(1, b"ab")
    return upload
