"""Connections to a store: kept and used again, bounded, and closed at the end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

import pytest

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.wrappers import LimitStorage
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.proxy import CountingProxy
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeAzure, MakeGCS, MakeS3

DELAY = 0.005
"""Seconds of each request, so that several are under way at once."""


class Place(Protocol):
    """A real store: the proxy to be put before it, and a storage behind that."""

    def proxy(self) -> CountingProxy: ...

    def storage(self, proxy: CountingProxy, **options: Any) -> BaseStorageService: ...


@dataclass(frozen=True)
class S3Place:
    server: SeaweedServer
    make: MakeS3

    def proxy(self) -> CountingProxy:
        return CountingProxy(self.server.endpoint_url, "s3", delay=DELAY)

    def storage(self, proxy: CountingProxy, **options: Any) -> BaseStorageService:
        return self.make(self.server, endpoint_url=proxy.endpoint_url, **options)


@dataclass(frozen=True)
class GCSPlace:
    server: FakeGCSServer
    make: MakeGCS

    def proxy(self) -> CountingProxy:
        return CountingProxy(self.server.endpoint_url, "gcs", delay=DELAY)

    def storage(self, proxy: CountingProxy, **options: Any) -> BaseStorageService:
        return self.make(endpoint_url=proxy.endpoint_url, **options)


@dataclass(frozen=True)
class AzurePlace:
    server: AzuriteServer
    make: MakeAzure

    def proxy(self) -> CountingProxy:
        return CountingProxy(self.server.endpoint_url, "azure", delay=DELAY)

    def storage(self, proxy: CountingProxy, **options: Any) -> BaseStorageService:
        return self.make(self.server, account_url=proxy.endpoint_url, **options)


@pytest.fixture(params=["s3", "gcs", "azure"])
def place(
    request: pytest.FixtureRequest,
    seaweed_server: SeaweedServer,
    gcs_server: FakeGCSServer,
    azurite_server: AzuriteServer,
    make_s3: MakeS3,
    make_gcs: MakeGCS,
    make_azure: MakeAzure,
) -> Place:
    places: dict[str, Place] = {
        "s3": S3Place(seaweed_server, make_s3),
        "gcs": GCSPlace(gcs_server, make_gcs),
        "azure": AzurePlace(azurite_server, make_azure),
    }
    return places[request.param]


async def use(storage: BaseStorageService, number: int) -> None:
    """Four requests: a write, a look, a read to the end, a listing."""
    path = f"folder/{number}.txt"
    await storage.put(path, b"data")
    await storage.head(path)
    async with storage.get(path) as reader:
        assert await reader.read() == b"data"
    assert [page async for page in storage.list_pages(path)]


async def test_one_request_after_the_other_goes_over_one_connection(place: Place) -> None:
    async with place.proxy() as proxy, aclosing(place.storage(proxy)) as storage:
        for number in range(25):
            await use(storage, number)
    assert len(proxy.seen) >= 100
    assert proxy.connections.total == 1


@pytest.mark.parametrize("allowed", [1, 6])
async def test_requests_at_once_share_as_many_connections_as_are_allowed(
    place: Place, allowed: int
) -> None:
    async with (
        place.proxy() as proxy,
        aclosing(place.storage(proxy, max_connections=allowed)) as storage,
    ):
        await asyncio.gather(*(use(storage, number) for number in range(25)))
    assert len(proxy.seen) >= 100
    assert proxy.connections.total == proxy.connections.most == allowed


async def test_a_limit_of_concurrency_limits_connections_too(place: Place) -> None:
    async with (
        place.proxy() as proxy,
        aclosing(LimitStorage(place.storage(proxy), max_concurrency=5)) as storage,
    ):
        await asyncio.gather(*(use(storage, number) for number in range(25)))
    assert proxy.connections.most == 5


async def test_a_folder_of_deletes_and_copies_takes_no_more_connections_than_allowed(
    place: Place,
) -> None:
    async with place.proxy() as proxy, aclosing(place.storage(proxy, max_connections=4)) as storage:
        metas = [await storage.put(f"a/{number}", b"x") for number in range(40)]
        await asyncio.gather(*(storage.copy(meta.path, "b" + meta.path) for meta in metas))
        versions = {meta.path: meta.version for meta in metas}
        await storage.delete_many(versions, versions=versions)
        left = {meta.path async for page in storage.list_pages("a/") for meta in page.objects}
        assert left.isdisjoint(versions)
    assert proxy.connections.most <= 4


async def test_no_connection_is_open_after_the_storage_is_closed(place: Place) -> None:
    async with place.proxy() as proxy:
        async with aclosing(place.storage(proxy)) as storage:
            await asyncio.gather(*(use(storage, number) for number in range(10)))
            assert proxy.connections.now > 0
        await asyncio.wait_for(proxy.connections.none_left(), 10)
