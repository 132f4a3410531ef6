"""``jupyter nbforge ls``: what is in a folder of a store."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

from traitlets.config import Config

from ..storage.base import BaseStorageService
from ..storage.types import ObjectMeta
from .ends import Found, find_source, parse_address


def run_ls(known: argparse.Namespace, config: Config) -> int:
    """Write the listing to stdout as it comes; returns the exit status."""
    asyncio.run(_list(known, config))
    return 0


async def _list(known: argparse.Namespace, config: Config) -> None:
    found = await find_source(parse_address(known.url, config))
    async with aclosing(found.storage):
        async for entry in _entries(found, recursive=known.recursive):
            line = _as_json(entry) if known.json else _as_text(entry, long=known.long)
            sys.stdout.write(line + "\n")


async def _entries(found: Found, *, recursive: bool) -> AsyncIterator[ObjectMeta | str]:
    """The object itself, or what is in the folder: objects, and (not `recursive`) folders."""
    if found.path:
        yield await found.storage.head(found.path)
        return
    async for entry in _in_folder(found.storage, recursive=recursive):
        yield entry


async def _in_folder(
    storage: BaseStorageService, *, recursive: bool
) -> AsyncIterator[ObjectMeta | str]:
    async for page in storage.list_pages("", delimiter=None if recursive else "/"):
        names: list[ObjectMeta | str] = [*page.objects, *page.prefixes]
        for entry in sorted(names, key=_path_of):
            yield entry


def _path_of(entry: ObjectMeta | str) -> str:
    return entry if isinstance(entry, str) else entry.path


def _as_text(entry: ObjectMeta | str, *, long: bool) -> str:
    path = _path_of(entry)
    if not long:
        return path
    if isinstance(entry, str):
        return f"{'':>14} {'':19}  {path}"
    return f"{entry.size:>14} {entry.last_modified:%Y-%m-%d %H:%M:%S}  {path}"


def _as_json(entry: ObjectMeta | str) -> str:
    """Of a folder its path only; the time in UTC."""
    if isinstance(entry, str):
        return json.dumps({"path": entry, "type": "folder"})
    kind = "folder" if entry.path.endswith("/") else "file"
    told = {"path": entry.path, "type": kind, "size": entry.size}
    return json.dumps({**told, "last_modified": entry.last_modified.isoformat()})
