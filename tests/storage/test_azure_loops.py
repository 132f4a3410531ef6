"""The clients of AzureStorage and event loops: nothing is shared, held up or left open."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import aclosing
from typing import Any

import pytest

from jupyter_nbforge.storage import azure_client, azure_listing
from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.testing.azure_server import AzuriteServer

from .azure_stub import azure_at, blob, stub_azure
from .conftest import MakeAzure

# Warnings are errors in these tests, and pytest reports those of the garbage collector.


async def client(storage: AzureStorage) -> Any:
    return await storage._connection.client()


def test_a_storage_serves_two_loops_and_leaves_nothing_open(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    def use() -> None:
        storage = make_azure(azurite_server)

        async def look() -> object:
            await storage.put("a", b"data")
            return await client(storage)

        async def look_and_close() -> object:
            found = await look()
            await storage.aclose()
            return found

        assert asyncio.run(look()) is not asyncio.run(look_and_close())

    use()
    gc.collect()


def test_a_loop_that_lives_on_in_a_thread_leaves_nothing_open(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    """jupyter_core's `run_sync` keeps such a loop when it is called beside a running one."""
    from jupyter_core.utils import run_sync

    storage = make_azure(azurite_server)

    async def serve() -> None:
        run_sync(storage.put)("a", b"data")
        async with storage.get("a") as reader:
            assert await reader.read() == b"data"
        await storage.aclose()

    asyncio.run(serve())
    gc.collect()


async def test_a_closed_storage_can_be_used_again(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    storage = make_azure(azurite_server)
    await storage.aclose()
    meta = await storage.put("a", b"data")
    await storage.aclose()
    await storage.aclose()
    assert await storage.head("a") == meta
    await storage.aclose()
    gc.collect()


async def test_first_users_share_one_client() -> None:
    async with aclosing(azure_at("http://127.0.0.1:9/account")) as storage:
        clients = await asyncio.gather(*(client(storage) for _ in range(5)))
        assert len(set(map(id, clients))) == 1


async def test_what_a_client_needs_is_prepared_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[int]()
    prepare = azure_client._prepare

    def watched(*arguments: Any) -> Any:
        threads.add(threading.get_ident())
        return prepare(*arguments)

    monkeypatch.setattr(azure_client, "_prepare", watched)
    async with aclosing(azure_at("http://127.0.0.1:9/account")) as storage:
        await client(storage)
    assert threads
    assert threading.get_ident() not in threads


async def test_a_read_that_is_cancelled_frees_its_connection(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server, max_connections=1)) as storage:
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


async def test_writes_that_are_cancelled_free_their_connection(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server, max_connections=1)) as storage:
        await storage.put("a", b"old")
        for steps in range(0, 40, 3):
            writing = asyncio.ensure_future(storage.put("b", bytes(2**20)))
            for _ in range(steps):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
        await asyncio.wait_for(storage.head("a"), 10)


async def test_a_read_whose_storage_is_closed_ends_with_an_error_of_ours(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", bytes(32 * 2**20))
        async with storage.get("a") as reader:
            assert await anext(reader.chunks)
            await storage.aclose()
            with pytest.raises(StorageError):
                async for _ in reader.chunks:
                    pass


def page_of(number: int) -> bytes:
    """An answer of List Blobs with that many blobs."""
    entry = (
        "<Blob><Name>folder/some-notebook-{:06}.ipynb</Name><Properties>"
        "<Creation-Time>Tue, 24 Nov 2026 06:34:51 GMT</Creation-Time>"
        "<Last-Modified>Tue, 24 Nov 2026 06:34:51 GMT</Last-Modified><Etag>0x20EB80BD2F686C0</Etag>"
        "<Content-Length>1</Content-Length><Content-Type>application/octet-stream</Content-Type>"
        "<Content-MD5>ndTkYSaMgDT1yFZOFVxnpg==</Content-MD5><BlobType>BlockBlob</BlobType>"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        "<AccessTier>Hot</AccessTier></Properties><Metadata><mtime>1700000000.123456</mtime>"
        "</Metadata></Blob>"
    )
    entries = "".join(map(entry.format, range(number)))
    return blob(f"<EnumerationResults><Blobs>{entries}</Blobs></EnumerationResults>".encode())


async def test_a_page_of_a_listing_is_taken_apart_in_a_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the loop our own parser would stop it for 40 ms a page, the SDK's for 200."""
    page, parse, threads = page_of(1000), azure_listing._parse, set[int]()

    def noted(body: bytes) -> Any:
        threads.add(threading.get_ident())
        return parse(body)

    monkeypatch.setattr(azure_listing, "_parse", noted)
    async with stub_azure(lambda request, number: page) as storage:
        found = [meta async for page in storage.list_pages("") for meta in page.objects]
    assert len(found) == 1000
    assert threads
    assert threading.get_ident() not in threads


async def test_a_large_object_passes_in_pieces(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    data = bytes(16 * 2**20)
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", data)
        async with storage.get("a") as reader:
            sizes = [len(chunk) async for chunk in reader.chunks]
        assert (sum(sizes), max(sizes) <= 2**20) == (len(data), True)
