"""What wrappers that watch have in common: each operation, timed, with how it ended."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..base import MultipartUpload
from ..errors import (
    AlreadyExistsError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
    StorageError,
)
from ..facts import Facts, noting
from ..types import (
    ByteRange,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .base import WrapperStorage
from .upload import WrapperUpload

if TYPE_CHECKING:
    from typing_extensions import Unpack

EXPECTED = (AlreadyExistsError, NotFoundError, NotModifiedError, PreconditionError)
"""Errors that are answers: nothing is there, something is, a version does not match."""

UNEXPECTED = "unexpected"
"""The outcome of an operation that ended with an error of no known kind: a defect of ours."""


@dataclass(slots=True)
class Operation:
    """One operation, as it is told of at its end.

    `size` is of the data that was read or written or asked about, in bytes; `source` the path
    that was copied or moved to `path`; `seconds` are those in the storage, not those of a
    consumer of a body or of a listing.
    """

    name: str
    path: str
    size: int | None = None
    detail: str = ""
    source: str | None = None
    error: StorageError | None = None
    outcome: str = "ok"
    seconds: float = 0.0
    facts: Facts = field(init=False)

    def __post_init__(self) -> None:
        self.facts = Facts(self.name)

    @property
    def failed(self) -> bool:
        """Whether it ended with an error that is no answer."""
        if self.error is None:
            return self.outcome == UNEXPECTED
        return not isinstance(self.error, EXPECTED)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the block, and note how it ends."""
        begun = time.perf_counter()
        try:
            with noting(self.facts) as self.facts:
                yield
        except StorageError as error:
            self.error, self.outcome = error, type(error).__name__
            raise
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        except Exception:
            # Nothing that a storage may raise: whatever it is, the store did not answer well.
            self.outcome = UNEXPECTED
            raise
        finally:
            self.seconds += time.perf_counter() - begun


class ObservedStorage(WrapperStorage):
    """Hands every call to `inner` unchanged, and tells `ended` of each one."""

    @abc.abstractmethod
    def ended(self, operation: Operation) -> None:
        """An operation has ended, one way or another. A body ends when it is closed."""

    def opened(self, change: int) -> None:
        """A read was opened (1) or closed (-1)."""

    def received(self, size: int) -> None:
        """So many bytes of a body have come."""

    async def head(self, path: str) -> ObjectMeta:
        with self.operation("head", path) as noted:
            meta = await self.inner.head(path)
            noted.size = meta.size
        return meta

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        opening = self.inner.get(
            path, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )
        return self._open(path, opening)

    @asynccontextmanager
    async def _open(
        self, path: str, opening: AbstractAsyncContextManager[ObjectReader]
    ) -> AsyncIterator[ObjectReader]:
        noted = Operation("get", path)
        try:
            async with AsyncExitStack() as stack:
                with noted.timed():
                    reader = await stack.enter_async_context(opening)
                noted.size = 0
                self.opened(1)
                stack.callback(self.opened, -1)
                yield ObjectReader(reader.meta, _ObservedChunks(self, reader.chunks, noted))
        finally:
            self.ended(noted)

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        with self.operation("put", path, len(data)):
            return await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        with self.operation("delete", path):
            await self.inner.delete(path, condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        paths = list(paths)
        with self.operation("delete_many", paths[0] if paths else "", detail=f"{len(paths)} paths"):
            await self.inner.delete_many(paths, versions=versions)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        pages = self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        )
        noted = Operation("list_pages", prefix)
        entries = count = 0
        try:
            while True:
                with noted.timed():
                    page = await anext(pages, None)
                if page is None:
                    return
                count += 1
                entries += len(page.objects) + len(page.prefixes)
                yield page
        finally:
            noted.detail = f"{entries} entries on {count} pages"
            self.ended(noted)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        with self.operation("copy", target, source=source) as noted:
            meta = await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )
            noted.size = meta.size
        return meta

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        with self.operation("move", target, source=source.path) as noted:
            meta = await self.inner.move(source, target, condition=condition)
            noted.size = meta.size
        return meta

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        with self.operation("create_multipart_upload", path):
            upload = await self.inner.create_multipart_upload(
                path, content_type=content_type, metadata=metadata
            )
        return _ObservedUpload(self, upload)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        with self.operation("abort_stale_uploads", prefix):
            return await self.inner.abort_stale_uploads(prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        with self.operation(
            "get_presigned_url", path, detail=f"for {options.get('method', 'GET')}"
        ):
            return await self.inner.get_presigned_url(path, expires_in, **options)

    @contextlib.contextmanager
    def operation(
        self,
        name: str,
        path: str,
        size: int | None = None,
        *,
        detail: str = "",
        source: str | None = None,
    ) -> Iterator[Operation]:
        """Time the block, and tell `ended` of it."""
        noted = Operation(name, path, size, detail, source)
        try:
            with noted.timed():
                yield noted
        finally:
            self.ended(noted)


class _ObservedChunks(AsyncIterator[bytes]):
    def __init__(
        self, storage: ObservedStorage, chunks: AsyncIterator[bytes], noted: Operation
    ) -> None:
        self._storage = storage
        self._chunks = chunks
        self._noted = noted

    async def __anext__(self) -> bytes:
        with self._noted.timed():
            chunk = await anext(self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        self._noted.size = (self._noted.size or 0) + len(chunk)
        self._storage.received(len(chunk))
        return chunk


class _ObservedUpload(WrapperUpload):
    def __init__(self, storage: ObservedStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        detail = f"number {number}"
        with self._storage.operation("upload_part", self.path, len(data), detail=detail):
            await self.inner.upload_part(number, data, more=more)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._storage.operation("complete", self.path) as noted:
            meta = await self.inner.complete(condition=condition)
            noted.size = meta.size
        return meta

    async def _abort(self) -> None:
        with self._storage.operation("abort", self.path):
            await self.inner.abort()
