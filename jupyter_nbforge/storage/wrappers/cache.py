"""The read cache: bytes that the store only has to confirm, and requests that are shared.

Each read asks the store. Where it still has the version whose bytes are here, it says so and
sends nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    asynccontextmanager,
)
from dataclasses import dataclass
from typing import Any, TypeAlias

from traitlets import Int

from ..base import BaseStorageService, MultipartUpload, check_read
from ..errors import NotFoundError, NotModifiedError, StorageError
from ..metrics import CACHE_READS
from ..paths import parent_of
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
from .kept import Kept, KeptObjects
from .remembered import Watch
from .shared_listings import SharedListings
from .shared_reads import Landing, NotShared, ReadFlight, fresh
from .upload import WrapperUpload

_Loop: TypeAlias = asyncio.AbstractEventLoop


@dataclass(frozen=True, slots=True)
class _Read:
    """A whole read, as it was asked for."""

    path: str
    if_match: Version | None
    if_none_match: Version | None

    def is_answered_by(self, kept: Kept) -> bool:
        """Whether the bytes of `kept` are the answer, if the store confirms its version."""
        return self.if_none_match is None and self.if_match in (None, kept.meta.version)


class CacheStorage(WrapperStorage):
    """Remembers the bytes of whole reads; the store confirms their version before each use.

    What was changed elsewhere is therefore seen at once. An object that may be remembered is
    read to its end before `get` hands it out, and its connection is free again; a larger one
    is passed on chunk by chunk. A write of ours replaces the bytes that were remembered of
    its path; of a path that nobody has read it keeps none.

    Equal whole reads at the same time are one request, and so are equal listings. Whoever
    asks after a write of ours has ended joins no request that began before.

    Where a store's versions are hashes of the bytes (S3), the same bytes written once more
    elsewhere are the same version: a read then shows the time and the type of the earlier
    write until the next `head` of the path. The bytes are right, and the time is never one
    of the future.
    """

    max_bytes = Int(
        64 * 2**20,
        min=0,
        config=True,
        help="""Bytes of memory for files that were read: read again, an unchanged file is not sent
        by the store once more. 0 remembers nothing.""",
    )
    max_object_bytes = Int(
        16 * 2**20,
        min=0,
        config=True,
        help="""Files larger than so many bytes are not remembered.""",
    )

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._objects = KeptObjects(lambda: self.max_bytes)
        self._watches: set[Watch] = set()
        self._reads: dict[tuple[_Loop, _Read], ReadFlight] = {}
        self._listings = SharedListings()

    async def head(self, path: str) -> ObjectMeta:
        known = self._objects.find(path)
        try:
            meta = await self.inner.head(path)
        except NotFoundError:
            self._objects.drop(path)
            raise
        if known is not None:
            self._objects.refresh(known, meta)
        return meta

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        if byte_range is not None or not self.max_bytes:
            return self.inner.get(
                path, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
            )
        return self._open(_Read(path, if_match, if_none_match))

    @asynccontextmanager
    async def _open(self, wanted: _Read) -> AsyncIterator[ObjectReader]:
        key = asyncio.get_running_loop(), wanted
        async with AsyncExitStack() as opened:
            while (flight := self._reads.get(key)) is not None and not flight.watch.overtaken:
                landing = await flight.follow()
                if landing is not NotShared.AGAIN:
                    if isinstance(landing, Kept):
                        self._count("shared")
                    yield await self._landed(opened, wanted, landing)
                    return
            yield await self._lead(opened, key)

    async def _landed(
        self, opened: AsyncExitStack, wanted: _Read, landing: Landing
    ) -> ObjectReader:
        """What somebody else's read has brought for this caller."""
        if isinstance(landing, StorageError):
            raise fresh(landing) from None
        if isinstance(landing, Kept):
            return self._held(opened, landing)
        with self._watching(Watch(frozenset({wanted.path}))) as watch:
            reader, _ = await self._read(opened, wanted, watch)
        return reader

    async def _lead(self, opened: AsyncExitStack, key: tuple[_Loop, _Read]) -> ObjectReader:
        """Read for all who ask the same meanwhile."""
        with self._watching(Watch(frozenset({key[1].path}))) as watch:
            flight = self._reads[key] = ReadFlight(self._objects, watch)
            try:
                reader, kept = await self._read(opened, key[1], watch)
                flight.land(kept or NotShared.ALONE)
            except StorageError as error:
                flight.land(fresh(error))
                raise
            finally:
                flight.land(NotShared.AGAIN)
                if self._reads.get(key) is flight:
                    del self._reads[key]
        return reader

    async def _read(
        self, opened: AsyncExitStack, wanted: _Read, watch: Watch
    ) -> tuple[ObjectReader, Kept | None]:
        """Ask the store; what the read holds, in memory or of connections, is `opened`'s."""
        async with AsyncExitStack() as connection:
            answer = await self._ask(connection, wanted)
            self._count("confirmed" if isinstance(answer, Kept) else "fetched")
            if isinstance(answer, Kept):
                return self._held(opened, answer), answer
            kept = self._room_for(answer.meta)
            if kept is None:
                await opened.enter_async_context(connection.pop_all())
                return answer, None
            opened.callback(self._objects.release, kept)
            chunks, whole = await _collected(answer)
            if not whole:
                await opened.enter_async_context(connection.pop_all())
                return ObjectReader(answer.meta, _chained(chunks, answer.chunks)), None
            kept.chunks = tuple(chunks)
        if not watch.overtaken:
            self._objects.remember(kept)
        return kept.reader(), kept

    async def _ask(self, connection: AsyncExitStack, wanted: _Read) -> ObjectReader | Kept:
        """The store's answer, or what it has confirmed, which is held."""
        path = wanted.path
        with ExitStack() as held:
            known = self._objects.hold(path)
            if known is not None:
                held.callback(self._objects.release, known)
            asked = wanted
            if known is not None and wanted.is_answered_by(known):
                asked = _Read(path, None, known.meta.version)
            try:
                reader = await connection.enter_async_context(
                    self.inner.get(path, if_match=asked.if_match, if_none_match=asked.if_none_match)
                )
            except NotFoundError:
                self._objects.drop(path)
                raise
            except NotModifiedError:
                if known is None or asked is wanted:
                    raise
                held.pop_all()
                return known
            if known is not None:
                self._objects.refresh(known, reader.meta)
        if asked is not wanted:
            check_read(path, reader.meta, wanted.if_match)
        return reader

    def _count(self, result: str) -> None:
        CACHE_READS.labels(self.provider, result).inc()

    def _held(self, opened: AsyncExitStack, kept: Kept) -> ObjectReader:
        opened.callback(self._objects.release, kept)
        return kept.reader()

    def _room_for(self, meta: ObjectMeta) -> Kept | None:
        return self._objects.reserve(meta) if meta.size <= self.max_object_bytes else None

    def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        def list_from(path: str | None) -> AsyncIterator[ListPage]:
            return self.inner.list_pages(
                prefix, delimiter=delimiter, start_after=path, page_size=page_size
            )

        return self._listings.pages(
            (prefix, delimiter, page_size),
            prefix,
            list_from,
            start_after=start_after,
            ordered=self.capabilities.ordered_listing,
        )

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        was_read = path in self._objects
        with self._writing(path) as watch:
            meta = await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )
        if was_read and not watch.overtaken:
            self._replace(meta, data)
        return meta

    def _replace(self, meta: ObjectMeta, data: bytes) -> None:
        kept = self._room_for(meta)
        if kept is not None:
            # Of a bytearray, which its owner may change, this is a copy.
            kept.chunks = (bytes(data),) if data else ()
            self._objects.remember(kept)
            self._objects.release(kept)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        with self._writing(path):
            await self.inner.delete(path, condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        paths = list(paths)
        with self._writing(*paths):
            await self.inner.delete_many(paths, versions=versions)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        with self._writing(target):
            return await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        with self._writing(source.path, target):
            return await self.inner.move(source, target, condition=condition)

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

    async def aclose(self) -> None:
        self._objects.clear()
        await self.inner.aclose()

    @contextlib.contextmanager
    def _watching(self, watch: Watch) -> Iterator[Watch]:
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    @contextlib.contextmanager
    def _writing(self, *paths: str) -> Iterator[Watch]:
        """However the block ends, what was known of `paths`, or is being asked, may be old."""
        watch = Watch(frozenset(paths))
        try:
            with self._watching(watch):
                yield watch
        finally:
            for path in paths:
                self._note_write(path)

    def _note_write(self, path: str) -> None:
        # On a disk a write makes the folders above it, which a read may show as markers.
        written = [path, *(folder + "/" for folder in _folders_above(path))]
        watches = [*self._watches, *self._listings.watches]
        for name in written:
            self._objects.drop(name)
            for watch in watches:
                watch.note_write(name)


class _CachedUpload(WrapperUpload):
    def __init__(self, storage: CacheStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._storage._writing(self.path):
            return await self.inner.complete(condition=condition)


async def _collected(reader: ObjectReader) -> tuple[deque[bytes], bool]:
    """The chunks of a read, and whether they are all of it; never much more than it told."""
    chunks: deque[bytes] = deque()
    received = 0
    async for chunk in reader.chunks:
        chunks.append(bytes(chunk))
        received += len(chunk)
        if received > reader.meta.size:
            break
    return chunks, received == reader.meta.size


async def _chained(chunks: deque[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while chunks:
        yield chunks.popleft()
    async for chunk in rest:
        yield chunk


def _folders_above(path: str) -> Iterator[str]:
    folder = parent_of(path)
    while folder:
        yield folder
        folder = parent_of(folder)
