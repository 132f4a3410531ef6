"""Tries a call to the store again, with the back-off of the library stamina."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import anyio
import stamina

from ..errors import StorageError, StorageTimeoutError
from ..facts import note_retry
from ..metrics import RETRIES, RETRIES_REFUSED
from .budget import RetryBudget

if TYPE_CHECKING:
    from logging import LoggerAdapter

T = TypeVar("T")

_under_way: ContextVar[bool] = ContextVar("jupyter_nbforge_attempts", default=False)
_once: ContextVar[bool] = ContextVar("jupyter_nbforge_once", default=False)


@contextmanager
def single_attempt() -> Iterator[None]:
    """In the block nothing is tried again: for a question whose point is how it is answered."""
    before = _once.get()
    _once.set(True)
    try:
        yield
    finally:
        _once.set(before)


def _is_not_ours(record: logging.LogRecord) -> bool:
    return not _under_way.get()


# stamina writes a line of its own for each retry, without the path and the reason; we write
# one with them. Retries of others in the same process keep theirs.
logging.getLogger("stamina").addFilter(_is_not_ours)


@dataclass(slots=True)
class Attempts:
    """One operation on `path` and how it may be tried.

    An attempt takes at most `seconds`, all of them and the waits between them `total`; each
    but the first one takes from the `budget`. What `writes` may have taken effect although it
    was not answered in time.
    """

    operation: str
    path: str
    seconds: float
    total: float
    max_attempts: int
    wait_initial: float
    wait_max: float
    budget: RetryBudget
    log: logging.Logger | LoggerAdapter[logging.Logger]
    provider: str
    show_paths: bool = True
    writes: bool = False
    last_error: StorageError | None = None
    outcome_unknown: bool = False
    """Whether an earlier attempt may have taken effect although it failed."""
    _started: float = field(default_factory=time.monotonic)
    _number: int = 0
    _next_wait: float = 0.0

    async def run(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        clean_up: Callable[[], Awaitable[None]] | None = None,
    ) -> T:
        """The answer of the first attempt at `call` that succeeds, else the last error.

        `clean_up` follows each attempt that failed. An error that is not retryable, one after
        which the store asks to wait for longer than there is time, and one for which the
        budget has no retry left is the last.
        """
        before = _under_way.get()
        _under_way.set(True)
        try:
            async for attempt in stamina.retry_context(
                on=self._back_off,
                attempts=self.max_attempts,
                timeout=self.total,
                wait_initial=self.wait_initial,
                wait_max=self.wait_max,
            ):
                with attempt:
                    self._number, self._next_wait = attempt.num, attempt.next_wait
                    left = self._left()
                    if left <= 0 and self.last_error is not None:
                        raise self.last_error  # the jitter of the wait used up the rest
                    self._say_again()
                    try:
                        answer = await in_time(
                            call, min(self.seconds, left), self.path, writes=self.writes
                        )
                    except StorageError as error:
                        self._note(error)
                        if clean_up is not None:
                            await clean_up()
                        raise
                    self.budget.put_back()
                    return answer
        finally:
            # Not by a token: a coroutine that a closed loop left behind ends in another context.
            _under_way.set(before)
        raise AssertionError("stamina ends with a return or an error")

    def _left(self) -> float:
        return self._started + self.total - time.monotonic()

    def _note(self, error: StorageError) -> None:
        if not error.retryable:
            self.budget.put_back()  # a refusal is an answer too
        if self.writes:
            # Known or not, an earlier attempt stays what it was.
            self.outcome_unknown = error.outcome_unknown = (
                self.outcome_unknown or error.outcome_unknown
            )
        self.last_error = error

    def _back_off(self, error: Exception) -> bool | float:
        if not (isinstance(error, StorageError) and error.retryable) or _once.get():
            return False
        wait = self._next_wait
        if error.retry_after is not None:
            wait = max(error.retry_after, self.wait_initial)
        if self._number >= self.max_attempts or self._left() <= wait:
            return False
        # The last question: what it grants is used.
        if not self.budget.take(self.log):
            RETRIES_REFUSED.labels(self.provider).inc()
            return False
        return True if error.retry_after is None else wait

    def _say_again(self) -> None:
        if self.last_error is None:
            return
        note_retry()
        cause = type(self.last_error).__name__
        RETRIES.labels(self.provider, self.operation, cause).inc()
        self.log.warning(
            "%s failed; attempt %d of %d follows. %s",
            f"{self.operation} of {self.path!r}" if self.show_paths else self.operation,
            self._number,
            self.max_attempts,
            self.last_error.message if self.show_paths else cause,
        )


async def in_time(
    call: Callable[[], Awaitable[T]], seconds: float, path: str, *, writes: bool = False
) -> T:
    """The answer of `call` within `seconds`; else it is cancelled, and a `StorageTimeoutError`."""
    # Not asyncio.wait_for: until Python 3.12 it can lose a cancellation from outside
    # (https://github.com/python/cpython/issues/86296).
    with anyio.move_on_after(seconds):
        return await call()
    raise StorageTimeoutError(
        f"The storage did not answer within {seconds:.3g} seconds for {path!r}.",
        path=path,
        retryable=True,
        outcome_unknown=writes,
    )
