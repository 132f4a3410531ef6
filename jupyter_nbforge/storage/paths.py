"""What is a path: segments joined by ``/``, none of them empty, ``.`` or ``..``.

Nor may one climb where a store takes a backslash for a slash.
"""

from __future__ import annotations

import unicodedata

from .errors import InvalidPathError

DELIMITER = "/"
RESERVED_PREFIX = ".nbforge/"
"""All that we store beside the users' own objects lies below this hidden prefix."""

FOLDER_CONTENT_TYPE = "application/x-directory"
"""Content type of the zero-byte object ``folder/`` that keeps an empty folder."""

KEEP_FILES = frozenset({".s3keep", ".gcskeep", ".s3fskeep"})
"""Objects with which other managers keep an empty folder; seen as markers, never shown."""


def invalid_reason(path: str) -> str | None:
    """Why `path` cannot name an object or, with a trailing ``/``, a folder marker; else None."""
    body = path[:-1] if path.endswith(DELIMITER) else path
    if not body:
        return "it is empty"
    for segment in body.split(DELIMITER):
        if segment == "":
            return "it has an empty segment"
    # A backslash is a character like others, but some stores (SeaweedFS) take it for a slash.
    for segment in body.replace("\\", DELIMITER).split(DELIMITER):
        if segment in (".", ".."):
            return f"it has a segment {segment!r}"
    if has_control_character(body):
        return "it has a control character"
    return None


def has_control_character(text: str) -> bool:
    """Whether there is one in `text`, a lone half of a surrogate pair included."""
    return not text.isprintable() and any(
        unicodedata.category(character) in ("Cc", "Cs") for character in text
    )


def check_path(path: str) -> str:
    """`path` itself, or `InvalidPathError`."""
    reason = invalid_reason(path)
    if reason is not None:
        raise InvalidPathError(f"{path!r} is not a valid path: {reason}.", path=path)
    return path


def as_prefix(folder: str) -> str:
    """The prefix of all that is in a folder: ``""`` for the root, else with one trailing ``/``."""
    stripped = folder.strip(DELIMITER)
    return stripped + DELIMITER if stripped else ""


def parent_of(path: str) -> str:
    """The folder that holds `path` (of an object or a marker); ``""`` is the root."""
    return path.rstrip(DELIMITER).rpartition(DELIMITER)[0]


def name_of(path: str) -> str:
    """The last segment of `path`, without a trailing ``/``."""
    return path.rstrip(DELIMITER).rpartition(DELIMITER)[2]
