"""The floor: the SDK alone makes the fewest requests that can do a gesture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from benchmarks.children import Child
from benchmarks.proxy import ProxyService
from benchmarks.raw import Raw, Store
from jupyter_nbforge.testing.servers import MotoServer


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with MotoServer() as server:
        server.create_bucket("floor")
        store = Store(server.endpoint_url, "floor", server.access_key, server.secret_key)
        with Child(Raw, store) as admin:
            admin.ask("write", "a", b"x")
            admin.ask("write_many", "few", 3, b"x")
            admin.ask("write_many", "many", 1001, b"x")
        yield store


@pytest.mark.parametrize(
    ("gesture", "arguments", "requests"),
    [
        ("open", ("a",), {"GET": 1}),
        ("open_as_allowed", ("a",), {"GET": 1, "LIST": 1}),
        ("save", ("a",), {"PUT": 1}),
        ("save_as_allowed", ("a",), {"HEAD": 1, "PUT": 1, "COPY": 1}),
        ("list", ("many",), {"LIST": 2}),
        ("rename", ("few", "fewer"), {"LIST": 1, "COPY": 3, "DELETE": 1}),
        ("upload", ("b", 17), {"CREATE UPLOAD": 1, "PART": 2, "COMPLETE": 1}),
        ("download", ("a",), {"GET": 1}),
    ],
)
async def test_a_gesture_costs(
    store: Store, gesture: str, arguments: tuple[str | int, ...], requests: dict[str, int]
) -> None:
    async with ProxyService(store.endpoint) as proxy:
        behind = replace(store, endpoint=proxy.endpoint_url)
        async with Raw(behind) as raw:
            await raw.edit(b"edited")
            await raw.perform(gesture, *arguments)
            assert (await proxy.traffic()).requests == requests


async def test_a_folder_is_renamed_whole(store: Store) -> None:
    async with Raw(store) as raw:
        await raw.write_many("old", 3, b"x")
        await raw.perform("rename", "old", "new")
        assert await raw.paths("old/") == []
        assert len(await raw.paths("new/")) == 3


async def test_an_upload_has_all_its_bytes(store: Store) -> None:
    async with Raw(store) as raw:
        await raw.perform("upload", "big", 17)
        assert await raw.size("big") == 17 * 2**20
