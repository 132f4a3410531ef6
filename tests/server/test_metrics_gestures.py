"""Figures of what happens in the contents layer, and who may see them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.figures import Figures

from .api import Api, Store, text_model

pytestmark = pytest.mark.stores("memory")


async def scrape(api: Api) -> Figures:
    answer = await api.call("GET", "metrics")
    assert answer.status == 200
    return Figures.of(answer.body.decode())


async def conflicts_of(api: Api, model: dict[str, Any]) -> dict[str, float]:
    """How many conflicts of each kind a save that is refused has added."""
    before = await scrape(api)
    assert (await api.contents("PUT", "a.txt", model)).status == 409
    after = await scrape(api)
    kinds = ("changed", "created", "deleted", "restore", "unknown")
    name = "nbforge_contents_conflicts_total"
    grown = {kind: after.since(before, name, kind=kind) for kind in kinds}
    return {kind: count for kind, count in grown.items() if count}


async def test_a_save_over_a_foreign_change_is_a_conflict(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    store.put("a.txt", "theirs")
    assert await conflicts_of(api, text_model("mine again")) == {"changed": 1}


async def test_a_save_of_what_somebody_has_deleted_is_a_conflict(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    store.remove("a.txt")
    assert await conflicts_of(api, text_model("mine again")) == {"deleted": 1}


async def test_an_upload_is_under_way_until_its_last_chunk(api: Api, store: Store) -> None:
    piece = base64.b64encode(bytes(2**20)).decode()
    model = {"type": "file", "format": "base64", "content": piece}
    before = await scrape(api)
    await api.save("u.bin", {**model, "chunk": 1})
    during = await scrape(api)
    assert during.since(before, "nbforge_contents_uploads") == 1
    assert during.since(before, "nbforge_contents_upload_buffer_bytes") >= 2**20
    await api.save("u.bin", {**model, "chunk": -1})
    after = await scrape(api)
    assert after.since(before, "nbforge_contents_uploads") == 0
    assert after.since(before, "nbforge_contents_upload_buffer_bytes") == 0


async def test_who_has_not_logged_in_gets_no_figures(api: Api, store: Store) -> None:
    answer = await api.call("GET", "metrics", headers={"Authorization": ""})
    assert answer.status == 403
