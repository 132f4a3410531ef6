"""One chunk of an upload: taken in, or the last one, with which the whole object appears."""

from __future__ import annotations

import asyncio
import reprlib
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from ..storage.base import check_write
from ..storage.types import IfMatch, ObjectMeta, Version, WriteCondition
from .models import Model, file_model, object_type
from .notebooks import decode_content
from .saving import check_place
from .uploads import LAST_CHUNK

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager


async def save_chunk(
    manager: NBForgeContentsManager,
    model: Model,
    path: str,
    condition: WriteCondition | None,
) -> Model:
    """Take one chunk of an upload; with the last one the whole object appears."""
    chunk = model["chunk"]
    if isinstance(chunk, bool) or not isinstance(chunk, int) or (chunk < 1 and chunk != LAST_CHUNK):
        shown = reprlib.repr(chunk)
        raise HTTPError(400, f"{shown} is no number of a chunk: they are 1, 2, ... and last -1.")
    content, format_ = model["content"], model.get("format")
    finished = manager.uploads.finished(path)
    if chunk == LAST_CHUNK and finished is not None:
        return await _after_the_last(manager, path, content, format_, finished.version)
    if chunk == 1:
        # Said at once, not after a gigabyte.
        recalled = manager.storage.recall(path)
        if recalled is not None:
            check_write(path, recalled or None, condition)
        await check_place(manager, path, condition)
    size = await manager.uploads.add(path, chunk, content, format_, condition)
    if chunk != LAST_CHUNK:
        return _model_so_far(path, size)
    meta = await manager.uploads.complete(path)
    manager.known.show(meta)
    return file_model(meta, object_type(path), with_hash=True)


async def _after_the_last(
    manager: NBForgeContentsManager, path: str, content: Any, format_: Any, version: Version
) -> Model:
    """A last chunk for an upload that has just ended.

    The same chunk again (its answer was lost) changes nothing; another one is appended, as
    Jupyter's own manager does, but only to the very object that the upload made.
    """
    data = await asyncio.to_thread(decode_content, path, content, format_)
    if manager.uploads.is_repeat(path, content):
        return file_model(await manager.storage.head(path), object_type(path), with_hash=True)
    outgoing = manager.uploads.begin(path)
    try:
        async with manager.storage.get(path, if_match=version) as reader:
            async for piece in reader.chunks:
                await outgoing.add(piece)
        await outgoing.add(data)
        meta = await outgoing.finish(IfMatch(version))
    except BaseException:
        # Whatever ended it, a cancelled request too: its parts must not stay in the store.
        await outgoing.abort()
        raise
    manager.known.show(meta)
    manager.uploads.extended(path, content, meta.version)
    return file_model(meta, object_type(path), with_hash=True)


def _model_so_far(path: str, size: int) -> Model:
    """The model of a file that is still being uploaded: nothing of it is in the store yet."""
    meta = ObjectMeta(path, size, datetime.now(timezone.utc), Version(""))
    return file_model(meta, object_type(path))
