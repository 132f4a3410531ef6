"""One client for all event loops, threads, and what is left of calls that nobody waits for."""

from __future__ import annotations

import asyncio
import gc
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.gcs_client import Opened
from jupyter_nbforge.testing.certificates import write_certificate

from .conftest import MakeGCS
from .gcs_stub import BODY_HEADERS, found, gcs_at, resource, stub_gcs
from .stub import Request, answer

# Warnings are errors in these tests, and pytest reports those of the garbage collector.


async def opened(storage: GCSStorage) -> Opened:
    return await storage._connection.run(storage._connection.opened)


def test_a_storage_serves_two_loops_with_one_client_and_leaves_nothing_open(
    make_gcs: MakeGCS,
) -> None:
    def use() -> None:
        storage = make_gcs()

        async def look() -> object:
            await storage.put("a", b"data")
            return await opened(storage)

        async def look_and_close() -> object:
            client = await look()
            await storage.aclose()
            return client

        assert asyncio.run(look()) is asyncio.run(look_and_close())

    use()
    gc.collect()


def test_one_that_is_forgotten_leaves_nothing_open(make_gcs: MakeGCS) -> None:
    def use() -> None:
        asyncio.run(make_gcs().put("a", b"data"))

    use()
    gc.collect()


def test_a_loop_that_lives_on_in_a_thread_leaves_nothing_open(make_gcs: MakeGCS) -> None:
    """jupyter_core's `run_sync` keeps such a loop when it is called beside a running one."""
    from jupyter_core.utils import run_sync

    storage = make_gcs()

    async def serve() -> None:
        run_sync(storage.put)("a", b"data")
        async with storage.get("a") as reader:
            assert await reader.read() == b"data"
        await storage.aclose()

    asyncio.run(serve())
    gc.collect()


async def test_a_closed_storage_can_be_used_again(make_gcs: MakeGCS) -> None:
    storage = make_gcs()
    await storage.aclose()
    meta = await storage.put("a", b"data")
    await storage.aclose()
    await storage.aclose()
    assert await storage.head("a") == meta
    await storage.aclose()
    gc.collect()


async def test_closing_closes_what_an_error_still_holds() -> None:
    """The traceback of an error keeps the connections, and so would the garbage collector."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 -\r\ncontent-length: 0\r\n\r\n")
        await reader.read()
        ended.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        storage = gcs_at(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(StorageError) as caught:
            await storage.head("a")
        await storage.aclose()
        await asyncio.wait_for(ended.wait(), 10)
    assert caught.value.path == "a"


async def test_first_users_share_one_client(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        clients = await asyncio.gather(*(opened(storage) for _ in range(5)))
        assert len(set(map(id, clients))) == 1


async def test_a_failed_first_use_is_tried_again(
    tmp_path: Path, gcs_account: Path, make_gcs: MakeGCS
) -> None:
    usual = make_gcs()
    file = tmp_path / "account.json"
    file.write_text("{}")
    storage = GCSStorage(
        bucket=usual.bucket, endpoint_url=usual.endpoint_url, credentials_file=str(file)
    )
    async with aclosing(storage):
        for _ in range(2):
            with pytest.raises(StorageError):
                await storage.put("a", b"")
        shutil.copy(gcs_account, file)
        await storage.put("a", b"")


FIRST_USE = """
import asyncio, itertools, sys, time
from jupyter_nbforge.storage.gcs import GCSStorage

async def main():
    storage = GCSStorage(bucket="bucket", credentials_file=sys.argv[1])
    connection = storage._connection
    making = asyncio.create_task(connection.run(connection.opened))
    turns = [time.monotonic()]
    while not making.done():
        await asyncio.sleep(0)
        turns.append(time.monotonic())
    await storage.aclose()
    longest = max(end - begin for begin, end in itertools.pairwise(turns))
    print(longest / (turns[-1] - turns[0]))

asyncio.run(main())
"""


def test_making_a_client_does_not_stop_the_loop(gcs_account: Path) -> None:
    """In a process of its own, where the SDK is yet to be imported."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_USE, str(gcs_account)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout) < 0.5


