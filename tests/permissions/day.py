"""All that a server asks of its store in the course of a day, through the manager."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from nbformat.v4 import new_notebook
from tornado.web import HTTPError
from traitlets.config import Config

from jupyter_nbforge import NBForgeContentsManager

NOTEBOOK = {"type": "notebook", "format": "json", "content": new_notebook()}
PART_MB = 5
"""The least that S3 takes as a part."""


def text_file(text: str) -> dict[str, Any]:
    """The model of a text file."""
    return {"type": "file", "format": "text", "content": text}


@asynccontextmanager
async def manager_on(
    url: str, options: Mapping[str, Mapping[str, Any]]
) -> AsyncIterator[NBForgeContentsManager]:
    """A manager with these traits by class."""
    config = Config({name: dict(traits) for name, traits in options.items()})
    manager = NBForgeContentsManager(
        config=config, storage_url=url, upload_part_size_mb=PART_MB, always_delete_dir=True
    )
    try:
        yield manager
    finally:
        await manager.aclose()
        manager.notary.store.close()


async def read_everything(manager: NBForgeContentsManager) -> None:
    """List, open, look, and read a part."""
    await manager.get("")
    await manager.get("folder")
    await manager.get("folder/n.ipynb", require_hash=True)
    await manager.get("folder/n.ipynb", content=False, require_hash=True)
    assert not await manager.file_exists("folder/missing.txt")
    await manager.list_checkpoints("folder/n.ipynb")
    async with manager.storage.get("folder/n.ipynb") as reader:
        assert [chunk async for chunk in reader.chunks]


async def live_a_day(manager: NBForgeContentsManager) -> None:
    """Everything: it ends with what `read_everything` needs."""
    await manager.save({"type": "directory"}, "folder")
    await manager.save(NOTEBOOK, "folder/n.ipynb")
    await manager.save(NOTEBOOK, "folder/n.ipynb")
    checkpoint = await manager.create_checkpoint("folder/n.ipynb")
    await manager.restore_checkpoint(checkpoint["id"], "folder/n.ipynb")
    await manager.new_untitled(type="file", ext=".txt")
    await manager.copy("folder/n.ipynb")
    await manager.rename("untitled.txt", "named.txt")
    await upload(manager, "folder/large.bin", PART_MB * 2**20 + 1)
    await abandon(manager, "folder/abandoned.bin")
    await manager.rename("folder", "moved")
    await manager.rename("moved/n.ipynb", "moved/other.ipynb")
    await manager.delete("moved/large.bin")
    await manager.delete("moved")
    await manager.save(NOTEBOOK, "folder/n.ipynb")
    await read_everything(manager)


async def upload(manager: NBForgeContentsManager, path: str, size: int) -> None:
    """Two chunks, the second of which makes it more than one part."""
    await manager.save(_chunk(1, size - 1), path)
    await manager.save(_chunk(-1, 1), path)


async def abandon(manager: NBForgeContentsManager, path: str) -> None:
    """Parts of an upload that never ends."""
    upload = await manager.storage.create_multipart_upload(path)
    await upload.upload_part(1, bytes(PART_MB * 2**20))
    await upload.abort()


def _chunk(number: int, size: int) -> dict[str, Any]:
    content = base64.b64encode(os.urandom(size)).decode()
    return {"type": "file", "format": "base64", "content": content, "chunk": number}


async def refusal(act: Awaitable[object]) -> str:
    """The sentence of the 403 with which `act` ends."""
    with pytest.raises(HTTPError) as refused:
        await act
    assert refused.value.status_code == 403
    return str(refused.value.log_message)
