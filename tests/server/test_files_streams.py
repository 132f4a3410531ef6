"""/files/: the way of the bytes, what breaks on it, and a client that goes away."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from functools import partial
from typing import Any

import pytest

from jupyter_nbforge.contents.streams import beginning, read_ahead
from jupyter_nbforge.storage.errors import UnavailableError
from jupyter_nbforge.testing.faults import Fault, unavailable

from .api import Api, Store
from .files_world import Wire, asking, faulty, own_tasks, watched

MIB = 2**20
DATA = bytes(range(256)) * (5 * MIB // 256)
OTHER = b"other" * MIB
LARGE = bytes(64 * MIB)
AT_ONCE = {"RetryStorage": {"wait_initial": 0.0, "wait_max": 0.0}}
ONE_PLACE = {"LimitStorage": {"max_concurrency": 1}}

# What is small enough to be kept is read whole before it is passed on.
pytestmark = pytest.mark.settings({"CacheStorage": {"max_bytes": 0}})

Ask = Callable[[str], AbstractAsyncContextManager[Wire]]

memory_only = pytest.mark.stores("memory")


@pytest.fixture
def ask(http_server_port: tuple[Any, int], jp_base_url: str, jp_auth_header: dict[str, str]) -> Ask:
    """Ask for a file on a connection of its own."""
    token = jp_auth_header["Authorization"]
    return lambda path: asking(http_server_port[1], f"{jp_base_url}files/{path}", token)


@pytest.mark.settings(AT_ONCE)
@pytest.mark.parametrize("error", [None, unavailable], ids=["silent", "said"])
async def test_a_connection_that_breaks_midway_is_no_matter_to_the_client(
    api: Api, store: Store, manager: Any, error: Any
) -> None:
    store.put("a.bin", DATA)
    cut = Fault("chunk", error=error, skip=2, times=2)
    faults = faulty(manager)
    seen = watched(manager)
    faults.faults.append(cut)
    answer = await api.call("GET", "files", "a.bin")
    assert (answer.status, answer.body == DATA) == (200, True)
    assert cut.befallen == 2
    version = (await manager.storage.head("a.bin")).version
    assert [look.if_match for look in seen.looks[1:3]] == [version, version]
    part = await api.call("GET", "files", "a.bin", headers={"Range": "bytes=3000000-"})
    assert (part.status, part.body == DATA[3_000_000:]) == (206, True)


@pytest.mark.settings(AT_ONCE)
async def test_of_a_file_replaced_midway_nobody_gets_bytes_of_both(
    api: Api, store: Store, manager: Any, ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    store.put("a.bin", DATA)
    manager.log.propagate = True

    async def replace() -> None:
        store.put("a.bin", OTHER)

    faulty(manager).faults.append(Fault("chunk", error=unavailable, hook=replace, skip=2))
    async with ask("a.bin") as wire:
        await wire.read_headers()
        body = await wire.read_to_end()
    assert wire.headers["content-length"] == str(len(DATA))
    assert 0 < len(body) < len(DATA)
    assert DATA.startswith(body)
    assert "Sending was broken off" in caplog.text
    assert "Traceback" not in caplog.text
    assert (await api.call("GET", "files", "a.bin")).body == OTHER


@memory_only
@pytest.mark.settings(AT_ONCE)
async def test_a_file_replaced_before_its_first_byte_comes_whole(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.bin", DATA)

    async def replace() -> None:
        store.put("a.bin", OTHER)

    faulty(manager).faults.append(Fault("chunk", error=unavailable, hook=replace))
    answer = await api.call("GET", "files", "a.bin")
    assert (answer.status, answer.body == OTHER) == (200, True)
    assert answer.headers["Content-Length"] == str(len(OTHER))


@memory_only
@pytest.mark.settings({"RetryStorage": {"max_attempts": 1}})
async def test_a_store_that_fails_before_the_first_byte_is_an_error_and_midway_a_short_body(
    api: Api, store: Store, manager: Any, ask: Ask
) -> None:
    store.put("a.bin", DATA)
    faults = faulty(manager)
    faults.fail("chunk")
    assert (await api.call("GET", "files", "a.bin")).status == 503
    faults.fail("chunk", skip=3)
    async with ask("a.bin") as wire:
        await wire.read_headers()
        body = await wire.read_to_end()
    assert wire.status == 200
    assert 0 < len(body) < len(DATA)


@pytest.mark.stores("memory", "seaweedfs", "gcs", "azure")
@pytest.mark.settings(ONE_PLACE)
async def test_a_client_that_leaves_midway_gives_its_place_to_the_next(
    api: Api, store: Store, manager: Any, ask: Ask
) -> None:
    store.put("large.bin", LARGE)
    store.put("a.bin", DATA)
    before = own_tasks()
    async with ask("large.bin") as wire:
        await wire.read_headers()
        await wire.read(MIB)
        wire.leave()
        assert (await api.call("GET", "files", "a.bin")).body == DATA
    assert await _rest_of(own_tasks() - before) == set()


@memory_only
@pytest.mark.settings(ONE_PLACE)
@pytest.mark.parametrize("operation", ["get", "chunk"])
async def test_a_client_that_leaves_is_noticed_while_the_store_keeps_silent(
    api: Api, store: Store, manager: Any, ask: Ask, operation: str
) -> None:
    store.put("large.bin", LARGE)
    store.put("a.bin", DATA)
    silent, ended, before = asyncio.Event(), asyncio.Event(), own_tasks()
    faults = faulty(manager)
    faults.faults.append(Fault(operation, "*large.bin", hook=partial(_hang, silent, ended)))
    async with ask("large.bin") as wire:
        await silent.wait()
        wire.leave()
        assert (await api.call("GET", "files", "a.bin")).body == DATA
    assert ended.is_set()
    assert await _rest_of(own_tasks() - before) == set()


async def _hang(begun: asyncio.Event, ended: asyncio.Event) -> None:
    begun.set()
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


async def _rest_of(tasks: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Those that do not come to an end by themselves."""
    return (await asyncio.wait(tasks, timeout=10))[1] if tasks else set()


