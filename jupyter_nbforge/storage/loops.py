"""Clients that belong to an event loop: made on first use there, closed together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_CLOSE_TIMEOUT = 5.0


class PerLoop(Generic[T]):
    """One resource for each event loop that asks, shared by all tasks of that loop.

    An SDK's connections belong to the loop on which they were opened, and a storage meets
    more than one: jupyter_server checks `preferred_dir` on another than it serves on.
    """

    def __init__(self, open_resource: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_resource
        self._held: dict[asyncio.AbstractEventLoop, _Held[T]] = {}
        self._guard = threading.Lock()

    async def get(self) -> T:
        """The running loop's resource, opened if it is not; errors are those of opening.

        Who asks at the same time gets it in different turns of the loop: an SDK takes some
        milliseconds to prepare a request, and 32 in one turn would hold up everything else.
        """
        loop = asyncio.get_running_loop()
        with self._guard:
            for known in [known for known in self._held if known.is_closed()]:
                del self._held[known]
            held = self._held.setdefault(loop, _Held(self._open))
        return await held.get()

    async def aclose(self) -> None:
        """Close what is open, on whichever loop; idempotent, `get` opens anew afterwards.

        What lives on a loop that runs in another thread is closed there. A loop that does
        not run any more closed its own when it was shut down (`asyncio.run` does that), or
        does so as soon as it runs again.
        """
        with self._guard:
            held = dict(self._held)
            self._held.clear()
        own = held.pop(asyncio.get_running_loop(), None)
        if own is not None:
            await own.aclose()
        closing = [
            asyncio.wrap_future(asyncio.run_coroutine_threadsafe(holder.aclose(), loop))
            for loop, holder in held.items()
            if loop.is_running()
        ]
        if closing:
            # A loop that stops just now would never answer.
            await asyncio.wait(closing, timeout=_CLOSE_TIMEOUT)


class LoopLimit:
    """So many places on each event loop; the others wait, in the order in which they came."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = (
            WeakKeyDictionary()
        )
        self._guard = threading.Lock()

    def place(self) -> asyncio.Semaphore:
        """To be held, by ``async with``, for as long as the place is taken."""
        loop = asyncio.get_running_loop()
        with self._guard:
            return self._limits.setdefault(loop, asyncio.Semaphore(self._places))


class _Held(Generic[T]):
    """The resource of one loop, held by an asynchronous generator that waits at its `yield`.

    A loop knows its unfinished asynchronous generators and finishes them when it shuts down
    or when nobody refers to them any more; so the resource is closed, on its own loop, even
    for a user who forgot to.
    """

    def __init__(self, open_resource: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_resource
        self._lock = asyncio.Lock()
        self._turn = asyncio.Lock()
        self._opened: tuple[T, AsyncGenerator[T, None]] | None = None

    async def get(self) -> T:
        async with self._turn:
            await asyncio.sleep(0)
        if self._opened is None:
            async with self._lock:
                if self._opened is None:
                    generator = _hold(self._open)
                    self._opened = (await anext(generator), generator)
        return self._opened[0]

    async def aclose(self) -> None:
        async with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                await opened[1].aclose()


async def _hold(
    open_resource: Callable[[], AbstractAsyncContextManager[T]],
) -> AsyncGenerator[T, None]:
    async with open_resource() as resource:
        yield resource
