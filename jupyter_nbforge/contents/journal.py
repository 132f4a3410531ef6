"""What is written down of a folder's move while it is under way.

The same move asked for again is so known to be the same, and goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable
from typing import Any

from ..storage.base import BaseStorageService
from ..storage.errors import NotFoundError
from ..storage.paths import RESERVED_PREFIX, as_prefix

_PREFIX = RESERVED_PREFIX + "moves/"


def _path(storage: BaseStorageService, old: str, new: str) -> str:
    # In the store that the folder moves into, which surely can be written to.
    store = as_prefix(storage.store_at(new))
    return _PREFIX + store + hashlib.sha256(f"{old}\n{new}".encode()).hexdigest()


async def begin_move(storage: BaseStorageService, old: str, new: str, paths: Iterable[str]) -> None:
    """Write down that folder `old` is being moved to `new`; `paths` within it are its objects."""
    record = await asyncio.to_thread(_record, old, new, paths)
    await storage.put(_path(storage, old, new), record, content_type="application/json")


def _record(old: str, new: str, paths: Iterable[str]) -> bytes:
    # Path by path: one call for thousands of them would keep the interpreter all the while.
    listed = ", ".join(map(json.dumps, paths))
    names = f'"from": {json.dumps(old)}, "to": {json.dumps(new)}'
    return f'{{{names}, "paths": [{listed}]}}'.encode()


async def begun_move(storage: BaseStorageService, old: str, new: str) -> set[str] | None:
    """What was in the folder when this very move began, if it has not ended; else None."""
    try:
        async with storage.get(_path(storage, old, new)) as reader:
            data = await reader.read()
    except NotFoundError:
        return None
    record: Any = await asyncio.to_thread(json.loads, data)
    return set(record["paths"])


async def end_move(storage: BaseStorageService, old: str, new: str) -> None:
    """Strike the move out: it is done."""
    await storage.delete(_path(storage, old, new))
