"""How many retries all calls together may make: a store in trouble is not asked ever more."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from logging import LoggerAdapter


class RetryBudget:
    """A stock of `size` retries, shared by everything that is tried again; for any thread.

    Each retry takes one, each answer of the store puts `refill` of one back: in the long run
    retries are no larger a part of the answers than that. With none left, what fails has
    failed, and only first attempts find out whether the store answers again. The log tells
    so once, and again only if the stock was half full meanwhile.
    """

    def __init__(self, size: int, refill: float) -> None:
        self._size = float(size)
        self._refill = refill
        self._left = self._size
        self._told = False
        self._guard = threading.Lock()

    def take(self, log: logging.Logger | LoggerAdapter[logging.Logger]) -> bool:
        """Whether a retry may be made."""
        with self._guard:
            if self._left >= 1:
                self._left -= 1
                return True
            news, self._told = not self._told, True
        if news:
            log.warning(
                "The storage fails so often that what fails now is not tried again, until it"
                " answers (RetryStorage.retry_budget)."
            )
        return False

    def put_back(self) -> None:
        """The store has answered."""
        with self._guard:
            self._left = min(self._left + self._refill, self._size)
            self._told = self._told and self._left < self._size / 2
