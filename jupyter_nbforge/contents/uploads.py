"""Jupyter's chunked uploads: numbered pieces that become one object with the last of them.

The protocol has no name for an upload but its path, and numbers its chunks 1, 2, ... and -1
for the last. Nothing is to be seen in the store before the last chunk, and then the whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from cachetools import TTLCache
from tornado.web import HTTPError

from ..storage.metrics import UPLOADS
from ..storage.types import ObjectMeta, Version, WriteCondition
from .notebooks import decode_content
from .outgoing import Outgoing, UploadEndedError

LAST_CHUNK = -1
_AT_ONCE = 256
_REMEMBERED = 1024
_SECONDS_TO_ABORT = 10.0


@dataclass(slots=True)
class Upload:
    """One upload under way: `number` and `digest` are of the last chunk.

    `condition` is on the object that it will become, as things stood with the first chunk;
    `ending` while that object is being written.
    """

    outgoing: Outgoing
    condition: WriteCondition | None
    number: int = 0
    digest: bytes = b""
    first_digest: bytes = b""
    first_format: Any = None
    touched: float = 0.0
    ending: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Finished:
    """An upload that has become an object: its version, and the digest of its last chunk."""

    version: Version
    digest: bytes


def _digest_of(content: str) -> bytes:
    # Of the text as it came: the same text in another format is the same chunk to Jupyter's tests.
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()


class Uploads:
    """All uploads of one manager. An upload that is idle for `idle` seconds is given up.

    `begin` makes what takes the bytes of an upload of a path.
    """

    def __init__(
        self,
        idle: float,
        begin: Callable[[str], Outgoing],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._idle = idle
        self.begin = begin
        self._timer = timer
        self._running: dict[str, Upload] = {}
        self._finished: TTLCache[str, Finished] = TTLCache(_REMEMBERED, idle, timer=timer)
        self._aborting: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None

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

        `condition` counts with the first chunk only. Storage errors are those of an earlier
        part; they, like all others, end the upload.
        """
        data, digest = await asyncio.to_thread(_decode, path, content, format)
        upload = self._upload_for(path, chunk, digest, format, condition)
        async with upload.lock:
            if self._running.get(path) is not upload or upload.ending:
                raise _broken(path)
            try:
                if not self._is_repeated(path, upload, chunk, digest):
                    await upload.outgoing.add(data)
            except UploadEndedError:
                raise _broken(path) from None
            except OSError as error:
                self._give_up(path)
                reason = error.strerror or "an error"
                raise HTTPError(
                    507, f"The server cannot keep the upload of {path}: {reason}."
                ) from error
            except BaseException:
                # The last chunk has no number: it would not show that this one is missing.
                self._give_up(path)
                raise
            upload.number, upload.digest = chunk, digest
            upload.touched = self._timer()
            return upload.outgoing.size

    async def complete(self, path: str) -> ObjectMeta:
        """Make the object of an upload whose last chunk has come; storage errors as for a put.

        Meanwhile it is neither begun again nor given up; however this ends, so does the upload.
        """
        upload = self._running.get(path)
        if upload is None or upload.ending:
            raise _broken(path)
        upload.ending = True
        try:
            meta = await upload.outgoing.finish(upload.condition)
        except BaseException:
            # Whatever ended it, a cancelled request too: what is kept for it must not stay.
            self._give_up(path)
            raise
        self._end(path)
        self._finished[path] = Finished(meta.version, upload.digest)
        return meta

    def _give_up(self, path: str) -> None:
        """Forget an upload, and free what it takes here and in the store; nobody waits for it."""
        upload = self._end(path)
        if upload is not None:
            task = asyncio.create_task(upload.outgoing.abort())
            self._aborting.add(task)
            task.add_done_callback(self._aborting.discard)

    def _end(self, path: str) -> Upload | None:
        upload = self._running.pop(path, None)
        if upload is not None:
            UPLOADS.dec()
        return upload

    async def aclose(self) -> None:
        """Give up everything; what the store does not take back in ten seconds stays there."""
        if self._alarm is not None:
            self._alarm.cancel()
        for path in list(self._running):
            self._give_up(path)
        if self._aborting:
            _, late = await asyncio.wait(self._aborting, timeout=_SECONDS_TO_ABORT)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _drop_idle(self) -> None:
        limit = self._timer() - self._idle
        running = list(self._running.items())
        for path, upload in running:
            if upload.touched < limit and not (upload.ending or upload.lock.locked()):
                self._give_up(path)

    def _set_alarm(self) -> None:
        """See to it that the upload that has been idle longest is given up in time."""
        if self._alarm is None and self._running:
            oldest = min(upload.touched for upload in self._running.values())
            wait = max(1.0, oldest + self._idle - self._timer())
            self._alarm = asyncio.get_running_loop().call_later(wait, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        self._drop_idle()
        self._set_alarm()

    def _upload_for(
        self,
        path: str,
        chunk: int,
        digest: bytes,
        format: Any,  # noqa: A002
        condition: WriteCondition | None,
    ) -> Upload:
        self._drop_idle()
        upload = self._running.get(path)
        if chunk == 1:
            if upload is not None and (upload.ending or upload.first_digest != digest):
                raise HTTPError(
                    409, f"Another upload of {path} is running; wait until it has ended."
                )
            if upload is not None and upload.number <= 1 and upload.first_format == format:
                return upload  # the same chunk, sent again
            if upload is not None and condition is None:
                condition = upload.condition  # what was seen before the first try still counts
            self._give_up(path)
            return self._begin(path, digest, format, condition)
        if upload is None:
            raise HTTPError(
                400, f"Chunk {chunk} of {path} has no upload to belong to; upload the file again."
            )
        return upload

    def _begin(
        self,
        path: str,
        digest: bytes,
        format: Any,  # noqa: A002
        condition: WriteCondition | None,
    ) -> Upload:
        if len(self._running) >= _AT_ONCE:
            raise HTTPError(429, f"{_AT_ONCE} uploads are running already; try again later.")
        upload = Upload(
            self.begin(path),
            condition,
            first_digest=digest,
            first_format=format,
            touched=self._timer(),
        )
        self._running[path] = upload
        UPLOADS.inc()
        self._finished.pop(path, None)  # no chunk of this one may be appended to an earlier one
        self._set_alarm()
        return upload

    def _is_repeated(self, path: str, upload: Upload, chunk: int, digest: bytes) -> bool:
        """Whether this chunk has been taken already; one that does not fit on is an error."""
        if chunk == upload.number:
            if digest != upload.digest:
                raise HTTPError(409, f"Two uploads of {path} got mixed; upload the file again.")
            return True
        if chunk in (LAST_CHUNK, upload.number + 1):
            return False
        raise HTTPError(
            400,
            f"Chunk {chunk} of {path} came after chunk {upload.number}; upload the file again.",
        )


def _broken(path: str) -> HTTPError:
    return HTTPError(409, f"The upload of {path} was begun again; this part of it is dropped.")


def _decode(path: str, content: Any, format: Any) -> tuple[bytes, bytes]:  # noqa: A002
    data = decode_content(path, content, format)
    return data, _digest_of(content)
