"""papermill on storage URLs: ``papermill nbforge+s3://bucket/in.ipynb nbforge+gs://other/out.ipynb``.

papermill finds the handler by the entry point ``nbforge+`` and calls it from its own thread,
of which it may be known neither whether an event loop runs there nor whether it is the only one.
"""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cache
from typing import TypeVar

from .storage import BaseStorageService, ConfigurationError, create_storage_service

T = TypeVar("T")

PREFIX = "nbforge+"
"""Stands before the scheme: papermill has an s3:// and a gs:// of its own."""

_KEPT = 8


class PapermillHandler:
    """What papermill asks of a handler. Paths are storage URLs after ``nbforge+``.

    Options and credentials come from the environment and the SDK's own sources. A write replaces
    what is there, whole or not at all. Errors are `StorageError`; `ConfigurationError` for what
    is no such URL.
    """

    @staticmethod
    def read(path: str) -> str:
        """The text of a file."""
        folder, name = _parts(path)

        async def work(storage: BaseStorageService) -> str:
            return (await storage.read_notebook(name)).read().decode()

        return _worker().run(folder, work)

    @staticmethod
    def write(buf: str, path: str) -> str:
        """Write a notebook; returns its path."""
        folder, name = _parts(path)

        async def work(storage: BaseStorageService) -> None:
            await storage.write_notebook(name, io.BytesIO(buf.encode()))

        _worker().run(folder, work)
        return path

    @staticmethod
    def listdir(path: str) -> list[str]:
        """The paths of the files in a folder, without those in folders below it."""
        start = path.rstrip("/")

        async def work(storage: BaseStorageService) -> list[str]:
            pages = [page async for page in storage.list_pages("")]
            return [f"{start}/{meta.path}" for page in pages for meta in page.objects]

        return _worker().run(start.removeprefix(PREFIX), work)

    @staticmethod
    def pretty_path(path: str) -> str:
        """The path as it is shown; there is no secret in it."""
        return path


def _parts(path: str) -> tuple[str, str]:
    """The URL of the folder and the name in it."""
    folder, _, name = path.removeprefix(PREFIX).rpartition("/")
    if not name or folder.endswith(":/"):
        raise ConfigurationError(
            f"{path!r} names no file; write {PREFIX}s3://bucket/folder/name.ipynb."
        )
    return folder, name


class _Worker:
    """A thread with an event loop, where the storages live; one piece of work at a time.

    What is open at the end of the process ends with it: then no thread can be begun any more
    in which a client would be closed.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = asyncio.Lock()
        self._storages: OrderedDict[str, BaseStorageService] = OrderedDict()
        threading.Thread(
            target=self._loop.run_forever, name="nbforge-papermill", daemon=True
        ).start()

    def run(self, folder: str, work: Callable[[BaseStorageService], Awaitable[T]]) -> T:
        """What `work` makes of the storage of a folder, to be called from any other thread."""
        return asyncio.run_coroutine_threadsafe(self._run(folder, work), self._loop).result()

    async def _run(self, folder: str, work: Callable[[BaseStorageService], Awaitable[T]]) -> T:
        async with self._lock:
            return await work(await self._storage(folder))

    async def _storage(self, folder: str) -> BaseStorageService:
        """Kept, since papermill saves its output before and after each cell."""
        if folder not in self._storages:
            # Before anything is given up: it may be no URL at all.
            self._storages[folder] = await asyncio.to_thread(create_storage_service, folder)
        self._storages.move_to_end(folder)
        while len(self._storages) > _KEPT:
            _, oldest = self._storages.popitem(last=False)
            await oldest.aclose()
        return self._storages[folder]


@cache
def _worker() -> _Worker:
    return _Worker()


if hasattr(os, "register_at_fork"):
    # A thread does not go along into a child that is forked.
    os.register_at_fork(after_in_child=_worker.cache_clear)
