"""What clients do, in the fewest words."""

from __future__ import annotations

from typing import Any

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.base import BaseStorageService

Model = dict[str, Any]


def notebook(text: str = "") -> Model:
    cell = {"cell_type": "markdown", "id": "one", "metadata": {}, "source": text}
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return {"type": "notebook", "format": "json", "content": content}


def text_file(text: str) -> Model:
    return {"type": "file", "format": "text", "content": text}


def chunk(number: int, text: str) -> Model:
    return {**text_file(text), "chunk": number}


async def press_ctrl_s(manager: NBForgeContentsManager, path: str, text: str) -> None:
    """The calls that JupyterLab makes for a save by hand."""
    await manager.get(path, content=False, require_hash=True)
    if await manager.file_exists(path):
        await manager.save(notebook(text), path)
    await manager.get(path, content=False, require_hash=True)
    await manager.create_checkpoint(path)


async def source_of(manager: NBForgeContentsManager, path: str) -> str:
    """The text of the only cell."""
    model = await manager.get(path)
    source: str = model["content"]["cells"][0]["source"]
    return source


async def contents_of(store: BaseStorageService, prefix: str = "") -> dict[str, bytes]:
    """All objects of the bucket below a prefix, by path."""
    found: dict[str, bytes] = {}
    async for page in store.list_pages(prefix, delimiter=None):
        for meta in page.objects:
            async with store.get(meta.path) as reader:
                found[meta.path] = await reader.read()
    return found
