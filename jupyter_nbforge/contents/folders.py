"""Whole folders on a store that has none: everything below a prefix, and nothing beside it.

A move copies first, checks, and deletes last, so that stopping it at any point loses no
object. What it is about is written down before the first copy, so that the same move asked
for again is known to be the same and goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Container, Iterable
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
from ..storage.types import IfAbsent, ListPage, ObjectMeta

LISTING_AGE = 15.0
"""Seconds: a listing so old still answers whether a folder has a name that a file is to get.

At worst a file then stands beside a folder of the same name; the file itself is created
only where none exists, whatever any listing says.
"""
_COPIES_AT_ONCE = 32
_FULL_PAGE = 1000
"""Entries of the largest page that a store gives."""

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
    found_file = False
    ordered = storage.capabilities.ordered_listing
    async for page in storage.list_pages(path):
        found_file = found_file or any(meta.path == path for meta in page.objects)
        if path + "/" in page.prefixes:
            return Kind(found_file, True)
        if ordered and _is_past(page, path + "/"):
            break
    return Kind(found_file, False)


def _is_past(page: ListPage, path: str) -> bool:
    """Whether an ordered listing has come beyond `path`."""
    names = (*page.prefixes, *(meta.path for meta in page.objects))
    return any(name.encode() > path.encode() for name in names)


async def look_around(storage: BaseStorageService, path: str) -> None:
    """Let the storage remember all that is beside `path`, if one page of a listing holds it."""
    async for page in storage.list_pages(as_prefix(parent_of(path))):
        if len(page.objects) + len(page.prefixes) >= _FULL_PAGE:
            return


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


async def folders_among(storage: BaseStorageService, prefix: str, *paths: str) -> tuple[bool, ...]:
    """Which of `paths`, all of which begin with `prefix`, are folders: by one listing of it.

    Where that has more than one page, each is asked for by itself.
    """
    found: set[str] = set()
    async for page in storage.list_pages(prefix):
        found.update(page.prefixes)
        if len(page.prefixes) + len(page.objects) >= _FULL_PAGE:
            break
    else:
        return tuple(path + "/" in found for path in paths)
    return tuple([await folder_exists(storage, path) for path in paths])


async def make_marker(storage: BaseStorageService, folder: str) -> ObjectMeta | None:
    """Make the empty folder; None if its marker is there already."""
    try:
        return await storage.put(
            folder + "/", b"", condition=IfAbsent(), content_type=FOLDER_CONTENT_TYPE
        )
    except AlreadyExistsError:
        return None


async def keep_parent(storage: BaseStorageService, path: str, leaving: Container[str]) -> None:
    """Before `path` goes away: see to it that its folder does not vanish with it.

    What is in `leaving` goes away at the same time, so it keeps no folder either.
    """
    folder = parent_of(path)
    if not folder:
        return
    async for page in storage.list_pages(as_prefix(folder)):
        entries = (*page.prefixes, *(meta.path for meta in page.objects))
        if any(entry != path and entry not in leaving for entry in entries):
            return
    # Without a condition: no marker was listed, and SeaweedFS takes any folder for one.
    await storage.put(folder + "/", b"", content_type=FOLDER_CONTENT_TYPE)


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


Place = Callable[[ObjectMeta], str]
"""The path below the new folder of an object of the old one."""


async def copy_below(
    storage: BaseStorageService, objects: Iterable[ObjectMeta], new: str, place: Place
) -> list[ObjectMeta]:
    """Copy objects to their places in folder `new`, overwriting nothing.

    Returns those whose place is taken by something else; a target that is equal to its
    source was copied before. The first failure stops what has not begun yet.
    """
    stay: list[ObjectMeta] = []
    for group in _in_order(objects):
        stay += await _copy_group(storage, group, as_prefix(new), place)
    return stay


def _in_order(objects: Iterable[ObjectMeta]) -> list[list[ObjectMeta]]:
    """Markers of folders by depth, then the files; each group is copied at once.

    A store that keeps real directories makes those of a file with the file, and must not do
    so while the marker of one of them is being written.
    """
    groups: dict[int, list[ObjectMeta]] = {}
    files: list[ObjectMeta] = []
    for meta in objects:
        is_folder = meta.path.endswith("/")
        (groups.setdefault(meta.path.count("/"), []) if is_folder else files).append(meta)
    return [*(groups[depth] for depth in sorted(groups)), files]


async def _copy_group(
    storage: BaseStorageService, objects: Iterable[ObjectMeta], prefix: str, place: Place
) -> list[ObjectMeta]:
    limit = asyncio.Semaphore(_COPIES_AT_ONCE)

    async def one(meta: ObjectMeta) -> bool:
        async with limit:
            return await _copy_to(storage, meta, prefix + place(meta))

    tasks = [(meta, asyncio.ensure_future(one(meta))) for meta in objects]
    try:
        await asyncio.gather(*(task for _, task in tasks))
    finally:
        for _, task in tasks:
            task.cancel()
        await asyncio.gather(*(task for _, task in tasks), return_exceptions=True)
    return [meta for meta, task in tasks if not task.result()]


async def _copy_to(storage: BaseStorageService, meta: ObjectMeta, target: str) -> bool:
    """Copy this version of an object; False if something else is there already."""
    # SeaweedFS takes a folder without a marker for one with: no condition on markers.
    condition = None if target.endswith("/") else IfAbsent()
    try:
        await storage.copy(meta.path, target, condition=condition, source_version=meta.version)
    except AlreadyExistsError:
        return await _same(storage, meta.path, target)
    return True


def same_place(old: str) -> Place:
    """Every object of folder `old` keeps its place in the new one."""
    return lambda meta: meta.path[len(as_prefix(old)) :]


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
    storage: BaseStorageService, old: str, new: str, log: logging.Logger, place: Place
) -> None:
    """Move everything from folder `old` to folder `new`.

    Each source is deleted only at the version that was copied; one that was changed
    meanwhile stays where it is, beside its copy, and makes this a `PreconditionError`. One
    whose place is taken stays too, and makes it an `AlreadyExistsError`, after the rest.
    """
    objects = await list_below(storage, old)
    if not objects:
        return
    log.info("Moving %d objects from %s/ to %s/", len(objects), old, new)
    stays = await copy_below(storage, objects, new, place)
    moved = [meta for meta in objects if meta not in stays]
    missing = await _not_arrived(storage, moved, new, place)
    if missing:
        # Seen once on a store with real directories that was busy; copying again is harmless.
        await copy_below(storage, missing, new, place)
        missing = await _not_arrived(storage, moved, new, place)
    if missing:
        raise NotFoundError(
            f"{len(missing)} objects did not arrive in {new!r}; nothing was deleted.",
            path=missing[0].path,
        )
    # The marker goes last: as long as anything is left the folder is seen, and can be moved again.
    moved.sort(key=lambda meta: meta.path == as_prefix(old))
    await storage.delete_many(
        [meta.path for meta in moved], versions={meta.path: meta.version for meta in moved}
    )
    if stays:
        names = ", ".join(repr(meta.path) for meta in stays[:3])
        raise AlreadyExistsError(
            f"{new!r} has other files of the same names as {names}: {len(stays)} stay where they"
            " are. Rename or delete them there.",
            path=stays[0].path,
        )


async def _not_arrived(
    storage: BaseStorageService, objects: Iterable[ObjectMeta], new: str, place: Place
) -> list[ObjectMeta]:
    """Those of `objects` whose copy a listing of folder `new` does not show."""
    arrived = {meta.path for meta in await list_below(storage, new)}
    return [meta for meta in objects if as_prefix(new) + place(meta) not in arrived]


def _journal_path(old: str, new: str) -> str:
    return _JOURNAL_PREFIX + hashlib.sha256(f"{old}\n{new}".encode()).hexdigest()


async def begin_move(storage: BaseStorageService, old: str, new: str) -> None:
    """Write down that folder `old` is being moved to `new`, and what is in it."""
    place = same_place(old)
    paths = [place(meta) for meta in await list_below(storage, old)]
    record = json.dumps({"from": old, "to": new, "paths": paths}).encode()
    await storage.put(_journal_path(old, new), record, content_type="application/json")


async def begun_move(storage: BaseStorageService, old: str, new: str) -> set[str] | None:
    """What was in the folder when this very move began, if it has not ended; else None."""
    try:
        async with storage.get(_journal_path(old, new)) as reader:
            record = json.loads(await reader.read())
    except NotFoundError:
        return None
    return set(record["paths"])


async def holds_only(storage: BaseStorageService, folder: str, paths: Container[str]) -> bool:
    """Whether everything in a folder is one of `paths`, which are relative to it."""
    place = same_place(folder)
    return all(place(meta) in paths for meta in await list_below(storage, folder))


async def end_move(storage: BaseStorageService, old: str, new: str) -> None:
    """Strike the move out: it is done."""
    await storage.delete(_journal_path(old, new))
