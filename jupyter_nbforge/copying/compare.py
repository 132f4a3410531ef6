"""Whether an object at the target is what the source would make of it."""

from __future__ import annotations

from ..storage.base import BaseStorageService
from ..storage.digests import digest_of
from ..storage.types import ContentHash, ObjectMeta

_STRONG = frozenset({"sha256", "md5"})


async def is_equal(
    source: BaseStorageService, meta: ObjectMeta, target: BaseStorageService, found: ObjectMeta
) -> bool:
    """Whether two objects have the same content; `meta` may be of a listing, `found` of a head.

    Equal hashes tell, or the same size and time, as a copy leaves them. Where neither is so,
    a file on a disk is read: that costs no download.
    """
    if meta.size != found.size:
        return False
    if source.capabilities.user_metadata:
        meta = await source.head(meta.path)
        if meta.size != found.size:
            return False
    by_hash = _same_hash(meta.content_hash, found.content_hash)
    if by_hash is not None:
        return by_hash
    if meta.last_modified == found.last_modified:
        return True
    one = await _sha256(source, meta)
    return one is not None and one == await _sha256(target, found)


def _same_hash(one: ContentHash | None, other: ContentHash | None) -> bool | None:
    """None if the hashes cannot tell."""
    if one is None or other is None or one.algorithm != other.algorithm:
        return None
    return one == other if one.algorithm in _STRONG or one != other else None


async def _sha256(storage: BaseStorageService, meta: ObjectMeta) -> str | None:
    if meta.content_hash is not None and meta.content_hash.algorithm == "sha256":
        return meta.content_hash.value
    if storage.capabilities.user_metadata:
        return None
    return (await digest_of(storage, meta)).hex()
