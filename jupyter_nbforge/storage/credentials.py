"""Credentials from a function of the administrator's own, asked for again before they end."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from traitlets import Any as AnyTrait
from traitlets import HasTraits, TraitError, import_item

from .errors import ConfigurationError, UnauthenticatedError

_log = logging.getLogger(__name__)

_RESERVE = 300.0
"""Seconds before their end at which credentials are asked for again; of shorter-lived ones it is
the last quarter of their life."""
_PAUSE = 5.0
"""Seconds between two questions while the old credentials still hold."""
_TIMEOUT = 60.0
"""Seconds that a request waits for an answer."""

T = TypeVar("T")


class CredentialsFunction(AnyTrait):
    """A trait: a function without arguments, the name of one (``module.function``), or None."""

    info_text = "a function without arguments, or its name as module.function"

    def validate(self, obj: HasTraits, value: Any) -> Callable[[], Any] | None:
        if isinstance(value, str) and value:
            try:
                value = import_item(value)
            except ImportError:
                name = f"{type(obj).__name__}.{self.name}"
                raise TraitError(f"{name}: there is no {value!r} that could be imported") from None
        if value in (None, ""):
            return None
        if not callable(value):
            self.error(obj, value)
        function: Callable[[], Any] = value
        return function


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """Credentials and the time at which they end, in seconds since the epoch; None: never."""

    value: T
    expires_at: float | None


class RenewedCredentials(Generic[T]):
    """What `function` gives, kept until shortly before its end; of any thread and event loop.

    `parse` makes a `Lease` of what the function returns; it raises `ValueError`, `TypeError` or
    `LookupError` if it is none. The function is called in a thread, by one at a time; if it
    returns an awaitable, that is awaited there, on an event loop of its own. Whatever it
    raises is told by the name of its type alone: the text could hold a secret.
    """

    def __init__(
        self, function: Callable[[], Any], parse: Callable[[Any], Lease[T]], *, option: str
    ) -> None:
        self._function = function
        self._parse = parse
        self._option = option
        self._guard = threading.Lock()
        self._asking: Future[Lease[T]] | None = None
        self._lease: Lease[T] | None = None
        self._ask_at = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._option})"

    def now(self) -> T:
        """The credentials, for a thread; `UnauthenticatedError`."""
        lease, asking = self._look()
        if lease is not None:
            return lease.value
        assert asking is not None
        try:
            return asking.result(_TIMEOUT).value
        except NotInTimeError:
            raise self._late() from None

    async def get(self) -> T:
        """The same on an event loop, which is never held up."""
        return (await self.lease()).value

    async def lease(self) -> Lease[T]:
        """The same with its end."""
        lease, asking = self._look()
        if lease is not None:
            return lease
        assert asking is not None
        try:
            # Others may wait for the same answer: a cancelled one does not take it from them.
            waiting = asyncio.shield(asyncio.wrap_future(asking))
            return await asyncio.wait_for(waiting, _TIMEOUT)
        except asyncio.TimeoutError:
            raise self._late() from None

    def refuse(self) -> bool:
        """Of what the store did not accept: ask anew for the next request.

        Returns whether there was something to refuse.
        """
        with self._guard:
            known, self._lease = self._lease, None
        return known is not None

    def _look(self) -> tuple[Lease[T] | None, Future[Lease[T]] | None]:
        """What is valid, or else what to wait for; an answer that is due is asked for."""
        now = time.time()
        with self._guard:
            lease = self._lease
            if lease is not None and lease.expires_at is not None and lease.expires_at <= now:
                lease = None
            if lease is not None and (lease.expires_at is None or now < self._ask_at):
                return lease, None
            if self._asking is None:
                self._asking = Future()
                self._ask_at = now + _PAUSE
                threading.Thread(
                    target=self._ask, args=(self._asking,), name="nbforge-credentials", daemon=True
                ).start()
            return lease, None if lease is not None else self._asking

    def _ask(self, answer: Future[Lease[T]]) -> None:
        began = time.time()
        try:
            found = self._parse(self._called())
            if found.expires_at is not None and found.expires_at <= began:
                raise self._error("what it returned has expired already")
        except UnauthenticatedError as error:
            self._failed(answer, error)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self._failed(answer, self._error(f"what it returned is not usable ({_name(error)})"))
        else:
            with self._guard:
                self._lease, self._asking = found, None
                if found.expires_at is not None:
                    left = found.expires_at - began
                    self._ask_at = found.expires_at - min(_RESERVE, left / 4)
            answer.set_result(found)

    def _called(self) -> Any:
        try:
            result = self._function()
            if inspect.isawaitable(result):
                return asyncio.run(_awaited(result))
        except (Exception, SystemExit) as error:  # noqa: BLE001
            # Code that we do not know: whatever it is, those who wait have to be told.
            raise self._error(f"it raised {_name(error)}") from None
        return result

    def _failed(self, answer: Future[Lease[T]], error: UnauthenticatedError) -> None:
        _log.warning("%s", error.message)
        with self._guard:
            self._asking = None
        answer.set_exception(error)
        # Nobody may have waited: then this would be reported as forgotten.
        answer.exception()

    def _error(self, what: str) -> UnauthenticatedError:
        return UnauthenticatedError(
            f"The server has got no credentials from the function in {self._option}: {what}."
            " Check the function.",
            retryable=True,
        )

    def _late(self) -> UnauthenticatedError:
        return self._error(f"it has not returned within {_TIMEOUT:g} seconds")


async def _awaited(result: Any) -> Any:
    return await result


def _name(error: BaseException) -> str:
    return type(error).__name__


def moment_of(value: object) -> float | None:
    """Seconds since the epoch of an end as clouds write it; None for None.

    A datetime (one without a zone is UTC), ISO 8601 text, or a number of seconds.
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=timezone.utc)
        return aware.timestamp()
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    raise TypeError(type(value).__name__)


def text_of(found: Mapping[str, object], name: str) -> str:
    """A text that must be there and not empty; `LookupError` or `TypeError`."""
    value = found[name]
    if not isinstance(value, str):
        raise TypeError(name)
    if not value:
        raise LookupError(name)
    return value


def check_alone(option: str, others: Mapping[str, object]) -> None:
    """`ConfigurationError` if credentials are configured beside a function that gives them."""
    given = sorted(name for name, value in others.items() if value)
    if given:
        raise ConfigurationError(
            f"{option} gives the credentials, so {given[0]} has no use; unset one of them."
        )
