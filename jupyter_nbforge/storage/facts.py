"""What an operation on a storage has cost, noted by those who know: who retries, who sends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from .metrics import REQUESTS


@dataclass(slots=True)
class Facts:
    """What is known of one operation beyond its outcome.

    `attempts` at it, by whoever tries again; `requests` to the store over HTTP, and `request_id`,
    by which the store's owner finds the last one. Providers that tell nothing leave 0 and "".
    """

    operation: str
    attempts: int = 1
    requests: int = 0
    request_id: str = ""


_current: ContextVar[Facts | None] = ContextVar("jupyter_nbforge_facts", default=None)


@contextmanager
def noting(facts: Facts) -> Iterator[Facts]:
    """Have what happens in the block noted: in `facts`, or in those of an operation around it."""
    before = _current.get()
    if before is not None:
        yield before
        return
    _current.set(facts)
    try:
        yield facts
    finally:
        # Not by a token: a coroutine that a closed loop left behind ends in another context.
        _current.set(None)


def note_retry() -> None:
    """A part of the running operation is tried again."""
    facts = _current.get()
    if facts is not None:
        facts.attempts += 1


def note_request(provider: str, method: str) -> None:
    """A request of the running operation is sent; `provider` as in the storage's URL."""
    facts = _current.get()
    if facts is not None:
        facts.requests += 1
        facts.request_id = ""
    REQUESTS.labels(provider, facts.operation if facts else "other", method).inc()


def note_answer(request_id: str | None) -> None:
    """The store has answered the last request of the running operation."""
    facts = _current.get()
    if facts is not None:
        facts.request_id = request_id or ""
