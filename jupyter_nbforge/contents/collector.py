"""Python's cyclic garbage collector, and large documents."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST = 30.0
"""Seconds after which nobody joins a pause any more: documents that follow each other
closely do not keep the collector off for good."""

_lock = threading.Lock()
_users = 0
_was_enabled = False
_since = 0.0


@contextmanager
def collector_paused() -> Iterator[None]:
    """While a large document is built or written, nothing looks for cycles.

    Each of hundreds of thousands of new objects would count towards the next collection,
    and each collection goes through all of them with every thread of the server stopped:
    that is more than half of the time of reading a notebook of 20,000 cells. For threads;
    the last one to leave restores what the first one found.
    """
    joined = _enter()
    try:
        yield
    finally:
        if joined:
            _leave()


def _enter() -> bool:
    global _users, _was_enabled, _since
    with _lock:
        if _users and time.monotonic() - _since > LONGEST:
            return False
        if _users == 0:
            _since = time.monotonic()
            _was_enabled = gc.isenabled()
            if _was_enabled:
                gc.collect(1)  # what is young and garbage now would be taken for old later
            gc.disable()
        _users += 1
    return True


def _leave() -> None:
    global _users
    with _lock:
        _users -= 1
        if _users == 0 and _was_enabled:
            _call_all_old()
            gc.enable()


def _call_all_old() -> None:
    """Spare the next collection, that of what is young, all that came in the pause.

    Both calls only move lists, and together leave everything in the oldest generation. What
    was frozen by somebody else, before a fork say, has to stay so.
    """
    if gc.get_freeze_count() == 0:
        gc.freeze()
        gc.unfreeze()
