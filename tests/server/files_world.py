"""What the tests of `/files/` have in common: a look into the storage, and a client of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from jupyter_nbforge.storage import (
    BaseStorageService,
    ByteRange,
    ObjectMeta,
    ObjectReader,
    Version,
)
from jupyter_nbforge.storage.wrappers import LimitStorage
from jupyter_nbforge.storage.wrappers.base import WrapperStorage
from jupyter_nbforge.testing.faults import FaultyStorage

Wrapper = TypeVar("Wrapper", bound=WrapperStorage)


@dataclass(frozen=True)
class Look:
    """One call of `head` or `get` that reached the store."""

    operation: str
    byte_range: ByteRange | None = None
    if_match: Version | None = None
    if_none_match: Version | None = None


class Watched(WrapperStorage):
    """Notes how objects are looked at, and how many chunks of bodies were taken."""

    def __init__(self, inner: BaseStorageService) -> None:
        super().__init__(inner)
        self.looks: list[Look] = []
        self.chunks = 0

    @property
    def operations(self) -> list[str]:
        """What was called, in order."""
        return [look.operation for look in self.looks]

    async def head(self, path: str) -> ObjectMeta:
        self.looks.append(Look("head"))
        return await self.inner.head(path)

    def get(self, path: str, **options: Any) -> AbstractAsyncContextManager[ObjectReader]:
        self.looks.append(Look("get", **options))
        return self._open(self.inner.get(path, **options))

    @asynccontextmanager
    async def _open(
        self, opening: AbstractAsyncContextManager[ObjectReader]
    ) -> AsyncIterator[ObjectReader]:
        async with opening as reader:
            yield ObjectReader(reader.meta, self._counted(reader.chunks))

    async def _counted(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            self.chunks += 1
            yield chunk


def watched(manager: Any) -> Watched:
    """What the manager's store is asked from now on."""
    limit = limit_of(manager)
    limit.inner = inner = Watched(limit.inner)
    return inner


def faulty(manager: Any) -> FaultyStorage:
    """A place for faults between the manager and its store."""
    limit = limit_of(manager)
    limit.inner = inner = FaultyStorage(limit.inner)
    return inner


def limit_of(manager: Any) -> LimitStorage:
    """The innermost wrapper of a manager's storage, around the provider."""
    storage = manager.storage
    while not isinstance(storage, LimitStorage):
        storage = storage.inner
    return storage


class Wire:
    """One GET on a connection of its own, answered as slowly as it is read."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def read_headers(self) -> None:
        """Take the beginning of the answer."""
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.strip().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = {name.lower(): value for name, value in (x.split(": ", 1) for x in lines)}

    async def read(self, size: int) -> bytes:
        """So many bytes of the body."""
        return await self._reader.readexactly(size)

    async def read_to_end(self) -> bytes:
        """All that comes until the server closes."""
        return await self._reader.read()

    def leave(self) -> None:
        """Go away without a word."""
        self._writer.transport.abort()


@asynccontextmanager
async def asking(port: int, target: str, token: str) -> AsyncIterator[Wire]:
    """Ask for `target`, on a connection that takes little in advance."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**16)
    request = (
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Authorization: {token}\r\n\r\n"
    )
    writer.write(request.encode())
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def own_tasks() -> set[asyncio.Task[Any]]:
    """The tasks of the running loop that run code of the package."""
    return {task for task in asyncio.all_tasks() if "jupyter_nbforge" in _file_of(task)}


def _file_of(task: asyncio.Task[Any]) -> str:
    code = getattr(task.get_coro(), "cr_code", None)
    return str(code.co_filename) if code is not None else ""
