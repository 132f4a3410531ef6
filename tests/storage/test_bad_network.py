"""What goes wrong between us and a real store of each kind, one kind of fault after the other."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    BaseStorageService,
    IfAbsent,
    IfMatch,
    NotFoundError,
    StorageError,
    StorageTimeoutError,
    UnauthenticatedError,
    UnavailableError,
)
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.types import ContentHash
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.fault_proxy import FaultKind, FaultProxy
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.operations import Protocol
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeAzure, MakeGCS, MakeS3
from .helpers import listing, read

OLD, NEW = b"old" * 1000, b"new" * 1500

Op = Callable[[BaseStorageService, str, BaseStorageService], Awaitable[None]]
Make = Callable[..., Any]


@dataclass(frozen=True)
class Network:
    """`storage` retries and goes through `proxy`; `store` is the same container, seen directly."""

    proxy: FaultProxy
    store: BaseStorageService
    storage: RetryStorage


@dataclass(frozen=True)
class Place:
    protocol: Protocol
    endpoint: str
    make: Make
    """A storage at an endpoint, with a container of its own if none is given."""

    trait: str
    """The name of the container's trait."""

    @asynccontextmanager
    async def network(self, **options: Any) -> AsyncIterator[Network]:
        """Short waits; `options` are those of the retries."""
        async with (
            FaultProxy(self.endpoint, self.protocol) as proxy,
            aclosing(self.make(self.endpoint)) as store,
            aclosing(self._same(proxy.endpoint_url, store)) as provider,
        ):
            storage = RetryStorage(provider, wait_initial=0.0, wait_max=0.0, **options)
            yield Network(proxy, store, storage)

    def _same(self, endpoint: str, store: Any) -> Any:
        """A storage of the container of `store`, at another endpoint."""
        return self.make(endpoint, **{self.trait: getattr(store, self.trait)})


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
    places = {
        "s3": Place(
            "s3",
            seaweed_server.endpoint_url,
            lambda url, **options: make_s3(seaweed_server, endpoint_url=url, **options),
            "bucket",
        ),
        "gcs": Place(
            "gcs",
            gcs_server.endpoint_url,
            lambda url, **options: make_gcs(endpoint_url=url, **options),
            "bucket",
        ),
        "azure": Place(
            "azure",
            azurite_server.endpoint_url,
            lambda url, **options: make_azure(azurite_server, account_url=url, **options),
            "container",
        ),
    }
    return places[request.param]


# Each works on one path, where OLD is, and looks at the outcome past the bad network.


