"""Digests of what lies in a store, by reading it."""

from __future__ import annotations

import asyncio
import hashlib

from .base import BaseStorageService
from .types import ObjectMeta, ObjectReader


async def digest_of(storage: BaseStorageService, meta: ObjectMeta) -> bytes:
    """The SHA-256 of the bytes of that version; `PreconditionError` if it has gone."""
    async with storage.get(meta.path, if_match=meta.version) as reader:
        return await digest_of_rest(reader)


async def digest_of_rest(reader: ObjectReader) -> bytes:
    """The SHA-256 of the bytes that are still to come."""
    digest = hashlib.sha256()
    async for chunk in reader.chunks:
        await asyncio.to_thread(digest.update, chunk)
    return digest.digest()
