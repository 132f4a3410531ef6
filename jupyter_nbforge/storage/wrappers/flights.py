"""One call for all who ask the same at the same time."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from ..errors import StorageError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flight(Generic[V]):
    """One call under way, as one of its callers sees it: who `leads` makes it for the others.

    The others have its `result`; None if that cannot be shared.
    """

    def __init__(self, end: Callable[[], None]) -> None:
        self.leads = True
        self.result: V | None = None
        self.overtaken = False
        self.error: StorageError | None = None
        self.failed = False
        self.done = asyncio.Event()
        self.waiting = 0
        """How many others wait for the result."""
        self._end = end

    def share(self, result: V | None) -> None:
        """What the others get; None: each has to ask for itself."""
        if not self.done.is_set():
            self.result = result
            self._finish()

    def _finish(self) -> None:
        self._end()
        self.done.set()

    @contextmanager
    def leading(self) -> Iterator[None]:
        """Around the call. If it ends without sharing anything, another caller makes it anew."""
        try:
            yield
        except StorageError as error:
            if not self.done.is_set():
                self.error = error
            raise
        finally:
            if not self.done.is_set():
                self.failed = True
                self._finish()


class Flights(Generic[K, V]):
    """All calls under way, by what they ask and the event loop that they are on."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[asyncio.AbstractEventLoop, K], Flight[V]] = {}

    async def join_or_begin(self, key: K) -> Flight[V]:
        """The outcome of an equal call that is under way, or else a new one to lead.

        An error of the one who leads is raised here too.
        """
        place = asyncio.get_running_loop(), key
        while (flight := self._under_way.get(place)) is not None:
            flight.waiting += 1
            try:
                await flight.done.wait()
            finally:
                flight.waiting -= 1
            if flight.error is not None:
                raise copy.copy(flight.error) from flight.error
            if not flight.failed:
                return _shared(flight)
        begun: Flight[V] = Flight(lambda: self._drop(place, begun))
        self._under_way[place] = begun
        return begun

    def overtake(self, concerns: Callable[[K], bool]) -> None:
        """Nobody joins these any more: what they will show may be old."""
        for place, flight in list(self._under_way.items()):
            if concerns(place[1]):
                flight.overtaken = True
                self._drop(place, flight)

    def _drop(self, place: tuple[asyncio.AbstractEventLoop, K], flight: Flight[V]) -> None:
        if self._under_way.get(place) is flight:
            del self._under_way[place]


def _shared(flight: Flight[V]) -> Flight[V]:
    other: Flight[V] = Flight(lambda: None)
    other.leads, other.result = False, flight.result
    return other
