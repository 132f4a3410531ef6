"""The reference provider: objects in the memory of this process."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any
from urllib.parse import SplitResult

from traitlets import Bool, Int

from .base import BaseStorageService, MultipartUpload, check_read, check_write
from .errors import NotFoundError, StorageError
from .metadata import MTIME, parse_hash, parse_mtime, parse_saver
from .paths import check_path
from .types import (
    ByteRange,
    Capabilities,
    IfMatch,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .values import chunks_of


@dataclass(frozen=True, slots=True)
class _Stored:
    meta: ObjectMeta
    data: bytes


class MemoryStorage(BaseStorageService):
    """Objects in a dictionary, gone with the process. For tests, demos and as the reference."""

    page_size = Int(1000, min=1, config=True, help="Entries per page of a listing.")
    atomic_move = Bool(
        False, help="Whether a move is one step, as on Google's store, and not a copy and a delete."
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._objects: dict[str, _Stored] = {}
        self._versions = itertools.count(1)

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        return {"prefix": (url.netloc + url.path).strip("/")}

    @property
    def url(self) -> str:
        return "memory://"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(atomic_move=self.atomic_move)

    def _find(self, path: str) -> _Stored:
        check_path(path)
        try:
            return self._objects[path]
        except KeyError:
            raise NotFoundError(f"{path!r} does not exist.", path=path) from None

    def _check(self, path: str, condition: WriteCondition | None) -> None:
        check_path(path)
        stored = self._objects.get(path)
        check_write(path, None if stored is None else stored.meta, condition)

    async def head(self, path: str) -> ObjectMeta:
        return self._find(path).meta

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        return self._open(path, byte_range, if_match, if_none_match)

    @asynccontextmanager
    async def _open(
        self,
        path: str,
        byte_range: ByteRange | None,
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> AsyncIterator[ObjectReader]:
        stored = self._find(path)
        check_read(path, stored.meta, if_match, if_none_match)
        data = stored.data
        if byte_range is not None:
            data = data[byte_range.start : byte_range.stop]
        yield ObjectReader(stored.meta, chunks_of(data))

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        self._check(path, condition)
        kept = dict(metadata or {})
        meta = ObjectMeta(
            path=path,
            size=len(data),
            last_modified=parse_mtime(kept.get(MTIME)) or datetime.now(timezone.utc),
            version=self._next_version(),
            content_type=content_type,
            content_hash=parse_hash(kept),
            saved_by=parse_saver(kept),
        )
        self._objects[path] = _Stored(meta, bytes(data))
        return meta

    def _next_version(self) -> Version:
        return Version(str(next(self._versions)))

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        self._check(path, condition)
        self._objects.pop(path, None)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        entries = self._entries(prefix, delimiter, start_after)
        size = min(page_size or self.page_size, self.page_size)
        while batch := list(itertools.islice(entries, size)):
            yield ListPage(
                objects=tuple(entry for entry in batch if isinstance(entry, ObjectMeta)),
                prefixes=tuple(entry for entry in batch if isinstance(entry, str)),
            )

    def _entries(
        self, prefix: str, delimiter: str | None, start_after: str | None
    ) -> Iterator[ObjectMeta | str]:
        matching = [path for path in self._objects if path.startswith(prefix)]
        folded = ""
        for path in sorted(matching, key=lambda path: path.encode()):
            if start_after is not None and path.encode() <= start_after.encode():
                continue
            if folded and path.startswith(folded):
                continue
            rest = path[len(prefix) :]
            if delimiter is not None and delimiter in rest:
                folded = prefix + rest[: rest.index(delimiter) + len(delimiter)]
                yield folded
            elif path in self._objects:
                yield self._objects[path].meta

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        stored = self._find(source)
        check_read(source, stored.meta, source_version)
        self._check(target, condition)
        meta = replace(stored.meta, path=target, version=self._next_version())
        self._objects[target] = _Stored(meta, stored.data)
        return meta

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        if not self.atomic_move or source.path == target:
            return await super().move(source, target, condition=condition)
        # Nothing here gives way to another task.
        moved = await self.copy(
            source.path, target, condition=condition, source_version=source.version
        )
        del self._objects[source.path]
        return moved

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        check_path(path)
        return _MemoryUpload(self, path, content_type, metadata)


class _MemoryUpload(MultipartUpload):
    def __init__(
        self,
        storage: MemoryStorage,
        path: str,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
    ) -> None:
        super().__init__(path)
        self._storage = storage
        self._content_type = content_type
        self._metadata = metadata
        self._parts: dict[int, bytes] = {}

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        del more
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)
        self._parts[number] = bytes(data)

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)
        if not self._parts:
            raise StorageError(f"The upload of {self.path!r} has no part.", path=self.path)
        meta = await self._storage.put(
            self.path,
            b"".join(self._parts[number] for number in sorted(self._parts)),
            condition=condition,
            content_type=self._content_type,
            metadata=self._metadata,
        )
        self._ended = True
        return meta

    async def abort(self) -> None:
        self._ended = True
        self._parts.clear()
