"""Checkpoints in the store itself: made, restored, moved by copies on the server's side.

The checkpoints of ``a/b.ipynb`` are the objects ``.nbforge/checkpoints/a/b.ipynb/<id>``.
There is a fixed number of slots; a new checkpoint takes a free slot, or else the place of
the oldest, so that keeping the number bounded costs no request of its own. Its time is the
store's time of the copy. A later copy would change that, so a checkpoint that moves with
its file carries its time in its id from then on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from cachetools import LRUCache, TTLCache
from jupyter_server.services.contents.checkpoints import AsyncCheckpoints
from tornado.web import HTTPError
from traitlets import Int

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError, NotFoundError, PreconditionError
from ..storage.paths import RESERVED_PREFIX, name_of
from ..storage.types import IfAbsent, IfMatch, ObjectMeta, Version, WriteCondition
from ..storage.workers import errors_of
from .conflicts import not_restored
from .errors import http_errors
from .models import EPOCH, Model, api_path

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

CHECKPOINTS_PREFIX = RESERVED_PREFIX + "checkpoints/"
_ID = re.compile(r"checkpoint-(?P<slot>[1-9][0-9]{0,3})(?:-(?P<time>[0-9]{1,14}))?", re.ASCII)
LONGEST_ADDITION = len(CHECKPOINTS_PREFIX) + len("/checkpoint-9999-99999999999999")
"""Bytes that the path of a checkpoint has more than that of its file."""

_REMEMBERED = 4096
_ATTEMPTS = 3
_JUST_NOW = 5.0
"""Seconds after a first save in which a checkpoint asked for is the one that it has made."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One checkpoint of a file; `made_from` is the file's version, where we made it ourselves."""

    id: str
    last_modified: datetime
    meta: ObjectMeta
    made_from: Version | None = None

    @property
    def version(self) -> Version:
        return self.meta.version

    @property
    def slot(self) -> int:
        match = _ID.fullmatch(self.id)
        return int(match["slot"]) if match else 0

    def model(self) -> Model:
        return {"id": self.id, "last_modified": self.last_modified}


@dataclass(frozen=True, slots=True)
class Brought:
    """Checkpoints that another file has got: `sources` are left, `made` was not there before."""

    sources: list[str]
    made: list[str]


def checkpoints_prefix(path: str) -> str:
    """Where the checkpoints of a file lie, and of all files in a folder."""
    return f"{CHECKPOINTS_PREFIX}{path}/"


def _from_object(meta: ObjectMeta) -> Checkpoint | None:
    match = _ID.fullmatch(name_of(meta.path))
    if match is None:
        return None
    moment = meta.last_modified
    if match["time"]:
        moment = EPOCH + timedelta(milliseconds=int(match["time"]))
    return Checkpoint(match[0], moment, meta)


def _with_time(checkpoint: Checkpoint) -> str:
    millis = (checkpoint.last_modified - EPOCH) // timedelta(milliseconds=1)
    return f"checkpoint-{checkpoint.slot}-{max(millis, 0)}"


def moved_checkpoint(meta: ObjectMeta) -> str:
    """The name that a checkpoint gets when it moves: with its time, which a copy changes."""
    checkpoint = _from_object(meta)
    return name_of(meta.path) if checkpoint is None else _with_time(checkpoint)


