"""Clients and event loops: nothing is shared between loops, nothing is left open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.storage.loops import PerLoop
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeS3
from .sdk import sdk
from .stub import Request, answer, stub_s3


class Opened:
    """Counts what is opened and closed, and on which loops."""

    def __init__(self) -> None:
        self.opened: list[asyncio.AbstractEventLoop] = []
        self.closed: list[asyncio.AbstractEventLoop] = []
        self.fail = False

    @contextlib.asynccontextmanager
    async def __call__(self) -> AsyncIterator[object]:
        await asyncio.sleep(0.01)
        if self.fail:
            raise StorageError("not now")
        self.opened.append(asyncio.get_running_loop())
        try:
            yield object()
        finally:
            await asyncio.sleep(0.05)
            self.closed.append(asyncio.get_running_loop())


async def test_concurrent_first_users_share_one() -> None:
    opened = Opened()
    held = PerLoop(opened)
    found = await asyncio.gather(*(held.get() for _ in range(10)))
    assert len(set(map(id, found))) == 1
    assert len(opened.opened) == 1
    await held.aclose()
    assert opened.closed == opened.opened


async def test_users_who_come_at_once_go_on_in_turns_of_the_loop_of_their_own() -> None:
    held = PerLoop(Opened())
    await held.get()
    turns = 0
    seen: list[int] = []

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def use() -> None:
        await held.get()
        seen.append(turns)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(use() for _ in range(10)))
    counting.cancel()
    assert len(set(seen)) == 10
    await held.aclose()


async def test_it_is_closed_once_and_opened_anew() -> None:
    opened = Opened()
    held = PerLoop(opened)
    await held.aclose()
    first = await held.get()
    await held.aclose()
    await held.aclose()
    assert len(opened.closed) == 1
    assert await held.get() is not first
    await held.aclose()
    assert len(opened.closed) == 2


async def test_a_failed_first_use_is_tried_again() -> None:
    opened = Opened()
    held = PerLoop(opened)
    opened.fail = True
    for _ in range(2):
        with pytest.raises(StorageError):
            await held.get()
    opened.fail = False
    await held.get()
    await held.aclose()
    assert len(opened.closed) == 1


async def test_a_cancelled_first_user_does_not_hinder_the_next() -> None:
    opened = Opened()
    held = PerLoop(opened)
    first = asyncio.create_task(held.get())
    second = asyncio.create_task(held.get())
    await asyncio.sleep(0.005)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    await held.aclose()
    assert opened.closed == opened.opened


def test_a_loop_that_ends_closes_its_own() -> None:
    opened = Opened()
    held = PerLoop(opened)

    async def use() -> object:
        return await held.get()

    assert asyncio.run(use()) is not asyncio.run(use())
    assert len(opened.opened) == 2
    assert opened.closed == opened.opened


def test_one_that_is_forgotten_is_closed_by_its_loop() -> None:
    opened = Opened()

    async def use() -> None:
        await PerLoop(opened).get()
        gc.collect()
        await asyncio.sleep(0.5)
        assert len(opened.closed) == 1

    asyncio.run(use())


def test_what_lives_on_a_loop_of_another_thread_is_closed_there() -> None:
    opened = Opened()
    held = PerLoop(opened)
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(held.get(), other).result(10)

        async def close() -> None:
            await held.get()
            await held.aclose()

        asyncio.run(close())
        assert other in opened.closed
        assert len(opened.closed) == 2
    finally:
        other.call_soon_threadsafe(other.stop)
        thread.join()
        other.close()


# Warnings are errors in these tests, and pytest reports those of the garbage collector.


def test_a_storage_serves_two_loops_and_leaves_nothing_open(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    def use() -> None:
        storage = make_s3(seaweed_server)

        async def look() -> object:
            await storage.put("a", b"data")
            return await sdk(storage)

        async def look_and_close() -> object:
            client = await look()
            await storage.aclose()
            return client

        assert asyncio.run(look()) is not asyncio.run(look_and_close())

    use()
    gc.collect()


def test_a_loop_that_lives_on_in_a_thread_leaves_nothing_open(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    """jupyter_core's `run_sync` keeps such a loop when it is called beside a running one."""
    from jupyter_core.utils import run_sync

    storage = make_s3(seaweed_server)

    async def serve() -> None:
        run_sync(storage.put)("a", b"data")
        async with storage.get("a") as reader:
            assert await reader.read() == b"data"
        await storage.aclose()

    asyncio.run(serve())
    gc.collect()


async def test_a_closed_storage_can_be_used_again(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    storage = make_s3(seaweed_server)
    await storage.aclose()
    meta = await storage.put("a", b"data")
    await storage.aclose()
    await storage.aclose()
    assert await storage.head("a") == meta
    await storage.aclose()
    gc.collect()


async def test_first_users_share_one_client(seaweed_server: SeaweedServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        clients = await asyncio.gather(*(sdk(storage) for _ in range(5)))
        assert len(set(map(id, clients))) == 1


async def test_a_client_is_made_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from botocore.loaders import Loader

    threads = set[int]()
    load = Loader.load_service_model

    def watched(loader: Any, *names: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return load(loader, *names, **options)

    monkeypatch.setattr(Loader, "load_service_model", watched)
    async with aclosing(
        S3Storage(bucket="bucket", access_key_id="a", secret_access_key="b")
    ) as storage:
        await sdk(storage)
    assert threads
    assert threading.get_ident() not in threads


async def test_requests_say_which_software_makes_them() -> None:
    agents = list[str]()

    def reply(request: Request, number: int) -> bytes:
        agents.append(request.headers["user-agent"])
        return answer(204)

    async with stub_s3(reply) as storage:
        await storage.delete("a")
    assert all(name in agents[-1] for name in ("jupyter-nbforge", "aiobotocore/"))


async def test_a_read_that_is_cancelled_frees_its_connection(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server, max_connections=1)) as storage:
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


async def test_credentials_of_a_process_are_found_and_renewed_on_the_serving_loop(
    tmp_path: Path,
    seaweed_server: SeaweedServer,
    make_s3: MakeS3,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are first looked for on the loop of the thread that makes the client."""
    soon = datetime.now(timezone.utc) + timedelta(minutes=2)
    answer = {
        "Version": 1,
        "AccessKeyId": seaweed_server.access_key,
        "SecretAccessKey": seaweed_server.secret_key,
        "Expiration": soon.isoformat(),
    }
    script = tmp_path / "credentials"
    script.write_text(f"#!/bin/sh\necho called >>{tmp_path}/calls\necho '{json.dumps(answer)}'\n")
    script.chmod(0o700)
    (tmp_path / "config").write_text(f"[profile work]\ncredential_process = {script}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    options: dict[str, Any] = {"access_key_id": "", "secret_access_key": "", "profile_name": "work"}
    async with aclosing(make_s3(seaweed_server, **options)) as storage:
        await asyncio.gather(*(storage.put(f"a{number}", b"") for number in range(5)))
        assert len((tmp_path / "calls").read_text().splitlines()) > 1


async def test_a_read_whose_storage_is_closed_ends_with_an_error_of_ours(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        await storage.put("a", bytes(32 * 2**20))
        async with storage.get("a") as reader:
            assert await anext(reader.chunks)
            await storage.aclose()
            with pytest.raises(StorageError) as broken:
                async for _ in reader.chunks:
                    pass
    assert not broken.value.retryable
