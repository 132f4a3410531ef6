"""From a model to an object: never over what its sender has not seen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from ..storage.errors import AlreadyExistsError, PreconditionError, StorageError
from ..storage.metadata import SHA256
from ..storage.paths import check_path
from ..storage.types import (
    ContentHash,
    IfAbsent,
    IfMatch,
    ObjectMeta,
    WriteCondition,
)
from . import folders
from .checkpoints import NBForgeCheckpoints
from .models import EPOCH, Model, content_type_of, file_model, folder_model, object_type
from .moving import AmbiguousNameError
from .notebooks import Encoded, encode_file, encode_notebook
from .reading import add_validation_message
from .trust import sign_if_trusted

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager


def check_model(model: Model, path: str) -> None:
    """400 for a model that cannot be saved."""
    kind = model.get("type")
    if kind is None:
        raise HTTPError(400, "No file type provided")
    if model.get("chunk") is not None and kind != "file":
        raise HTTPError(400, f'File type "{kind}" is not supported for large file transfer')
    if "content" not in model and kind != "directory":
        raise HTTPError(400, "No file content provided")
    if kind not in ("directory", "file", "notebook"):
        raise HTTPError(400, f"Unhandled contents type: {kind}")
    if not path and kind != "directory":
        raise HTTPError(400, "The root is a directory; give the file a name.")
    if path:
        check_path(path)


async def save_model(
    manager: NBForgeContentsManager,
    model: Model,
    path: str,
    condition: WriteCondition | None,
) -> Model:
    """Store a model and return it without content; `condition` as for a storage's put."""
    kind = model["type"]
    if kind == "directory":
        return await _save_folder(manager, path, condition)
    await check_place(manager, path, condition)
    if kind == "notebook":
        return await _save_notebook(manager, model, path, condition)
    encoded = await asyncio.to_thread(encode_file, path, model["content"], model.get("format"))
    meta = await write_object(manager, path, encoded, condition)
    return file_model(meta, object_type(path), with_hash=True)


async def check_place(
    manager: NBForgeContentsManager, path: str, condition: WriteCondition | None
) -> None:
    """400 for a new file that would take a folder's name, or lie below another file."""
    storage = manager.storage
    if isinstance(condition, IfMatch) or (condition is None and storage.recall(path)):
        return
    is_folder = storage.recall_folder(path, max_age=folders.LISTING_AGE)
    if is_folder is None:
        is_folder = await folders.folder_exists(storage, path)
    if is_folder:
        raise HTTPError(400, f"{path} is a directory")
    await _check_parent(manager, path)


async def _check_parent(manager: NBForgeContentsManager, path: str) -> None:
    """400 for a new file or folder that would lie below a file, however deep."""
    above = await folders.file_above(manager.storage, path)
    if above is not None:
        raise HTTPError(400, f"Not a directory: {above}")


async def write_object(
    manager: NBForgeContentsManager,
    path: str,
    encoded: Encoded,
    condition: WriteCondition | None,
) -> ObjectMeta:
    try:
        meta: ObjectMeta = await manager.storage.put(
            path,
            encoded.data,
            condition=condition,
            content_type=content_type_of(path),
            metadata={**encoded.metadata, **manager.saver},
        )
    except PreconditionError:
        found = await _same_bytes(manager, path, encoded)
        if found is None:
            raise
        meta = found
    manager.known.show(meta)
    return meta


async def _same_bytes(
    manager: NBForgeContentsManager, path: str, encoded: Encoded
) -> ObjectMeta | None:
    """What is there, if it is just what was to be written: then there is nothing to lose.

    So it is where an autosave and a save by hand of the same text meet.
    """
    try:
        found: ObjectMeta = await manager.storage.head(path)
    except StorageError:
        return None
    ours = ContentHash("sha256", encoded.metadata[SHA256])
    return found if found.content_hash == ours else None


async def _save_notebook(
    manager: NBForgeContentsManager,
    model: Model,
    path: str,
    condition: WriteCondition | None,
) -> Model:
    encoded = await asyncio.to_thread(encode_notebook, path, model["content"])
    meta = await write_object(manager, path, encoded, condition)
    # Only what was really written is signed, and a signature that fails loses nothing.
    await sign_if_trusted(manager.notary, encoded.notebook, path, manager.log)
    saved = file_model(meta, object_type(path), with_hash=True)
    if encoded.validation.plain:
        manager.plain_notebooks[encoded.metadata[SHA256]] = None
    await add_validation_message(manager, saved, encoded.notebook, encoded.validation)
    return saved


async def ensure_checkpoint(manager: NBForgeContentsManager, path: str) -> None:
    """A notebook has a checkpoint from its first save on; a save does not fail for want of one."""
    meta = manager.known.shown(path)
    try:
        if isinstance(manager.checkpoints, NBForgeCheckpoints):
            await manager.checkpoints.ensure_one(path, meta.version if meta else None)
        elif not await manager.checkpoints.list_checkpoints(path):
            await manager.create_checkpoint(path)
    except (StorageError, HTTPError) as error:
        manager.log.warning("No checkpoint could be made of %s: %s", path, error)


async def _save_folder(
    manager: NBForgeContentsManager, path: str, condition: WriteCondition | None
) -> Model:
    kind = await folders.probe(manager.storage, path)
    if kind.file and kind.folder:
        raise AmbiguousNameError(path)
    if kind.file:
        raise HTTPError(400, f"Not a directory: {path}")
    if kind.folder and isinstance(condition, IfAbsent):
        raise AlreadyExistsError(f"{path!r} exists already.", path=path)
    await _check_parent(manager, path)
    marker = None if kind.folder else await folders.make_marker(manager.storage, path)
    if marker is None and isinstance(condition, IfAbsent):
        raise AlreadyExistsError(f"{path!r} exists already.", path=path)
    if marker is not None:
        manager.known.note_folder(path, marker.last_modified)
    return folder_model(path, manager.known.folder_time(path) or EPOCH)
