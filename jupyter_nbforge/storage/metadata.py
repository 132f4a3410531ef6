"""What we keep in an object's own metadata: its time and its hash, and where known who saved it.

A store's own time is not returned by a PUT, changes with a copy and is cut to seconds on
some; its checksum differs from provider to provider. So a save writes both into the
object's user metadata, from where they survive copies and renames. The names have no
``-`` because Azure refuses it in metadata names, and no ``_`` because nginx, which stands
before many a store, drops such headers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from urllib.parse import quote, unquote

from .types import ContentHash

MTIME = "mtime"
"""Seconds since the epoch as a decimal string: the convention that rclone uses."""

SHA256 = "sha256"
"""Lower-case hexadecimal SHA-256 of the object's bytes."""

SAVED_BY = "savedby"
"""The name of who saved the object, percent-encoded as in a URL: metadata is plain ASCII."""

_LONGEST = 18
"""Digits of seconds that are read at all; Python reads no number of thousands of digits."""

_LONGEST_NAME = 256

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def format_mtime(moment: datetime) -> str:
    """`moment` (aware) as seconds since the epoch with six decimals, exactly."""
    micros = (moment - _EPOCH) // timedelta(microseconds=1)
    sign, micros = ("-", -micros) if micros < 0 else ("", micros)
    return f"{sign}{micros // 1_000_000}.{micros % 1_000_000:06d}"


def parse_mtime(text: str | None) -> datetime | None:
    """The moment that `format_mtime` (or rclone, to the nanosecond) wrote; None if unreadable."""
    if text is None:
        return None
    negative = text.startswith("-")
    whole, _, fraction = text.lstrip("-").partition(".")
    if len(whole) > _LONGEST or not (text.isascii() and whole.isdigit()):
        return None
    if fraction and not fraction.isdigit():
        return None
    micros = int(whole) * 1_000_000 + int((fraction + "000000")[:6])
    try:
        return _EPOCH + timedelta(microseconds=-micros if negative else micros)
    except OverflowError:
        return None


def parse_hash(metadata: Mapping[str, str]) -> ContentHash | None:
    """The hash that `stamp` wrote, or None."""
    value = metadata.get(SHA256, "")
    hexadecimal = len(value) == 64 and not set(value) - set("0123456789abcdef")
    return ContentHash("sha256", value) if hexadecimal else None


def format_saver(name: str) -> dict[str, str]:
    """The metadata that says who saves; of a name that is none or too long, nothing."""
    encoded = quote(name, safe="@ ")
    return {SAVED_BY: encoded} if 0 < len(encoded) <= _LONGEST_NAME else {}


def parse_saver(metadata: Mapping[str, str]) -> str | None:
    """The name that `format_saver` wrote; None if there is none that can be shown to people."""
    encoded = metadata.get(SAVED_BY, "")
    if len(encoded) > _LONGEST_NAME:
        return None
    name = unquote(encoded).strip()
    return name if name and name.isprintable() else None


def sha256_of(data: bytes) -> str:
    """As it stands in the metadata. Call it off the event loop."""
    return hashlib.sha256(data).hexdigest()


def stamp(data: bytes, moment: datetime | None = None) -> dict[str, str]:
    """The metadata of a save of `data` at `moment` (default: now). Call it off the event loop."""
    moment = moment or datetime.now(timezone.utc)
    return {MTIME: format_mtime(moment), SHA256: sha256_of(data)}
