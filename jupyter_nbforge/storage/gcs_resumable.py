"""A resumable upload: one stream of bytes, whose end makes an object.

https://cloud.google.com/storage/docs/performing-resumable-uploads
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from .errors import StorageError, UnavailableError
from .gcs_client import Answer, GCSConnection
from .gcs_errors import About
from .gcs_values import Payload, Pieces, header_type, new_checksum, object_meta

UNIT = 256 * 2**10
"""All that is sent before the end is whole multiples of this."""

_GOES_ON = 308
_NOTHING_TO_CANCEL = (400, 404, 410)
_CANCELLED = 499


class Stream:
    """The bytes of an upload that the store has not confirmed, and the checksum of all."""

    def __init__(self) -> None:
        self.confirmed = 0
        self.length = 0
        self.last = 0
        """Where what was added last begins."""
        # Each with its place; replaced and never changed, as a thread may be reading it.
        self._parts: tuple[tuple[int, bytes], ...] = ()
        self._guard = threading.Lock()
        self._checksum = new_checksum()
        self._summed = 0

    def append(self, data: bytes) -> None:
        self._parts += ((self.length, data),)
        self.last = self.length
        self.length += len(data)

    def confirm(self, reached: int) -> None:
        """The store has the bytes before `reached`."""
        self.confirmed = reached
        self._parts = tuple(
            (place, part) for place, part in self._parts if place + len(part) > reached
        )

    def pieces(self, start: int, stop: int) -> Pieces:
        """The bytes from `start`, which was not confirmed, to `stop`."""
        return Pieces(
            tuple(
                memoryview(part)[max(start - place, 0) : stop - place]
                for place, part in self._parts
                if start < place + len(part) and place < stop
            )
        )

    def payload(self, start: int, stop: int) -> Payload:
        """The same as a body, its checksum taken. To be called in a thread."""
        with self._guard:
            if self._checksum is not None and self._summed < stop:
                for piece in self.pieces(self._summed, stop).parts:
                    self._checksum.update(bytes(piece))
                self._summed = stop
        return Payload(self.pieces(start, stop), "application/octet-stream")

    def is_that_of(self, resource: Mapping[str, Any]) -> bool:
        """Whether an object has all these bytes."""
        found = resource.get("crc32c")
        if int(resource["size"]) != self.length:
            return False
        if self._checksum is None or not found or self._summed < self.length:
            return True
        return b64encode(self._checksum.digest()).decode() == str(found)


class ResumableUpload:
    """One session: what is added to its stream is sent in order.

    After a failure or a cancellation the store is asked how far it got. Nothing here may run
    twice at once. The address of the session is a secret: who knows it may write.
    """

    def __init__(self, connection: GCSConnection, path: str, address: str) -> None:
        self.stream = Stream()
        self.made: dict[str, Any] | None = None
        """The object, once the stream has ended."""
        self._connection = connection
        self._path = path
        self._address = address
        self._uncertain = False

    @classmethod
    async def begin(
        cls,
        connection: GCSConnection,
        path: str,
        name: str,
        properties: Mapping[str, Any],
        options: Mapping[str, str],
    ) -> ResumableUpload:
        """Begin to write the object `name`; errors speak of `path`."""
        with _hidden(), connection.call(path, write=True):
            address = await connection.send(
                "POST",
                connection.places.uploads,
                _address_of,
                parameters={"uploadType": "resumable", "name": name, **options},
                headers={"X-Upload-Content-Type": header_type(properties)},
                payload=partial(Payload.of, properties),
                about=About.BUCKET,
            )
        return cls(connection, path, address)

    async def send(self, *, more: bool = False) -> None:
        """Send all but what was added last, or with `more` that too, in whole units."""
        stop = (self.stream.length if more else self.stream.last) // UNIT * UNIT
        if self._uncertain:
            await self._ask()
        while self.made is None and self.stream.confirmed < stop:
            await self._advance(stop, "*")

    async def finish(self) -> dict[str, Any]:
        """Send what is left and end the stream; the new object."""
        if self._uncertain:
            await self._ask()
        while self.made is None:
            await self._advance(self.stream.length, str(self.stream.length))
        return self.made

    async def cancel(self) -> None:
        """Free what the store has; idempotent."""
        if self.made is not None:
            return
        with _hidden(), self._connection.call(self._path):
            await self._connection.send(
                "DELETE",
                self._address,
                _freed,
                about=About.UPLOAD,
                accepted=(_CANCELLED, *_NOTHING_TO_CANCEL),
            )

    async def _advance(self, stop: int, total: str) -> None:
        start = self.stream.confirmed
        span = f"{start}-{stop - 1}" if start < stop else "*"
        await self._put(start, stop, f"bytes {span}/{total}")
        if self.made is None and self.stream.confirmed <= start:
            raise UnavailableError(
                f"The store takes no more of {self._path!r}; try again.",
                path=self._path,
                retryable=True,
            )

    async def _ask(self) -> None:
        await self._put(0, 0, "bytes */*")

    async def _put(self, start: int, stop: int, content_range: str) -> None:
        """One request of the session, after which it is known how far the store got."""
        self._uncertain = True
        with _hidden(), self._connection.call(self._path, write=True):
            reached = await self._connection.send(
                "PUT",
                self._address,
                _reached,
                headers={"Content-Range": content_range},
                payload=partial(self.stream.payload, start, stop),
                about=About.UPLOAD,
                accepted=(_GOES_ON,),
            )
        if not isinstance(reached, int):
            self.made = reached
        elif not self.stream.confirmed <= reached <= self.stream.length:
            raise StorageError(f"The store has lost parts of {self._path!r}.", path=self._path)
        else:
            self.stream.confirm(reached)
        self._uncertain = False


@contextmanager
def _hidden() -> Iterator[None]:
    """Around a request of a session: what the SDK says of a failure has the address."""
    try:
        yield
    except StorageError as error:
        raise error from None


def _address_of(answer: Answer) -> str:
    return answer.headers["Location"]


def _reached(answer: Answer) -> dict[str, Any] | int:
    """The new object, or of how many bytes the store says that it has them."""
    if 200 <= answer.status < 300:
        made = answer.json()
        # An answer that describes no object is found out here, where it is an error of ours.
        object_meta("", made)
        return made
    found = answer.headers.get("Range")
    return 0 if found is None else int(found.rpartition("-")[2]) + 1


def _freed(answer: Answer) -> None:
    """That a session was cancelled is said by the status alone."""
