"""Copies all that a storage lists into another: page by page, many objects at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, nullcontext
from dataclasses import replace

from ..storage.base import BaseStorageService
from ..storage.errors import (
    ConfigurationError,
    NotFoundError,
    StorageError,
    StorageFullError,
    UnauthenticatedError,
    UnavailableError,
)
from ..storage.local import LocalStorage
from ..storage.paths import DELIMITER, invalid_reason
from ..storage.transfer import PART_SIZE, transfer
from ..storage.types import IfAbsent, IfMatch, ObjectMeta, WriteCondition
from ..storage.workers import Together
from ..storage.wrappers import PrefixStorage, WrapperStorage
from .compare import is_equal
from .disk import not_listed
from .selection import Selection
from .types import Action, CopyOptions, Outcome, SameStore, Summary, Watcher

_LARGE_AT_ONCE = 4
"""Objects that go in parts: each holds two parts in memory."""

_ENDS_ALL = (ConfigurationError, UnauthenticatedError, StorageFullError)
"""What every further object would meet as well."""


class Copier:
    """One copy of all of `source` (or of the object `only` in it) into `target`.

    Nothing is ever deleted, and what differs at the target is replaced only as `options` say,
    and only in the version that was compared. Errors of one object do not stop the others.
    Run again it goes on where it ended: what is equal is not sent again. `same` is given
    where both are one store, which then copies by itself.
    """

    def __init__(
        self,
        source: BaseStorageService,
        target: BaseStorageService,
        options: CopyOptions,
        watcher: Watcher,
        *,
        same: SameStore | None = None,
    ) -> None:
        self._source = source
        self._target = target
        self._options = options
        self._watcher = watcher
        self._same = same
        self._selection = Selection(options.include, options.exclude, options.checkpoints)
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._left_out: set[str] = set()
        self._summary = Summary()

    async def copy_object(self, path: str, target_path: str) -> Summary:
        """Copy one object; `NotFoundError` if there is none."""
        meta = await self._source.head(path)
        self._watcher.found(meta.size)
        await self._one(meta, target_path)
        return self._summary

    async def copy_tree(self) -> Summary:
        """Copy everything that is selected; what ends all of it is told by `stopped`."""
        try:
            if not self._options.dry_run:
                await self._end_leftovers()
            await self._tell_what_is_not_listed()
            await self._work_through(self._files())
            # After the files: a store with real folders makes most of them with their files.
            await self._work_through(self._markers())
        except StorageError as error:
            self._summary.stopped = error.message
        return self._summary

    async def _end_leftovers(self) -> None:
        """End the uploads in parts that a killed copy has left."""
        try:
            self._summary.ended_uploads = await self._target.abort_stale_uploads(
                "", self._options.stale_seconds
            )
        except _ENDS_ALL:
            raise
        except StorageError as error:
            self._target.log.warning("Leftover uploads are not looked for: %s", error.message)

    async def _tell_what_is_not_listed(self) -> None:
        provider = innermost(self._source)
        if isinstance(provider, LocalStorage):
            root = provider.root
            for path, reason in await asyncio.to_thread(lambda: list(not_listed(root))):
                # The listing has a link to a folder as an empty folder.
                self._left_out.add(path + DELIMITER)
                if self._selection.takes(path):
                    self._note(Outcome(path, "left out", reason=reason))

    async def _files(self) -> AsyncIterator[ObjectMeta]:
        async for meta in self._listed(tell=True):
            if not meta.path.endswith(DELIMITER):
                yield meta

    async def _markers(self) -> AsyncIterator[ObjectMeta]:
        """Those of folders; of a disk, where each folder is its own, only of empty ones."""
        limits = self._source.capabilities
        only_empty = limits.ordered_listing and not limits.file_beside_folder
        waiting: ObjectMeta | None = None
        async for meta in self._listed(tell=False):
            if waiting is not None and not (only_empty and meta.path.startswith(waiting.path)):
                yield waiting
            waiting = meta if meta.path.endswith(DELIMITER) else None
        if waiting is not None:
            yield waiting

    async def _listed(self, *, tell: bool) -> AsyncIterator[ObjectMeta]:
        """What is selected; keys that are no path are left out, and told of."""
        storage, root = below_prefix(self._source)
        async for page in storage.list_pages(root, delimiter=None):
            for meta in page.objects:
                path = meta.path[len(root) :]
                if not path or path in self._left_out or not self._selection.takes(path):
                    continue
                reason = invalid_reason(path)
                if reason is None:
                    yield replace(meta, path=path)
                elif tell:
                    sentence = f"the name is no valid path: {reason}"
                    self._note(Outcome(path, "left out", meta.size, sentence))

    async def _work_through(self, objects: AsyncIterator[ObjectMeta]) -> None:
        """Copy each of them, some at a time; the listing goes on as they are done."""
        count = self._options.concurrency
        waiting: asyncio.Queue[ObjectMeta | None] = asyncio.Queue(count)

        async def list_them() -> None:
            async for meta in objects:
                self._watcher.found(meta.size)
                await waiting.put(meta)
            for _ in range(count):
                await waiting.put(None)

        async def work() -> None:
            while (meta := await waiting.get()) is not None:
                await self._one(meta, meta.path)

        async with Together() as together:
            together.start(list_them())
            for _ in range(count):
                together.start(work())

    async def _one(self, meta: ObjectMeta, target_path: str) -> None:
        try:
            action, reason = await self._carry(meta, target_path)
        except _ENDS_ALL:
            raise
        except StorageError as error:
            action, reason = "failed", error.message
        self._note(Outcome(meta.path, action, meta.size, reason))

    async def _carry(self, meta: ObjectMeta, path: str) -> tuple[Action, str]:
        """Copy one object, unless it is there already."""
        found = await self._find(path)
        condition: WriteCondition | None = IfAbsent()
        action: Action = "copied"
        if found is not None:
            if path.endswith(DELIMITER):
                return "equal", ""
            always = self._options.overwrite == "always"
            if not always and await is_equal(self._source, meta, self._target, found):
                return "equal", ""
            if self._options.overwrite == "never":
                return "differs", f"the target has another with {found.size} bytes"
            condition, action = IfMatch(found.version), "replaced"
        if path.endswith(DELIMITER):
            # SeaweedFS takes a folder without a marker for one with: no condition on markers.
            condition = None
        if not self._options.dry_run:
            await self._send(meta, path, condition)
        return action, ""

    async def _find(self, path: str) -> ObjectMeta | None:
        try:
            return await self._target.head(path)
        except NotFoundError:
            return None

    async def _send(self, meta: ObjectMeta, path: str, condition: WriteCondition | None) -> None:
        async with self._large if meta.size > PART_SIZE else nullcontext():
            if self._same is not None:
                await self._copy_within(self._same, meta, path, condition)
                return
            await transfer(
                self._source,
                meta.path,
                self._target,
                path,
                condition=condition,
                progress=self._watcher.sent,
            )

    async def _copy_within(
        self, same: SameStore, meta: ObjectMeta, path: str, condition: WriteCondition | None
    ) -> None:
        """Let the store copy by itself, and look at what has become of it."""
        await same.storage.copy(
            same.source + meta.path,
            same.target + path,
            condition=condition,
            source_version=meta.version,
        )
        found = await self._target.head(path)
        if found.size != meta.size:
            raise UnavailableError(
                f"{path!r} has {found.size} bytes and not {meta.size}; delete it and try again.",
                path=path,
            )
        self._watcher.sent(meta.size)

    def _note(self, outcome: Outcome) -> None:
        self._summary.note(outcome)
        self._watcher.done(outcome)


def innermost(storage: BaseStorageService) -> BaseStorageService:
    """The provider within all wrappers."""
    while isinstance(storage, WrapperStorage):
        storage = storage.inner
    return storage


def below_prefix(storage: BaseStorageService) -> tuple[BaseStorageService, str]:
    """The storage that shows every key, and the prefix of those that are meant.

    `PrefixStorage` leaves out what is no path; whoever copies has to tell of it.
    """
    around = storage
    while isinstance(around, WrapperStorage):
        if isinstance(around, PrefixStorage):
            return around.inner, around.root
        around = around.inner
    return storage, ""


async def is_object(storage: BaseStorageService, path: str) -> bool:
    """Whether there is an object at `path`."""
    try:
        await storage.head(path)
    except NotFoundError:
        return False
    return True


async def has_any(storage: BaseStorageService, prefix: str) -> bool:
    """Whether anything lies at or below `prefix`."""
    async with aclosing(_pages(storage, prefix)) as pages:
        async for found in pages:
            if found:
                return True
    return False


async def _pages(storage: BaseStorageService, prefix: str) -> AsyncGenerator[bool, None]:
    async for page in storage.list_pages(prefix, page_size=1):
        yield bool(page.objects or page.prefixes)
