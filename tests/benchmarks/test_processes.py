"""The processes that measure: they answer, they see a server that stands still, they end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil  # type: ignore[import-untyped]
import pytest
from typing_extensions import Self

from benchmarks.children import Child, ChildError
from benchmarks.usage import PeakMemory, processor_seconds
from benchmarks.watcher import Waiting, Watcher

MIB = 2**20
HELD = 0.2
"""Seconds for which an answer is held back; here the time itself is the matter."""


class Worker:
    """A service that uses memory and processor time."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        pass

    async def fill(self, size: int) -> int:
        return len(b"x" * size)

    async def work(self, seconds: float) -> None:
        begun = time.process_time()
        while time.process_time() < begun + seconds:
            pass


class Status(BaseHTTPRequestHandler):
    """Answers as a Jupyter server does; for as long as `held` is set, it does not."""

    protocol_version = "HTTP/1.1"
    held = threading.Event()
    released = threading.Event()
    asked_meanwhile = threading.Event()

    def do_GET(self) -> None:
        if self.held.is_set():
            self.asked_meanwhile.set()
            self.released.wait(30)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *details: object) -> None:
        pass


def _release() -> None:
    Status.held.clear()
    Status.released.set()


@pytest.fixture
def port() -> Iterator[int]:
    """Where a server listens whose answers can be held back."""
    for event in (Status.held, Status.released, Status.asked_meanwhile):
        event.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Status) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        _release()
        server.shutdown()
        thread.join()


def test_the_longest_wait_is_seen_whole(port: int) -> None:
    with Child(Watcher) as watcher:
        watcher.ask("watch", port, "token")
        assert watcher.ask("take").count > 0
        Status.held.set()
        assert Status.asked_meanwhile.wait(30)
        timer = threading.Timer(HELD, _release)
        timer.start()
        waiting: Waiting = watcher.ask("take")
        timer.join()
        watcher.ask("stop")
    assert waiting.longest >= HELD


def test_an_error_of_a_child_is_told_in_its_own_words() -> None:
    with Child(Worker) as child:
        with pytest.raises(ChildError, match=r"AttributeError: .*'rest'"):
            child.ask("rest")
        assert child.ask("fill", 3) == 3


def test_a_child_ends_with_who_asks_it() -> None:
    with Child(Worker) as child:
        process = psutil.Process(child.pid)
        assert process.is_running()
    assert not process.is_running()


def test_memory_that_is_given_back_is_seen_too() -> None:
    with Child(Worker) as child:
        child.ask("fill", 1)
        peak = PeakMemory(child.pid)
        child.ask("fill", 64 * MIB)
        growth = peak.growth()
        assert growth is not None
        assert growth > 60 * MIB
        later = PeakMemory(child.pid).growth()
        assert later is not None
        assert later < 4 * MIB


def test_processor_time_is_that_of_the_process() -> None:
    with Child(Worker) as child:
        before = processor_seconds(child.pid)
        child.ask("work", 0.2)
        after = processor_seconds(child.pid)
        assert before is not None
        assert after is not None
        assert after - before > 0.15
