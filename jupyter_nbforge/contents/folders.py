"""Folders on a store that has none: what is there, what is in them, and their markers."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError
from ..storage.paths import (
    FOLDER_CONTENT_TYPE,
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
_FULL_PAGE = 1000
"""Entries of the largest page that a store gives."""


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
    ordered = storage.capabilities_at(path).ordered_listing
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


async def file_above(storage: BaseStorageService, path: str) -> str | None:
    """The file below which `path` would lie, however deep; None if there is none."""
    parent = parent_of(path)
    while parent and not storage.recall_folder(parent, max_age=LISTING_AGE):
        kind = await probe(storage, parent)
        if kind.folder:
            return None
        if kind.file:
            return parent
        parent = parent_of(parent)
    return None


async def look_around(storage: BaseStorageService, folder: str) -> bool:
    """Let the storage remember all that is in `folder`, if one page of a listing holds it."""
    async for page in storage.list_pages(as_prefix(folder)):
        if len(page.objects) + len(page.prefixes) >= _FULL_PAGE:
            return False
    return True


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


async def list_below(
    storage: BaseStorageService,
    folder: str,
    *,
    limit: int = 0,
    only: Callable[[ObjectMeta], bool] | None = None,
) -> list[ObjectMeta]:
    """Every object in a folder, however deep, its marker included.

    No more pages are asked for once there are more than `limit` (0: no limit), or one that
    is not what is looked for, `only`.
    """
    found: list[ObjectMeta] = []
    size = limit + 1 if 0 < limit < _FULL_PAGE else None
    async for page in storage.list_pages(as_prefix(folder), delimiter=None, page_size=size):
        found += page.objects
        if 0 < limit < len(found) or (only is not None and not all(map(only, page.objects))):
            break
    return found


async def holds_only(storage: BaseStorageService, folder: str, paths: Container[str]) -> bool:
    """Whether everything in a folder is one of `paths`, which are relative to it."""
    skipped = len(as_prefix(folder))
    return all(meta.path[skipped:] in paths for meta in await list_below(storage, folder))
