"""JupyterLab's calls to a Jupyter server, made so lightly that it is the server that is timed.

Nothing is parsed and nothing is made while the time runs: bodies are bytes, answers are
read into one buffer and forgotten.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from typing_extensions import Self

from .corpus import Chunks

_JSON = {"Content-Type": "application/json"}
_TIMEOUT = 300.0
_MESSAGE_LENGTH = 200


class GestureError(RuntimeError):
    """A gesture that the server did not make; the message says what it answered."""


class Lab:
    """One connection to one server. Each gesture returns the seconds of its calls, by name."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
        self._headers = {"Authorization": f"token {token}"}
        self._buffer = memoryview(bytearray(2**20))
        self.received = 0
        """Bytes of the last answer."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._connection.close()

    def open(self, path: str) -> dict[str, float]:
        """Open a notebook: its content, then its checkpoints."""
        content = self._call("GET", f"{_contents(path)}?type=notebook&content=1&hash=1")
        opened = self.received
        checkpoints = self._call("GET", f"{_contents(path)}/checkpoints")
        self.received = opened
        return {"content": content, "checkpoints": checkpoints}

    def save(self, path: str, body: bytes) -> dict[str, float]:
        """Save with Ctrl+S: a look, the notebook, a look, a checkpoint."""
        look = f"{_contents(path)}?type=notebook&content=0&hash=1"
        return {
            "look before": self._call("GET", look),
            "save": self._call("PUT", _contents(path), body),
            "look after": self._call("GET", look),
            "checkpoint": self._call("POST", f"{_contents(path)}/checkpoints", b""),
        }

    def list_folder(self, path: str) -> dict[str, float]:
        """The file browser's look into a folder."""
        seconds = self._call("GET", f"{_contents(path)}?type=directory&content=1&hash=0")
        return {"list": seconds}

    def rename(self, old: str, new: str) -> dict[str, float]:
        """Rename a file or a folder."""
        return {"rename": self._call("PATCH", _contents(old), b'{"path":"%s"}' % new.encode())}

    def upload(self, path: str, chunks: Chunks) -> dict[str, float]:
        """Upload a file in chunks, with a look into its folder after each."""
        folder = path.rpartition("/")[0]
        sending = looking = 0.0
        for number in range(1, chunks.mib + 1):
            sending += self._call("PUT", _contents(path), chunks.body(number))
            looking += self.list_folder(folder)["list"]
        return {"chunks": sending, "listings": looking}

    def download(self, path: str) -> dict[str, float]:
        """Fetch a file by its ``/files/`` URL."""
        return {"download": self._call("GET", f"/files/{quote(path)}")}

    def idle(self, folder: str, path: str, seconds: int) -> dict[str, float]:
        """Nobody does anything: a listing every ten seconds, a look at a notebook every second."""
        calls = 0.0
        begun = time.perf_counter()
        for second in range(seconds):
            time.sleep(max(0.0, begun + second - time.perf_counter()))
            if second % 10 == 0:
                calls += self.list_folder(folder)["list"]
            calls += self._call("GET", f"{_contents(path)}?type=notebook&content=0&hash=1")
        return {"calls": calls}

    def fetch(self, path: str) -> bytes:
        """The body of a GET, for looks at the outcome; not for what is timed."""
        parts: list[bytes] = []
        self._call("GET", _contents(path), keep=parts.append)
        return b"".join(parts)

    def _call(
        self,
        method: str,
        url: str,
        body: bytes | None = None,
        *,
        keep: Callable[[bytes], Any] | None = None,
    ) -> float:
        """One request; seconds until the last byte of the answer is here. `GestureError`."""
        begun = time.perf_counter()
        try:
            self._connection.request(method, url, body, self._headers | _JSON)
            answer = self._connection.getresponse()
            beginning = self._read(answer, keep)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise GestureError(f"{_short(method, url)} is not answered: {error!r}") from error
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise GestureError(f"{_short(method, url)} answers {answer.status}{_said(beginning)}")
        return time.perf_counter() - begun

    def _read(self, answer: http.client.HTTPResponse, keep: Callable[[bytes], Any] | None) -> bytes:
        """Read to the end; returns the beginning of what came, at the length of a message."""
        beginning = b""
        self.received = 0
        while count := answer.readinto(self._buffer):
            beginning = beginning or bytes(self._buffer[: min(count, _MESSAGE_LENGTH)])
            if keep is not None:
                keep(bytes(self._buffer[:count]))
            self.received += count
        return beginning


def _contents(path: str) -> str:
    return f"/api/contents/{quote(path)}"


def _short(method: str, url: str) -> str:
    return f"{method} {'/'.join(url.split('/', 3)[1:3])}"


def _said(beginning: bytes) -> str:
    """What the server says for people, if that is JSON and short."""
    with suppress(ValueError, KeyError, TypeError):
        return f": {json.loads(beginning)['message']}"
    return ""
