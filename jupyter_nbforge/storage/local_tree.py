"""A directory tree read as an object store; blocking, for `LocalStorage`."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from io import FileIO
from typing import Any

from .errors import (
    ConfigurationError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
)
from .paths import DELIMITER, FOLDER_CONTENT_TYPE, check_path, invalid_reason
from .types import ObjectMeta, Version

TEMPORARY_PREFIX = ".nbforge-tmp-"
"""Begins the names of our unfinished files and folders; such a name is no path of the storage."""

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class LocalTree:
    """The objects below one directory; raises `StorageError`, or an `OSError` as it came.

    Every directory is its own marker ``folder/``, found by `head` and by a listing. What a
    symbolic link leads to is part of the tree only if it lies in the directory too. That is
    looked at before the file is opened: no shield from somebody who changes links in the
    directory at that very moment.
    """

    def __init__(self, root: str, log: Any) -> None:
        self._log = log
        self.root = os.path.realpath(root)
        if not root or not os.path.isdir(root):
            raise ConfigurationError(
                f"The directory {root!r} of LocalStorage does not exist; "
                "create it or set c.LocalStorage.root to another one."
            )

    def head(self, path: str) -> ObjectMeta:
        return meta_of(path, os.stat(self.locate(path)))

    def open(self, path: str) -> FileIO:
        """The file; not for a marker. Its bytes and its `os.fstat` are of one version."""
        # O_NONBLOCK: opening a pipe that somebody put here must not wait for its other end.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        file = FileIO(os.open(self.locate(path), flags | getattr(os, "O_BINARY", 0)))
        try:
            meta_of(path, os.fstat(file.fileno()))
        except StorageError:
            file.close()
            raise
        return file

    def locate(self, path: str) -> str:
        """Where `path` is on the disk, links followed; refuses what is not in the directory."""
        check_path(path)
        if _has_reserved_segment(path):
            raise InvalidPathError(
                f"{path!r} is not a valid path: names in {TEMPORARY_PREFIX!r} are reserved.",
                path=path,
            )
        real = os.path.realpath(os.path.join(self.root, path.rstrip(DELIMITER)))
        if not self._holds(real):
            raise PermissionDeniedError(
                f"{path!r} is a link out of the storage's directory and may not be used.",
                path=path,
            )
        return real

    def _holds(self, real: str) -> bool:
        return real == self.root or real.startswith(self.root.rstrip(os.sep) + os.sep)

    def entries(
        self, prefix: str, *, recursive: bool, start_after: str | None
    ) -> Iterator[ObjectMeta | str]:
        """What a listing shows, in byte order; a folder is its marker if `recursive`, else a str.

        The folder itself (``a/`` where the prefix is ``a/``) is its marker in both. A link to a
        folder is not entered if `recursive`. A folder further down that may not be read is
        logged, and nothing below its marker shown.
        """
        folder, slash, name_start = prefix.rpartition(DELIMITER)
        # No path begins so; the name stands for any, for `folder` alone could pass for a marker.
        if invalid_reason(folder + slash + "name") or _has_reserved_segment(folder):
            return
        real = os.path.realpath(os.path.join(self.root, folder))
        if not self._holds(real) or not os.path.isdir(real):
            return
        if slash and not name_start and _is_after(prefix, start_after):
            yield from _meta_if_there(prefix, real)
        if recursive and os.path.islink(os.path.join(self.root, folder)):
            return
        yield from self._walk(real, folder + slash, name_start, recursive, start_after)

    def _walk(
        self, real: str, prefix: str, name_start: str, recursive: bool, start_after: str | None
    ) -> Iterator[ObjectMeta | str]:
        # A stack, not recursion: a tree may be deeper than Python's.
        stack = [(prefix, real, iter(self._scan(real, name_start)))]
        while stack:
            prefix, real, names = stack[-1]
            name = next(names, None)
            if name is None:
                stack.pop()
                continue
            path = prefix + name
            child = os.path.join(real, name.rstrip(DELIMITER))
            folder = name.endswith(DELIMITER)
            shown = _is_after(path, start_after)
            below_shown = folder and (shown or (start_after or "").startswith(path))
            if folder and not recursive:
                if shown or (below_shown and self._has_more(child, path, start_after)):
                    yield path
                continue
            if shown:
                yield from _meta_if_there(path, child)
            if below_shown and not os.path.islink(child):
                stack.append((path, child, iter(self._scan_below(child))))

    def _has_more(self, real: str, path: str, start_after: str | None) -> bool:
        return any(True for _ in self._walk(real, path, "", True, start_after))

    def _scan_below(self, real: str) -> list[str]:
        try:
            return self._scan(real)
        except PermissionError:
            self._log.warning("%s may not be read; what is in it is not listed.", real)
            return []

    def _scan(self, real: str, name_start: str = "") -> list[str]:
        """The names in a directory, those of folders with a ``/``, in byte order of the paths."""
        try:
            with os.scandir(real) as found:
                entries = [entry for entry in found if entry.name.startswith(name_start)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        valid = [entry for entry in entries if not invalid_reason(entry.name)]
        if len(valid) < len(entries):
            count = len(entries) - len(valid)
            self._log.debug("%d names in %s are no valid paths and left out.", count, real)
        # The order of characters is that of their UTF-8.
        return sorted(filter(None, map(self._listed_name, valid)))

    def _listed_name(self, entry: os.DirEntry[str]) -> str | None:
        """The name as it is listed; None for what is no part of the tree."""
        if entry.name.startswith(TEMPORARY_PREFIX):
            return None
        if entry.is_symlink() and not self._holds(os.path.realpath(entry.path)):
            return None
        try:
            return entry.name + DELIMITER if entry.is_dir() else entry.name
        except OSError:  # A link to itself, or to what may not be looked at.
            return None


def meta_of(path: str, found: os.stat_result) -> ObjectMeta:
    """The metadata of what is found at `path`; `NotFoundError` if it is of another kind."""
    folder = path.endswith(DELIMITER)
    if not (stat.S_ISDIR if folder else stat.S_ISREG)(found.st_mode):
        raise NotFoundError(f"{path!r} does not exist.", path=path)
    size = 0 if folder else found.st_size
    return ObjectMeta(
        path=path,
        size=size,
        last_modified=_EPOCH + timedelta(microseconds=found.st_mtime_ns // 1000),
        version=Version(f"{found.st_mtime_ns:x}-{size:x}"),
        content_type=FOLDER_CONTENT_TYPE if folder else _content_type(path),
    )


def _meta_if_there(path: str, real: str) -> Iterator[ObjectMeta]:
    # Here pipes and the like fall out, what another program has deleted since the scan, and
    # what is in a directory that may be read but not searched.
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError, NotFoundError):
        yield meta_of(path, os.stat(real))


def _content_type(path: str) -> str | None:
    guessed, encoding = mimetypes.guess_type(path)
    return guessed if encoding is None else "application/octet-stream"


def _has_reserved_segment(path: str) -> bool:
    return any(segment.startswith(TEMPORARY_PREFIX) for segment in path.split(DELIMITER))


def _is_after(path: str, start_after: str | None) -> bool:
    return start_after is None or path > start_after