@memory_only
async def test_a_client_that_does_not_read_is_not_read_for(
    api: Api, store: Store, manager: Any, ask: Ask
) -> None:
    store.put("large.bin", LARGE)
    seen = watched(manager)
    async with ask("large.bin") as wire:
        await wire.read_headers()
        for _ in range(20):
            await api.call("GET", "api", "status")
        # What is more lies in the buffers of the operating system.
        assert seen.chunks < 32
        assert await wire.read(len(LARGE)) == LARGE
    assert seen.chunks == 64


class Source:
    """Chunks that come when they are let go, and what was asked of them."""

    def __init__(self, *chunks: bytes) -> None:
        self.given = 0
        self.ended = False
        self.asked = asyncio.Event()
        self.wait: Callable[[], Awaitable[Any]] | None = None
        self._chunks = chunks

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            for chunk in self._chunks:
                self.asked.set()
                if self.wait is not None:
                    await self.wait()
                self.given += 1
                yield chunk
        finally:
            self.ended = True


async def test_one_chunk_is_read_ahead_and_no_more() -> None:
    source = Source(b"1", b"2", b"3", b"4")
    async with aclosing(read_ahead(source.chunks())) as chunks:
        assert await anext(chunks) == b"1"
        for _ in range(10):
            await asyncio.sleep(0)
        assert source.given == 2
        assert [chunk async for chunk in chunks] == [b"2", b"3", b"4"]


async def test_reading_ahead_ends_with_its_user() -> None:
    source = Source(b"1", b"2")
    stream = source.chunks()
    async with aclosing(read_ahead(stream)) as chunks:
        assert await anext(chunks) == b"1"
        source.asked.clear()
        source.wait = asyncio.Event().wait
        await source.asked.wait()
    assert source.ended
    assert own_tasks() == set()


async def test_an_error_of_reading_ahead_comes_in_its_place_and_not_after_the_end() -> None:
    asked = asyncio.Event()

    async def broken() -> AsyncIterator[bytes]:
        yield b"1"
        try:
            asked.set()
            await asyncio.sleep(0)
        finally:
            raise UnavailableError("The storage cannot be reached.")

    async with aclosing(read_ahead(broken())) as chunks:
        assert await anext(chunks) == b"1"
        with pytest.raises(UnavailableError):
            await anext(chunks)
    asked.clear()
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: complaints.append(about))
    async with aclosing(read_ahead(broken())) as chunks:
        assert await anext(chunks) == b"1"
        await asked.wait()
    del chunks
    gc.collect()
    assert complaints == []


async def test_empty_chunks_do_not_end_a_body() -> None:
    source = Source(b"", b"1", b"", b"2")
    assert [chunk async for chunk in read_ahead(source.chunks())] == [b"1", b"2"]


async def test_the_beginning_is_gathered_up_to_its_length() -> None:
    source = Source(b"ab", b"cd", b"ef")
    assert await beginning(source.chunks(), 1) == b"ab"
    assert await beginning(source.chunks(), 3) == b"abcd"
    assert await beginning(source.chunks(), 100) == b"abcdef"
    assert await beginning(Source().chunks(), 100) == b""
