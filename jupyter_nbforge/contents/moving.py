"""Renaming and copying one file, or whatever a path names, with what belongs to it."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError, NotFoundError, PreconditionError, StorageError
from ..storage.paths import check_path, name_of, parent_of
from ..storage.types import IfAbsent, ObjectMeta
from . import folders
from .checkpoints import LONGEST_ADDITION, Brought, NBForgeCheckpoints
from .free_names import create_free
from .models import Model, join
from .transfers import same_content, same_object
from .whole_folders import copy_objects, objects_to_copy, rename_folder

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

_COPY_SUFFIX = re.compile(r"-Copy\d*\.")


class AmbiguousNameError(HTTPError):
    """Both an object and a prefix have this name: no operation may guess which is meant."""

    def __init__(self, path: str) -> None:
        super().__init__(
            409,
            f"{path!r} is both a file and a folder in the store; rename one with another tool.",
        )


async def rename_file(manager: NBForgeContentsManager, old: str, new: str) -> None:
    """Move a file or folder and its checkpoints; 404, 409, and nothing is overwritten."""
    check_path(new)
    _check_room(manager, new)
    remembered = manager.known.shown(old)
    if remembered is not None:
        try:
            await _rename_object(manager, remembered, new)
        except (NotFoundError, AmbiguousNameError):
            # It is no longer what a client was shown: look at what it is now.
            manager.known.forget(old)
        else:
            return
    try:
        meta = await manager.storage.head(old)
    except NotFoundError:
        await rename_folder(manager, old, new)
    else:
        await _rename_object(manager, meta, new)


def _check_room(manager: NBForgeContentsManager, path: str) -> None:
    """400 if the checkpoints of a file there would have no room, so that none can stay behind."""
    if not isinstance(manager.checkpoints, NBForgeCheckpoints):
        return
    limit = manager.storage.capabilities_at(path).max_path_bytes - LONGEST_ADDITION
    if len(path.encode()) > limit:
        raise HTTPError(
            400,
            f"{path!r} is too long: with its checkpoints this storage takes at most {limit} bytes."
            " Choose a shorter name.",
        )


@dataclass(frozen=True, slots=True)
class _Moved:
    """A file as it was under its old name, and what the storage tells of it under the new one.

    `in_place`: it is still under the old one too.
    """

    meta: ObjectMeta
    found: ObjectMeta
    in_place: bool


async def _rename_object(manager: NBForgeContentsManager, meta: ObjectMeta, new: str) -> None:
    """Stopped at any point, the file is somewhere with all its checkpoints; a repeat goes on."""
    old = meta.path
    with manager.leaving(old):
        await _check_names(manager, old, new)
        # Asked once: a store that refuses its first move says no from then on.
        atomic = manager.storage.capabilities_at(old).atomic_move
        if atomic and _in_one_store(manager, old, new):
            moved = await _move(manager, meta, new)
        else:
            # The copy comes first: it alone shows whether the name is free.
            moved = await _bring_current(manager, meta, new, atomic=False)
            brought = await _bring_checkpoints(manager, old, new, None)
            await _delete_old(manager, moved.meta, new, brought.sources)
    manager.known.forget(old)
    if moved.meta.version == meta.version:
        manager.known.show(_shown(manager, moved, new))
    else:
        # JupyterLab takes the answer to a rename for what its editor holds, which is still the
        # version before that of somebody else: its next save is to ask.
        manager.known.show(replace(meta, path=new))


def _shown(manager: NBForgeContentsManager, moved: _Moved, new: str) -> ObjectMeta:
    """What a later look at the new name shows.

    A copy within a store keeps what the store may not tell at once; another store has its own
    hash and time, and tells them when the object is written.
    """
    if _in_one_store(manager, moved.meta.path, new):
        return replace(moved.meta, path=new, version=moved.found.version)
    return moved.found


def _in_one_store(manager: NBForgeContentsManager, old: str, new: str) -> bool:
    storage: BaseStorageService = manager.storage
    return storage.store_at(old) == storage.store_at(new)


async def _move(manager: NBForgeContentsManager, meta: ObjectMeta, new: str) -> _Moved:
    """Move in one step, between the copies of the checkpoints and the end of their sources."""
    brought = await _bring_checkpoints(manager, meta.path, new, IfAbsent())
    try:
        moved = await _bring_current(manager, meta, new, atomic=True)
    except (HTTPError, NotFoundError, PreconditionError):
        # It surely has not moved, and what lies under the new name is another file's.
        await _drop(manager, brought.made)
        raise
    if moved.in_place:
        await _delete_old(manager, moved.meta, new, brought.sources)
    else:
        await _drop(manager, brought.sources)
    return moved


async def _bring_checkpoints(
    manager: NBForgeContentsManager, old: str, new: str, condition: IfAbsent | None
) -> Brought:
    if isinstance(manager.checkpoints, NBForgeCheckpoints):
        return await manager.checkpoints.bring_all(old, new, condition=condition)
    return Brought([], [])


async def _delete_old(
    manager: NBForgeContentsManager, meta: ObjectMeta, new: str, checkpoints: list[str]
) -> None:
    try:
        await manager.storage.delete_many(
            [meta.path, *checkpoints], versions={meta.path: meta.version}
        )
    except PreconditionError:
        raise HTTPError(
            409,
            f"{meta.path} was changed in the store while it was renamed; {new} is a copy of what"
            " it was before.",
        ) from None


async def _drop(manager: NBForgeContentsManager, checkpoints: list[str]) -> None:
    """Delete checkpoints of which there are others; that decides nothing any more."""
    try:
        if checkpoints:
            await manager.storage.delete_many(checkpoints)
    except StorageError as error:
        manager.log.warning("Checkpoints that moved along could not be deleted: %s", error)


async def _check_names(manager: NBForgeContentsManager, old: str, new: str) -> None:
    """Refuse names that are folders, and a target folder that does not exist."""
    storage = manager.storage
    old_is_folder = storage.recall_folder(old, max_age=folders.LISTING_AGE)
    new_is_folder = storage.recall_folder(new, max_age=folders.LISTING_AGE)
    same_folder = parent_of(old) == parent_of(new)
    if old_is_folder is None or new_is_folder is None:
        # One listing for both: of all names that begin as both of these do.
        shared = posixpath.commonprefix([old, new]) if same_folder else ""
        if shared:
            answers = await folders.folders_among(storage, shared, old, new)
            old_is_folder, new_is_folder = answers
        else:
            old_is_folder = (await folders.probe(storage, old)).folder
            new_is_folder = (await folders.probe(storage, new)).folder
    if old_is_folder:
        raise AmbiguousNameError(old)
    if new_is_folder:
        raise HTTPError(409, f"File already exists: {new}")
    if not same_folder:
        if not await folders.folder_exists(storage, parent_of(new)):
            raise HTTPError(404, f"No such directory: {parent_of(new)}")
        await folders.keep_parent(storage, old, manager.all_leaving)


async def _bring_current(
    manager: NBForgeContentsManager, meta: ObjectMeta, new: str, *, atomic: bool
) -> _Moved:
    """Move the source as it is now, or copy it where that takes two steps."""
    try:
        return await _bring(manager, meta, new, atomic)
    except PreconditionError:
        # Somebody has saved it since we last saw it: what is renamed is their version.
        meta = await manager.storage.head(meta.path)
        return await _bring(manager, meta, new, atomic)


async def _bring(
    manager: NBForgeContentsManager, meta: ObjectMeta, new: str, atomic: bool
) -> _Moved:
    storage, old = manager.storage, meta.path
    try:
        if atomic:
            found = await storage.move(meta, new, condition=IfAbsent())
        else:
            found = await storage.copy(old, new, condition=IfAbsent(), source_version=meta.version)
    except AlreadyExistsError:
        moved = await _left_by_a_rename(manager, old, new)
        if moved is None:
            raise HTTPError(409, f"File already exists: {new}") from None
        return moved
    return _Moved(meta, found, in_place=not atomic)


async def _left_by_a_rename(manager: NBForgeContentsManager, old: str, new: str) -> _Moved | None:
    """The move that was stopped when `new` was already a copy of `old`; None if it is another file.

    A copy has its source's bytes and the time, to the microsecond, of its last save. Nothing
    is lost where another tool has made it. One that a person here was shown is theirs. A time
    of whole seconds is the store's own: files that were made within one second share it.
    Where both names are those of one object there is no copy: to delete it would be to lose it.
    """
    if manager.known.shown(new) is not None or await same_object(manager.storage, old, new):
        return None
    meta, found = await manager.storage.head(old), await manager.storage.head(new)
    if meta.last_modified != found.last_modified or not meta.last_modified.microsecond:
        return None
    if not await same_content(manager.storage, meta, found):
        return None
    return _Moved(meta, found, in_place=True)


async def copy(manager: NBForgeContentsManager, source: str, to: str | None) -> Model:
    """Copy a file or folder within the store; returns the new model. Nothing is overwritten."""
    kind = await folders.probe(manager.storage, source)
    if kind.file and kind.folder:
        raise AmbiguousNameError(source)
    into = parent_of(source) if to is None else to
    if kind.folder:
        return await _copy_folder(manager, source, into)
    # Jupyter's own manager reads the source first: its events tell so, and a 404 is its answer.
    shown = manager.known.shown(source)
    await manager.get(source, content=False)
    if shown is not None:
        manager.known.show(shown)  # nobody who has it open has seen this
    if await folders.folder_exists(manager.storage, into):
        return await _copy_into(manager, source, into)
    if to is None or not await folders.folder_exists(manager.storage, parent_of(to)):
        raise HTTPError(404, f"No such parent directory: {parent_of(into)} to copy file in")
    try:
        return await manager.copy_object(source, into)
    except AlreadyExistsError:
        raise HTTPError(409, f"File already exists: {into}") from None


async def _copy_folder(manager: NBForgeContentsManager, source: str, into: str) -> Model:
    objects = await objects_to_copy(manager, source)
    await manager.get(source)
    taken = await folders.names_in(manager.storage, into)
    if taken is None:
        above = await folders.file_above(manager.storage, join(into, name_of(source)))
        if above is not None:
            raise HTTPError(400, f"Not a directory: {above}")

    async def copy_to(name: str) -> str:
        target = manager.checked_target(join(into, name))
        await copy_objects(manager, objects, source, target)
        return target

    target = await create_free(_plain(source), taken or set(), "-Copy", copy_to)
    return await manager.get(target, content=False)


async def _copy_into(manager: NBForgeContentsManager, source: str, folder: str) -> Model:
    taken = (await folders.names_in(manager.storage, folder)) or set()
    return await create_free(
        _plain(source), taken, "-Copy", lambda name: manager.copy_object(source, join(folder, name))
    )


def _plain(path: str) -> str:
    """The name without the ``-Copy1`` that an earlier copy gave it; never a hidden one."""
    name = name_of(path)
    plain = _COPY_SUFFIX.sub(".", name)
    return plain if name.startswith(".") or not plain.startswith(".") else name
