"""Uploads in parts: a resumable upload to a hidden object, which is then moved to its place."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from .base import BaseStorageService, MultipartUpload
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from .gcs_client import GCSConnection
from .gcs_listing import list_pages
from .gcs_resumable import UNIT, ResumableUpload
from .gcs_values import object_meta
from .paths import name_of, parent_of
from .types import ObjectMeta, Version, WriteCondition

MIN_PART_SIZE = UNIT

_TEMPORARY = ".nbforge-upload-"


class GCSUpload(MultipartUpload):
    """An upload in parts; begun by `begin`.

    Its condition is known at the end only, and the store wants one at the beginning: hence
    the hidden object beside the target. (Of a process that is killed at the very end that
    object is left.) The parts are a stream: one that comes before its predecessors waits for
    them in memory, and each is sent when the next one comes, so that the last one ends the
    stream: N parts cost N requests, one to begin and one to move.
    """

    def __init__(
        self,
        storage: BaseStorageService,
        connection: GCSConnection,
        path: str,
        temporary: str,
        session: ResumableUpload,
    ) -> None:
        super().__init__(path)
        self._storage = storage
        self._connection = connection
        self._temporary = temporary
        self._session = session
        self._lock = asyncio.Lock()
        self._digests: dict[int, bytes] = {}
        self._early: dict[int, bytes] = {}
        self._next = 1
        self._finishing = False
        self._maybe_moved = False

    @classmethod
    async def begin(
        cls,
        storage: BaseStorageService,
        connection: GCSConnection,
        path: str,
        properties: Mapping[str, Any],
        options: Mapping[str, str],
    ) -> GCSUpload:
        """Begin one; `properties` describe the object, `options` how the store is to keep it."""
        parent = parent_of(path)
        name = f"{_TEMPORARY}{secrets.token_hex(8)}"
        temporary = f"{parent}/{name}" if parent else name
        session = await ResumableUpload.begin(connection, path, temporary, properties, options)
        return cls(storage, connection, path, temporary, session)

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        self._check_open()
        digest = await self._connection.run(partial(_digest, data))
        async with self._lock:
            self._check_open()
            if number not in self._digests:
                self._digests[number] = digest
                self._early[number] = data
            elif self._digests[number] != digest:
                raise NotSupportedError(
                    "Cloud Storage takes no other bytes for a part that it has.", path=self.path
                )
            while self._next in self._early:
                self._session.stream.append(self._early.pop(self._next))
                self._next += 1
            await self._session.send(more=more)

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        async with self._lock:
            self._check_open()
            if not self._digests:
                raise StorageError(f"The upload of {self.path!r} has no part.", path=self.path)
            # Where a number between them is missing, the others are joined.
            for number in sorted(self._early):
                self._session.stream.append(self._early.pop(number))
            self._finishing = True
            resource = await self._session.finish()
            if not self._session.stream.is_that_of(resource):
                await self._discard()
                raise UnavailableError(
                    f"{self.path!r} was damaged on the way; upload it again.", path=self.path
                )
            meta = await self._publish(object_meta(self._temporary, resource), condition)
            self._ended = True
            return meta

    async def _publish(self, made: ObjectMeta, condition: WriteCondition | None) -> ObjectMeta:
        """Move the object to its place, if an earlier attempt has not done so already."""
        maybe_moved, self._maybe_moved = self._maybe_moved, True
        try:
            return await self._storage.move(made, self.path, condition=condition)
        except (AlreadyExistsError, NotFoundError, PreconditionError) as error:
            ours = maybe_moved or isinstance(error, NotFoundError)
            found = await self._found_as(made) if ours else None
            await self._discard()
            if found is None:
                raise
            return found
        except StorageError as error:
            self._maybe_moved = maybe_moved or error.outcome_unknown
            raise

    async def _found_as(self, made: ObjectMeta) -> ObjectMeta | None:
        """What is in its place, if it is what was made; the time of writing is a part of it."""
        try:
            found = await self._storage.head(self.path)
        except NotFoundError:
            return None
        same = replace(found, path=made.path, version=made.version) == made
        return found if same else None

    async def abort(self) -> None:
        async with self._lock:
            if not self._ended:
                await self._discard()

    async def _discard(self) -> None:
        """Leave nothing of it: first what could still make the object, then the object."""
        await self._session.cancel()
        if self._finishing:
            await self._storage.delete(self._temporary)
        self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


async def delete_stale(
    storage: BaseStorageService, connection: GCSConnection, prefix: str, older_than: float
) -> int:
    """Delete hidden objects that never got to their place; a session ends by itself in a week.

    https://cloud.google.com/storage/docs/resumable-uploads#session-uris
    """
    limit = datetime.now(timezone.utc) - timedelta(seconds=older_than)
    stale: dict[str, Version] = {}
    async for page in list_pages(connection, prefix, None, None, None, glob=f"**{_TEMPORARY}*"):
        for meta in page.objects:
            if name_of(meta.path).startswith(_TEMPORARY) and meta.last_modified <= limit:
                stale[meta.path] = meta.version
    await storage.delete_many(stale, versions=stale)
    return len(stale)
