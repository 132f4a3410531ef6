"""What may be written, as far as that is known without a request."""

from __future__ import annotations

from cachetools import TTLCache
from tornado.web import HTTPError

from ..storage.wrappers.read_only import read_only_sentence
from .models import Model

_REMEMBERED = 4096
_SECONDS = 60.0


class Writability:
    """Nothing may be written where `read_only`; else all but what the store has just refused.

    A refusal counts for its own path, for a minute or until a save there succeeds. JupyterLab
    does not even try to save what it takes for read-only, so a guess about the neighbours,
    which a policy may treat otherwise, would keep people from saving what they could.
    """

    def __init__(self, read_only: bool) -> None:
        self.read_only = read_only
        self._refused: TTLCache[str, bool] = TTLCache(_REMEMBERED, _SECONDS)

    def check(self, path: str) -> None:
        """403 where nothing may be written."""
        if self.read_only:
            raise HTTPError(403, read_only_sentence(path))

    def refuse(self, path: str) -> None:
        """The store does not allow this server to write `path`."""
        self._refused[path] = True

    def allow(self, path: str) -> None:
        """`path` was written."""
        self._refused.pop(path, None)

    def mark(self, model: Model) -> None:
        """Say in a model, and in those of a folder's entries, whether it may be written."""
        if not (self.read_only or self._refused):
            return
        entries = model["content"] if model["type"] == "directory" else None
        for one in (model, *(entries or ())):
            one["writable"] = not self.read_only and one["path"] not in self._refused
