"""Copies, moves and deletions of many objects on the store's side.

A move copies first, checks, and deletes last, so that stopping it at any point loses no
object.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError, NotFoundError, PreconditionError, StorageError
from ..storage.paths import as_prefix
from ..storage.types import IfAbsent, ObjectMeta, Version
from ..storage.workers import errors_of, for_each
from .folders import list_below
from .progress import Progress

_STRONG = frozenset({"sha256", "md5"})
"""Hashes by which two objects are known to be equal; others only show a difference."""

_DISK = "file://"

_DELETED_AT_ONCE = 2000
"""Paths of one `delete_many`: enough for two batches of S3, few enough to tell how far it is."""


@dataclass(frozen=True, slots=True)
class Job:
    """One object (at that version), and the path that it or its copy is to have."""

    meta: ObjectMeta
    target: str


@dataclass(frozen=True, slots=True)
class Transfer:
    """Work on many objects of a storage, `at_once` of them at the same time."""

    storage: BaseStorageService
    at_once: int
    progress: Progress

    async def copy(self, jobs: Iterable[Job]) -> list[Job]:
        """Copy objects, overwriting nothing.

        Returns those whose place is taken by something else; a target that is equal to its
        source was copied before. The first failure stops the rest.
        """
        stay: list[Job] = []

        async def one(job: Job) -> None:
            if not await self._copy_one(job):
                stay.append(job)
            self.progress.step("copied")

        for group in _in_order(jobs):
            await for_each(one, group, self.at_once)
        return stay

    async def _copy_one(self, job: Job) -> bool:
        """Copy this version of an object; False if something else is there already."""
        # SeaweedFS takes a folder without a marker for one with: no condition on markers.
        condition = None if job.target.endswith("/") else IfAbsent()
        source, version = job.meta.path, job.meta.version
        try:
            await self.storage.copy(source, job.target, condition=condition, source_version=version)
        except AlreadyExistsError:
            original = await self.storage.head(source)
            return await same_content(self.storage, original, await self.storage.head(job.target))
        return True

    async def move(self, jobs: Iterable[Job], folders: Iterable[str]) -> list[Job]:
        """Move objects, all targets of which are below `folders`; returns those that stay.

        These are the ones whose place is taken. Each source is deleted only at the version
        that was copied; one that was changed meanwhile stays where it is, beside its copy,
        and makes this a `PreconditionError` after the rest.
        """
        jobs = list(jobs)
        stay = await self.copy(jobs)
        taken = {job.target for job in stay}
        moved = [job for job in jobs if job.target not in taken]
        missing = await self._not_arrived(moved, folders)
        if missing:
            # Seen once on a store with real directories that was busy; again is harmless.
            await self.copy(missing)
            missing = await self._not_arrived(missing, folders)
        if missing:
            raise NotFoundError(
                f"{len(missing)} objects did not arrive in their new folder; nothing was deleted.",
                path=missing[0].meta.path,
            )
        versions = {job.meta.path: job.meta.version for job in moved if self._has_version(job)}
        await self.delete([job.meta.path for job in moved], versions)
        return stay

    def _has_version(self, job: Job) -> bool:
        """Whether its version is of the object alone: that of a real directory is not.

        It changes with what is in it, and goes only when nothing is.
        """
        path = job.meta.path
        return not path.endswith("/") or self.storage.capabilities_at(path).file_beside_folder

    async def _not_arrived(self, jobs: Sequence[Job], folders: Iterable[str]) -> list[Job]:
        """Those whose copy a listing of `folders` does not show."""
        arrived: set[str] = set()

        async def look(folder: str) -> None:
            arrived.update(meta.path for meta in await list_below(self.storage, folder))

        await for_each(look, folders, self.at_once)
        return [job for job in jobs if job.target not in arrived]

    async def delete(
        self, paths: Iterable[str], versions: Mapping[str, Version] | None = None
    ) -> None:
        """Delete in this order, but markers last, the deepest of them first.

        As long as anything is left, so is the folder: it is seen and can be deleted again.
        A version that has changed keeps its object, and is the error after the rest.
        """
        groups: tuple[list[str], list[str]] = [], []
        for path in paths:
            groups[path.endswith("/")].append(path)
        groups[True].sort(key=lambda path: path.count("/"), reverse=True)
        changed: list[StorageError] = []
        for group in groups:
            for start in range(0, len(group), _DELETED_AT_ONCE):
                piece = group[start : start + _DELETED_AT_ONCE]
                errors = await errors_of(self.storage.delete_many(piece, versions=versions))
                if errors and not isinstance(errors[0], PreconditionError):
                    raise errors[0]
                changed += errors
                self.progress.step("deleted", len(piece))
        if changed:
            raise changed[0]


def jobs_between(objects: Iterable[ObjectMeta], old: str, new: str) -> list[Job]:
    """Every object of folder `old` at its place in folder `new`."""
    skipped = len(as_prefix(old))
    return [Job(meta, as_prefix(new) + meta.path[skipped:]) for meta in objects]


def _in_order(jobs: Iterable[Job]) -> list[list[Job]]:
    """Markers of folders by depth, then the files; each group is copied at once.

    A store that keeps real directories makes those of a file with the file, and must not do
    so while the marker of one of them is being written.
    """
    groups: dict[int, list[Job]] = {}
    files: list[Job] = []
    for job in jobs:
        is_folder = job.target.endswith("/")
        (groups.setdefault(job.target.count("/"), []) if is_folder else files).append(job)
    return [*(groups[depth] for depth in sorted(groups)), files]


async def same_content(storage: BaseStorageService, one: ObjectMeta, other: ObjectMeta) -> bool:
    """Whether two objects have the same bytes, by strong hashes or else by reading them."""
    if one.size != other.size:
        return False
    known, found = one.content_hash, other.content_hash
    if known is not None and found is not None and known.algorithm == found.algorithm:
        if known != found:
            return False
        if known.algorithm in _STRONG and _keeps_what_it_tells(storage, one.path, other.path):
            return True
    return await _digest(storage, one.path) == await _digest(storage, other.path)


def _keeps_what_it_tells(storage: BaseStorageService, source: str, target: str) -> bool:
    """Whether a copy that was stopped has the bytes whose hash went with it.

    Another store that checks no write may hold damaged ones, which nobody has read back yet.
    """
    one_store = storage.store_at(source) == storage.store_at(target)
    return one_store or storage.capabilities_at(target).checked_writes


async def same_object(storage: BaseStorageService, one: str, other: str) -> bool:
    """Whether two paths lead to one object, so that to delete one is to delete the other.

    Mounts that overlap make it so, and on a disk links and names that differ in case.
    """
    urls = storage.url_of(one), storage.url_of(other)
    if all(url.startswith(_DISK) for url in urls):
        first, second = (url.removeprefix(_DISK) for url in urls)
        return await asyncio.to_thread(_same_file, first, second)
    # Two memories have one URL, and never one object.
    return urls[0] == urls[1] and not urls[0].startswith("memory:")


def _same_file(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return True  # not known to be another: nothing may be deleted for it


async def _digest(storage: BaseStorageService, path: str) -> bytes:
    digest = hashlib.sha256()
    async with storage.get(path) as reader:
        async for chunk in reader.chunks:
            await asyncio.to_thread(digest.update, chunk)
    return digest.digest()
