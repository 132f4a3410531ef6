"""The Range header of a request (RFC 9110, section 14): what is asked for, what it comes to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from ..storage.types import ByteRange

_RANGE = re.compile(
    r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Suffix:
    """The last `length` bytes; of fewer, all."""

    length: int

    def of(self, size: int) -> ByteRange | None:
        """Which bytes that are of an object of `size` bytes; None: none at all."""
        length = min(self.length, size)
        return ByteRange(size - length, size) if length else None


WantedRange: TypeAlias = ByteRange | Suffix


def wanted_range(header: str | None) -> WantedRange | None:
    """The one range asked for; None: the whole.

    What else the header may hold (several ranges, another unit, nonsense) counts as not
    given, as the RFC allows.
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = match["first"], match["last"]
    if not first:
        return Suffix(int(last)) if last else None
    if last and int(last) < int(first):
        return None
    return ByteRange(int(first), int(last) + 1 if last else None)


def content_range(byte_range: ByteRange, size: int) -> str:
    """The header of an answer with what there is of `byte_range`, which begins before the end."""
    return f"bytes {byte_range.start}-{stop_of(byte_range, size) - 1}/{size}"


def stop_of(byte_range: ByteRange, size: int) -> int:
    """Where `byte_range` ends, exclusive, in an object of `size` bytes."""
    return size if byte_range.stop is None else min(byte_range.stop, size)
