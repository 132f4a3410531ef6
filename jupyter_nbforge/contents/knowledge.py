"""What a client was last shown of each path: the ground on which its next save stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from cachetools import LRUCache, TTLCache

from ..storage.types import IfAbsent, IfMatch, ObjectMeta, Version, WriteCondition

_REMEMBERED = 16_384
_LOOK_SECONDS = 10.0
_TICK = timedelta(milliseconds=1)
"""The least by which a browser can tell two times apart."""

Looked: TypeAlias = ObjectMeta | Literal[False]
"""What the look before a save has found; False: nothing."""


class Knowledge:
    """Versions by path, as last shown to a client or taken from one; the oldest are forgotten.

    Only a look at that one path counts: a listing shows a client nothing that it could
    edit. A path that is not known, and was not looked at before a save, is saved without a
    condition.
    """

    def __init__(self) -> None:
        self._shown: LRUCache[str, ObjectMeta | None] = LRUCache(_REMEMBERED)
        self._times: LRUCache[str, tuple[Version, datetime]] = LRUCache(_REMEMBERED)
        self._vanished: LRUCache[str, bool] = LRUCache(_REMEMBERED)
        self._looked: TTLCache[str, Looked] = TTLCache(_REMEMBERED, _LOOK_SECONDS)
        self._saved: TTLCache[str, ObjectMeta] = TTLCache(_REMEMBERED, _LOOK_SECONDS)
        self._large: TTLCache[str, bool] = TTLCache(_REMEMBERED, _LOOK_SECONDS)
        self._folder_times: LRUCache[str, datetime] = LRUCache(_REMEMBERED)

    def shown(self, path: str) -> ObjectMeta | None:
        """What a client last saw of a file; None if never, or if it was told of none."""
        return self._shown.get(path)

    def show(self, meta: ObjectMeta) -> None:
        """A client sees this, or has just written it."""
        self._shown[meta.path] = meta
        self._times[meta.path] = meta.version, meta.last_modified
        self._vanished.pop(meta.path, None)
        self._saved.pop(meta.path, None)

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
        """A person was told that nothing is there."""
        self._shown[path] = None
        self._vanished.pop(path, None)
        self._saved.pop(path, None)

    def note_vanished(self, path: str) -> None:
        """A client has looked in vain; of what it was shown before, a person is yet to be told.

        JupyterLab takes such a look for leave to make the file anew, and asks nobody.
        """
        vanished = self._shown.get(path) is not None or path in self._vanished
        self.show_absent(path)
        if vanished:
            self._vanished[path] = True

    def take_vanished(self, path: str) -> bool:
        """Whether the file has vanished and nobody was told; the caller tells it now."""
        return bool(self._vanished.pop(path, False))

    def note_saved(self, path: str) -> None:
        """The answer to a save goes out: what it has written is what the next look shows.

        JupyterLab looks once after each save and takes what it is shown for its own text.
        """
        meta = self._shown.get(path)
        if meta is not None:
            self._saved[path] = meta

    def take_saved(self, path: str) -> ObjectMeta | None:
        """What a client has just saved, for its first look after that; else None."""
        saved: ObjectMeta | None = self._saved.pop(path, None)
        return saved

    def forget(self, path: str) -> None:
        """What a client saw is there no longer, and by its own doing."""
        for table in (self._shown, self._vanished, self._looked, self._saved):
            table.pop(path, None)

    def note_look(self, path: str, found: Looked) -> None:
        """The server has looked whether a file is there, as it does just before a save."""
        self._looked[path] = found

    def note_large(self, folder: str) -> None:
        """One page of a listing does not hold what is in the folder."""
        self._large[folder] = True

    def is_large(self, folder: str) -> bool:
        """Whether that was noted a moment ago: then it is not worth a listing to ask for a name."""
        return folder in self._large

    def condition(self, path: str) -> WriteCondition | None:
        """On what a save of this path depends; None where it was never seen.

        Where no client has seen it, the look before the save counts.
        """
        if path in self._shown:
            meta = self._shown[path]
            return IfAbsent() if meta is None else IfMatch(meta.version)
        looked = self._looked.get(path)
        if looked is None:
            return None
        return IfMatch(looked.version) if looked else IfAbsent()

    def folder_time(self, path: str) -> datetime | None:
        """The time of a folder's marker, where it was seen."""
        return self._folder_times.get(path)

    def note_folder(self, path: str, last_modified: datetime) -> None:
        """A folder's marker was seen, or written."""
        self._folder_times[path] = last_modified

    def forget_below(self, folder: str) -> None:
        """A folder is gone from its place, with all that was in it."""
        known = {*self._shown, *self._looked}
        for path in [path for path in known if path.startswith(f"{folder}/")]:
            self.forget(path)
        for path in [path for path in self._folder_times if f"{path}/".startswith(f"{folder}/")]:
            self._folder_times.pop(path)
