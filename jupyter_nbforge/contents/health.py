"""Whether the store answers: found out seldom, and for all who ask."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, cast

import anyio

from ..storage.base import BaseStorageService
from ..storage.errors import StorageError
from ..storage.metrics import STORE_UP
from ..storage.wrappers import MetricsStorage, MountedStorage, WrapperStorage
from ..storage.wrappers.attempts import single_attempt


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one store.

    `since` is when it was first found so; `age` the seconds since it last answered, or failed
    to; `message` a sentence for the administrator if it is not up; `ask_again` the seconds
    after which a new question makes sense.
    """

    up: bool
    since: datetime
    age: float
    message: str
    ask_again: int

    @property
    def state(self) -> str:
        return "up" if self.up else "down"

    @property
    def told(self) -> dict[str, Any]:
        """For JSON."""
        found = {
            "state": self.state,
            "since": self.since.isoformat(timespec="seconds"),
            "age": round(self.age, 1),
        }
        return found if self.up else {**found, "message": self.message}


class StoreHealth:
    """The health of one storage: from the last answer it gave, else from one small request.

    What is younger than `interval` seconds is told again. A question has `timeout` seconds
    and no retries, and is shared by all who ask meanwhile: at most one is sent in `interval`.
    """

    def __init__(
        self,
        storage: BaseStorageService,
        *,
        interval: float,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage = storage
        self._interval = interval
        self._timeout = timeout
        self._clock = clock
        self._asked: float | None = None
        self._message = ""
        self._up: bool | None = None
        self._since = datetime.now(timezone.utc)
        self._asking: asyncio.Task[None] | None = None

    @property
    def provider(self) -> str:
        return self._storage.url.partition(":")[0]

    @property
    def was_down(self) -> bool:
        """Whether the last look found no answer."""
        return self._up is False

    async def look(self) -> Health:
        """What is known now; waits for the store only if that is too old."""
        if self._known() is None:
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask())
            # Who goes away takes nobody else's answer along.
            await asyncio.shield(self._asking)
        known = self._known()
        if known is None:
            # More time has passed in the waiting than an answer counts for: it is the newest.
            known = bool(self._up), self._age(self._asked)
        return self._told(*known)

    def _known(self) -> tuple[bool, float] | None:
        """Whether the store is up, and how old that knowledge is; None if it is too old."""
        answered, asked = _last_answer(self._storage), self._asked
        if answered is not None and (asked is None or asked <= answered):
            up, moment = True, answered
        elif asked is not None:
            up, moment = bool(self._up), asked
        else:
            return None
        age = self._age(moment)
        return (up, age) if age < self._interval else None

    def _age(self, moment: float | None) -> float:
        return 0.0 if moment is None else max(0.0, self._clock() - moment)

    def _told(self, up: bool, age: float) -> Health:
        if up is not self._up:
            self._up, self._since = up, datetime.now(timezone.utc)
        ask_again = max(1, math.ceil(self._interval - age))
        return Health(up, self._since, age, "" if up else self._message, ask_again)

    async def _ask(self) -> None:
        try:
            self._message = await self._complaint()
            self._asked = self._clock()
        finally:
            self._asking = None
        self._told(not self._message, 0.0)

    async def _complaint(self) -> str:
        """What is wrong, in a sentence; empty if the store answers."""
        try:
            with anyio.move_on_after(self._timeout), single_attempt():
                # Not the listing that the file browser asks for, which may be remembered.
                pages = self._storage.list_pages("", delimiter=None, page_size=1)
                async with aclosing(cast("Any", pages)):
                    await anext(pages, None)
                return ""
        except StorageError as error:
            return error.message
        return f"The storage did not answer within {self._timeout:g} seconds."

    async def aclose(self) -> None:
        """End a question that is under way; idempotent."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})


class HealthBoard:
    """The health of a storage, and of each that is mounted in it."""

    def __init__(self, storage: BaseStorageService, *, interval: float, timeout: float) -> None:
        self._all = {
            folder: StoreHealth(one, interval=interval, timeout=timeout)
            for folder, one in _mounted(storage).items()
        }

    async def look(self) -> dict[str, Health]:
        """What is known of each; ``""`` is the root."""
        found = await asyncio.gather(*(store.look() for store in self._all.values()))
        self._show()
        return dict(zip(self._all, found, strict=True))

    async def look_at_root(self) -> Health:
        """What is known of the root; no mount is asked."""
        found = await self._all[""].look()
        self._show()
        return found

    def _show(self) -> None:
        # One figure for a provider: several mounts may have the same, and one down is news.
        down = {store.provider for store in self._all.values() if store.was_down}
        for provider in {store.provider for store in self._all.values()}:
            STORE_UP.labels(provider).set(provider not in down)

    async def aclose(self) -> None:
        """End the questions that are under way."""
        for store in self._all.values():
            await store.aclose()


def _layers(storage: BaseStorageService) -> Iterator[BaseStorageService]:
    yield storage
    while isinstance(storage, WrapperStorage):
        storage = storage.inner
        yield storage


def _last_answer(storage: BaseStorageService) -> float | None:
    """When the store last answered anybody, by `time.monotonic`; None: not yet, or not known."""
    found = (layer for layer in _layers(storage) if isinstance(layer, MetricsStorage))
    counted = next(found, None)
    return None if counted is None else counted.last_answer


def _mounted(storage: BaseStorageService) -> Mapping[str, BaseStorageService]:
    for layer in _layers(storage):
        if isinstance(layer, MountedStorage):
            return layer.mounted
    return {"": storage}
