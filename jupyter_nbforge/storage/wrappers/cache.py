"""The read cache: bytes that the store confirms instead of sending them again.

Every read asks the store. Where the object still is the version whose bytes are here, the
store says so and sends nothing. Equal reads and listings that are asked for while one is
under way share it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from cachetools import LRUCache
from traitlets import Int

from ..base import BaseStorageService, MultipartUpload
from ..errors import NotModifiedError, UnavailableError
from ..types import (
    ByteRange,
    IfMatch,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .base import WrapperStorage
from .flights import Flight, Flights
from .upload import WrapperUpload

_LISTED_ENTRIES = 20_000
"""Entries of a listing up to which it is kept for others who wait for it."""

_FULL_PAGE = 1000
"""Entries of the largest page that a store gives: behind a smaller one there is none."""

_ListKey = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class _Entry:
    meta: ObjectMeta
    data: bytes

    def reader(self) -> ObjectReader:
        return ObjectReader(self.meta, _one(self.data))


async def _one(data: bytes) -> AsyncIterator[bytes]:
    if data:
        yield data


async def _first_pages(
    pages: AsyncIterator[ListPage], flight: Flight[tuple[ListPage, ...]]
) -> list[ListPage]:
    """The first page, and the others too if somebody waits for them or there are none."""
    kept: list[ListPage] = []
    entries = 0
    async for page in pages:
        kept.append(page)
        entries += len(page.objects) + len(page.prefixes)
        if entries > _LISTED_ENTRIES or (entries >= _FULL_PAGE and not flight.waiting):
            flight.share(None)
            return kept
    flight.share(tuple(kept))
    return kept


async def _each(pages: Iterable[ListPage]) -> AsyncIterator[ListPage]:
    for page in pages:
        yield page


class CacheStorage(WrapperStorage):
    """Keeps the bytes of small objects, by path and version; the least used go first.

    Only whole reads are kept, and what is written. Nothing is given out that the store has
    not confirmed in this very call, or, to one who asked while an equal call was under way,
    in that one: after a write of ours has ended nobody joins a read that began before it.

    A store whose versions are hashes of the bytes (S3) confirms them also where somebody
    else has written the same bytes again; the time that is then shown is that of the first
    writing, until a `head` shows the second.
    """

    max_bytes = Int(
        64 * 2**20,
        min=0,
        config=True,
        help="""Bytes of memory for objects that were read or written, so that the store need only
        confirm them when they are read again. 0 keeps nothing.""",
    )
    max_object_bytes = Int(
        16 * 2**20,
        min=0,
        config=True,
        help="""The largest object that is kept, in bytes; larger ones are passed on in pieces.""",
    )

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._reads: Flights[str, _Entry] = Flights()
        self._listings: Flights[_ListKey, tuple[ListPage, ...]] = Flights()
        self._forget_all()

    def _forget_all(self) -> None:
        self._entries: LRUCache[str, _Entry] = LRUCache(
            self.max_bytes, getsizeof=lambda entry: max(1, len(entry.data))
        )

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        plain = byte_range is None and if_match is None and if_none_match is None
        if plain and self._largest:
            return self._open(path)
        return self.inner.get(
            path, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )

    @property
    def _largest(self) -> int:
        return min(self.max_bytes, self.max_object_bytes)

    @asynccontextmanager
    async def _open(self, path: str) -> AsyncIterator[ObjectReader]:
        flight = await self._reads.join_or_begin(path)
        if flight.result is not None:
            yield flight.result.reader()
        elif not flight.leads:
            # What the others read is too large to be shared.
            async with self.inner.get(path) as reader:
                yield reader
        else:
            async with self._lead(flight, path) as reader:
                yield reader

    @asynccontextmanager
    async def _lead(self, flight: Flight[_Entry], path: str) -> AsyncIterator[ObjectReader]:
        """Read for all who wait; a large object for this caller alone."""
        with flight.leading():
            known = self._entries.get(path)
            version = None if known is None else known.meta.version
            try:
                async with self.inner.get(path, if_none_match=version) as reader:
                    if reader.meta.size > self._largest:
                        flight.share(None)
                        yield reader
                        return
                    entry = _Entry(reader.meta, await reader.read())
            except NotModifiedError:
                if known is None:
                    raise
                entry = known
            if len(entry.data) != entry.meta.size:
                raise UnavailableError(
                    f"{path!r} did not arrive whole; try again.", path=path, retryable=True
                )
            if not flight.overtaken:
                self._keep(entry)
            flight.share(entry)
        yield entry.reader()

    def _keep(self, entry: _Entry) -> None:
        self._entries.pop(entry.meta.path, None)
        if len(entry.data) <= self._largest:
            self._entries[entry.meta.path] = entry

    async def head(self, path: str) -> ObjectMeta:
        meta = await self.inner.head(path)
        known = self._entries.get(path)
        if known is not None and known.meta.version == meta.version and known.meta != meta:
            self._entries[path] = replace(known, meta=meta)
        return meta

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        try:
            meta = await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )
        finally:
            self._written(path)
        self._keep(_Entry(meta, data))
        return meta

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        try:
            await self.inner.delete(path, condition=condition)
        finally:
            self._written(path)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        paths = list(paths)
        try:
            await self.inner.delete_many(paths, versions=versions)
        finally:
            self._written(*paths)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        try:
            return await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )
        finally:
            self._written(target)

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        try:
            return await self.inner.move(source, target, condition=condition)
        finally:
            self._written(source.path, target)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        upload = await self.inner.create_multipart_upload(
            path, content_type=content_type, metadata=metadata
        )
        return _CachedUpload(self, upload)

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
        if start_after is None and page_size is None:
            pages = self._shared(prefix, delimiter, pages)
        async for page in pages:
            yield page

    async def _shared(
        self, prefix: str, delimiter: str | None, pages: AsyncIterator[ListPage]
    ) -> AsyncIterator[ListPage]:
        """The pages of an equal listing that is under way, or `pages`, for others to wait for."""
        flight = await self._listings.join_or_begin((prefix, delimiter))
        if not flight.leads:
            if flight.result is not None:
                pages = _each(flight.result)
            async for page in pages:
                yield page
            return
        # Nothing is given out before all is shared: whoever gets it may wait for one who waits.
        with flight.leading():
            kept = await _first_pages(pages, flight)
        for page in kept:
            yield page
        async for page in pages:
            yield page

    async def aclose(self) -> None:
        self._forget_all()
        await self.inner.aclose()

    def _written(self, *paths: str) -> None:
        """A write of ours has ended, somehow: what was known or is being read may be old."""
        for path in paths:
            self._entries.pop(path, None)
            self._reads.overtake(path.__eq__)
            self._listings.overtake(partial(_lists, path))


def _lists(path: str, key: _ListKey) -> bool:
    return path.startswith(key[0])


class _CachedUpload(WrapperUpload):
    def __init__(self, storage: CacheStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        try:
            return await self.inner.complete(condition=condition)
        finally:
            self._storage._written(self.path)
