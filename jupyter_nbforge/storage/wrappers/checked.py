"""Compares the bytes of a read with the SHA-256 that a save has kept with their object."""

from __future__ import annotations

import asyncio
import hashlib

from ..types import ByteRange, ObjectMeta

_LARGE = 2**18
"""Bytes from which a digest is worth a thread."""


class Check:
    """Takes the bytes of a read as they come; of a part, or without a SHA-256, all fit.

    A store's own checksum, where it has one, covers no read that was put together from two.
    """

    def __init__(self, meta: ObjectMeta, byte_range: ByteRange | None) -> None:
        known = meta.content_hash
        whole = byte_range is None and known is not None and known.algorithm == "sha256"
        self._expected = known.value if known is not None and whole else None
        self._digest = hashlib.sha256()

    async def add(self, chunk: bytes) -> None:
        """The next bytes."""
        if self._expected is None:
            return
        if len(chunk) > _LARGE:
            await asyncio.to_thread(self._digest.update, chunk)
        else:
            self._digest.update(chunk)

    @property
    def fits(self) -> bool:
        """Whether what has come, up to now, is what was saved."""
        return self._expected in (None, self._digest.hexdigest())

    @property
    def digest(self) -> bytes:
        """The SHA-256 of what has come."""
        return self._digest.digest()