async def test_more_calls_than_connections_wait_for_each_other(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs(max_connections=2)) as storage:
        await asyncio.gather(*(storage.put(f"a{number}", b"") for number in range(20)))
        pages = [page async for page in storage.list_pages("")]
        assert len(pages[0].objects) == 20
        threads = [each for each in threading.enumerate() if each.name.startswith("nbforge-gcs")]
        assert len(threads) >= 2


async def test_a_connection_is_used_again_also_after_reads_that_were_left(
    make_gcs: MakeGCS,
) -> None:
    async with aclosing(make_gcs(max_connections=1)) as storage:
        await storage.put("a", bytes(4 * 2**20))
        for _ in range(5):
            async with storage.get("a") as reader:
                assert await anext(aiter(reader.chunks))
            async with storage.get("a"):
                pass
        async with storage.get("a") as reader:
            assert len(await reader.read()) == 4 * 2**20


async def test_a_read_to_the_end_gives_its_connection_back() -> None:
    numbers: list[int] = []

    def reply(request: Request, number: int) -> bytes:
        numbers.append(number)
        return answer(200, b"12345678", **BODY_HEADERS)

    async with stub_gcs(reply) as storage:
        for _ in range(3):
            async with storage.get("a") as reader:
                await reader.read()
    assert numbers == [1, 2, 3]


async def test_a_read_that_is_cancelled_frees_its_connection(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs(max_connections=1)) as storage:
        await storage.put("a", bytes(8 * 2**20))
        began = asyncio.Event()

        async def read() -> None:
            async with storage.get("a") as reader:
                async for _ in reader.chunks:
                    began.set()
                    await asyncio.sleep(60)

        reading = asyncio.create_task(read())
        await began.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(storage.head("a"), 10)


async def test_a_read_whose_storage_is_closed_ends_with_an_error_of_ours(
    make_gcs: MakeGCS,
) -> None:
    async with aclosing(make_gcs()) as storage:
        await storage.put("a", bytes(32 * 2**20))
        async with storage.get("a") as reader:
            assert await anext(reader.chunks)
            await storage.aclose()
            with pytest.raises(StorageError) as broken:
                async for _ in reader.chunks:
                    pass
            # Nor is there a thread again, which nobody would end.
            assert storage._connection._bridge._executor is None
    assert not broken.value.retryable


# What nobody waits for any more.


class Silent:
    """A server that takes what comes and never answers; what it got is in `received`."""

    def __init__(self, *, reads: bool = True) -> None:
        self.received: list[bytearray] = []
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self._reads = asyncio.Event()
        if reads:
            self._reads.set()

    @asynccontextmanager
    async def serve(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._take, "127.0.0.1", 0, limit=2**16, ssl=tls)
        async with server:
            scheme = "http" if tls is None else "https"
            yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        data = bytearray()
        self.received.append(data)
        try:
            while chunk := await reader.read(2**16):
                data += chunk
                self.began.set()
                await self._reads.wait()
        finally:
            self.ended.set()
            writer.close()

    def go_on(self) -> None:
        self._reads.set()


async def cancel(call: asyncio.Task[object]) -> float:
    """Cancel and wait; returns the seconds that it took."""
    begin = time.monotonic()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    return time.monotonic() - begin


async def test_a_cancelled_write_is_broken_off_at_once() -> None:
    silent = Silent(reads=False)
    size = 64 * 2**20
    async with silent.serve() as endpoint, aclosing(gcs_at(endpoint)) as storage:
        writing: asyncio.Task[object] = asyncio.create_task(storage.put("a", bytes(size)))
        await silent.began.wait()
        await asyncio.sleep(0.1)
        assert await cancel(writing) < 1
        silent.go_on()
        await asyncio.wait_for(silent.ended.wait(), 10)
        assert 0 < len(silent.received[0]) < size
        assert len(silent.received) == 1


