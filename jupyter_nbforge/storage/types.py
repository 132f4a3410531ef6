"""Values that cross the storage interface: immutable, slotted, free of any SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NewType, TypeAlias, TypedDict

Version = NewType("Version", str)
"""Opaque change token of one object (an ETag, a generation). Compare for equality only."""


@dataclass(frozen=True, slots=True)
class ContentHash:
    """A digest of an object's bytes.

    `algorithm` is a lower-case name (``sha256``, ``md5``, ``crc32c``), `value` the
    lower-case hexadecimal digest. Two hashes are comparable only if both fields are.
    """

    algorithm: str
    value: str


@dataclass(frozen=True, slots=True)
class ObjectMeta:
    """What is known of one stored object without its bytes.

    `path` is relative to the storage's prefix; `size` is in bytes and always that of the
    whole object. `last_modified` is timezone-aware UTC: the `mtime` kept in the object's
    metadata where the request showed it, else the store's own time. `content_type` and
    `content_hash` are None where the request (a listing, say) does not tell them. `saved_by`
    is who has saved it, where its metadata says so.
    """

    path: str
    size: int
    last_modified: datetime
    version: Version
    content_type: str | None = None
    content_hash: ContentHash | None = None
    saved_by: str | None = None


def renamed(meta: ObjectMeta, path: str) -> ObjectMeta:
    """`meta` under another path; `dataclasses.replace` takes several times as long."""
    return ObjectMeta(
        path,
        meta.size,
        meta.last_modified,
        meta.version,
        meta.content_type,
        meta.content_hash,
        meta.saved_by,
    )


@dataclass(frozen=True, slots=True)
class IfAbsent:
    """Write only where no object exists; else `AlreadyExistsError`."""


@dataclass(frozen=True, slots=True)
class IfMatch:
    """Write only over this version; else, also where nothing exists, `PreconditionError`."""

    version: Version


WriteCondition: TypeAlias = IfAbsent | IfMatch


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` (inclusive, from 0) to `stop` (exclusive; None: to the end)."""

    start: int
    stop: int | None = None

    def __post_init__(self) -> None:
        if self.start < 0 or (self.stop is not None and self.stop <= self.start):
            raise ValueError(f"not a byte range: {self.start} to {self.stop}")


@dataclass(frozen=True, slots=True)
class ListPage:
    """One page of a listing: objects, and with a delimiter the prefixes that end in it."""

    objects: tuple[ObjectMeta, ...] = ()
    prefixes: tuple[str, ...] = ()


_LARGE = 2**20
"""Bytes; to put more together, the event loop is left: they are copied without the
interpreter's lock."""


@dataclass(frozen=True, slots=True)
class ObjectReader:
    """An open read: the object's metadata and its bytes (or the range's) in chunks."""

    meta: ObjectMeta
    chunks: AsyncIterator[bytes]

    async def read(self) -> bytes:
        """All the remaining bytes."""
        parts = [chunk async for chunk in self.chunks]
        if len(parts) == 1:
            return parts[0]
        if sum(map(len, parts)) > _LARGE:
            return await asyncio.to_thread(b"".join, parts)
        return b"".join(parts)


class LinkOptions(TypedDict, total=False):
    """What may be asked of a presigned URL beside its lifetime.

    `method` is what the URL is for; default GET. `content_type`: of a GET, what the answer
    says; of a PUT, what the client must send. `filename` (GET only): the answer is a download
    of that name.
    """

    method: Literal["GET", "PUT"]
    content_type: str | None
    filename: str | None


class NotebookInfo(TypedDict):
    """One notebook of `list_notebooks`; `size` in bytes, `last_modified` aware UTC."""

    path: str
    last_modified: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider can honour. Data, not methods: callers choose before they ask.

    A flag that is False means that the matching option raises `NotSupportedError`. Where
    one of the `conditional_*` flags is False a provider may instead meet a condition by a
    look before the write, which leaves a moment in which another writer can come between;
    it then says so once in the log. One that finds out only at the first such write says
    True until then.
    """

    conditional_put: bool = True
    conditional_delete: bool = True
    conditional_copy: bool = True
    multipart: bool = True
    presigned_urls: bool = False
    presigned_put_headers: tuple[tuple[str, str], ...] = ()
    """Header names and values that a client must send to a presigned URL for PUT."""
    presigned_content_type: bool = True
    """Whether a presigned URL for PUT can demand a content type."""
    max_link_seconds: int = 7 * 24 * 3600
    """How long a presigned URL may live."""
    atomic_move: bool = False
    """Whether `move` is one step of the store's, with one request."""
    replaceable_parts: bool = True
    """Whether a part of a multipart upload that was sent can be sent again with other bytes.

    Where not (parts are a stream), that is a `NotSupportedError`; the same bytes are fine."""
    user_metadata: bool = True
    """Metadata and content type given to `put` are kept, so `mtime` and `sha256` survive.

    Where not, they are dropped without an error: every save gives some."""
    checked_writes: bool = False
    """What is sent carries a checksum, and the store refuses what does not arrive as it was."""
    ordered_listing: bool = True
    """Pages come in byte order of the paths, and `start_after` is supported."""
    file_beside_folder: bool = True
    """A path `a` and a path `a/b` can exist at once.

    Where not, the second is refused with `AlreadyExistsError`, and every folder has a marker
    of itself (a directory), listed like one that was written."""
    min_part_size: int = 1
    """Bytes; every part of a multipart upload but the last has at least so many."""
    max_part_size: int = 5 * 2**30
    max_parts: int = 10_000
    max_put_size: int = 5 * 2**30
    """Bytes that one `put` takes; larger objects need a multipart upload."""
    max_path_bytes: int = 1024
    """Length of a path in UTF-8, the prefix of the storage included."""