async def head(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    assert (await storage.head(path)).size == len(OLD)


async def get(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    assert await read(storage, path) == OLD


async def list_pages(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    assert (await listing(storage.list_pages(path))).paths == [path]


async def put(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    meta = await storage.put(path, NEW, metadata=stamp(NEW))
    await expect(store, path, NEW, meta.version)


async def put_over(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    version = (await store.head(path)).version
    meta = await storage.put(path, NEW, condition=IfMatch(version), metadata=stamp(NEW))
    await expect(store, path, NEW, meta.version)


async def put_new(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    meta = await storage.put(f"{path}.new", NEW, condition=IfAbsent(), metadata=stamp(NEW))
    await expect(store, f"{path}.new", NEW, meta.version)


async def delete(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    await storage.delete(path)
    await expect_none(store, path)


async def delete_version(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    await storage.delete(path, condition=IfMatch((await store.head(path)).version))
    await expect_none(store, path)


async def delete_many(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    await storage.delete_many([path], versions={path: (await store.head(path)).version})
    await expect_none(store, path)


async def copy(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    version = (await store.head(path)).version
    meta = await storage.copy(path, f"{path}.copy", condition=IfAbsent(), source_version=version)
    await expect(store, f"{path}.copy", OLD, meta.version)
    await expect(store, path, OLD, version)


async def move(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    if not store.capabilities.atomic_move:
        return
    meta = await storage.move(await store.head(path), f"{path}.moved", condition=IfAbsent())
    await expect(store, f"{path}.moved", OLD, meta.version)
    await expect_none(store, path)


async def upload(storage: BaseStorageService, path: str, store: BaseStorageService) -> None:
    metadata = {"mtime": "1700000000.123456"}
    version = (await store.head(path)).version
    first = bytes(max(2**18, store.capabilities.min_part_size))
    async with await storage.create_multipart_upload(path, metadata=metadata) as made:
        await made.upload_part(1, first, more=True)
        await made.upload_part(2, NEW)
        meta = await made.complete(condition=IfMatch(version))
    await expect(store, path, first + NEW, meta.version)


OPERATIONS: dict[str, Op] = {
    operation.__name__: operation
    for operation in (
        *(head, get, list_pages, put, put_over, put_new, delete, delete_version, delete_many),
        *(copy, move, upload),
    )
}


async def expect(store: BaseStorageService, path: str, data: bytes, version: str) -> None:
    meta = await store.head(path)
    assert (meta.version, await read(store, path)) == (version, data)


async def expect_none(store: BaseStorageService, path: str) -> None:
    with pytest.raises(NotFoundError):
        await store.head(path)


async def befall(network: Network, kind: FaultKind, times: int) -> None:
    """All operations at once, `times` faults on the requests of each kind of them."""
    for name in OPERATIONS:
        await network.store.put(name, OLD)
    await network.storage.head("head")  # the client is made
    words = [
        *("HEAD", "GET", "LIST", "PUT", "DELETE", "COPY", "MOVE", "BATCH"),
        *("CREATE UPLOAD", "PART", "COMPLETE"),
    ]
    for word in words:
        network.proxy.plan(kind, word, times=times)
    acts = (act(network.storage, name, network.store) for name, act in OPERATIONS.items())
    await asyncio.gather(*acts)


@pytest.mark.parametrize(
    "kind", ["slow_down", "throttled", "broken", "reset_before", "reset_after", "cut", "drip"]
)
async def test_every_operation_survives(place: Place, kind: FaultKind) -> None:
    async with place.network(max_attempts=10) as network:
        await befall(network, kind, times=2)
        assert network.proxy.injected[kind] >= (2 if kind in ("cut", "drip") else 12)


async def test_every_operation_survives_a_store_that_does_it_and_keeps_silent(place: Place) -> None:
    async with place.network(attempt_timeout=2.0, in_store_timeout=2.0) as network:
        await befall(network, "silence", times=1)
        assert network.proxy.injected["silence"] >= 6


async def test_a_store_that_never_answers_is_a_timeout_that_does_not_know_the_outcome(
    place: Place,
) -> None:
    async with place.network(attempt_timeout=0.5, max_attempts=2) as network:
        await network.store.put("a", OLD)
        await network.storage.head("a")
        network.proxy.plan("silence", times=4)
        with pytest.raises(StorageTimeoutError) as read_error:
            await network.storage.head("a")
        assert not read_error.value.outcome_unknown
        with pytest.raises(StorageTimeoutError) as write_error:
            await network.storage.put("a", NEW)
        assert write_error.value.outcome_unknown
        assert await read(network.store, "a") == NEW


async def test_a_body_that_comes_slowly_comes_whole(place: Place) -> None:
    async with place.network(attempt_timeout=2.0) as network:
        await network.store.put("a", OLD)
        network.proxy.plan("drip", "GET")
        assert await read(network.storage, "a") == OLD
        assert network.proxy.take()["GET"] == 1


@pytest.mark.parametrize("attempts", [1, 5])
async def test_a_body_that_is_cut_is_never_taken_for_whole(place: Place, attempts: int) -> None:
    async with place.network(max_attempts=attempts) as network:
        await network.store.put("a", OLD)
        await network.storage.head("a")
        network.proxy.plan("cut", "GET")
        if attempts > 1:
            assert await read(network.storage, "a") == OLD
        else:
            with pytest.raises(UnavailableError):
                await read(network.storage, "a")
        assert network.proxy.injected["cut"] == 1


async def test_credentials_that_have_expired_are_no_login_page_and_recover_without_a_restart(
    place: Place,
) -> None:
    async with place.network() as network:
        await network.store.put("a", OLD)
        network.proxy.expired_for = 40
        network.proxy.plan("expired")
        for _ in range(2):
            with pytest.raises(UnauthenticatedError, match=r"expired|accept"):
                await network.storage.put("a", NEW)
        network.proxy.active = False
        await network.storage.put("a", NEW)
        assert await read(network.store, "a") == NEW


async def test_a_name_that_does_not_resolve_is_a_store_out_of_reach(place: Place) -> None:
    account = {"account_name": "devstoreaccount1"} if place.protocol == "azure" else {}
    async with aclosing(place.make("http://no-such-host.invalid", **account)) as provider:
        storage = RetryStorage(provider, max_attempts=2, wait_initial=0.0, wait_max=0.0)
        with pytest.raises(UnavailableError, match=r"no-such-host\.invalid") as caught:
            await storage.put("a", NEW)
        assert caught.value.retryable
        assert not caught.value.outcome_unknown


async def test_a_damaged_body_is_never_given_whole(place: Place) -> None:
    async with place.network() as network:
        await network.storage.put("whole", OLD)
        await network.storage.put("saved", OLD, metadata=stamp(OLD))
        part = bytes(max(2**18, network.store.capabilities.min_part_size))
        async with await network.storage.create_multipart_upload("parts") as made:
            await made.upload_part(1, part, more=True)
            await made.upload_part(2, NEW)
            await made.complete()
        for path in ("whole", "saved", "parts"):
            network.proxy.plan("damage", "GET")
            with pytest.raises(UnavailableError, match="damaged"):
                await read(network.storage, path)
        assert network.proxy.injected["damage"] == 3


async def test_a_body_that_is_damaged_on_the_way_to_the_store_is_not_saved(place: Place) -> None:
    async with place.network() as network:
        for path, act, word in (("a", put_over, "PUT"), ("b", upload, "PART")):
            await network.store.put(path, OLD)
            network.proxy.plan("damage_sent", word)
            if place.protocol == "gcs":
                # It says only that the request is wrong, and of a part nothing before the end.
                with pytest.raises(StorageError):
                    await act(network.storage, path, network.store)
                assert await read(network.store, path) == OLD
            else:
                await act(network.storage, path, network.store)
        assert network.proxy.injected["damage_sent"] == 2


@pytest.mark.parametrize(("order", "known"), [((1, 2), True), ((2, 1), False)])
async def test_on_azure_parts_that_come_in_order_give_the_object_its_checksum(
    azurite_server: AzuriteServer, make_azure: MakeAzure, order: tuple[int, int], known: bool
) -> None:
    parts = {1: OLD, 2: NEW}
    async with aclosing(make_azure(azurite_server)) as store:
        async with await store.create_multipart_upload("a") as made:
            for number in order:
                await made.upload_part(number, parts[number])
            meta = await made.complete()
        expected = ContentHash("md5", hashlib.md5(OLD + NEW).hexdigest()) if known else None
        assert meta.content_hash == expected
        assert not known or (await store.head("a")).content_hash == expected
        assert await read(store, "a") == OLD + NEW
