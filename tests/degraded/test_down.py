"""A store that is out of reach: said in a sentence, nothing lost, and all well when it is back."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.api import Api, Store, text_model

from .gestures import FILES, fill, is_sentence, untouched, writes
from .proxy import DegradedProxy


async def test_every_gesture_is_a_503_with_a_sentence_and_changes_nothing(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    async with proxy.down():
        for name, make in writes(api).items():
            answer = await make()
            assert answer.status == 503, (name, answer)
            assert is_sentence(answer.message), (name, answer.message)
            assert "Retry-After" in answer.headers, name
        for parts in (("api", "contents"), ("api", "contents", "a.txt"), ("files", "a.txt")):
            assert (await api.call("GET", *parts)).status == 503, parts
        assert (await api.call("GET", "api", "status")).status == 200
    assert untouched(store)


async def test_the_same_server_goes_on_when_the_store_is_back(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    # Connections of before are in the pool, and what was opened is known.
    assert await api.text("a.txt") == "of old"
    await asyncio.gather(*(api.get(path) for path in ("", "d", "b.ipynb")))
    async with proxy.down():
        assert (await api.contents("PUT", "a.txt", text_model("mine"))).status == 503
        assert (await api.contents("GET", "d/c.txt")).status == 503
    # The person tries once more: it is their own file still, and no conflict.
    await api.save_text("a.txt", "mine")
    assert store.get("a.txt") == b"mine"
    assert await api.text("d/c.txt") == "c"
    for name in ("upload", "checkpoint", "copy", "new folder", "rename a folder"):
        answer = await writes(api)[name]()
        assert answer.status < 300, (name, answer)


async def test_an_upload_that_met_the_outage_can_be_made_again(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    chunk = text_model("first ")
    assert (await api.contents("PUT", "up.bin", {**chunk, "chunk": 1})).status == 201
    async with proxy.down():
        answer = await api.contents("PUT", "up.bin", {**text_model("last"), "chunk": -1})
        assert answer.status == 503
    assert untouched(store)
    await api.save("up.bin", {**chunk, "chunk": 1})
    await api.save("up.bin", {**text_model("last"), "chunk": -1})
    assert store.get("up.bin") == b"first last"


@pytest.mark.starts_down
@pytest.mark.settings({"NBForgeContentsManager": {"check_at_start": True}})
async def test_a_server_that_starts_while_the_store_is_down_serves_it_later(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    assert (await api.contents("GET", "")).status == 503
    await proxy.open_endpoint()
    assert await api.names() == ["a.txt", "b.ipynb", "d"]
    assert FILES["d/c.txt"].decode() == await api.text("d/c.txt")