async def test_a_cancelled_call_frees_its_thread_though_no_answer_comes() -> None:
    silent = Silent()
    async with silent.serve() as endpoint:
        async with aclosing(gcs_at(endpoint, max_connections=1)) as storage:
            for number in range(3):
                silent.began.clear()
                calls = (storage.head("a"), storage.put("a", b""), storage.delete("a"))
                waiting: asyncio.Task[object] = asyncio.create_task(calls[number])
                for unused in (*calls[:number], *calls[number + 1 :]):
                    unused.close()
                await asyncio.wait_for(silent.began.wait(), 10)
                assert await cancel(waiting) < 1
        assert len(silent.received) == 3


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_a_cancelled_call_frees_its_thread_though_an_answer_ends_nowhere(
    connection: str,
) -> None:
    """Also where the answer has taken the socket over, for it is the connection's last."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        headers = {**BODY_HEADERS, "connection": connection}
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(200, b"12345678", **headers)[:-2])
        await reader.read()
        writer.close()

    async def read(storage: GCSStorage) -> None:
        async with storage.get("a") as reader:
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, aclosing(gcs_at(endpoint, max_connections=1)) as storage:
        for call in (read(storage), storage.head("a")):
            waiting: asyncio.Task[object] = asyncio.create_task(call)
            await asyncio.sleep(0.3)
            assert await cancel(waiting) < 1
            await asyncio.wait_for(storage._connection.run(lambda: None), 5)


async def test_a_cancelled_call_frees_its_thread_behind_tls_too(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    silent = Silent()
    async with (
        silent.serve(tls) as endpoint,
        aclosing(gcs_at(endpoint, max_connections=1, ca_bundle=str(certificate))) as storage,
    ):
        for _ in range(2):
            silent.began.clear()
            waiting: asyncio.Task[object] = asyncio.create_task(storage.head("a"))
            await asyncio.wait_for(silent.began.wait(), 10)
            assert await cancel(waiting) < 1
        await asyncio.wait_for(storage._connection.run(lambda: None), 5)
    assert len(silent.received) == 2


async def test_a_write_that_waits_for_a_thread_is_never_sent() -> None:
    silent = Silent()
    async with (
        silent.serve() as endpoint,
        aclosing(gcs_at(endpoint, max_connections=1)) as storage,
    ):
        first: asyncio.Task[object] = asyncio.create_task(storage.put("first", b""))
        await silent.began.wait()
        second: asyncio.Task[object] = asyncio.create_task(storage.put("second", b""))
        await asyncio.sleep(0.05)
        await cancel(second)
        await cancel(first)
        await storage._connection.run(lambda: None)
    assert len(silent.received) == 1
    assert b"second" not in silent.received[0]


async def test_a_body_that_stops_coming_does_not_hold_who_gives_up() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = b"HTTP/1.1 200 -\r\ncontent-length: 8\r\nx-goog-generation: 1\r\n"
        writer.write(head + b"last-modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n1234")
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with aclosing(gcs_at(endpoint, max_connections=1)) as storage:

            async def read() -> None:
                async with storage.get("a") as reader:
                    await reader.read()

            reading: asyncio.Task[object] = asyncio.create_task(read())
            await asyncio.sleep(0.3)
            assert await cancel(reading) < 1
            # The one thread is free again.
            await asyncio.wait_for(storage._connection.run(lambda: None), 5)


async def test_a_call_that_is_abandoned_late_leaves_the_connection_to_its_next_user() -> None:
    done, release = threading.Event(), threading.Event()
    numbers: list[int] = []

    def reply(request: Request, number: int) -> bytes:
        numbers.append(number)
        return found(resource())

    async with stub_gcs(reply) as storage:
        connection = storage._connection

        def request_and_wait() -> None:
            connection._request("GET", "/storage/v1/b/bucket/o/a", None)
            done.set()
            release.wait(10)

        first: asyncio.Task[object] = asyncio.create_task(connection.run(request_and_wait))
        await asyncio.to_thread(done.wait, 10)
        await storage.head("a")
        await cancel(first)
        release.set()
        await storage.head("a")
    # All on one connection: nothing was shut down under the second call.
    assert numbers == [1, 2, 3]


async def test_a_connection_that_nobody_answers_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with aclosing(gcs_at(endpoint, read_timeout=0.2)) as storage:
            with pytest.raises(StorageError) as caught:
                await storage.head("a")
    assert caught.value.retryable
