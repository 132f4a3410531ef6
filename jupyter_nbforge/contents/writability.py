"""What may be written, as far as that is known without a request."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import TTLCache
from tornado.web import HTTPError

from ..storage.base import BaseStorageService
from .models import Model

_REMEMBERED = 4096
_SECONDS = 60.0


class Writability:
    """What the storage says, and of the rest all but what the store has just refused.

    A refusal counts for its own path, for a minute or until a save there succeeds. JupyterLab
    does not even try to save what it takes for read-only, so a guess about the neighbours,
    which a policy may treat otherwise, would keep people from saving what they could.
    """

    def __init__(self, storage: Callable[[], BaseStorageService]) -> None:
        self._storage = storage
        self._refused: TTLCache[str, bool] = TTLCache(_REMEMBERED, _SECONDS)

    def check(self, path: str) -> None:
        """403 where nothing may be written."""
        _raise(self._storage().write_refusal(path))

    def check_removal(self, path: str) -> None:
        """403 for what can be neither moved nor deleted."""
        _raise(self._storage().removal_refusal(path))

    def refuse(self, path: str) -> None:
        """The store does not allow this server to write `path`."""
        self._refused[path] = True

    def allow(self, path: str) -> None:
        """`path` was written."""
        self._refused.pop(path, None)

    def mark(self, model: Model) -> None:
        """Say in a model, and in those of a folder's entries, whether it may be written."""
        storage = self._storage()
        closed = storage.write_refusal(model["path"]) is not None
        entries = model["content"] if model["type"] == "directory" else None
        for one in (model, *(entries or ())):
            path, refused = one["path"], closed
            if one["type"] == "directory" and one is not model:
                # Files are as their folder is; a folder in it may have a storage of its own.
                refused = storage.write_refusal(path) is not None
            if refused or path in self._refused:
                one["writable"] = False


def _raise(refusal: str | None) -> None:
    if refusal is not None:
        raise HTTPError(403, refusal)
