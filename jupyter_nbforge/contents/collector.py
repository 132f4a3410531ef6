"""Python's cyclic garbage collector, and large documents."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_users = 0
_was_enabled = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """While a large document is built or written, nothing looks for cycles.

    Each of hundreds of thousands of new objects would count towards the next collection,
    and each collection goes through all of them with every thread of the server stopped:
    that is more than half of the time of reading a notebook of 20,000 cells. For threads;
    the last one to leave restores what the first one found.
    """
    global _users, _was_enabled
    with _lock:
        if _users == 0:
            _was_enabled = gc.isenabled()
            gc.disable()
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0 and _was_enabled:
                gc.enable()
