"""The one bridge from the event loop to calls that block: threads, and how they are let go."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio

T = TypeVar("T")


class AbandonedError(Exception):
    """Nobody waits any more for what this thread does; nothing further may be sent."""


class Call:
    """One call in a thread, as both sides see it.

    The waiting side abandons it; the working side asks before each step that has an effect.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._abandoned = False
        self._interrupts: list[Callable[[], None]] = []

    @property
    def abandoned(self) -> bool:
        return self._abandoned

    def check(self) -> None:
        """`AbandonedError` if nobody waits any more."""
        if self._abandoned:
            raise AbandonedError

    def on_abandon(self, interrupt: Callable[[], None]) -> None:
        """Call `interrupt` when the call is abandoned; `AbandonedError` if it is already.

        It runs on the waiting side and must neither block nor raise: it closes a socket, say.
        """
        with self._guard:
            self.check()
            self._interrupts.append(interrupt)

    def abandon(self) -> None:
        """Interrupt the thread; after this it sends nothing more. Idempotent."""
        with self._guard:
            interrupts, self._interrupts = self._interrupts, []
            self._abandoned = True
        for interrupt in interrupts:
            interrupt()


_current: contextvars.ContextVar[Call | None] = contextvars.ContextVar("nbforge_call", default=None)


def current_call() -> Call | None:
    """The call that the running thread works for; None outside of one."""
    return _current.get()


def check_call() -> None:
    """`AbandonedError` if nobody waits any more for what the running thread does."""
    call = _current.get()
    if call is not None:
        call.check()


class ThreadBridge:
    """At most `max_threads` threads for calls that block, made on first use.

    What waits for a thread when its caller is cancelled is never begun. What has begun is
    abandoned: `wait_for_end` says whether the cancelled caller then waits until it has
    returned (for work that is quick and cannot be interrupted) or not.
    """

    def __init__(self, max_threads: int, *, name: str, wait_for_end: bool = False) -> None:
        self._max_threads = max_threads
        self._name = name
        self._wait_for_end = wait_for_end
        self._executor: ThreadPoolExecutor | None = None
        self._guard = threading.Lock()

    async def run(self, function: Callable[[], T]) -> T:
        """The function's result, computed in a thread; it finds its `Call` by `current_call`."""
        call = Call()
        # In the caller's context: what is noted there is noted of the caller's operation.
        context = contextvars.copy_context()
        future = self._submit(partial(context.run, _work, call, function))
        waiter = asyncio.wrap_future(future)
        try:
            await asyncio.wait([waiter])
        except asyncio.CancelledError:
            call.abandon()
            if not future.cancel() and self._wait_for_end:
                await _until_done(waiter)
            # Whatever comes of it is seen, or asyncio would log it.
            waiter.add_done_callback(_see)
            raise
        return waiter.result()

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        with self._guard:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(self._max_threads, self._name)
            return self._executor.submit(work)

    def forget(self) -> None:
        """Begin anew in a child that was forked: the threads have stayed in its parent."""
        self._executor, self._guard = None, threading.Lock()

    def close(self) -> None:
        """Let the threads end when they have done what they do; used again, there are new ones."""
        with self._guard:
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)


def _work(call: Call, function: Callable[[], T]) -> T:
    token = _current.set(call)
    try:
        call.check()
        return function()
    except StopIteration as error:
        # A future takes none (https://github.com/python/cpython/issues/112182): the caller
        # would wait for ever.
        raise RuntimeError("The function raised StopIteration; give next() a default.") from error
    finally:
        _current.reset(token)


async def _until_done(waiter: asyncio.Future[T]) -> None:
    # Shielded, or a time limit of anyio would cancel again in each turn of the event loop:
    # behind a disk that hangs that is a processor at its limit.
    with anyio.CancelScope(shield=True):
        while not waiter.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([waiter])


def _see(waiter: asyncio.Future[T]) -> None:
    if not waiter.cancelled():
        waiter.exception()
