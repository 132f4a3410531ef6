"""Short ways to use a storage in a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, NamedTuple

from jupyter_nbforge.storage import BaseStorageService, ListPage


class Listed(NamedTuple):
    """The entries of all pages of a listing, in their order."""

    paths: list[str]
    prefixes: list[str]


async def listing(pages: AsyncIterator[ListPage]) -> Listed:
    listed = Listed([], [])
    async for page in pages:
        listed.paths.extend(meta.path for meta in page.objects)
        listed.prefixes.extend(page.prefixes)
    return listed


async def read(storage: BaseStorageService, path: str, **options: Any) -> bytes:
    async with storage.get(path, **options) as reader:
        return await reader.read()


async def put_all(storage: BaseStorageService, paths: Iterable[str]) -> None:
    for path in paths:
        await storage.put(path, path.encode())
