"""The second client: it asks for next to nothing all the time and notes how long it waits."""

from __future__ import annotations

import asyncio
import socket
import statistics
import threading
import time
from dataclasses import dataclass

from typing_extensions import Self

PAUSE = 0.005
"""Seconds between an answer and the next question."""

_TIMEOUT = 300.0
_END_OF_HEADERS = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Waiting:
    """Seconds that the answers took: how many there were, their median, the longest."""

    count: int
    median: float
    longest: float


class Watcher:
    """A service for `Child`. It watches one server at a time."""

    async def __aenter__(self) -> Self:
        self._waits: list[float] = []
        self._answered = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.stop()

    async def watch(self, port: int, token: str) -> None:
        """Begin with the server at this port."""
        self._stopping = False
        self._thread = threading.Thread(target=self._ask_on, args=(port, token))
        self._thread.start()

    async def stop(self) -> None:
        """Leave the server alone."""
        self._stopping = True
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._thread = None

    async def take(self) -> Waiting:
        """The answers since the last call, the one that is waited for now included."""
        return await asyncio.to_thread(self._take)

    def _take(self) -> Waiting:
        with self._answered:
            known = len(self._waits)
            answered = self._answered.wait_for(lambda: len(self._waits) > known, _TIMEOUT)
            if not answered:
                raise TimeoutError("The server that is watched does not answer.")
            waits, self._waits = self._waits, []
        return Waiting(len(waits), statistics.median(waits), max(waits))

    def _ask_on(self, port: int, token: str) -> None:
        question = (
            f"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Authorization: token {token}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self._stopping:
                begun = time.perf_counter()
                connection.sendall(question)
                _read_answer(connection)
                with self._answered:
                    self._waits.append(time.perf_counter() - begun)
                    self._answered.notify_all()
                time.sleep(PAUSE)


def _read_answer(connection: socket.socket) -> None:
    """Take one answer off the connection; anything but 200 is an error."""
    answer = b""
    length = -1
    while length < 0 or len(answer) < length:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("The server that is watched closed the connection.")
        answer += more
        end = answer.find(_END_OF_HEADERS)
        if length < 0 <= end:
            length = end + len(_END_OF_HEADERS) + _content_length(answer[:end])


def _content_length(headers: bytes) -> int:
    status, *lines = headers.split(b"\r\n")
    if status.split()[1] != b"200":
        raise ConnectionError(f"The server that is watched answers {status.decode()}")
    fields = dict(line.lower().split(b": ", 1) for line in lines)
    return int(fields[b"content-length"])
