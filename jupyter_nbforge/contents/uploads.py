"""Jupyter's chunked uploads: numbered pieces that become one object with the last of them.

The protocol has no name for an upload but its path, and numbers its chunks 1, 2, ... and -1
for the last. What has arrived is spooled to a temporary file; nothing is to be seen in the
store before the last chunk, and then the whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache
from tornado.web import HTTPError

from ..storage.types import Version, WriteCondition
from .notebooks import decode_content

LAST_CHUNK = -1
_IN_MEMORY = 8 * 2**20
_AT_ONCE = 256
_REMEMBERED = 1024


@dataclass(slots=True)
class Upload:
    """One upload under way: `number` and `digest` are of the last chunk, `start` where it began.

    `condition` is on the object that it will become, as things stood with the first chunk;
    `ending` while that object is being written.
    """

    file: Any
    condition: WriteCondition | None
    number: int = 0
    digest: bytes = b""
    first_digest: bytes = b""
    start: int = 0
    size: int = 0
    touched: float = 0.0
    ending: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Finished:
    """An upload that has become an object: its version, and the digest of its last chunk."""

    version: Version
    digest: bytes


def _digest_of(content: str) -> bytes:
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


class Uploads:
    """All uploads of one manager. An upload that is idle for `idle` seconds is given up."""

    def __init__(self, idle: float, timer: Callable[[], float] = time.monotonic) -> None:
        self._idle = idle
        self._timer = timer
        self._running: dict[str, Upload] = {}
        self._finished: TTLCache[str, Finished] = TTLCache(_REMEMBERED, idle, timer=timer)

    def is_running(self, path: str) -> bool:
        """Whether chunks of an upload of `path` have come, and not yet the last."""
        self._drop_idle()
        return path in self._running

    def finished(self, path: str) -> Finished | None:
        """The upload of `path` that ended just now, if none is running."""
        return None if path in self._running else self._finished.get(path)

    def is_repeat(self, path: str, content: str) -> bool:
        """Whether `content` is the last chunk of the upload that ended, sent a second time."""
        finished = self._finished.get(path)
        return finished is not None and finished.digest == _digest_of(content)

    def extended(self, path: str, content: str, version: Version) -> None:
        """One more last chunk was appended to the upload that ended."""
        self._finished[path] = Finished(version, _digest_of(content))

    async def add(
        self,
        path: str,
        chunk: int,
        content: Any,
        format: Any,  # noqa: A002
        condition: WriteCondition | None,
    ) -> int:
        """Take one chunk; returns the bytes so far. A chunk that does not fit on is a 409 or 400.

        `condition` counts with the first chunk only.
        """
        data, digest = await asyncio.to_thread(_decode, path, content, format)
        upload = self._upload_for(path, chunk, digest, condition)
        async with upload.lock:
            if self._running.get(path) is not upload or upload.ending:
                raise _broken(path)
            start = self._start(path, upload, chunk, digest)
            try:
                await asyncio.to_thread(_write, upload.file, start, data)
            except OSError as error:
                self.discard(path)
                reason = error.strerror or "an error"
                raise HTTPError(
                    507, f"The server cannot keep the upload of {path}: {reason}."
                ) from error
            except BaseException:
                # The last chunk has no number: it would not show that this one is missing.
                self.discard(path)
                raise
            upload.number, upload.digest, upload.start = chunk, digest, start
            upload.size = start + len(data)
            upload.touched = self._timer()
            return upload.size

    async def contents(self, path: str) -> tuple[bytes, WriteCondition | None]:
        """All the bytes of an upload that ends, in order, and the condition for writing them.

        From here on it is neither begun again nor given up; `finish` or `discard` follows.
        """
        upload = self._running.get(path)
        if upload is None or upload.ending:
            raise _broken(path)
        upload.ending = True
        return await asyncio.to_thread(_read, upload), upload.condition

    def finish(self, path: str, version: Version) -> None:
        """The upload has become an object of this version."""
        self._finished[path] = Finished(version, self._running[path].digest)
        self.discard(path)

    def discard(self, path: str) -> None:
        """Forget an upload and free what it takes."""
        upload = self._running.pop(path, None)
        if upload is not None:
            upload.file.close()

    def close(self) -> None:
        """Discard everything."""
        for path in list(self._running):
            self.discard(path)

    def _drop_idle(self) -> None:
        limit = self._timer() - self._idle
        running = list(self._running.items())
        for path, upload in running:
            if upload.touched < limit and not upload.ending:
                self.discard(path)

    def _upload_for(
        self, path: str, chunk: int, digest: bytes, condition: WriteCondition | None
    ) -> Upload:
        self._drop_idle()
        upload = self._running.get(path)
        if chunk == 1:
            if upload is not None and (upload.ending or upload.first_digest != digest):
                raise HTTPError(
                    409, f"Another upload of {path} is running; wait until it has ended."
                )
            if upload is not None and condition is None:
                condition = upload.condition  # what was seen before the first try still counts
            self.discard(path)
            return self._begin(path, digest, condition)
        if upload is None:
            raise HTTPError(
                400, f"Chunk {chunk} of {path} has no upload to belong to; upload the file again."
            )
        return upload

    def _begin(self, path: str, digest: bytes, condition: WriteCondition | None) -> Upload:
        if len(self._running) >= _AT_ONCE:
            raise HTTPError(429, f"{_AT_ONCE} uploads are running already; try again later.")
        # Closed by discard, which every way out of an upload ends in.
        spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        upload = Upload(spool, condition, first_digest=digest, touched=self._timer())
        self._running[path] = upload
        self._finished.pop(path, None)  # no chunk of this one may be appended to an earlier one
        return upload

    def _start(self, path: str, upload: Upload, chunk: int, digest: bytes) -> int:
        """Where this chunk begins: behind the last one, or over it if it is sent again."""
        if chunk == upload.number:
            if digest != upload.digest:
                self.discard(path)
                raise HTTPError(409, f"Two uploads of {path} got mixed; upload the file again.")
            return upload.start
        if chunk == LAST_CHUNK or chunk == upload.number + 1:
            return upload.size
        self.discard(path)
        raise HTTPError(
            400,
            f"Chunk {chunk} of {path} came after chunk {upload.number}; upload the file again.",
        )


def _broken(path: str) -> HTTPError:
    return HTTPError(409, f"The upload of {path} was begun again; this part of it is dropped.")


def _decode(path: str, content: Any, format: Any) -> tuple[bytes, bytes]:  # noqa: A002
    data = decode_content(path, content, format)
    return data, _digest_of(content)


def _write(file: Any, start: int, data: bytes) -> None:
    file.seek(start)
    file.truncate()
    file.write(data)


def _read(upload: Upload) -> bytes:
    upload.file.seek(0)
    data: bytes = upload.file.read()
    return data
