"""Trees as other contents managers write them: the keys are those that their public source makes.

None of them is run here: jgscm and jupyters3 need a Jupyter of before 2020.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage

NOTEBOOK = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()

TREES: Mapping[str, Mapping[str, bytes]] = {
    "s3contents": {
        ".s3keep": b"",
        "a.ipynb": NOTEBOOK,
        "folder/.s3keep": b"",
        "folder/b.ipynb": NOTEBOOK,
        "folder/text.txt": b"text",
        "empty/.s3keep": b"",
    },
    "jgscm": {
        "a.ipynb": NOTEBOOK,
        ".ipynb_checkpoints/a-6f0e4c7a-98c9-44f4-a3a1-3a5d0e4f4d11.ipynb": NOTEBOOK,
        "folder/": b"",
        "folder/b.ipynb": NOTEBOOK,
        "folder/text.txt": b"text",
        "empty/": b"",
    },
    "jupyters3": {
        "a.ipynb": NOTEBOOK,
        "folder/.s3keep": b"",
        "folder/b.ipynb": NOTEBOOK,
        "folder/text.txt": b"text",
        "empty/.s3keep": b"",
    },
}


async def names(manager: NBForgeContentsManager, path: str) -> list[str]:
    model = await manager.get(path, content=True)
    return sorted(entry["name"] for entry in model["content"])


@pytest.mark.parametrize("tree", TREES)
async def test_the_tree_of_another_manager_is_used_as_it_is(
    manager: NBForgeContentsManager, store: MemoryStorage, tree: str
) -> None:
    for path, data in TREES[tree].items():
        await store.put(path, data)
    assert await names(manager, "") == ["a.ipynb", "empty", "folder"]
    assert await names(manager, "folder") == ["b.ipynb", "text.txt"]
    assert await names(manager, "empty") == []
    for path in ("a.ipynb", "folder/b.ipynb"):
        model = await manager.get(path, content=True)
        assert (model["type"], model["content"]["cells"]) == ("notebook", [])
        await manager.save({key: model[key] for key in ("type", "format", "content")}, path)
    assert (await manager.get("folder/text.txt", content=True))["content"] == "text"
    for path in ("folder/b.ipynb", "folder/text.txt", "folder", "empty"):
        await manager.delete(path)
    assert await names(manager, "") == ["a.ipynb"]
    left = {path for path in TREES[tree] if not path.startswith(("folder", "empty"))}
    assert left <= set(store._objects)
