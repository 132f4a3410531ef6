"""One read for all who ask the same while it is under way."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TypeAlias

from ..errors import StorageError
from .kept import Kept, KeptObjects
from .remembered import Watch


class NotShared(Enum):
    """Why those who waited for a read have got nothing of it."""

    ALONE = auto()
    """The object cannot be held in memory: each reads it for itself."""
    AGAIN = auto()
    """The reader went away before it knew anything: another one asks."""


Landing: TypeAlias = Kept | StorageError | NotShared


def fresh(error: StorageError) -> StorageError:
    """An error that says the same, without the traceback of the first."""
    cls = type(error)
    twin: StorageError = cls.__new__(cls, *error.args)
    vars(twin).update(vars(error))
    # Of an ImportError the path is none of its variables.
    twin.path = error.path
    return twin


class ReadFlight:
    """A whole read under way: its leader makes it, the others wait for what it brings.

    It does not depend on how fast the leader uses its own bytes, nor on whether it stays.
    """

    def __init__(self, objects: KeptObjects, watch: Watch) -> None:
        self.watch = watch
        self._objects = objects
        self._followers = 0
        self._landed: asyncio.Future[Landing] = asyncio.get_running_loop().create_future()

    def land(self, landing: Landing) -> None:
        """Let everybody have the outcome; only the first one counts."""
        if self._landed.done():
            return
        if isinstance(landing, Kept):
            self._objects.hold_again(landing, self._followers)
        self._landed.set_result(landing)

    async def follow(self) -> Landing:
        """Wait for the outcome; what was kept is held for the caller, who has to release it."""
        self._followers += 1
        try:
            await asyncio.wait({self._landed})
        except BaseException:
            # A cancelled follower gives up its hold on the bytes, or they would never go.
            self._leave()
            raise
        return self._landed.result()

    def _leave(self) -> None:
        if not self._landed.done():
            self._followers -= 1
            return
        landing = self._landed.result()
        if isinstance(landing, Kept):
            self._objects.release(landing)
