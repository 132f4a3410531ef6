"""Objects that are held in memory, and the bound on all of them together."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from cachetools import LRUCache

from ..types import ObjectMeta, ObjectReader

_OVERHEAD = 1024
"""Bytes that an object counts for beside its own: so the number of the smallest is bounded too."""


@dataclass(eq=False, slots=True)
class Kept:
    """One version of an object in memory: what a `get` shows of it, and its bytes in chunks."""

    meta: ObjectMeta
    chunks: tuple[bytes, ...] = ()
    holders: int = 0
    """How many reads use it just now."""
    remembered: bool = False

    @property
    def cost(self) -> int:
        """What it counts for, from before its bytes have come."""
        return self.meta.size + _OVERHEAD

    def reader(self) -> ObjectReader:
        """A read of it; the chunks are given out as they are, without a copy."""
        return ObjectReader(self.meta, _given(self.chunks))


async def _given(chunks: tuple[bytes, ...]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


class KeptObjects:
    """Objects by path, together at most `limit()` bytes; the one least recently used goes first.

    What a read holds counts until the read is closed, be it remembered or not: slow readers
    of many objects take no more memory than the limit either. May be used from any thread.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._table: LRUCache[str, Kept] = LRUCache(math.inf)
        self._used = 0
        self._in_use = 0
        # A finalizer that releases something may run within any of the methods below.
        self._guard = threading.RLock()

    def __contains__(self, path: str) -> bool:
        return path in self._table

    @property
    def used(self) -> int:
        """Bytes that count at this moment."""
        return self._used

    def find(self, path: str) -> Kept | None:
        """What is remembered of `path`."""
        with self._guard:
            return self._table.get(path)

    def hold(self, path: str) -> Kept | None:
        """As `find`, and held; `release` must follow."""
        with self._guard:
            kept = self._table.get(path)
            if kept is not None:
                self.hold_again(kept)
            return kept

    def hold_again(self, kept: Kept, times: int = 1) -> None:
        """Hold what is remembered or held already."""
        with self._guard:
            if kept.holders == 0 and times:
                self._in_use += kept.cost
            kept.holders += times

    def release(self, kept: Kept) -> None:
        with self._guard:
            kept.holders -= 1
            if kept.holders == 0:
                self._in_use -= kept.cost
                if not kept.remembered:
                    self._used -= kept.cost

    def reserve(self, meta: ObjectMeta) -> Kept | None:
        """Room for the bytes of `meta`, held by the caller; None if there is none."""
        kept = Kept(meta)
        with self._guard:
            if self._in_use + kept.cost > self._limit():
                return None
            while self._table and self._used + kept.cost > self._limit():
                self._forget(self._table.popitem()[1])
            self._used += kept.cost
            self.hold_again(kept)
        return kept

    def remember(self, kept: Kept) -> None:
        """Find it under its path from now on, in place of what was there."""
        with self._guard:
            self.drop(kept.meta.path)
            kept.remembered = True
            self._table[kept.meta.path] = kept

    def refresh(self, kept: Kept, meta: ObjectMeta) -> None:
        """Take note that `meta` is what the store shows of the object that `kept` was seen as."""
        with self._guard:
            if self._table.get(meta.path) is not kept:
                return
            if kept.meta.version == meta.version and kept.meta.size == meta.size:
                kept.meta = meta
            else:
                self.drop(meta.path)

    def drop(self, path: str) -> None:
        with self._guard:
            kept = self._table.pop(path, None)
            if kept is not None:
                self._forget(kept)

    def clear(self) -> None:
        with self._guard:
            for path in list(self._table):
                self.drop(path)

    def _forget(self, kept: Kept) -> None:
        kept.remembered = False
        if kept.holders == 0:
            self._used -= kept.cost
