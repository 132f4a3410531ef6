"""A store that takes its time: who waits waits alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from aiohttp import ClientSession, TCPConnector
from yarl import URL

from tests.server.api import Api, Store

from .gestures import fill
from .proxy import DegradedProxy

T = TypeVar("T")

MANY = 40
"""More than may be under way at once."""

LONG = 28
"""How many of 32 requests at once may be such as take long."""


def while_others_wait(awaitable: Awaitable[T]) -> Awaitable[T]:
    """Fails where it would have to wait for those that are held."""
    return asyncio.wait_for(awaitable, 30)


async def test_while_a_save_waits_for_the_store_everything_else_is_answered(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    proxy.held = ("slow.txt",)
    save = asyncio.create_task(api.save_text("slow.txt", "text"))
    await proxy.holds(1)
    assert (await while_others_wait(api.call("GET", "api", "status"))).status == 200
    assert await while_others_wait(api.names("d")) == ["c.txt"]
    await while_others_wait(api.save_text("d/c.txt", "saved meanwhile"))
    assert not save.done()
    proxy.release()
    await save
    assert store.get("slow.txt") == b"text"


async def test_however_many_copies_wait_for_the_store_a_save_finds_a_way(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    _fill_many(store)
    await api.text("a.txt")
    # Not the marker, by which the copy of a folder takes its name.
    proxy.held = tuple(f"many-Copy1/{number}.txt" for number in range(MANY))
    copy = asyncio.create_task(api.contents("POST", "", {"copy_from": "many"}))
    await proxy.holds(LONG)
    await _save_and_look(api, store)
    proxy.release()
    assert (await copy).status == 201


async def test_however_many_downloads_wait_for_the_store_a_save_finds_a_way(
    api: Api,
    store: Store,
    proxy: DegradedProxy,
    jp_serverapp: Any,
    jp_auth_header: dict[str, str],
) -> None:
    _fill_many(store)
    await api.text("a.txt")
    proxy.held = ("many/",)
    address = f"{jp_serverapp.connection_url}files/many"
    # With as many connections as it likes, unlike the client of the other requests.
    async with ClientSession(headers=jp_auth_header, connector=TCPConnector(limit=0)) as session:

        async def download(number: int) -> int:
            async with session.get(URL(f"{address}/{number}.txt", encoded=True)) as answer:
                assert await answer.read() == b"x"
                return answer.status

        downloads = [asyncio.create_task(download(number)) for number in range(MANY)]
        await proxy.holds(LONG)
        await _save_and_look(api, store)
        proxy.release()
        assert set(await asyncio.gather(*downloads)) == {200}


def _fill_many(store: Store) -> None:
    fill(store)
    for number in range(MANY):
        store.put(f"many/{number}.txt", b"x")


async def _save_and_look(api: Api, store: Store) -> None:
    await while_others_wait(api.save_text("a.txt", "saved meanwhile"))
    assert await while_others_wait(api.names("d")) == ["c.txt"]
    assert store.get("a.txt") == b"saved meanwhile"