class NBForgeCheckpoints(AsyncCheckpoints):
    """Checkpoints kept beside the files, under a hidden prefix of the same storage."""

    max_checkpoints = Int(
        5,
        min=1,
        max=9999,
        config=True,
        help="How many checkpoints a file keeps; one more takes the place of the oldest.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._known: LRUCache[str, tuple[Checkpoint, ...]] = LRUCache(_REMEMBERED)
        self._just_made: TTLCache[str, Checkpoint] = TTLCache(_REMEMBERED, _JUST_NOW)

    @property
    def _manager(self) -> NBForgeContentsManager:
        return cast("NBForgeContentsManager", self.parent)

    @property
    def _storage(self) -> BaseStorageService:
        storage: BaseStorageService = self._manager.storage
        return storage

    # Jupyter's interface

    async def create_checkpoint(self, contents_mgr: Any, path: str) -> Model:
        """Keep the file as it is now; returns the new checkpoint's model."""
        path = api_path(path)
        self._manager.writability.check(path)
        with http_errors():
            latest = self._storage.recall(path) or self._manager.known.shown(path)
            made = self._just_made.get(path)
            if made is not None and latest and latest.version == made.made_from:
                # The save that this follows was the first, and has made one.
                return made.model()
            return (await self._create(path, latest.version if latest else None)).model()

    async def list_checkpoints(self, path: str) -> list[Model]:
        """The models of a file's checkpoints, the oldest first."""
        path = api_path(path)
        with http_errors():
            return [checkpoint.model() for checkpoint in await self._list(path)]

    async def restore_checkpoint(self, contents_mgr: Any, checkpoint_id: str, path: str) -> None:
        """Put the checkpoint in the file's place."""
        path = api_path(path)
        self._manager.writability.check(path)
        key = self._key(checkpoint_id, path)
        self.log.debug("Restoring %s from checkpoint %s", path, checkpoint_id)
        with http_errors():
            try:
                # Over what the person sees, not over what somebody else has saved meanwhile.
                seen = self._manager.known.condition(path)
                await self._storage.copy(key, path, condition=seen)
            except NotFoundError:
                raise self._no_such(checkpoint_id, path) from None
            except (AlreadyExistsError, PreconditionError):
                raise await not_restored(self._manager, path) from None
        self._manager.known.forget(path)

    async def rename_checkpoint(self, checkpoint_id: str, old_path: str, new_path: str) -> None:
        """Move one checkpoint to another file."""
        source = self._key(checkpoint_id, api_path(old_path))
        target = self._key(checkpoint_id, api_path(new_path))
        with http_errors():
            await self._storage.copy(source, target)
            await self._storage.delete(source)
        self._forget(api_path(old_path), api_path(new_path))

    async def delete_checkpoint(self, checkpoint_id: str, path: str) -> None:
        """Delete one checkpoint of a file; one that does not exist is a 404."""
        path = api_path(path)
        self._manager.writability.check(path)
        key = self._key(checkpoint_id, path)
        with http_errors():
            try:
                await self._storage.head(key)
            except NotFoundError:
                raise self._no_such(checkpoint_id, path) from None
            await self._storage.delete(key)
        self._forget(path)

    async def rename_all_checkpoints(self, old_path: str, new_path: str) -> None:
        """Move all checkpoints of one file to another."""
        with http_errors():
            brought = await self.bring_all(api_path(old_path), api_path(new_path))
            await self._storage.delete_many(brought.sources)

    async def delete_all_checkpoints(self, path: str) -> None:
        """Delete all checkpoints of a file."""
        path = api_path(path)
        with http_errors():
            checkpoints = self._known.get(path) or await self._list(path)
            keys = [self._key(checkpoint.id, path) for checkpoint in checkpoints]
            if keys:
                await self._storage.delete_many(keys)
        self._forget(path)
        self._known[path] = ()

    # for the manager

    async def ensure_one(self, path: str, version: Version | None) -> None:
        """Make the first checkpoint of a file that has none; that it has one is remembered."""
        known = self._known.get(path)
        if known is None:
            known = await self._list(path)
        if not known:
            self._just_made[path] = await self._create(path, version)

    async def bring_all(
        self, old_path: str, new_path: str, *, condition: IfAbsent | None = None
    ) -> Brought:
        """Copy a file's checkpoints to another, whose sources are then to be deleted.

        With `condition` one that is there already stays: its name tells that it is the same.
        One that has gone meanwhile is not missed: a lifecycle rule or another server of the
        same user may have deleted it.
        """
        known = self._known.get(old_path)
        self._forget(old_path, new_path)
        brought = Brought([], [])
        for _ in range(_ATTEMPTS):
            if known is None:
                known = await self._list(old_path)
            # What has been brought and still lies there is listed again.
            known = tuple(one for one in known if one.meta.path not in brought.sources)
            failed = await asyncio.gather(
                *(errors_of(self._bring(one, new_path, condition, brought)) for one in known)
            )
            errors = [error for found in failed for error in found]
            known = None
            if not errors:
                break
            if not all(isinstance(error, NotFoundError) for error in errors):
                raise errors[0]
        self._forget(old_path, new_path)
        return brought

    async def _bring(
        self, one: Checkpoint, new_path: str, condition: IfAbsent | None, brought: Brought
    ) -> None:
        target = self._key(_with_time(one), new_path)
        try:
            await self._storage.copy(one.meta.path, target, condition=condition)
            brought.made.append(target)
        except AlreadyExistsError:
            pass  # a rename that was stopped has brought it
        brought.sources.append(one.meta.path)

    def none_yet(self, path: str) -> None:
        """Remember that a file which we have just created has no checkpoint."""
        self._forget(path)
        self._known[path] = ()

    def forget_below(self, folder: str) -> None:
        """Forget what is known of the files in a folder."""
        self._forget(*[path for path in self._known if path.startswith(f"{folder}/")])

    # how it is done

    def _key(self, checkpoint_id: str, path: str) -> str:
        if not isinstance(checkpoint_id, str) or not _ID.fullmatch(checkpoint_id):
            raise self._no_such(checkpoint_id, path)
        return checkpoints_prefix(path) + checkpoint_id

    def _no_such(self, checkpoint_id: str, path: str) -> HTTPError:
        return HTTPError(404, f"Checkpoint does not exist: {path}@{checkpoint_id}")

    def _forget(self, *paths: str) -> None:
        for path in paths:
            self._known.pop(path, None)
            self._just_made.pop(path, None)

    async def _list(self, path: str) -> tuple[Checkpoint, ...]:
        # Not by the version alone: on S3 checkpoints of the same text have the same.
        ours = {(one.id, one.version): one for one in self._known.get(path, ())}
        found: list[Checkpoint] = []
        async for page in self._storage.list_pages(checkpoints_prefix(path)):
            listed = (_from_object(meta) for meta in page.objects)
            found += [ours.get((one.id, one.version), one) for one in listed if one is not None]
        self._known[path] = tuple(sorted(found, key=lambda one: (one.last_modified, one.slot)))
        return self._known[path]

    async def _create(self, path: str, version: Version | None) -> Checkpoint:
        known: Sequence[Checkpoint] | None = self._known.get(path)
        for attempt in range(_ATTEMPTS):
            if known is None or attempt:
                known = await self._list(path)
            try:
                return await self._fill_slot(path, known, version)
            except (AlreadyExistsError, PreconditionError):
                # Another server of the same user took the slot: look again.
                continue
        raise HTTPError(409, f"{path} gets checkpoints from elsewhere at this moment; try again.")

    async def _fill_slot(
        self, path: str, known: Sequence[Checkpoint], version: Version | None
    ) -> Checkpoint:
        slot, replaced = self._slot(known)
        new_id = f"checkpoint-{slot}"
        condition: WriteCondition | None = IfAbsent()
        if replaced is not None and replaced.id == new_id:
            condition = IfMatch(replaced.version)
        key = self._key(new_id, path)
        if not self._storage.capabilities_at(key).conditional_copy:
            condition = None  # the look in its stead is not worth a request here
        meta = await self._storage.copy(path, key, condition=condition)
        if replaced is not None and replaced.id != new_id:
            await self._storage.delete(self._key(replaced.id, path))
        made = Checkpoint(new_id, meta.last_modified, meta, version)
        self._known[path] = (*(one for one in known if one is not replaced), made)
        return made

    def _slot(self, known: Sequence[Checkpoint]) -> tuple[int, Checkpoint | None]:
        used = {checkpoint.slot for checkpoint in known}
        for slot in range(1, self.max_checkpoints + 1):
            if slot not in used:
                return slot, None
        oldest = min(known, key=lambda one: one.last_modified)
        return oldest.slot, oldest
