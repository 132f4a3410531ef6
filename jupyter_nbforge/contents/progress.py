"""What the log tells of work on a whole folder: its begin, how far it is, its end."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from ..storage.types import ObjectMeta

_INTERVAL = 5.0
"""Seconds between two lines about the same work at least."""


class Progress:
    """One line when the block begins, one every few seconds of steps, one at its end.

    `work` says what is done, with the names of folders only.
    """

    def __init__(
        self,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        work: str,
        objects: Collection[ObjectMeta],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._work = work
        self._objects = objects
        self._clock = clock
        self._begun = self._told = clock()
        self._counts: dict[str, int] = {}

    def __enter__(self) -> Progress:
        size = sum(meta.size for meta in self._objects)
        self._log.info("%s: %d objects of %d bytes", self._work, len(self._objects), size)
        return self

    def step(self, what: str, count: int = 1) -> None:
        """So many objects more have been `what`: copied, deleted."""
        self._counts[what] = self._counts.get(what, 0) + count
        now = self._clock()
        if now - self._told >= _INTERVAL:
            self._told = now
            self._log.info("%s: %s", self._work, self._so_far(what))

    def _so_far(self, *steps: str) -> str:
        parts = [f"{self._counts[what]} objects {what}" for what in steps]
        return ", ".join(parts) or "nothing done"

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        end = "done" if kind is None else "stopped"
        seconds = self._clock() - self._begun
        counts = self._so_far(*self._counts)
        self._log.info("%s: %s after %.1f s, %s", self._work, end, seconds, counts)
