"""Which of the paths of a tree are to be copied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from ..storage.paths import DELIMITER, RESERVED_PREFIX, name_of

_UNFINISHED = (".nbforge-tmp-", ".nbforge-upload-")
"""Begin the names of what a write of ours has not ended, or a killed one has left."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as of a shell, by which paths are taken.

    One without ``/`` is for the name, one with it for the whole path; ``*`` stands for ``/``
    too. A folder that is excluded is so with all that is in it. With `include` only what
    matches one of them is taken, and no folder for itself.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    checkpoints: bool = True

    def takes(self, path: str) -> bool:
        """Whether the object, or with a trailing ``/`` the folder, is to be copied."""
        if not self.checkpoints and f"/{RESERVED_PREFIX}" in f"/{path}":
            return False
        if name_of(path).startswith(_UNFINISHED):
            return False
        if any(_matches(above, self.exclude) for above in _with_folders(path)):
            return False
        folder = path.endswith(DELIMITER)
        return not self.include or (not folder and _matches(path, self.include))


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    name = name_of(path)
    return any(
        fnmatchcase(path if DELIMITER in pattern else name, pattern.strip(DELIMITER))
        for pattern in patterns
    )


def _with_folders(path: str) -> Iterator[str]:
    """The path and those of the folders that it lies in, the outermost first."""
    segments = path.rstrip(DELIMITER).split(DELIMITER)
    for count in range(1, len(segments) + 1):
        yield DELIMITER.join(segments[:count])
