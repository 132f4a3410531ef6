"""What is stored, on either side, in the layout that Jupyter's own manager has on a disk."""

from __future__ import annotations

import os
import posixpath
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from .answers import CHECKPOINTS_FOLDER

Tree = dict[str, bytes | None]
"""Bytes by path; None for a folder."""

BESIDE = " beside the folder"
"""What stands behind the name of a file of which there is a folder too."""

_OUR_CHECKPOINTS = ".nbforge/checkpoints/"
_OURS = ".nbforge/"


def tree_of_disk(root: Path) -> Tree:
    """The files and folders below a directory, checkpoints included, if there are any."""
    tree: Tree = {}
    for folder, folders, files in os.walk(root):
        inside = Path(folder).relative_to(root).as_posix()
        names: list[tuple[str, bytes | None]] = [
            (name, None) for name in folders if name != CHECKPOINTS_FOLDER
        ]
        names += [(name, Path(folder, name).read_bytes()) for name in files]
        tree |= {posixpath.normpath(f"{inside}/{name}"): data for name, data in names}
    return tree


def tree_of_keys(keys: Iterable[str], read: Callable[[str], bytes | None]) -> Tree:
    """The same of the objects of a store, relative to the root."""
    tree, files, folders = Tree(), Tree(), set[str]()
    for key in keys:
        if key.startswith(_OURS) and key.endswith("/"):
            continue  # a directory of our own, where the store is a disk
        if key.startswith(_OUR_CHECKPOINTS):
            tree[_as_jupyters(key[len(_OUR_CHECKPOINTS) :])] = read(key) or b""
        elif not key.startswith(_OURS):
            path = key.rstrip("/")
            files |= {} if key.endswith("/") else {path: read(key) or b""}
            folders |= {*_folders_of(path), *([path] if key.endswith("/") else [])}
    # What is both is nothing that a disk can have, and so a difference.
    both = {path + BESIDE: data for path, data in files.items() if path in folders}
    return tree | files | dict.fromkeys(folders) | both


def _folders_of(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _as_jupyters(checkpoint: str) -> str:
    path = posixpath.dirname(checkpoint)
    base, extension = posixpath.splitext(posixpath.basename(path))
    folder = posixpath.join(posixpath.dirname(path), CHECKPOINTS_FOLDER)
    return f"{folder}/{base}-checkpoint{extension}"


def file_of_checkpoint(path: str) -> str:
    """The file that a checkpoint in a tree belongs to; other paths are themselves."""
    folder, name = posixpath.split(path)
    if posixpath.basename(folder) != CHECKPOINTS_FOLDER:
        return path
    base, extension = posixpath.splitext(name)
    return posixpath.join(posixpath.dirname(folder), base.removesuffix("-checkpoint") + extension)


def changed_paths(one: Tree, other: Tree) -> set[str]:
    """The paths that are not the same in both trees."""
    missing = object()
    return {
        path
        for path in one.keys() | other.keys()
        if one.get(path, missing) != other.get(path, missing)
    }


def write_tree(root: Path, tree: Tree) -> None:
    """Make a directory hold this tree and nothing else; what is equal is not touched."""
    before = tree_of_disk(root)
    changed = changed_paths(before, tree)
    for path in sorted(changed & before.keys(), reverse=True):
        gone = root / path
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink(missing_ok=True)
    for path in sorted(changed & tree.keys()):
        data, target = tree[path], root / path
        if data is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)


def empty(root: Path) -> None:
    """Delete all that is in a directory."""
    for entry in root.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
