"""What a check writes: all of it below one hidden folder of its own, and deleted again."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta, timezone

from ...storage.base import BaseStorageService, MultipartUpload
from ...storage.diagnosis import Diagnosis, Finding
from ...storage.errors import NotFoundError, StorageError
from ...storage.types import ObjectMeta
from ...storage.workers import errors_of

FOLDER = ".nbforge-check-"
"""How the name of the folder begins: hidden, as it starts with a dot."""

_FOLDER = re.compile(re.escape(FOLDER) + "[0-9a-f]{16}/", re.ASCII)

STALE = 86400.0
"""Seconds after which a folder was surely left by a check that was killed."""

BODY = b"jupyter nbforge check\n"


class Scratch:
    """A folder of objects that nobody else knows of. `storage` takes paths below the prefix."""

    def __init__(self, storage: BaseStorageService, diagnosis: Diagnosis) -> None:
        self.folder = f"{FOLDER}{secrets.token_hex(8)}/"
        self._storage = storage
        self._diagnosis = diagnosis
        self._written: dict[str, None] = {}
        self._number = 0
        self._uploads: list[MultipartUpload] = []
        self.used = False
        """Whether anything was written, or tried to be."""
        self._began_uploads = False

    @property
    def key(self) -> str:
        """The folder as the provider knows it, with the prefix."""
        return self._diagnosis.prefix + self.folder

    def path(self) -> str:
        """A new path; what is there is deleted at the end."""
        self.used = True
        self._number += 1
        path = f"{self.folder}{self._number}.txt"
        self._written[path] = None
        return path

    def use(self) -> str:
        """The provider's key of the folder, for what writes there by itself."""
        self.used = True
        return self.key

    async def put(self, path: str | None = None) -> str:
        """Write a small object, to a new path if none is given; its path."""
        path = path or self.path()
        self._written[path] = None
        try:
            await self._storage.put(path, BODY, content_type="text/plain")
        except StorageError as error:
            if not error.outcome_unknown:
                self._written.pop(path, None)
            raise
        return path

    async def delete(self, path: str) -> None:
        """Delete what is there, and see that it is gone."""
        await self._storage.delete(path)
        self._written.pop(path, None)

    @asynccontextmanager
    async def upload(self) -> AsyncIterator[MultipartUpload]:
        """An upload in parts to a new path, which is ended with the block."""
        self._began_uploads = True
        upload = await self._storage.create_multipart_upload(self.path())
        self._uploads.append(upload)
        async with upload:
            yield upload
        self._uploads.remove(upload)

    async def clean_up(self) -> list[str]:
        """Delete everything; the provider's keys of what had to be left."""
        if not self.used:
            return []
        for upload in self._uploads:
            # What cannot be aborted is looked for below, as what was begun and never answered is.
            await errors_of(upload.abort())
        if self._began_uploads:
            with suppress(StorageError):
                await self._storage.abort_stale_uploads(self.folder, 0.0)
        paths = {*self._written, *await self._listed()}
        left = [path for path in sorted(paths) if not await self._is_gone(path)]
        if not left and not self._storage.capabilities.file_beside_folder:
            await errors_of(self._storage.delete(self.folder))
        return [self._diagnosis.prefix + path for path in left]

    async def delete_stale(self) -> int:
        """Delete what earlier checks had to leave when they were killed; how many objects.

        What cannot be deleted, or not even listed, stays: it is no part of this check.
        """
        count = 0
        with suppress(StorageError):
            for folder in await self._other_folders():
                metas = await self._metas(folder)
                limit = datetime.now(timezone.utc) - timedelta(seconds=STALE)
                if any(meta.last_modified > limit for meta in metas):
                    continue
                # The marker of a folder comes last: on a disk it does not go before its files.
                for meta in sorted(metas, key=lambda meta: meta.path, reverse=True):
                    await self._storage.delete(meta.path)
                    count += not meta.path.endswith("/")
                await self._diagnosis.purge(self._diagnosis.prefix + folder)
            await self._storage.abort_stale_uploads(FOLDER, STALE)
        return count

    async def _other_folders(self) -> list[str]:
        found: list[str] = []
        async for page in self._storage.list_pages(FOLDER):
            found += [prefix for prefix in page.prefixes if _FOLDER.fullmatch(prefix)]
        return [folder for folder in found if folder != self.folder]

    async def _metas(self, folder: str) -> list[ObjectMeta]:
        found: list[ObjectMeta] = []
        async for page in self._storage.list_pages(folder, delimiter=None):
            found += page.objects
        return found

    async def _listed(self) -> list[str]:
        with suppress(StorageError):
            metas = await self._metas(self.folder)
            return [meta.path for meta in metas if not meta.path.endswith("/")]
        return []

    async def _is_gone(self, path: str) -> bool:
        for error in await errors_of(self._storage.delete(path)):
            return isinstance(error, NotFoundError) or await self._is_missing(path)
        return True

    async def _is_missing(self, path: str) -> bool:
        try:
            await self._storage.head(path)
        except StorageError as error:
            return isinstance(error, NotFoundError)
        return False


async def clean(scratch: Scratch, diagnosis: Diagnosis) -> tuple[Finding, list[str]]:
    """Clean up; what to say of it, and the keys of what was left."""
    left = await scratch.clean_up()
    if left:
        what = "An object was" if len(left) == 1 else f"{len(left)} objects were"
        sentence = f"{what} left behind: the store did not delete what it had taken."
        remedy = "Delete what is named here with another tool, or as somebody who may."
        return Finding("failed", sentence, remedy, tuple(left)), left
    if not await diagnosis.purge(scratch.key):
        return Finding("ok", "Everything is deleted again; the bucket may keep old versions."), []
    return Finding("ok", "Everything that was written is deleted again."), []
