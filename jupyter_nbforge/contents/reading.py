"""From a path to its model: one request where one can be enough."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from tornado.web import HTTPError

from ..storage.errors import NotFoundError
from ..storage.metadata import sha256_of
from ..storage.paths import as_prefix, name_of
from ..storage.types import ListPage, ObjectMeta
from . import long_texts
from .models import (
    EPOCH,
    Model,
    file_model,
    folder_model,
    is_hidden_path,
    is_marker,
    is_reserved,
    object_type,
)
from .notebooks import decode_file, decode_notebook
from .trust import mark_trusted
from .validation import Validation

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

_LONGEST_MESSAGE = 10_000
_EVENTS_AT_ONCE = 50


async def read_model(
    manager: NBForgeContentsManager,
    path: str,
    *,
    content: bool,
    type: str | None,  # noqa: A002 - Jupyter's word for it
    format: str | None,  # noqa: A002
    require_hash: bool,
) -> Model:
    """The model of whatever `path` names; 404 if nothing, 400 if not of the type asked for.

    The name decides what is looked for first, so that the right guess costs one request.
    """
    if type == "directory" or not path:
        return await _read_folder_only(manager, path, type, content=content, hashed=require_hash)
    if type is None and _folder_first(manager, path):
        model = await _read_folder(manager, path, content=content, hashed=require_hash)
        if model is not None:
            return model
    try:
        return await _read_file(manager, path, content, type, format, require_hash)
    except NotFoundError:
        if content:
            manager.known.show_absent(path)
        else:
            manager.known.note_vanished(path)
    model = await _read_folder(manager, path, content=content and type is None, hashed=require_hash)
    if model is None:
        raise HTTPError(404, f"No such file or directory: {path}")
    if type is not None:
        raise HTTPError(400, f"{path} is a directory, not a {type}", reason="bad type")
    return model


def _folder_first(manager: NBForgeContentsManager, path: str) -> bool:
    if manager.storage.recall(path):
        return False
    return manager.storage.recall_folder(path) or "." not in name_of(path)


async def _read_folder_only(
    manager: NBForgeContentsManager, path: str, kind: str | None, *, content: bool, hashed: bool
) -> Model:
    if kind not in (None, "directory"):
        raise HTTPError(400, f"{path} is a directory, not a {kind}", reason="bad type")
    model = await _read_folder(manager, path, content=content, hashed=hashed)
    if model is not None:
        return model
    if await manager.file_exists(path):
        raise HTTPError(400, f"{path} is not a directory", reason="bad type")
    raise HTTPError(404, f"No such file or directory: {path}")


async def _read_file(
    manager: NBForgeContentsManager,
    path: str,
    content: bool,
    kind: str | None,
    format: str | None,  # noqa: A002
    require_hash: bool,
) -> Model:
    kind = kind or object_type(path)
    if not content:
        saved = manager.known.take_saved(path) if require_hash else None
        meta = saved or manager.known.in_order(await manager.storage.head(path))
        manager.known.show(meta)
        return file_model(meta, kind, with_hash=require_hash)
    async with manager.storage.get(path) as reader:
        meta, data = manager.known.in_order(reader.meta), await reader.read()
    model = file_model(meta, kind, with_hash=require_hash)
    if kind == "notebook":
        await _add_notebook(manager, model, meta, data)
    else:
        text, found = await asyncio.to_thread(decode_file, path, data, format)
        model["content"], model["format"] = text, found
        if model["mimetype"] is None:
            model["mimetype"] = "text/plain" if found == "text" else "application/octet-stream"
    manager.known.show(meta)
    return model


async def _add_notebook(
    manager: NBForgeContentsManager, model: Model, meta: ObjectMeta, data: bytes
) -> None:
    plain = manager.plain_notebooks
    # By the bytes themselves: what is trusted must not hang on a version that can repeat itself.
    key = await asyncio.to_thread(sha256_of, data)
    notebook, validation = await asyncio.to_thread(
        decode_notebook, meta.path, data, is_plain=key in plain
    )
    digest = await mark_trusted(
        manager.notary, notebook, meta.path, manager.log, digest=plain.get(key)
    )
    if validation.plain:
        # Of one that was repaired neither would hold: it gets new ids at each reading.
        plain[key] = digest
    model["content"], model["format"] = notebook, "json"
    await add_validation_message(manager, model, notebook, validation)


async def add_validation_message(
    manager: NBForgeContentsManager, model: Model, notebook: Any, validation: Validation
) -> None:
    """Tell in the model's `message`, at reasonable length, what is wrong with its notebook."""
    try:
        await asyncio.to_thread(_validate_model, manager, model, notebook, validation)
    except RecursionError:
        model["message"] = "Notebook validation failed: it is nested too deeply to tell where."
    message = model.get("message", "")
    if len(message) > _LONGEST_MESSAGE:
        # It quotes what is invalid, which may be the whole notebook.
        model["message"] = message[:_LONGEST_MESSAGE] + " ..."


def _validate_model(
    manager: NBForgeContentsManager, model: Model, notebook: Any, validation: Validation
) -> None:
    with long_texts.shortened(notebook) if validation.error else nullcontext():
        manager.validate_notebook_model(model, validation.error)


async def _read_folder(
    manager: NBForgeContentsManager, path: str, *, content: bool, hashed: bool
) -> Model | None:
    """The model of a folder, or None if nothing lies there; the root always exists."""
    entries: list[Model] = []
    found = not path
    pages = manager.storage.list_pages(
        as_prefix(path), delimiter="/" if content else None, page_size=None if content else 1
    )
    if not content and manager.storage.recall_folder(path) and manager.known.folder_time(path):
        found = True
    else:
        async for page in pages:
            found = found or bool(page.objects or page.prefixes)
            _note_marker(manager, path, page)
            if not content:
                break
            entries += _entries(manager, page)
    if not found:
        return None
    model = folder_model(path, manager.known.folder_time(path) or EPOCH)
    if hashed:
        # A folder has no bytes to compare; Jupyter's handler takes no None here.
        model["hash"], model["hash_algorithm"] = "", manager.hash_algorithm
    if content:
        await _emit_gets(manager, entries)
        model["content"], model["format"] = entries, "json"
    return model


async def _emit_gets(manager: NBForgeContentsManager, entries: list[Model]) -> None:
    """An event for each entry, as Jupyter's own manager has it; each costs its listeners time."""
    for number, entry in enumerate(entries, 1):
        manager.emit(data={"action": "get", "path": entry["path"]})
        if number % _EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _note_marker(manager: NBForgeContentsManager, path: str, page: ListPage) -> None:
    for meta in page.objects:
        if meta.path == path + "/":
            manager.known.note_folder(path, meta.last_modified)


def _entries(manager: NBForgeContentsManager, page: ListPage) -> list[Model]:
    folders = (folder.rstrip("/") for folder in page.prefixes)
    models = [
        folder_model(path, manager.known.folder_time(path))
        for path in folders
        if _shows(manager, path)
    ]
    models += [
        file_model(_known(manager, meta), object_type(meta.path))
        for meta in page.objects
        if not is_marker(meta.path) and _shows(manager, meta.path)
    ]
    return models


def _shows(manager: NBForgeContentsManager, path: str) -> bool:
    if not manager.should_list(name_of(path)) or is_reserved(path):
        return False
    return manager.allow_hidden or not is_hidden_path(path)


def _known(manager: NBForgeContentsManager, meta: ObjectMeta) -> ObjectMeta:
    """What was last shown of the object, if it still is that version: it has the exact time."""
    shown = manager.known.shown(meta.path)
    return shown if shown is not None and shown.version == meta.version else meta
