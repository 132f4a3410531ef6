"""Stores that are mounted in one tree, each counted and each with faults of its own."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from jupyter_nbforge.storage import BaseStorageService
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import MountedStorage, PrefixStorage, ShortMemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage

LOG = logging.getLogger("mounted")

POINTS = ("", "shared", "data", "data/raw", "a/b")


class World:
    """A store for each mount, what reaches it, what goes wrong on the way, and the whole."""

    def __init__(
        self, *points: str, stores: Mapping[str, BaseStorageService] | None = None
    ) -> None:
        given = stores or {}
        self.stores = {point: given.get(point, MemoryStorage()) for point in points or POINTS}
        self.requests = {point: CountingStorage(store) for point, store in self.stores.items()}
        self.faults = {point: FaultyStorage(self.requests[point]) for point in self.stores}
        self.storage = MountedStorage(
            {
                point: ShortMemoryStorage(PrefixStorage(faults))
                for point, faults in self.faults.items()
            },
            # Else it would be that of a server which another test has started.
            log=LOG,
        )

    def asked(self) -> dict[str, list[str]]:
        """The calls that have reached each store since the last time, of those that have any."""
        found = {
            point: [operation for operation, _ in requests.calls]
            for point, requests in self.requests.items()
        }
        for requests in self.requests.values():
            requests.reset()
        return {point: calls for point, calls in found.items() if calls}

    def go_down(self, point: str) -> None:
        """From now on nothing reaches that store."""
        for operation in ("head", "get", "put", "delete*", "list_pages", "copy", "abort*"):
            self.faults[point].fail(operation, times=None)
