"""Pure functions: from stored objects to the models of Jupyter's contents API, and names."""

from __future__ import annotations

import mimetypes
import posixpath
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, TypeAlias

from tornado.web import HTTPError

from ..storage.paths import KEEP_FILES, RESERVED_PREFIX, has_control_character, name_of
from ..storage.types import ObjectMeta

Model: TypeAlias = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
"""Time of a folder whose time is not known: Jupyter's handlers fail on None."""

VERSION_HASH = "version"
"""`hash_algorithm` of an object without a known content hash: the store's change token."""

_LONGEST_PATH = 8192
"""Characters. No storage takes so many; what is longer is not even looked at."""

_RESERVED = RESERVED_PREFIX.rstrip("/")


def api_path(path: str) -> str:
    """`path` as Jupyter gives it (slashes around and doubled allowed) in its one plain form.

    A path that climbs out of the root is a 404, as in Jupyter's own manager; so is all
    that lies below our reserved prefix, which is nobody's to see or to change. A control
    character is a 400: it would make two lines of one in the log.
    """
    if not isinstance(path, str):
        raise HTTPError(400, f"A path must be a string, not {type(path).__name__}.")
    if len(path) > _LONGEST_PATH:
        raise HTTPError(400, f"A path of {len(path)} characters is too long.")
    if has_control_character(path):
        raise HTTPError(400, f"{path!r} is not a valid path: it has a control character.")
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    # Some stores (SeaweedFS) take a backslash for a slash.
    plain = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in segments or plain[:1] == [_RESERVED]:
        raise HTTPError(404, f"{path} is outside root contents directory")
    return "/".join(segments)


def is_hidden_path(path: str) -> bool:
    """Whether any segment of `path` starts with a dot, one behind a backslash included."""
    return any(segment.startswith(".") for segment in path.replace("\\", "/").split("/"))


def is_reserved(path: str) -> bool:
    """Whether a path is ours alone: checkpoints and records of moves."""
    return f"{path}/".startswith(RESERVED_PREFIX)


def is_keep_file(path: str) -> bool:
    """Whether `path` only keeps a folder, by another manager's convention."""
    return name_of(path) in KEEP_FILES


def is_marker(path: str) -> bool:
    """Whether the object only keeps a folder: ours, a console's, or another manager's."""
    return path.endswith("/") or is_keep_file(path)


def object_type(path: str) -> str:
    """``notebook`` or ``file``, by the name."""
    return "notebook" if path.endswith(".ipynb") else "file"


def content_type_of(path: str) -> str:
    """The MIME type to store an object with."""
    if path.endswith(".ipynb"):
        return "application/x-ipynb+json"
    kind, encoding = mimetypes.guess_type(path)
    if encoding == "gzip":
        return "application/gzip"
    if encoding is not None or kind is None:
        return "application/octet-stream"
    return kind


def _base_model(path: str, last_modified: datetime | None) -> Model:
    return {
        "name": name_of(path),
        "path": path,
        "last_modified": last_modified,
        "created": last_modified,
        "content": None,
        "format": None,
        "mimetype": None,
        "size": None,
        "writable": True,
        "hash": None,
        "hash_algorithm": None,
    }


def file_model(meta: ObjectMeta, kind: str, *, with_hash: bool = False) -> Model:
    """The model of a file or notebook without content.

    The store has no time of creation; `created` is the last modification, which is never
    before it.
    """
    model = _base_model(meta.path, meta.last_modified)
    model["type"] = kind
    model["size"] = meta.size
    if kind == "file":
        model["mimetype"] = mimetypes.guess_type(meta.path)[0]
    if with_hash:
        model["hash"], model["hash_algorithm"] = hash_of(meta)
    return model


def folder_model(path: str, last_modified: datetime | None) -> Model:
    """The model of a folder without content; None as the time is for listings only."""
    model = _base_model(path, last_modified)
    model["type"] = "directory"
    return model


def hash_of(meta: ObjectMeta) -> tuple[str, str]:
    """Hash and algorithm that change with the bytes: of the content if known, else the version."""
    if meta.content_hash is not None:
        return meta.content_hash.value, meta.content_hash.algorithm
    return str(meta.version).strip('"'), VERSION_HASH


def split_extension(filename: str) -> tuple[str, str]:
    """Base and extension as Jupyter numbers names: all dots, but for notebooks the last."""
    base, dot, extension = filename.rpartition(".")
    if extension != "ipynb":
        base, dot, extension = filename.partition(".")
    return base, dot + extension


def free_name(filename: str, taken: Iterable[str], insert: str = "", *, skipped: int = 0) -> str:
    """`filename`, or the first of its numbered variants that is not in `taken`.

    So many that are free are `skipped`.
    """
    base, suffix = split_extension(filename)
    names = frozenset(taken)
    candidate, number = f"{base}{suffix}", 0
    while candidate in names or skipped:
        skipped -= candidate not in names
        number += 1
        candidate = f"{base}{insert}{number}{suffix}"
    return candidate


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`."""
    return posixpath.join(folder, name) if folder else name
