"""What in a directory of a disk is no object, and so is in no listing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePath

from ..storage.paths import invalid_reason


def not_listed(root: str) -> Iterator[tuple[str, str]]:
    """Path and reason of all below `root` that `LocalStorage` does not list; blocking."""
    real = os.path.realpath(root)
    stack = [real]
    while stack:
        folder = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except PermissionError:
            yield _shown(folder, real), "this folder may not be read"
            continue
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in entries:
            reason = _reason(entry, real)
            if reason is not None:
                yield _shown(entry.path, real), reason
            elif entry.is_dir(follow_symlinks=False):
                stack.append(entry.path)


def _reason(entry: os.DirEntry[str], root: str) -> str | None:
    invalid = invalid_reason(entry.name)
    if invalid is not None:
        return f"the name is no valid path: {invalid}"
    if entry.is_symlink():
        return _reason_of_link(entry, root)
    if not (entry.is_dir() or entry.is_file()):
        return "it is neither a file nor a folder"
    return None if os.access(entry.path, os.R_OK) else "it may not be read"


def _reason_of_link(entry: os.DirEntry[str], root: str) -> str | None:
    end = PurePath(os.path.realpath(entry.path))
    if not end.is_relative_to(root):
        return "it is a link out of the folder that is copied"
    try:
        if entry.is_dir():
            return "it is a link to a folder, which is copied where it lies"
        return None if entry.is_file() else "it is a link that leads to no file"
    except OSError:
        return "it is a link that leads to itself"


def _shown(path: str, root: str) -> str:
    """Relative to the root, and printable whatever bytes the name has."""
    relative = os.path.relpath(path, root).replace(os.sep, "/")
    return relative.encode("utf-8", "backslashreplace").decode()
