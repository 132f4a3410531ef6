"""One line in the log for each operation: what, where, how long, how it ended."""

from __future__ import annotations

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

_EXPECTED = (AlreadyExistsError, NotFoundError, NotModifiedError, PreconditionError)


class LoggingStorage(WrapperStorage):
    """Logs every operation at DEBUG, and at WARNING one that failed other than by an answer.

    That nothing is there, that something is there already and that a version does not match
    are answers. Data and presigned URLs are never logged. The time is that in the storage,
    not that of a consumer of a body or of a listing.
    """

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
        noted = _Operation("get", path)
        try:
            async with AsyncExitStack() as stack:
                with noted.timed():
                    reader = await stack.enter_async_context(opening)
                noted.size = 0
                yield ObjectReader(reader.meta, _LoggedChunks(reader.chunks, noted))
        finally:
            self._log(noted)

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
        noted = _Operation("list_pages", prefix)
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
            self._log(noted)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        with self.operation("copy", target, detail=f"from {source!r}") as noted:
            meta = await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )
            noted.size = meta.size
        return meta

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        with self.operation("move", target, detail=f"from {source.path!r}") as noted:
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
        return _LoggedUpload(self, upload)

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
        self, name: str, path: str, size: int | None = None, detail: str = ""
    ) -> Iterator[_Operation]:
        """Time the block and log it."""
        noted = _Operation(name, path, size, detail)
        try:
            with noted.timed():
                yield noted
        finally:
            self._log(noted)

    def _log(self, noted: _Operation) -> None:
        if noted.error is not None and not isinstance(noted.error, _EXPECTED):
            self.log.warning("%s: %s", noted, noted.error)
        else:
            self.log.debug("%s", noted)


@dataclass(slots=True)
class _Operation:
    """An operation as the log tells it."""

    name: str
    path: str
    size: int | None = None
    detail: str = ""
    error: StorageError | None = None
    outcome: str = "ok"
    seconds: float = field(default=0.0)

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the block, and note how it ends."""
        begun = time.perf_counter()
        try:
            yield
        except StorageError as error:
            self.error, self.outcome = error, type(error).__name__
            raise
        except asyncio.CancelledError:
            self.outcome = "cancelled"
            raise
        finally:
            self.seconds += time.perf_counter() - begun

    def __str__(self) -> str:
        parts = [f"{self.name} {self.path!r}", self.detail, f"{self.seconds * 1000:.1f} ms"]
        if self.size is not None:
            parts.append(f"{self.size} bytes")
        return ", ".join([part for part in parts if part] + [self.outcome])


class _LoggedChunks(AsyncIterator[bytes]):
    def __init__(self, chunks: AsyncIterator[bytes], noted: _Operation) -> None:
        self._chunks = chunks
        self._noted = noted

    async def __anext__(self) -> bytes:
        with self._noted.timed():
            chunk = await anext(self._chunks, None)
        if chunk is None:
            raise StopAsyncIteration
        self._noted.size = (self._noted.size or 0) + len(chunk)
        return chunk


class _LoggedUpload(WrapperUpload):
    def __init__(self, storage: LoggingStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        with self._storage.operation("upload_part", self.path, len(data), f"number {number}"):
            await self.inner.upload_part(number, data, more=more)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._storage.operation("complete", self.path) as noted:
            meta = await self.inner.complete(condition=condition)
            noted.size = meta.size
        return meta

    async def _abort(self) -> None:
        with self._storage.operation("abort", self.path):
            await self.inner.abort()
