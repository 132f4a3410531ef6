"""From one real store to another, over a network that breaks and damages."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import BaseStorageService, IfAbsent, StorageError
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.metadata import format_saver, stamp
from jupyter_nbforge.storage.transfer import PART_SIZE, transfer
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.fault_proxy import FaultProxy
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.operations import Protocol
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeAzure, MakeGCS, MakeS3
from .helpers import listing, read

SMALL = os.urandom(100)
LARGE = os.urandom(PART_SIZE + 1234)

Make = Callable[..., BaseStorageService]


@pytest.fixture
def makers(
    seaweed_server: SeaweedServer,
    gcs_server: FakeGCSServer,
    azurite_server: AzuriteServer,
    make_s3: MakeS3,
    make_gcs: MakeGCS,
    make_azure: MakeAzure,
) -> dict[str, tuple[str, Make]]:
    """The endpoint of each cloud, and what makes a storage at an endpoint."""

    def s3(url: str, **options: Any) -> BaseStorageService:
        return make_s3(seaweed_server, endpoint_url=url, **options)

    def azure(url: str, **options: Any) -> BaseStorageService:
        return make_azure(azurite_server, account_url=url, **options)

    def gcs(url: str, **options: Any) -> BaseStorageService:
        return make_gcs(endpoint_url=url, **options)

    return {
        "s3": (seaweed_server.endpoint_url, s3),
        "gcs": (gcs_server.endpoint_url, gcs),
        "azure": (azurite_server.endpoint_url, azure),
    }


@asynccontextmanager
async def opened_clouds(
    makers: dict[str, tuple[str, Make]],
) -> AsyncIterator[dict[str, BaseStorageService]]:
    async with AsyncExitStack() as opened:
        yield {
            name: await opened.enter_async_context(aclosing(make(endpoint)))
            for name, (endpoint, make) in makers.items()
        }


async def test_an_object_goes_round_all_stores_as_it_is(
    makers: dict[str, tuple[str, Make]], tmp_path: Path
) -> None:
    disk = LocalStorage(root=str(tmp_path))
    async with opened_clouds(makers) as clouds:
        for name, data in (("ä b.ipynb", SMALL), ("large.bin", LARGE), ("empty.txt", b"")):
            first = await clouds["s3"].put(
                name, data, content_type="text/x-forge", metadata=stamp(data) | format_saver("Ada")
            )
            before, path = clouds["s3"], name
            for cloud in ("gcs", "azure", "s3"):
                made = await transfer(before, path, clouds[cloud], f"round/{name}")
                before, path = clouds[cloud], f"round/{name}"
                assert made == await before.head(path)
                assert (made.size, made.last_modified) == (first.size, first.last_modified)
                assert made.content_hash == first.content_hash
                assert (made.content_type, made.saved_by) == ("text/x-forge", "Ada")
            await transfer(before, path, disk, name, condition=IfAbsent())
            assert (tmp_path / name).read_bytes() == data


@pytest.mark.parametrize("cloud", ["s3", "gcs", "azure"])
async def test_a_read_that_breaks_off_goes_on_and_a_damaged_write_never_stays(
    makers: dict[str, tuple[str, Make]], cloud: Protocol, tmp_path: Path
) -> None:
    endpoint, make = makers[cloud]
    disk = LocalStorage(root=str(tmp_path))
    async with (
        FaultProxy(endpoint, cloud) as proxy,
        aclosing(make(proxy.endpoint_url)) as provider,
    ):
        storage = RetryStorage(provider, wait_initial=0.0, wait_max=0.0)
        for name, data in (("small", SMALL), ("large", LARGE)):
            await disk.put(name, data)
            proxy.plan("damage_sent", "PUT" if name == "small" else "PART")
            try:
                await transfer(disk, name, storage, name)
            except StorageError:
                assert (await listing(storage.list_pages(name))).paths == []
                await transfer(disk, name, storage, name)
            assert await read(storage, name) == data
            proxy.plan("cut", "GET")
            await transfer(storage, name, disk, f"back/{name}")
            assert (tmp_path / "back" / name).read_bytes() == data
        assert (proxy.injected["damage_sent"], proxy.injected["cut"]) == (2, 2)
