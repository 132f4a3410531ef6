"""What a client was last shown of each path: the ground on which its next save stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from cachetools import LRUCache, TTLCache

from ..storage.types import IfAbsent, IfMatch, ObjectMeta, Version, WriteCondition

_REMEMBERED = 16_384
_LOOK_SECONDS = 10.0
_TICK = timedelta(milliseconds=1)
"""The least by which a browser can tell two times apart."""


class Knowledge:
    """Versions by path, as last shown to a client or taken from one; the oldest are forgotten.

    Only a look at that one path counts: a listing shows a client nothing that it could
    edit. A path that is not known is saved without a condition.
    """

    def __init__(self) -> None:
        self._shown: LRUCache[str, ObjectMeta | None] = LRUCache(_REMEMBERED)
        self._times: LRUCache[str, tuple[Version, datetime]] = LRUCache(_REMEMBERED)
        self._looked: TTLCache[str, bool] = TTLCache(_REMEMBERED, _LOOK_SECONDS)
        self._folder_times: LRUCache[str, datetime] = LRUCache(_REMEMBERED)

    def shown(self, path: str) -> ObjectMeta | None:
        """What a client last saw of a file; None if never, or if it was told of none."""
        return self._shown.get(path)

    def show(self, meta: ObjectMeta) -> None:
        """A client sees this, or has just written it."""
        self._shown[meta.path] = meta
        self._times[meta.path] = meta.version, meta.last_modified

    def in_order(self, meta: ObjectMeta) -> ObjectMeta:
        """`meta`, as read, with a time later than that of any other version shown before it.

        A collaboration room takes what has no later time for unchanged, and saves over it. But
        stores count whole seconds, clocks differ, and a file may come with the time it had.
        """
        version, time = self._times.get(meta.path, (None, meta.last_modified))
        if version not in (None, meta.version) and meta.last_modified <= time:
            time += _TICK
        return replace(meta, last_modified=max(time, meta.last_modified))

    def show_absent(self, path: str) -> None:
        """A client was told that nothing is there."""
        self._shown[path] = None

    def forget(self, path: str) -> None:
        """What a client saw is there no longer, and by its own doing."""
        self._shown.pop(path, None)

    def note_look(self, path: str, exists: bool) -> None:
        """The server has looked whether a file is there, as it does just before a save."""
        self._looked[path] = exists

    def condition(self, path: str) -> WriteCondition | None:
        """On what a save of this path depends; None where it was never seen.

        Where no client has seen it, but the look before the save has found nothing: that.
        """
        if path not in self._shown:
            return IfAbsent() if self._looked.get(path) is False else None
        meta = self._shown[path]
        return IfAbsent() if meta is None else IfMatch(meta.version)

    def folder_time(self, path: str) -> datetime | None:
        """The time of a folder's marker, where it was seen."""
        return self._folder_times.get(path)

    def note_folder(self, path: str, last_modified: datetime) -> None:
        """A folder's marker was seen, or written."""
        self._folder_times[path] = last_modified

    def forget_below(self, folder: str) -> None:
        """A folder is gone from its place, with all that was in it."""
        for path in [path for path in self._shown if path.startswith(f"{folder}/")]:
            self._shown.pop(path)
        for path in [path for path in self._folder_times if f"{path}/".startswith(f"{folder}/")]:
            self._folder_times.pop(path)
