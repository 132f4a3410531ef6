"""Trust works as in Jupyter, and is never a reason for a save to fail."""

from __future__ import annotations

import json
import sqlite3

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage

from .gestures import Model, contents_of

PATH = "n.ipynb"


def risky(*, trusted: bool) -> Model:
    """A notebook with an output that could run a script."""
    output = {"output_type": "display_data", "data": {"text/html": "<b>"}, "metadata": {}}
    cell = {
        "cell_type": "code",
        "id": "one",
        "metadata": {"trusted": True} if trusted else {},
        "source": "",
        "execution_count": 1,
        "outputs": [output],
    }
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return {"type": "notebook", "format": "json", "content": content}


async def is_trusted(manager: NBForgeContentsManager) -> bool:
    cell = (await manager.get(PATH))["content"]["cells"][0]
    return bool(cell["metadata"]["trusted"])


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_notebook_is_trusted_when_it_was_saved_from_trusted_cells(
    manager: NBForgeContentsManager, store: MemoryStorage, trusted: bool
) -> None:
    await manager.save(risky(trusted=trusted), PATH)
    assert await is_trusted(manager) is trusted
    assert b"trusted" not in (await contents_of(store))[PATH]


async def test_a_notebook_that_another_changed_is_not_trusted(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await manager.save(risky(trusted=True), PATH)
    changed = (await contents_of(store))[PATH].replace(b"<b>", b"<script>")
    await store.put(PATH, changed)
    assert not await is_trusted(manager)


async def test_trusting_a_notebook_lasts(manager: NBForgeContentsManager) -> None:
    await manager.save(risky(trusted=False), PATH)
    await manager.trust_notebook(PATH)
    assert await is_trusted(manager)


async def test_a_save_succeeds_when_it_cannot_be_signed(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    class Broken:
        def store_signature(self, digest: str, algorithm: str) -> None:
            raise sqlite3.DatabaseError("broken")

        def close(self) -> None: ...

    manager.notary.store.close()
    manager.notary.store = Broken()
    manager.notary.store_factory = Broken
    await manager.save(risky(trusted=True), PATH)
    assert b"<b>" in (await contents_of(store))[PATH]


async def test_a_notebook_with_text_that_is_no_unicode_opens_untrusted(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await store.put(
        PATH, json.dumps(risky(trusted=True)["content"] | {"metadata": {"a": "\ud800"}}).encode()
    )
    assert not await is_trusted(manager)


async def test_a_notebook_with_a_cell_of_no_type_opens_with_a_message(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    content = risky(trusted=True)["content"]
    del content["cells"][0]["cell_type"]
    await store.put(PATH, json.dumps(content).encode())
    assert "validation failed" in (await manager.get(PATH))["message"]


@pytest.mark.parametrize("depth", [100, 400, 450, 480, 700, 900, 960, 5000])
async def test_an_invalid_notebook_that_is_nested_deeply_is_no_error_of_the_server(
    manager: NBForgeContentsManager, store: MemoryStorage, depth: int
) -> None:
    content = json.dumps(risky(trusted=False)["content"])
    deep = "[" * depth + "]" * depth
    await store.put(PATH, f'{content[:-1]}, "surplus": {deep}}}'.encode())
    try:
        outcome = (await manager.get(PATH))["message"]
    except HTTPError as refused:
        outcome = str(refused.status_code)
    assert "validation failed" in outcome or outcome == "400"
