"""The body of a read, taken piece by piece in threads."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

from .gcs_errors import DamagedError, GarbledError
from .gcs_session import shut_down
from .gcs_values import new_checksum, resource_of

_CHUNK_SIZE = 2**20


class Body:
    """An answer to a read whose bytes are yet to come.

    The bytes are those that are stored: nothing is unpacked. The last ones of a whole object
    are given only if all together have the store's checksum.
    """

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers
        try:
            self.resource = resource_of(self.headers)
            self._left = _length_of(self.headers, self.resource)
        except (LookupError, ValueError) as error:
            response.close()
            raise GarbledError from error
        self.closed = False
        self._response = response
        self._guard = threading.Lock()
        self._reading = False
        whole = self.status == 200 and self.resource["crc32c"]
        self._checksum = new_checksum() if whole else None

    def read(self) -> bytes:
        """The next bytes, in a thread; empty at the end."""
        with self._guard:
            closed = self.closed
            self._reading = not closed
        if closed:
            raise ConnectionAbortedError
        try:
            return self._read()
        finally:
            with self._guard:
                self._reading = False
                if self.closed:
                    self._response.close()

    def _read(self) -> bytes:
        if not self._left:
            return b""
        chunk: bytes = self._response.raw.read(_CHUNK_SIZE, decode_content=False)
        self._left -= len(chunk)
        if not chunk or self._left < 0:
            raise ConnectionResetError
        if self._checksum is not None:
            self._checksum.update(chunk)
            expected = self.resource["crc32c"]
            if not self._left and b64encode(self._checksum.digest()).decode() != expected:
                raise DamagedError
        return chunk

    def close(self) -> None:
        """Let the connection go; a thread that reads is woken, with an error. Idempotent."""
        with self._guard:
            self.closed = True
            if self._reading:
                # Closing would wait for that thread, and so stop the event loop.
                shut_down(self._response.raw.connection)
            else:
                self._response.close()


def _length_of(headers: Mapping[str, str], resource: Mapping[str, Any]) -> int:
    """How many bytes come: all, or those of a range (``bytes 1-2/5``)."""
    if "content-range" not in headers:
        return int(resource["size"])
    first, _, last = headers["content-range"].split()[1].partition("/")[0].partition("-")
    return int(last) - int(first) + 1
