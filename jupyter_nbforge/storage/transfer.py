"""One object from a storage to another: streamed, and compared at both ends.

What arrives cannot be compared with the source by the stores' own checksums, for each store
has another. So the bytes are compared twice: when they come with what the source tells of
them, and when they are written with what was sent.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass

from .base import NOTEBOOK_CONTENT_TYPE, BaseStorageService, MultipartUpload
from .digests import digest_of, digest_of_rest
from .errors import PreconditionError, StorageError, TooLargeError, UnavailableError
from .metadata import MTIME, SHA256, format_mtime, format_saver
from .paths import DELIMITER, FOLDER_CONTENT_TYPE
from .types import (
    ByteRange,
    Capabilities,
    IfMatch,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .workers import Together

PART_SIZE = 8 * 2**20
"""Bytes; a larger object is sent in parts."""

_LARGE = 2**18
"""Bytes from which a digest is worth a thread."""


async def transfer(
    source: BaseStorageService,
    source_path: str,
    target: BaseStorageService,
    target_path: str,
    *,
    condition: WriteCondition | None = None,
    source_version: Version | None = None,
    progress: Callable[[int], None] | None = None,
) -> ObjectMeta:
    """Copy an object into another storage; returns its metadata there.

    It keeps its bytes, its time, its content type, who saved it, and its SHA-256; one that is
    not known yet is taken on the way, if the object goes as one write or comes from a disk.
    Memory holds two parts at most, of `PART_SIZE` or what the target's limits make of it; all
    of the object where the target takes no parts.

    `condition` is on the target, `source_version` on the source. `progress` is told how many
    bytes more were sent; a negative number takes back those that are sent again.

    The bytes have been compared when this returns: those that were read with the size and the
    hash that the source tells, those that arrived with what was sent, by the store's own
    check (`checked_writes`) or else by reading them. What differs is an `UnavailableError`,
    and nothing of it stays at the target. Otherwise errors are those of `get`, `put` and
    `complete`; an upload that does not end is aborted.
    """
    way = _Way(source, target, target_path, condition, progress or _ignore)
    try:
        return await way.go(source_path, source_version)
    except _OtherHashError as found:
        # The object's metadata told the hash of other bytes. Now the right one is known.
        return await way.go(source_path, found.version, found.sha256)


class _OtherHashError(Exception):
    """The bytes of that version have this SHA-256, and not the one that went ahead of them."""

    def __init__(self, version: Version, sha256: str) -> None:
        super().__init__(sha256)
        self.version = version
        self.sha256 = sha256


class _Body:
    """The bytes of an open read in parts, counted and digested as they come."""

    def __init__(self, reader: ObjectReader, part_size: int) -> None:
        self.meta = reader.meta
        self.size = 0
        self._chunks = reader.chunks
        self._part_size = part_size
        self._sha256 = hashlib.sha256()
        self._told = reader.meta.content_hash
        md5 = self._told is not None and self._told.algorithm == "md5"
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None

    @property
    def sha256(self) -> str:
        """Of the bytes that have come, lower-case hexadecimal."""
        return self._sha256.hexdigest()

    @property
    def more(self) -> bool:
        """Whether bytes are still to come."""
        return self.size < self.meta.size

    async def parts(self) -> AsyncGenerator[bytes, None]:
        """All bytes, the part's size at a time, the last part smaller; one part if there are none.

        Memory holds one part beside the chunk that comes in.
        """
        waiting: list[memoryview] = []
        room = self._part_size
        async for chunk in self._chunks:
            view = memoryview(chunk)
            while len(view) >= room:
                waiting.append(view[:room])
                view = view[room:]
                yield await self._joined(waiting)
                waiting, room = [], self._part_size
            if view:
                waiting.append(view)
                room -= len(view)
        if waiting or not self.size:
            yield await self._joined(waiting)

    async def _joined(self, pieces: list[memoryview]) -> bytes:
        size = sum(map(len, pieces))
        self.size += size
        large = size > _LARGE
        return await asyncio.to_thread(self._join, pieces) if large else self._join(pieces)

    def _join(self, pieces: list[memoryview]) -> bytes:
        data = b"".join(pieces)
        self._sha256.update(data)
        if self._md5 is not None:
            self._md5.update(data)
        return data

    def fits(self) -> bool:
        """Whether the bytes that have come have the hash that their object tells, if one."""
        if self._told is None:
            return True
        if self._md5 is not None:
            return self._told.value == self._md5.hexdigest()
        return self._told.algorithm != "sha256" or self._told.value == self.sha256


@dataclass(frozen=True, slots=True)
class _Way:
    source: BaseStorageService
    target: BaseStorageService
    path: str
    """Of the object at the target."""

    condition: WriteCondition | None
    progress: Callable[[int], None]

    async def go(
        self, source_path: str, version: Version | None, sha256: str | None = None
    ) -> ObjectMeta:
        """Carry the object over; `sha256` is that of its bytes, where its metadata is wrong."""
        limits = self.target.capabilities
        upload: MultipartUpload | None = None
        data = b""
        try:
            # Open only as long as bytes come: a write that waits for its turn behind reads that
            # wait for writes would wait for ever.
            async with self.source.get(source_path, if_match=version) as reader:
                body = _Body(reader, _part_size(reader.meta, limits))
                if not _is_whole(reader.meta, limits):
                    sha256 = sha256 or await self._sha256_before(reader.meta)
                    upload = await self._begin(reader.meta, sha256)
                    await self._send(upload, body)
                else:
                    async with aclosing(body.parts()) as parts:
                        data = b"".join([part async for part in parts])
            await self._check_source(body)
            if upload is None:
                written = await self._put(body, data)
            elif sha256 not in (None, body.sha256):
                self.progress(-body.size)
                raise _OtherHashError(body.meta.version, body.sha256)
            else:
                written = await upload.complete(condition=self.condition)
        except BaseException:
            # Whatever ended it, a cancelled call too: parts that nobody completes cost money.
            if upload is not None:
                await self._abort(upload)
            raise
        await self._check_target(written, body)
        return written

    async def _put(self, body: _Body, data: bytes) -> ObjectMeta:
        written = await self.target.put(
            self.path,
            data,
            condition=self.condition,
            content_type=self._content_type(body.meta),
            metadata=_metadata(body.meta, body.sha256),
        )
        self.progress(body.size)
        return written

    def _content_type(self, meta: ObjectMeta) -> str | None:
        if meta.content_type is None and self.path.endswith(DELIMITER):
            return FOLDER_CONTENT_TYPE
        if meta.content_type is None and self.path.endswith(".ipynb"):
            return NOTEBOOK_CONTENT_TYPE
        return meta.content_type

    async def _sha256_before(self, meta: ObjectMeta) -> str | None:
        """The hash that goes ahead of an upload in parts; None if it would cost a download."""
        told = meta.content_hash
        if told is not None and told.algorithm == "sha256":
            return told.value
        on_disk = not self.source.capabilities.user_metadata
        if on_disk and self.target.capabilities.user_metadata:
            return (await digest_of(self.source, meta)).hex()
        return None

    async def _begin(self, meta: ObjectMeta, sha256: str | None) -> MultipartUpload:
        """An upload in parts. To cancel its beginning would leave one that nobody can name."""
        beginning = asyncio.ensure_future(
            self.target.create_multipart_upload(
                self.path,
                content_type=self._content_type(meta),
                metadata=_metadata(meta, sha256),
            )
        )
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            with suppress(StorageError):
                await self._abort(await beginning)
            raise

    async def _send(self, upload: MultipartUpload, body: _Body) -> None:
        """Send all parts, each while the next one is read."""

        async def send(number: int, part: bytes, more: bool) -> None:
            await upload.upload_part(number, part, more=more)
            self.progress(len(part))

        async with aclosing(body.parts()) as parts, Together() as sending:
            before: asyncio.Task[None] | None = None
            number = 0
            async for part in parts:
                number += 1
                if before is not None:
                    await before
                before = sending.start(send(number, part, body.more))

    async def _abort(self, upload: MultipartUpload) -> None:
        try:
            await upload.abort()
        except StorageError as error:
            # What has ended the upload is the news.
            self.target.log.warning(
                "The parts of %s could not be taken back: %s", self.path, error.message
            )

    async def _check_source(self, body: _Body) -> None:
        """`UnavailableError` unless the bytes that were read are the object's."""
        path = body.meta.path
        if body.size != body.meta.size:
            raise UnavailableError(
                f"{path!r} was not read whole: {body.size} of {body.meta.size} bytes came; try"
                " again.",
                path=path,
                retryable=True,
            )
        # What comes just so once more lies so in the store: another tool has written it, and
        # kept the metadata of what was there before.
        if not body.fits() and (await digest_of(self.source, body.meta)).hex() != body.sha256:
            raise UnavailableError(f"{path!r} arrived damaged; try again.", path=path)

    async def _check_target(self, written: ObjectMeta, body: _Body) -> None:
        """`UnavailableError` unless the bytes that arrived are those that were sent."""
        reads_back = not self.target.capabilities.checked_writes
        marker = self.path.endswith(DELIMITER)
        # A range is asked of the store: no memory of what we have sent answers it. The version
        # of a folder on a disk changes with what is in it.
        async with self.target.get(
            self.path,
            byte_range=ByteRange(0, None if reads_back else 1),
            if_match=None if marker else written.version,
        ) as reader:
            same = reader.meta.size == body.size
            if same and reads_back:
                same = (await digest_of_rest(reader)).hex() == body.sha256
        if not same:
            await self._take_back(written)

    async def _take_back(self, written: ObjectMeta) -> None:
        sentence = f"{self.path!r} did not arrive as it was sent"
        try:
            # Where another has written meanwhile, nothing of ours is left to delete.
            with suppress(PreconditionError):
                await self.target.delete(self.path, condition=IfMatch(written.version))
        except StorageError as error:
            raise UnavailableError(
                f"{sentence}, and is damaged there: it could not be deleted ({error.message})."
                " Delete it.",
                path=self.path,
            ) from error
        raise UnavailableError(f"{sentence}, and is not kept there; try again.", path=self.path)


def _is_whole(meta: ObjectMeta, limits: Capabilities) -> bool:
    """Whether the object goes as one write."""
    whole = PART_SIZE if limits.multipart else limits.max_put_size
    return meta.size <= min(whole, limits.max_put_size)


def _part_size(meta: ObjectMeta, limits: Capabilities) -> int:
    """Bytes of each part but the last; all, where there are no parts. `TooLargeError`."""
    if _is_whole(meta, limits):
        return max(1, meta.size)
    least = -(-meta.size // limits.max_parts)
    size = min(max(PART_SIZE, limits.min_part_size, least), limits.max_part_size)
    if not limits.multipart or size < least:
        raise TooLargeError(
            f"{meta.path!r} has {meta.size} bytes, more than the target takes.", path=meta.path
        )
    return size


def _metadata(meta: ObjectMeta, sha256: str | None) -> dict[str, str]:
    kept = {MTIME: format_mtime(meta.last_modified)}
    if sha256 is not None:
        kept[SHA256] = sha256
    return kept | (format_saver(meta.saved_by) if meta.saved_by else {})


def _ignore(size: int) -> None:
    del size
