"""Recognises in the store what an earlier attempt of ours wrote before its answer was lost."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..base import BaseStorageService
from ..digests import digest_of
from ..errors import NotFoundError, PreconditionError
from ..metadata import MTIME, parse_hash, parse_mtime
from ..types import ContentHash, ObjectMeta, Version

_STRONG = frozenset({"sha256", "md5"})


@dataclass(slots=True)
class Sent:
    """What a write has sent, as much of it as is needed to know it again.

    The `mtime` (to the microsecond) and the SHA-256 in a save's metadata tell at once, of an
    upload in parts the `mtime`. Where they are not given, or not shown by the store, the bytes
    decide, by the digest of each part.
    """

    metadata: Mapping[str, str]
    keeps_metadata: bool
    _parts: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    async def add(self, number: int, data: bytes) -> None:
        """Note part `number`; a part that was sent again counts once."""
        digest = b""
        if self._mtime() is None or parse_hash(self.metadata) is not None:
            digest = await asyncio.to_thread(lambda: hashlib.sha256(data).digest())
        self._parts[number] = (len(data), digest)

    async def found(self, storage: BaseStorageService, path: str) -> ObjectMeta | None:
        """The metadata of the object at `path` if it is what was sent, else None."""
        try:
            meta = await storage.head(path)
            if meta.size != sum(size for size, _ in self._parts.values()):
                return None
            same = self._is_stamped_on(meta)
            if same is None:
                same = await self._is_content_of(storage, meta)
        except (NotFoundError, PreconditionError):
            return None
        return meta if same else None

    def _is_stamped_on(self, meta: ObjectMeta) -> bool | None:
        """Whether `meta` shows our metadata; None if it cannot tell."""
        mtime, content_hash = self._mtime(), parse_hash(self.metadata)
        if mtime is None:
            return None
        if content_hash is not None:
            same = _is_same_hash(content_hash, meta.content_hash)
            if not same:
                return same
        return meta.last_modified == mtime

    def _mtime(self) -> datetime | None:
        return parse_mtime(self.metadata.get(MTIME)) if self.keeps_metadata else None

    async def _is_content_of(self, storage: BaseStorageService, meta: ObjectMeta) -> bool:
        parts = [self._parts[number] for number in sorted(self._parts)]
        async with storage.get(meta.path, if_match=meta.version) as reader:
            rest = memoryview(b"")
            for size, digest in parts:
                hasher, left = hashlib.sha256(), size
                while left > 0:
                    if not rest:
                        rest = memoryview(await anext(reader.chunks, b""))
                    if not rest:
                        return False
                    await asyncio.to_thread(hasher.update, rest[:left])
                    left, rest = left - len(rest[:left]), rest[left:]
                if hasher.digest() != digest:
                    return False
        return True


async def copied(
    storage: BaseStorageService, source: str, target: str, source_version: Version | None
) -> ObjectMeta | None:
    """The metadata of `target` if it has the content of `source` (at that version), else None."""
    try:
        original, meta = await storage.head(source), await storage.head(target)
        if original.size != meta.size or source_version not in (None, original.version):
            return None
        same = _is_same_hash(original.content_hash, meta.content_hash)
        if same is None:
            ours = await digest_of(storage, original)
            same = ours == await digest_of(storage, meta)
    except (NotFoundError, PreconditionError):
        return None
    return meta if same else None


async def moved(storage: BaseStorageService, source: ObjectMeta, target: str) -> ObjectMeta | None:
    """The metadata of `target` if `source` has gone and `target` is what it was, else None.

    The source is no more, so a hash that moves along has to tell, be it a weak one: nothing
    is lost by a mistake. The time does not, for it is the store's own where another tool
    has written the object.
    """
    try:
        await storage.head(source.path)
    except NotFoundError:
        pass
    else:
        return None
    try:
        meta = await storage.head(target)
    except NotFoundError:
        return None
    known = source.content_hash is not None and source.content_hash == meta.content_hash
    return meta if known and meta.size == source.size else None


def _is_same_hash(one: ContentHash | None, other: ContentHash | None) -> bool | None:
    if one is None or other is None or one.algorithm != other.algorithm:
        return None
    return one == other if one.algorithm in _STRONG or one != other else None
