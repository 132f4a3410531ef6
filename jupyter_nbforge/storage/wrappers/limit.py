"""Bounds how many operations are under way at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from traitlets import Int

from ..base import BaseStorageService, MultipartUpload
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


_KEPT_PART = 8
"""One of so many places is for what does not take long."""


class LimitStorage(WrapperStorage):
    """At most `max_concurrency` operations at once on each event loop; the others wait.

    A `get` holds its place until it is closed, a listing only while a page is fetched. What
    a task does while it holds a place shares it: it never waits for itself. A `delete_many`
    is one operation.

    Open reads and the work of the store itself (copies, moves, joining the parts of an
    upload) may take as long as a client or a large object likes. Together they never hold
    the last eighth of the places (at least one, where there are two): a look, a listing or a
    save finds one.
    """

    max_concurrency = Int(
        32,
        min=1,
        config=True,
        help="""How many requests to the store may be under way at once; the others wait.""",
    )

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, _Limit] = WeakKeyDictionary()

    def place(self) -> AbstractAsyncContextManager[None]:
        """A place on the running loop, to be held for one operation."""
        return self._limit().all.place()

    @asynccontextmanager
    async def long_place(self) -> AsyncIterator[None]:
        """A place for an operation that may take long."""
        limit = self._limit()
        # In this order, or who waits for the first would hold the other for nothing.
        async with limit.long.place(), limit.all.place():
            yield

    def _limit(self) -> _Limit:
        loop = asyncio.get_running_loop()
        limit = self._limits.get(loop)
        if limit is None:
            limit = self._limits[loop] = _Limit(self.max_concurrency)
        return limit

    async def head(self, path: str) -> ObjectMeta:
        async with self.place():
            return await self.inner.head(path)

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
        return self._open(opening)

    @asynccontextmanager
    async def _open(
        self, opening: AbstractAsyncContextManager[ObjectReader]
    ) -> AsyncIterator[ObjectReader]:
        async with self.long_place(), opening as reader:
            yield reader

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        async with self.place():
            return await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        async with self.place():
            await self.inner.delete(path, condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        async with self.place():
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
        while True:
            # Not while the consumer works: it may wait for a place itself.
            async with self.place():
                page = await anext(pages, None)
            if page is None:
                return
            yield page

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        async with self.long_place():
            return await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        async with self.long_place():
            return await self.inner.move(source, target, condition=condition)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        async with self.place():
            upload = await self.inner.create_multipart_upload(
                path, content_type=content_type, metadata=metadata
            )
        return _LimitedUpload(self, upload)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        async with self.place():
            return await self.inner.abort_stale_uploads(prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        async with self.place():
            return await self.inner.get_presigned_url(path, expires_in, **options)


class _Limit:
    """What there is on one event loop: `all` the places, and how many of them `long` may have."""

    def __init__(self, places: int) -> None:
        self.all = _Places(places)
        # One is kept of a few too: a copy between two mounts holds a place of one while it
        # waits for one of the other, and may meet a copy that goes the other way.
        self.long = _Places(max(1, places - max(1, places // _KEPT_PART)))


class _Places:
    """Places, held by tasks."""

    def __init__(self, places: int) -> None:
        self._free = asyncio.Semaphore(places)
        self._uses: dict[asyncio.Task[Any] | None, int] = {}

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        task = asyncio.current_task()
        if task not in self._uses:
            await self._free.acquire()
            self._uses[task] = 0
        self._uses[task] += 1
        try:
            yield
        finally:
            # Remembered from the start: a `get` may be closed by another task.
            self._uses[task] -= 1
            if self._uses[task] == 0:
                del self._uses[task]
                self._free.release()


class _LimitedUpload(WrapperUpload):
    def __init__(self, storage: LimitStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        async with self._storage.place():
            await self.inner.upload_part(number, data, more=more)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        async with self._storage.long_place():
            return await self.inner.complete(condition=condition)

    async def _abort(self) -> None:
        async with self._storage.place():
            await self.inner.abort()
