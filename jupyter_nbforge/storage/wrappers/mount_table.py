"""Which of several storages keeps a path, and what the path is called there."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ..base import BaseStorageService
from ..errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
    StorageError,
)
from ..paths import RESERVED_PREFIX, as_prefix, invalid_reason, parent_of
from ..types import Capabilities, ObjectMeta, renamed

_ABOUT_ONE_PATH = (
    AlreadyExistsError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
)
"""Errors that name a path, and with it its storage; others are mostly of the storage itself."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A storage, and the folder of the whole at which it begins; ``""`` is the root."""

    point: str
    storage: BaseStorageService

    @property
    def prefix(self) -> str:
        """What the paths of all that it keeps begin with."""
        return as_prefix(self.point)

    @contextlib.contextmanager
    def named(self, names: Mapping[str, str]) -> Iterator[None]:
        """Let its errors name paths of the whole, by `names` here; and itself if it is to blame."""
        try:
            yield
        except StorageError as error:
            if not self.point:
                raise
            raise self._named(error, names) from error

    def _named(self, error: StorageError, names: Mapping[str, str]) -> StorageError:
        # A copy: the same error may be told to others who wait for the same answer.
        named = copy.copy(error)
        if error.path is not None:
            named.path = names.get(error.path, self.prefix + error.path)
            names = {error.path: named.path}
        for inside, path in names.items():
            if inside:
                named.message = named.message.replace(repr(inside), repr(path))
        if not isinstance(error, _ABOUT_ONE_PATH):
            named.message += f" This is about the folder {self.point!r}."
        named.args = (named.message,)
        return named


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path lies: what begins with `outer` in the whole begins with `inner` in the mount."""

    mount: Mount
    outer: str
    inner: str

    @property
    def storage(self) -> BaseStorageService:
        return self.mount.storage

    def inside(self, path: str) -> str:
        """What a path of the whole is called in the mount."""
        return self.inner + path[len(self.outer) :]

    def outside(self, path: str) -> str:
        """What a path of the mount is called in the whole."""
        return self.outer + path[len(self.inner) :]

    def meta(self, meta: ObjectMeta) -> ObjectMeta:
        """Metadata as the mount gives it, under the path that it has in the whole."""
        return meta if self.outer == self.inner else renamed(meta, self.outside(meta.path))

    def named(self, *paths: str) -> AbstractContextManager[None]:
        """Let errors of the mount name these paths of the whole, see `Mount.named`."""
        return self.mount.named({self.inside(path): path for path in paths})


class MountTable:
    """Storages by the folder at which each begins; a path is kept by the innermost of them.

    What is kept under the reserved prefix for a file is kept by the storage of that file: the
    path ``.nbforge/checkpoints/shared/a.ipynb/x`` is ``.nbforge/checkpoints/a.ipynb/x`` in the
    storage of ``shared``.
    """

    def __init__(self, storages: Mapping[str, BaseStorageService]) -> None:
        mounts = [Mount(checked_point(point), storage) for point, storage in storages.items()]
        mounts.sort(key=lambda mount: mount.prefix.encode())
        self._mounts = {mount.point: mount for mount in mounts}
        if len(self._mounts) < len(mounts):
            twice = [mount.point for mount in mounts if mount not in self._mounts.values()]
            raise ConfigurationError(
                f"Two storages are mounted at the folder {twice[0]!r}; take one of them out."
            )
        if "" not in self._mounts:
            raise ConfigurationError("There is no storage for the root of the mounts.")
        self._above: dict[str, str] = {}
        for mount in self:
            folder = parent_of(mount.point)
            while folder and folder not in self._above:
                self._above[folder] = mount.point
                folder = parent_of(folder)

    def __iter__(self) -> Iterator[Mount]:
        """All mounts in the order of their paths, the root first."""
        return iter(self._mounts.values())

    def __len__(self) -> int:
        return len(self._mounts)

    def is_point(self, path: str) -> bool:
        """Whether a storage begins at that folder (with or without ``/``), the root not counted."""
        stripped = path.rstrip("/")
        return stripped != "" and stripped in self._mounts

    def is_marker(self, path: str) -> bool:
        """Whether it is the marker of such a folder."""
        return path.endswith("/") and path[:-1] in self._mounts and path != "/"

    def point_below(self, folder: str) -> str | None:
        """A folder within `folder` at which a storage begins, if any."""
        return self._above.get(folder)

    def is_folder(self, folder: str) -> bool:
        """Whether a folder is there for the mounts' sake, whatever is in it."""
        return not folder or folder in self._mounts or folder in self._above

    def at(self, path: str) -> Place:
        """Where `path` is kept; that of a mount point without ``/`` lies in what is around it."""
        head, tail = _split_reserved(path)
        point = tail.rpartition("/")[0]
        while point not in self._mounts:
            point = point.rpartition("/")[0]
        mount = self._mounts[point]
        return Place(mount, head + mount.prefix, head)

    def is_closed(self, path: str, place: Place) -> bool:
        """Whether it is what a mount keeps under its reserved prefix: that has other paths."""
        return not place.inner and bool(place.outer) and _is_reserved(place.inside(path))

    def within(self, place: Place, prefix: str) -> list[Mount]:
        """The mounts directly within that of `place` whose folders begin with `prefix`, in order.

        None of them for what is kept under the reserved prefix.
        """
        if place.inner:
            return []
        return [
            mount
            for mount in self
            if mount.point
            and mount.prefix.startswith(prefix)
            and self.at(mount.point).mount is place.mount
        ]

    def touched_by(self, prefix: str) -> list[tuple[Mount, str]]:
        """Every mount that keeps something below `prefix`, with what that is called there."""
        place = self.at(prefix)
        inner = [(mount, "") for mount in self if mount.prefix.startswith(prefix) and mount.point]
        return [(place.mount, place.inside(prefix))] + [
            (mount, begin) for mount, begin in inner if mount is not place.mount
        ]


def checked_point(folder: str) -> str:
    """The folder at which a storage is to begin, in its plain form; `ConfigurationError`."""
    point = folder.strip("/")
    if not point:
        return ""
    reason = invalid_reason(point)
    if reason is None and "\\" in point:
        reason = "it has a backslash"
    if reason is None and any(segment.startswith(".") for segment in point.split("/")):
        reason = "it is hidden, for it begins with a dot"
    if reason is not None:
        raise ConfigurationError(
            f"No storage can be mounted at {folder!r}: {reason}. Give a folder such as 'shared'."
        )
    return point


def combined(capabilities: Iterable[Capabilities]) -> Capabilities:
    """What all of several storages honour. No move between two of them is one step."""
    several = list(capabilities)
    if len(several) == 1:
        return several[0]
    values = {
        field.name: _common(field.name, [getattr(one, field.name) for one in several])
        for field in dataclasses.fields(Capabilities)
    }
    return Capabilities(**{**values, "atomic_move": False})


def _common(name: str, values: list[Any]) -> Any:
    if isinstance(values[0], tuple):
        return tuple(dict.fromkeys(entry for value in values for entry in value))
    # A flag that one of them lacks is False, and the least limit holds for all.
    return max(values) if name.startswith("min_") else min(values)


def _split_reserved(path: str) -> tuple[str, str]:
    """``.nbforge/<kind>/`` and what it is kept for; of other paths nothing and the path."""
    if path.startswith(RESERVED_PREFIX):
        end = path.find("/", len(RESERVED_PREFIX)) + 1
        if end:
            return path[:end], path[end:]
    return "", path


def _is_reserved(path: str) -> bool:
    return f"{path}/".startswith(RESERVED_PREFIX)
