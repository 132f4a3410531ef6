"""Renaming and copying one file or one folder, with what belongs to it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from ..storage.errors import AlreadyExistsError, NotFoundError, PreconditionError
from ..storage.paths import as_prefix, name_of, parent_of
from ..storage.types import IfAbsent, ObjectMeta
from . import folders
from .checkpoints import NBForgeCheckpoints, checkpoints_prefix
from .models import free_name, join

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

_COPY_SUFFIX = re.compile(r"-Copy\d*\.")
_LOOKS = 2


def refuse_ambiguous(path: str) -> HTTPError:
    """Both an object and a prefix have this name: no operation may guess which is meant."""
    return HTTPError(
        409, f"{path!r} is both a file and a folder in the store; rename one with another tool."
    )


async def rename_file(manager: NBForgeContentsManager, old: str, new: str) -> None:
    """Move a file or folder and its checkpoints; 404, 409, and nothing is overwritten."""
    meta = manager.known.shown(old)
    if meta is None:
        try:
            meta = await manager.storage.head(old)
        except NotFoundError:
            await _rename_folder(manager, old, new)
            return
    await _check_names(manager, old, new)
    meta, moved = await _copy_current(manager, meta, new)
    also: list[str] = []
    if isinstance(manager.checkpoints, NBForgeCheckpoints):
        also = await manager.checkpoints.copy_all(old, new)
    try:
        await manager.storage.delete_many([old, *also], versions={old: meta.version})
    except PreconditionError:
        raise HTTPError(
            409, f"{old} was changed in the store while it was renamed: both names are kept."
        ) from None
    manager.known.forget(old)
    manager.known.show(replace(meta, path=new, version=moved.version))


async def _check_names(manager: NBForgeContentsManager, old: str, new: str) -> None:
    """Refuse names that are folders, and a target folder that does not exist."""
    storage = manager.storage
    old_is_folder = storage.recall_folder(old, max_age=folders.LISTING_AGE)
    new_is_folder = storage.recall_folder(new, max_age=folders.LISTING_AGE)
    parent = parent_of(old)
    if old_is_folder is None or new_is_folder is None:
        shared = as_prefix(parent)
        if parent_of(new) == parent:
            # One listing for both: of all names that begin as both of these do.
            shared += posixpath.commonprefix([name_of(old), name_of(new)])
            old_is_folder, new_is_folder = await _folders_among(manager, shared, old, new)
        else:
            old_is_folder = (await folders.probe(storage, old)).folder
            new_is_folder = (await folders.probe(storage, new)).folder
    if old_is_folder:
        raise refuse_ambiguous(old)
    if new_is_folder:
        raise HTTPError(409, f"File already exists: {new}")
    if parent_of(new) != parent:
        if not await folders.folder_exists(storage, parent_of(new)):
            raise HTTPError(404, f"No such directory: {parent_of(new)}")
        await folders.keep_parent(storage, old)


async def _folders_among(
    manager: NBForgeContentsManager, prefix: str, *paths: str
) -> tuple[bool, ...]:
    found: set[str] = set()
    async for page in manager.storage.list_pages(prefix):
        found.update(page.prefixes)
    return tuple(path + "/" in found for path in paths)


async def _copy_current(
    manager: NBForgeContentsManager, meta: ObjectMeta, new: str
) -> tuple[ObjectMeta, ObjectMeta]:
    """Copy the source as it is now; returns its metadata and the copy's."""
    for look in range(_LOOKS):
        try:
            copied = await manager.storage.copy(
                meta.path, new, condition=IfAbsent(), source_version=meta.version
            )
        except AlreadyExistsError:
            raise HTTPError(409, f"File already exists: {new}") from None
        except PreconditionError:
            # Somebody has saved it since we last saw it: what is renamed is their version.
            if look + 1 == _LOOKS:
                raise
            meta = await manager.storage.head(meta.path)
        else:
            return meta, copied
    raise AssertionError("unreachable")


async def _rename_folder(manager: NBForgeContentsManager, old: str, new: str) -> None:
    storage = manager.storage
    target = await folders.probe(storage, new)
    resume = target.folder and await folders.move_was_begun(storage, old, new)
    if not resume and not await folders.folder_exists(storage, old):
        raise NotFoundError(f"File or directory does not exist: {old}", path=old)
    if target.file or (target.folder and not resume):
        raise HTTPError(409, f"File already exists: {new}")
    if new.startswith(as_prefix(old)):
        raise HTTPError(400, f"Cannot move {old!r} into itself")
    if not await folders.folder_exists(storage, parent_of(new)):
        raise HTTPError(404, f"No such directory: {parent_of(new)}")
    if parent_of(old) != parent_of(new):
        await folders.keep_parent(storage, as_prefix(old))
    if not resume:
        await folders.begin_move(storage, old, new)
    # Checkpoints first: a folder that has moved is not moved again, so they would stay behind.
    checkpoints = checkpoints_prefix(old).rstrip("/"), checkpoints_prefix(new).rstrip("/")
    try:
        await folders.move_below(storage, *checkpoints, manager.log, resume=True)
        await folders.move_below(storage, old, new, manager.log, resume=resume)
    except PreconditionError:
        raise HTTPError(
            409, f"{old} was changed in the store while it was moved; try again to move the rest."
        ) from None
    await folders.end_move(storage, old, new)
    manager.forget_below(old)


async def copy(manager: NBForgeContentsManager, source: str, to: str | None) -> str:
    """Copy a file or folder within the store; returns the new path. Nothing is overwritten."""
    kind = await folders.probe(manager.storage, source)
    if kind.file and kind.folder:
        raise refuse_ambiguous(source)
    if not (kind.file or kind.folder):
        raise HTTPError(404, f"No such file or directory: {source}")
    into = parent_of(source) if to is None else to
    exists = await folders.folder_exists(manager.storage, into)
    if kind.folder:
        objects = await folders.list_below(manager.storage, source)
        manager.check_folder_size(source, objects)
        taken = (await folders.names_in(manager.storage, into)) or set()
        target = join(into, free_name(_plain(source), taken, "-Copy"))
        await folders.copy_below(manager.storage, objects, source, target, resume=False)
        return target
    if exists:
        return await _copy_into(manager, source, into)
    if to is None or not await folders.folder_exists(manager.storage, parent_of(to)):
        raise HTTPError(404, f"No such parent directory: {parent_of(into)} to copy file in")
    try:
        await manager.storage.copy(source, into, condition=IfAbsent())
    except AlreadyExistsError:
        raise HTTPError(409, f"File already exists: {into}") from None
    return into


async def _copy_into(manager: NBForgeContentsManager, source: str, folder: str) -> str:
    taken = (await folders.names_in(manager.storage, folder)) or set()
    while True:
        name = free_name(_plain(source), taken, "-Copy")
        try:
            await manager.storage.copy(source, join(folder, name), condition=IfAbsent())
        except AlreadyExistsError:
            taken.add(name)  # somebody else has just taken it
        else:
            return join(folder, name)


def _plain(path: str) -> str:
    """The name without the ``-Copy1`` that an earlier copy gave it."""
    return _COPY_SUFFIX.sub(".", name_of(path))
