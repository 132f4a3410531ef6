"""What a storage really does with the conditions of writes, found out through its interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from .errors import AlreadyExistsError, NotSupportedError, PreconditionError, StorageError
from .types import IfAbsent, IfMatch, ObjectMeta, Version, WriteCondition

if TYPE_CHECKING:
    from .base import BaseStorageService

_REFUSALS = (AlreadyExistsError, PreconditionError)


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of an operation, and what came of it.

    `honoured`: it was served where it holds and refused where it does not. Where it is not,
    `weaker` says what can go wrong, and `compensated` whether the provider knows of it and
    looks before each such write; "" and True: nothing is weaker, only slower.
    """

    name: str
    honoured: bool
    weaker: str = ""
    compensated: bool = False


OVERWRITTEN = "what another writes in the same moment is overwritten"
DELETED = "what another saves in the same moment is deleted"
COPIED = "what another saves in the same moment is copied in its place"

Write: TypeAlias = Callable[[str, WriteCondition], Awaitable[object]]
"""Writes to a path, on a condition."""


class _Places:
    """Paths below a folder; what is written there is deleted at the end."""

    def __init__(self, storage: BaseStorageService, folder: str) -> None:
        self.storage = storage
        self._folder = folder
        self._written = 0
        self.used: list[str] = []
        self.joined: set[str] = set()
        """Where uploads in parts were begun."""

    def path(self) -> str:
        self.used.append(f"{self._folder}condition-{len(self.used)}")
        return self.used[-1]

    async def put(self, path: str, condition: WriteCondition | None = None) -> ObjectMeta:
        """Write other bytes than before, so that the version is another on any store."""
        self._written += 1
        return await self.storage.put(path, b"x" * self._written, condition=condition)


@asynccontextmanager
async def _places(storage: BaseStorageService, folder: str) -> AsyncIterator[_Places]:
    places = _Places(storage, folder)
    try:
        yield places
    finally:
        for path in places.used:
            # Who writes below `folder` cleans it up as a whole, and says what was left.
            with suppress(StorageError):
                if path in places.joined:
                    # Azure frees the parts of an upload that was refused when all is written.
                    await places.put(path)
                await storage.delete(path)


async def try_conditions(
    storage: BaseStorageService, folder: str, without: Collection[str] = ()
) -> list[Condition]:
    """Try each condition where it holds and where it does not: about 30 requests.

    `folder` ends in ``/``. Operations in `without` ("copy", "multipart") are left out.
    """
    async with _places(storage, folder) as places:
        found = [await _absent("write if nothing is there", places, places.put)]
        found.append(await _match("write over one version", places, places.put))
        if "copy" not in without:
            found += await _copies(places)
        found.append(await _deletes(places))
        if "multipart" not in without and storage.capabilities.multipart:
            found += await _joins(places)
        return found


async def _holds(writing: Awaitable[object]) -> bool:
    try:
        await writing
    except (*_REFUSALS, NotSupportedError):
        return False
    return True


async def _absent(name: str, places: _Places, write: Write) -> Condition:
    path = places.path()
    held = await _holds(write(path, IfAbsent()))
    if not held:
        await places.put(path)
    kept = not await _holds(write(path, IfAbsent()))
    return Condition(name, held and kept, OVERWRITTEN)


async def _match(name: str, places: _Places, write: Write) -> Condition:
    path, missing = places.path(), places.path()
    old = await _old_version(places, path)
    kept = not await _holds(write(path, IfMatch(old)))
    current = (await places.storage.head(path)).version
    held = await _holds(write(path, IfMatch(current)))
    kept = kept and not await _holds(write(missing, IfMatch(old)))
    return Condition(name, held and kept, OVERWRITTEN)


async def _old_version(places: _Places, path: str) -> Version:
    """A version that `path` had and no longer has."""
    old = (await places.put(path)).version
    await places.put(path)
    return old


async def _copies(places: _Places) -> list[Condition]:
    source = places.path()
    old = await _old_version(places, source)

    async def copy(path: str, condition: WriteCondition) -> ObjectMeta:
        return await places.storage.copy(source, path, condition=condition)

    found = [
        await _absent("copy if nothing is there", places, copy),
        await _match("copy over one version", places, copy),
    ]
    target = places.path()
    copying = places.storage.copy
    current = (await places.storage.head(source)).version
    held = await _holds(copying(source, target, source_version=current))
    kept = not await _holds(copying(source, target, source_version=old))
    return [*found, Condition("copy of one version", held and kept, COPIED)]


async def _deletes(places: _Places) -> Condition:
    path = places.path()
    old = await _old_version(places, path)
    kept = not await _holds(places.storage.delete(path, condition=IfMatch(old)))
    current = IfMatch((await places.put(path)).version)
    held = await _holds(places.storage.delete(path, condition=current))
    return Condition("delete of one version", held and kept, DELETED)


async def _joins(places: _Places) -> list[Condition]:
    async def join(path: str, condition: WriteCondition) -> None:
        places.joined.add(path)
        upload = await places.storage.create_multipart_upload(path)
        async with upload:
            await upload.upload_part(1, b"part")
            await upload.complete(condition=condition)

    return [
        await _absent("complete an upload if nothing is there", places, join),
        await _match("complete an upload over one version", places, join),
    ]
