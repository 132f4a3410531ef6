"""One listing for all who ask the same before it has its first page."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable
from typing import TypeAlias

from ..errors import StorageError
from ..types import ListPage
from .remembered import Watch
from .resume import ResumingListing
from .shared_reads import fresh

_HELD_ENTRIES = 20_000
"""Entries of pages that are held for those who lag behind."""

ListFrom: TypeAlias = Callable[[str | None], AsyncIterator[ListPage]]
"""Begins a listing after a path (None: from its start)."""


class LeftBehindError(Exception):
    """The page cannot be had from this listing: it is let go of, or its reader went away."""


class ListingFlight:
    """A listing under way, page by page, for those who joined it before its first page came.

    Whoever is the first to want a page gets it from the store, for all. It is held until
    everybody has had it; beyond `limit` entries those furthest behind are left behind rather
    than waited for. If the one who waits for the store is cancelled, the others are left
    behind too.
    """

    def __init__(self, pages: AsyncIterator[ListPage], prefix: str, limit: int) -> None:
        self.watch = Watch(prefix=prefix)
        self._pages = pages
        self._limit = limit
        self._held: deque[ListPage] = deque()
        self._first = 0
        self._entries = 0
        self._seats: set[Seat] = set()
        self._pulling: asyncio.Future[None] | None = None
        self._begun = False
        self._ended = False
        self._broken = False
        self._error: StorageError | None = None

    @property
    def may_be_joined(self) -> bool:
        return not (self._begun or self.watch.overtaken)

    def join(self) -> Seat:
        """A place from which to take the pages; its `leave` must follow."""
        seat = Seat(self)
        self._seats.add(seat)
        return seat

    async def page(self, number: int) -> ListPage | None:
        """Page `number` (from 0); None at the end. `LeftBehindError`, or an error of the store."""
        while number >= self._first + len(self._held):
            if self._error is not None:
                raise fresh(self._error)
            if self._broken:
                raise LeftBehindError
            if self._ended:
                return None
            if self._pulling is None:
                await self._pull()
            else:
                await asyncio.wait({self._pulling})
        if number < self._first:
            raise LeftBehindError
        return self._held[number - self._first]

    async def _pull(self) -> None:
        pulling = self._pulling = asyncio.get_running_loop().create_future()
        try:
            page = await anext(self._pages, None)
        except StorageError as error:
            self._error = fresh(error)
            raise
        except BaseException:
            # What was cancelled in the middle would look like the end if it was asked for more.
            self._broken = True
            raise
        finally:
            self._begun, self._pulling = True, None
            pulling.set_result(None)
        if page is None:
            self._ended = True
        else:
            self._add(page)

    def _add(self, page: ListPage) -> None:
        self._held.append(page)
        self._entries += _entries(page)
        while len(self._held) > 1 and self._entries > self._limit:
            self._drop_first()

    def _drop_first(self) -> None:
        self._first += 1
        self._entries -= _entries(self._held.popleft())

    def trim(self) -> None:
        """Let go of the pages that everybody has had."""
        lowest = min((seat.position for seat in self._seats), default=self._first)
        while self._held and self._first < lowest:
            self._drop_first()

    async def leave(self, seat: Seat) -> None:
        """Give up a place; with the last one the listing ends."""
        self._seats.discard(seat)
        self.trim()
        if not self._seats:
            self._begun = True
            self._held.clear()
            aclose = getattr(self._pages, "aclose", None)
            if aclose is not None:
                await aclose()


class Seat(AsyncIterator[ListPage]):
    """One who takes the pages of a listing under way, at a pace of its own."""

    def __init__(self, flight: ListingFlight) -> None:
        self.position = 0
        self._flight = flight

    async def __anext__(self) -> ListPage:
        page = await self._flight.page(self.position)
        if page is None:
            raise StopAsyncIteration
        self.position += 1
        self._flight.trim()
        return page

    async def leave(self) -> None:
        """Give the place up; idempotent."""
        await self._flight.leave(self)


class SharedListings:
    """The listings under way, each for the callers on one event loop."""

    def __init__(self) -> None:
        self._flights: dict[tuple[asyncio.AbstractEventLoop, Hashable], ListingFlight] = {}

    @property
    def watches(self) -> list[Watch]:
        """To be told of our writes: nobody joins a listing that one has overtaken."""
        return [flight.watch for flight in list(self._flights.values())]

    async def pages(
        self,
        wanted: Hashable,
        prefix: str,
        list_from: ListFrom,
        *,
        start_after: str | None,
        ordered: bool,
    ) -> AsyncIterator[ListPage]:
        """The pages of `list_from(start_after)`, or of an equal listing (`wanted`) just begun."""
        seat: Seat | None = None

        def join(after: str | None) -> Seat:
            nonlocal seat
            seat = self._join((wanted, after), prefix, lambda: list_from(after))
            return seat

        listing = ResumingListing(join, start_after, ordered=ordered)
        try:
            while True:
                try:
                    page = await listing.fetch()
                except LeftBehindError:
                    await _leave(seat)
                    await listing.restart()
                    continue
                if page is None:
                    return
                yield page
        finally:
            await _leave(seat)

    def _join(
        self, wanted: Hashable, prefix: str, begin: Callable[[], AsyncIterator[ListPage]]
    ) -> Seat:
        for known, flight in list(self._flights.items()):
            # What a loop that was closed has left, nobody else clears away.
            if known[0].is_closed() or not flight.may_be_joined:
                del self._flights[known]
        key = asyncio.get_running_loop(), wanted
        if key not in self._flights:
            self._flights[key] = ListingFlight(begin(), prefix, _HELD_ENTRIES)
        return self._flights[key].join()


async def _leave(seat: Seat | None) -> None:
    if seat is not None:
        await seat.leave()


def _entries(page: ListPage) -> int:
    return len(page.objects) + len(page.prefixes)
