"""Whole folders on a store that has none: everything below a prefix, and nothing beside it.

A move copies first, checks, and deletes last, so that stopping it at any point loses no
object. What it is about is written down before the first copy, so that the same move asked
for again is known to be the same and goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError, NotFoundError
from ..storage.paths import (
    FOLDER_CONTENT_TYPE,
    RESERVED_PREFIX,
    as_prefix,
    name_of,
    parent_of,
)
from ..storage.types import IfAbsent, ObjectMeta

LISTING_AGE = 15.0
"""Seconds: a listing so old still answers whether a folder has a name that a file is to get.

At worst a file then stands beside a folder of the same name; the file itself is created
only where none exists, whatever any listing says.
"""
_COPIES_AT_ONCE = 32
_JOURNAL_PREFIX = RESERVED_PREFIX + "moves/"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a path names at this moment; both at once is possible in an object store."""

    file: bool
    folder: bool


async def probe(storage: BaseStorageService, path: str) -> Kind:
    """What `path` names, by what is remembered or else by one listing of what begins with it."""
    file, folder = storage.recall(path), storage.recall_folder(path)
    if file is not None and folder is not None:
        return Kind(bool(file), folder)
    found_file = found_folder = False
    async for page in storage.list_pages(path):
        found_file = found_file or any(meta.path == path for meta in page.objects)
        if path + "/" in page.prefixes:
            return Kind(found_file, True)
    return Kind(found_file, found_folder)


async def folder_exists(storage: BaseStorageService, folder: str) -> bool:
    """Whether anything lies in `folder`; the root always exists."""
    if not folder:
        return True
    known = storage.recall_folder(folder)
    if known is not None:
        return known
    async for page in storage.list_pages(as_prefix(folder), delimiter=None, page_size=1):
        if page.objects:
            return True
    return False


async def names_in(storage: BaseStorageService, folder: str) -> set[str] | None:
    """The names of all files and folders in a folder, hidden ones too; None: no such folder."""
    found, names = not folder, set[str]()
    async for page in storage.list_pages(as_prefix(folder)):
        found = found or bool(page.objects or page.prefixes)
        names.update(name_of(prefix) for prefix in page.prefixes)
        names.update(name_of(meta.path) for meta in page.objects if not meta.path.endswith("/"))
    return names if found else None


async def make_marker(storage: BaseStorageService, folder: str) -> ObjectMeta | None:
    """Make the empty folder; None if its marker is there already."""
    try:
        return await storage.put(
            folder + "/", b"", condition=IfAbsent(), content_type=FOLDER_CONTENT_TYPE
        )
    except AlreadyExistsError:
        return None


async def keep_parent(storage: BaseStorageService, path: str) -> None:
    """Before `path` goes away: see to it that its folder does not vanish with it."""
    folder = parent_of(path)
    if not folder:
        return
    async for page in storage.list_pages(as_prefix(folder)):
        entries = (*page.prefixes, *(meta.path for meta in page.objects))
        if any(entry != path for entry in entries):
            return
    await make_marker(storage, folder)


async def list_below(storage: BaseStorageService, folder: str) -> list[ObjectMeta]:
    """Every object in a folder, however deep, its marker included."""
    found: list[ObjectMeta] = []
    async for page in storage.list_pages(as_prefix(folder), delimiter=None):
        found += page.objects
    return found


async def delete_below(
    storage: BaseStorageService, objects: Iterable[ObjectMeta], checkpoints: str
) -> None:
    """Delete a folder's objects, and the checkpoints of the files among them.

    The folder's markers go last: a deletion that is stopped leaves a folder to delete again.
    """
    paths = sorted((meta.path for meta in objects), key=lambda path: path.endswith("/"))
    kept = [meta.path for meta in await list_below(storage, checkpoints)]
    await storage.delete_many(kept + [path for path in paths if not path.endswith("/")])
    await storage.delete_many([path for path in paths if path.endswith("/")])


async def copy_below(
    storage: BaseStorageService, objects: Iterable[ObjectMeta], old: str, new: str, *, resume: bool
) -> None:
    """Copy objects from folder `old` to the same places in `new`, overwriting nothing.

    With `resume` a target that is equal to its source already is taken as copied before.
    The first failure stops what has not begun yet.
    """
    limit = asyncio.Semaphore(_COPIES_AT_ONCE)

    async def one(meta: ObjectMeta) -> None:
        target = as_prefix(new) + meta.path[len(as_prefix(old)) :]
        async with limit:
            try:
                # SeaweedFS takes a folder without a marker for one with: no condition on markers.
                condition = None if target.endswith("/") else IfAbsent()
                await storage.copy(
                    meta.path, target, condition=condition, source_version=meta.version
                )
            except AlreadyExistsError:
                if not (resume and await _same(storage, meta.path, target)):
                    raise

    tasks = [asyncio.ensure_future(one(meta)) for meta in objects]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _same(storage: BaseStorageService, first: str, second: str) -> bool:
    """Whether two objects have the same bytes, by their hashes or else by reading them."""
    one, other = await storage.head(first), await storage.head(second)
    if one.size != other.size:
        return False
    hashes = one.content_hash, other.content_hash
    if all(hashes) and len({found.algorithm for found in hashes if found}) == 1:
        return hashes[0] == hashes[1]
    async with storage.get(first) as left, storage.get(second) as right:
        return await left.read() == await right.read()


async def move_below(
    storage: BaseStorageService, old: str, new: str, log: logging.Logger, *, resume: bool
) -> int:
    """Move everything from folder `old` to folder `new`; returns how many objects.

    Each source is deleted only at the version that was copied; one that was changed
    meanwhile stays where it is, beside its copy, and makes this a `PreconditionError`.
    """
    objects = await list_below(storage, old)
    if not objects:
        return 0
    log.info("Moving %d objects from %s/ to %s/", len(objects), old, new)
    await copy_below(storage, objects, old, new, resume=resume)
    arrived = {meta.path[len(as_prefix(new)) :] for meta in await list_below(storage, new)}
    missing = [meta for meta in objects if meta.path[len(as_prefix(old)) :] not in arrived]
    if missing:
        raise NotFoundError(
            f"{len(missing)} objects did not arrive in {new!r}; nothing was deleted from {old!r}.",
            path=missing[0].path,
        )
    # The marker goes last: as long as anything is left the folder is seen, and can be moved again.
    ordered = sorted(objects, key=lambda meta: meta.path == as_prefix(old))
    await storage.delete_many(
        [meta.path for meta in ordered], versions={meta.path: meta.version for meta in objects}
    )
    return len(objects)


def _journal_path(old: str, new: str) -> str:
    return _JOURNAL_PREFIX + hashlib.sha256(f"{old}\n{new}".encode()).hexdigest()


async def begin_move(storage: BaseStorageService, old: str, new: str) -> None:
    """Write down that folder `old` is being moved to `new`."""
    await storage.put(
        _journal_path(old, new), f"{old}\n{new}\n".encode(), content_type="text/plain"
    )


async def move_was_begun(storage: BaseStorageService, old: str, new: str) -> bool:
    """Whether this very move was begun and not ended."""
    try:
        await storage.head(_journal_path(old, new))
    except NotFoundError:
        return False
    return True


async def end_move(storage: BaseStorageService, old: str, new: str) -> None:
    """Strike the move out: it is done."""
    await storage.delete(_journal_path(old, new))
