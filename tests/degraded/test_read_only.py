"""A store that may only be read: wholly browsable, and every change is refused with a sentence."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.server.api import Api, Store

from .gestures import fill, is_sentence, untouched, writes
from .proxy import DegradedProxy


async def _browse(api: Api, store: Store) -> list[dict[str, Any]]:
    """Look at everything; all the models that were shown."""
    root, folder = await api.get(""), await api.get("d")
    opened = [await api.get(path, hash=1) for path in ("a.txt", "b.ipynb", "d/c.txt")]
    assert (await api.call("GET", "files", "a.txt")).body == store.get("a.txt")
    assert len((await api.contents("GET", "a.txt/checkpoints")).json) == 1
    link = await api.call("GET", "jupyter_nbforge", "links", "a.txt")
    assert link.status == 200, link.body
    return [root, folder, *root["content"], *folder["content"], *opened]


@pytest.mark.settings({"NBForgeContentsManager": {"check_at_start": True}})
async def test_a_store_that_refuses_writes_is_browsable_and_says_a_403_to_the_rest(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    proxy.refusal = "denied"
    await _browse(api, store)
    assert proxy.refused == 0, "something was written for a look"
    for name, make in writes(api).items():
        answer = await make()
        assert answer.status == 403, (name, answer)
        assert is_sentence(answer.message), (name, answer.message)
    assert untouched(store)
    await _browse(api, store)


async def test_a_refused_save_makes_its_file_read_only_until_one_succeeds(
    api: Api, store: Store, proxy: DegradedProxy
) -> None:
    fill(store)
    proxy.refusal = "denied"
    assert (await writes(api)["save"]()).status == 403
    assert not (await api.get("a.txt"))["writable"]
    listed = {entry["name"]: entry["writable"] for entry in (await api.get(""))["content"]}
    assert listed == {"a.txt": False, "b.ipynb": True, "d": True}
    proxy.refusal = None
    await api.save_text("a.txt", "allowed now")
    assert (await api.get("a.txt"))["writable"]


async def test_the_search_for_stale_uploads_complains_of_nothing_where_it_is_refused(
    api: Api, store: Store, proxy: DegradedProxy, manager: Any, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.refusal = "denied"
    with caplog.at_level(logging.WARNING):
        await manager.abort_stale_uploads()
    assert caplog.records == []


@pytest.mark.settings({"NBForgeContentsManager": {"read_only": True, "upload_links": True}})
async def test_with_read_only_every_model_says_so_and_no_write_is_sent(
    api: Api, store: Store, proxy: DegradedProxy, manager: Any
) -> None:
    fill(store)
    assert not any(model["writable"] for model in await _browse(api, store))
    proxy.refusal = "denied"
    for name, make in writes(api).items():
        answer = await make()
        assert answer.status == 403, (name, answer)
        assert is_sentence(answer.message), (name, answer.message)
        assert "read-only" in answer.message, name
    link = await api.call("POST", "jupyter_nbforge", "links", "new.txt", body={})
    assert link.status == 403
    await manager.abort_stale_uploads()
    assert proxy.refused == 0
    assert untouched(store)
