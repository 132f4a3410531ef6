"""The bytes of an upload on their way to the store: as one object, or as parts of one.

Memory holds two parts of an upload at most, the one that is sent and the one that is being
collected, however large the file; and all uploads together hold `Memory.limit`.
"""

from __future__ import annotations

import asyncio
import io
import logging
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from ..storage.base import BaseStorageService, MultipartUpload
from ..storage.errors import StorageError, TooLargeError
from ..storage.metadata import MTIME, format_mtime, stamp
from ..storage.metrics import UPLOAD_BUFFER
from ..storage.types import Capabilities, ObjectMeta, WriteCondition

_GROWTH = 16
_SPILLED_PIECE = 2**20


class Memory:
    """What all uploads of one manager share: half for collecting parts, half for sending them."""

    def __init__(self, limit: int, part_size: int) -> None:
        self._free = limit // 2
        self.sending = asyncio.Semaphore(max(1, limit // 2 // part_size))

    def take(self, size: int) -> bool:
        """Whether `size` bytes more may be collected in memory; to be given back if so."""
        if size > self._free:
            return False
        self._free -= size
        UPLOAD_BUFFER.inc(size)
        return True

    def give(self, size: int) -> None:
        self._free += size
        UPLOAD_BUFFER.dec(size)


class _Collected:
    """Bytes that wait: in memory, and what comes when there is no room in a temporary file.

    They will not be more than `most`.
    """

    def __init__(self, memory: Memory, most: int) -> None:
        self._memory = memory
        self._most = most
        # Its `getvalue` copies nothing: the bytes are never held twice.
        self._buffer = io.BytesIO()
        self._taken = 0
        self._file: Any = None
        self.size = 0

    async def add(self, data: bytes) -> None:
        """`OSError` if the disk is full."""
        if self._file is None and self._reserve(self.size + len(data)):
            self._buffer.write(data)
        else:
            await asyncio.to_thread(self._write, data)
        self.size += len(data)

    def _reserve(self, size: int) -> bool:
        """Whether there is memory for `size` bytes.

        It grows by large steps: each may hold the bytes twice and leave a hole behind.
        """
        if size <= self._taken:
            return True
        for room in (max(size, min(_GROWTH * size, self._most)), size):
            if self._memory.take(room - self._taken):
                self._buffer.seek(room - 1)
                self._buffer.write(b"\0")
                self._buffer.seek(self.size)
                self._taken = room
                return True
        return False

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._file.write(data)

    async def read(self) -> bytes:
        """All of it; `close` follows."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> bytes:
        self._buffer.truncate()
        if self._file is not None:
            self._file.seek(0)
            shutil.copyfileobj(self._file, self._buffer, _SPILLED_PIECE)
        return self._buffer.getvalue()

    def close(self) -> None:
        """Free what it takes; idempotent."""
        self._memory.give(self._taken)
        self._taken = 0
        self._buffer = io.BytesIO()
        if self._file is not None:
            self._file.close()


class UploadEndedError(Exception):
    """The upload was given up while a part of it was being taken."""


def part_size_of(number: int, base: int, capabilities: Capabilities) -> int:
    """Bytes of part `number` (from 1).

    The second half of the parts that a store takes grows, twice as large with each twentieth
    of them, so that the last one lies beyond the largest object that any store keeps.
    """
    size = max(base, capabilities.min_part_size)
    constant = capabilities.max_parts // 2
    if number > constant:
        step = max(1, capabilities.max_parts // 20)
        size <<= (number - constant - 1) // step + 1
    return min(size, capabilities.max_part_size)


class Outgoing:
    """One object that is being uploaded; it appears, whole, with `finish`.

    What fits into one part goes out as one write, with its hash. More becomes a multipart
    upload, of which each part is sent while the next one is collected. `abort` ends every
    use that `finish` does not. `saver` is the metadata that says who uploads.
    """

    def __init__(
        self,
        storage: BaseStorageService,
        path: str,
        *,
        content_type: str,
        part_size: int,
        memory: Memory,
        log: logging.Logger,
        saver: Mapping[str, str] | None = None,
    ) -> None:
        self._storage = storage
        self._capabilities = storage.capabilities_at(path)
        self._path = path
        self._content_type = content_type
        self._base = part_size
        self._memory = memory
        self._log = log
        self._saver = dict(saver or {})
        self._sent = 0
        self._collected = _Collected(memory, self._most())
        self._upload: asyncio.Future[MultipartUpload] | None = None
        self._in_flight: _Collected | None = None
        self._sending: asyncio.Task[None] | None = None
        self._given_up = False
        self.size = 0

    async def add(self, data: bytes) -> None:
        """Take the next bytes; waits while two parts are held.

        Errors: `TooLargeError`, `OSError` (no room on the server's disk), whatever a part
        that was sent before has met, and `UploadEndedError`.
        """
        start = 0
        while start < len(data):
            room = self._room()
            if room <= 0:
                await self._send()
                continue
            piece = data[start : start + room]
            await self._collected.add(piece)
            self._check_open()
            start += len(piece)
            self.size += len(piece)

    def _most(self) -> int:
        """Bytes that are sent at once: of the next part, or of everything."""
        if self._capabilities.multipart:
            return part_size_of(self._sent + 1, self._base, self._capabilities)
        return self._capabilities.max_put_size

    def _room(self) -> int:
        """Bytes until what is collected has to be sent; a full part waits for one byte more."""
        room = self._most() - self._collected.size
        if room <= 0 and not self._capabilities.multipart:
            raise self._too_large(self._capabilities.max_put_size)
        return room

    def _too_large(self, limit: int) -> TooLargeError:
        return TooLargeError(
            f"{self._path!r} is larger than the {limit / 2**20:.0f} MiB that the store takes.",
            path=self._path,
        )

    def _check_open(self) -> None:
        if self._given_up:
            self._collected.close()
            raise UploadEndedError

    async def _send(self, *, more: bool = True) -> None:
        await self._wait()
        if self._sent == self._capabilities.max_parts:
            raise self._too_large(self.size)
        self._sent += 1
        following = _Collected(self._memory, self._most())
        self._in_flight, self._collected = self._collected, following
        self._sending = asyncio.create_task(self._send_part(self._sent, self._in_flight, more=more))

    async def _wait(self) -> None:
        """Until the part before has arrived; its error is raised here."""
        if self._sending is not None:
            # Who waits may be cancelled; the part then goes on until it is aborted.
            await asyncio.wait({self._sending})
            self._check_open()
            self._sending.result()

    async def _send_part(self, number: int, collected: _Collected, *, more: bool) -> None:
        try:
            async with self._memory.sending:
                data = await collected.read()
                upload = await self._begun()
                await upload.upload_part(number, data, more=more)
        finally:
            collected.close()

    async def _begun(self) -> MultipartUpload:
        """The upload, begun with the first part. To cancel that would leave one without a name."""
        if self._upload is None:
            # With its time, by which an upload whose answer was lost is recognised.
            moment = format_mtime(datetime.now(timezone.utc))
            self._upload = asyncio.ensure_future(
                self._storage.create_multipart_upload(
                    self._path,
                    content_type=self._content_type,
                    metadata={MTIME: moment, **self._saver},
                )
            )
        return await asyncio.shield(self._upload)

    async def finish(self, condition: WriteCondition | None) -> ObjectMeta:
        """Let the object appear; errors as for `add` and for a storage's put."""
        meta = await (self._write(condition) if not self._sent else self._complete(condition))
        self._collected.close()
        return meta

    async def _write(self, condition: WriteCondition | None) -> ObjectMeta:
        data = await self._collected.read()
        return await self._storage.put(
            self._path,
            data,
            condition=condition,
            content_type=self._content_type,
            metadata={**await asyncio.to_thread(stamp, data), **self._saver},
        )

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        await self._send(more=False)
        await self._wait()
        return await (await self._begun()).complete(condition=condition)

    async def abort(self) -> None:
        """Free everything, in the store too; idempotent. What fails there is in the log."""
        self._given_up = True
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending})
            if not self._sending.cancelled():
                self._sending.exception()  # it was told to whoever sent the next chunk, if any
        for collected in (self._in_flight, self._collected):
            if collected is not None:
                collected.close()
        if self._upload is not None:
            try:
                await (await self._upload).abort()
            except StorageError as error:
                self._log.warning(
                    "The parts of %s could not be taken back: %s", self._path, error.message
                )
