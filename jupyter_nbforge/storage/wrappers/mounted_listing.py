"""Listings of several storages, put together in the order of their paths."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..paths import RESERVED_PREFIX
from ..types import ListPage, ObjectMeta
from .mount_table import Mount, MountTable, Place

Pages: TypeAlias = AsyncIterator[ListPage]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a listing beside its prefix, see `BaseStorageService.list_pages`."""

    delimiter: str | None
    start_after: str | None
    page_size: int | None


class MountedListing:
    """Lists the storages of a table; `marker` makes the marker of the folder of a mount."""

    def __init__(
        self, table: MountTable, marker: Callable[[str], ObjectMeta], log: logging.Logger
    ) -> None:
        self._table = table
        self._marker = marker
        self._log = log
        self._told: set[str] = set()

    async def pages(self, place: Place, prefix: str, query: Query) -> Pages:
        """What the mount of `place` has of a listing, and what is mounted within it."""
        begin = prefix if prefix.startswith(place.outer) else place.outer
        if self._table.is_marker(begin) and not _is_past(begin, query.start_after):
            yield ListPage((self._marker(begin),))
        within = self._table.within(place, begin)
        following = [mount for mount in within if _may_follow(mount.prefix, query.start_after)]
        own = self._own_pages(place, begin, within, query)
        if query.delimiter is None:
            parts = [(mount.prefix, self._all_of(mount, query)) for mount in following]
            pages = _in_order(own, parts)
        else:
            pages = _with_folders(own, {_fold(mount.prefix, begin) for mount in following})
        async for page in pages:
            yield page

    def _all_of(self, mount: Mount, query: Query) -> Pages:
        return self.pages(self._table.at(mount.prefix), mount.prefix, query)

    async def _own_pages(
        self, place: Place, prefix: str, within: list[Mount], query: Query
    ) -> Pages:
        """The pages of a mount without what is hidden in it."""
        start = query.start_after
        if start is not None and start.startswith(place.outer):
            start = place.inside(start) or None
        elif _is_past(place.outer, start):
            return
        else:
            start = None
        pages = place.storage.list_pages(
            place.inside(prefix),
            delimiter=query.delimiter,
            start_after=start,
            page_size=query.page_size,
        )
        while True:
            with place.named(prefix):
                page = await anext(pages, None)
            if page is None:
                return
            yield self._shown(place, page, within)

    def _shown(self, place: Place, page: ListPage, within: list[Mount]) -> ListPage:
        objects = [place.meta(meta) for meta in page.objects]
        prefixes = [place.outside(prefix) for prefix in page.prefixes]
        if place.mount.point and not place.inner:
            reserved = place.outer + RESERVED_PREFIX
            objects = [meta for meta in objects if not meta.path.startswith(reserved)]
            prefixes = [prefix for prefix in prefixes if prefix != reserved]
        for mount in within:
            shown = [meta for meta in objects if not f"{meta.path}/".startswith(mount.prefix)]
            others = [prefix for prefix in prefixes if prefix != mount.prefix]
            if len(shown) + len(others) < len(objects) + len(prefixes):
                self._tell_hidden(mount, place)
            objects, prefixes = shown, others
        return ListPage(tuple(objects), tuple(prefixes))

    def _tell_hidden(self, mount: Mount, place: Place) -> None:
        if mount.point in self._told:
            return
        self._told.add(mount.point)
        self._log.warning(
            "%s has something under the name %r, which is hidden and left alone: another storage"
            " is mounted there.",
            place.storage.url,
            mount.point,
        )


async def _with_folders(pages: Pages, folders: set[str]) -> Pages:
    """`pages` of a listing that also shows `folders`, each once and at its place."""
    waiting = sorted(folders, key=str.encode)
    async for page in pages:
        prefixes = [prefix for prefix in page.prefixes if prefix not in folders]
        names = (*page.prefixes, *(meta.path for meta in page.objects))
        last = max(map(str.encode, names), default=b"") if waiting else b""
        due = [folder for folder in waiting if folder.encode() <= last]
        waiting = waiting[len(due) :]
        if due:
            prefixes = sorted([*prefixes, *due], key=str.encode)
        yield ListPage(page.objects, tuple(prefixes))
    if waiting:
        yield ListPage(prefixes=tuple(waiting))


async def _in_order(pages: Pages, parts: Iterable[tuple[str, Pages]]) -> Pages:
    """`pages` of objects, and among them those of each part, all of which begin with its prefix.

    `parts` are in order. Nothing is asked of one before it is its turn.
    """
    waiting = list(parts)
    async for page in pages:
        objects = page.objects
        while waiting and objects and objects[-1].path.encode() > waiting[0][0].encode():
            prefix, part = waiting.pop(0)
            # One by one: a store whose listings are not ordered may have any of them later.
            before = tuple(meta for meta in objects if meta.path.encode() < prefix.encode())
            if before:
                yield ListPage(before)
            async for one in part:
                yield one
            objects = tuple(meta for meta in objects if meta.path.encode() >= prefix.encode())
        if objects:
            yield ListPage(objects)
    for _, part in waiting:
        async for one in part:
            yield one


def _fold(folder: str, prefix: str) -> str:
    """What a listing of `prefix` shows of a folder below it."""
    return prefix + folder[len(prefix) :].partition("/")[0] + "/"


def _is_past(path: str, start_after: str | None) -> bool:
    """Whether a listing that starts there has left out `path`."""
    return start_after is not None and path.encode() <= start_after.encode()


def _may_follow(folder: str, start_after: str | None) -> bool:
    """Whether anything in a folder may come in a listing that starts there."""
    within = start_after is not None and start_after.startswith(folder)
    return within or not _is_past(folder, start_after)
