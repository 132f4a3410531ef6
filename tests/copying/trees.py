"""A tree of many kinds of files on a disk, and whether another is the same."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

from jupyter_nbforge.storage.transfer import PART_SIZE

_WORDS = (
    "daten",
    "Übung ä",
    "plots & co",
    "笔记本",
    "a b  c",
    "100%",
    "#1",
    "q?",
    "x+y=z",
    "naïve",
)


def make_tree(root: Path, count: int) -> None:
    """`count` files and folders: of all sizes, with names of many kinds, dated in the past."""
    random = Random(count)
    for number in range(count - 3):
        folder = root / random.choice(_WORDS) / f"{random.choice(_WORDS)} {number % 7}"
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{random.choice(_WORDS)} {number}.ipynb", _size(random, number), number)
    _write(root / "large.bin", PART_SIZE + 12_345, count)
    _write(root / ".hidden", 10, count)
    (root / "empty folder" / "deeper").mkdir(parents=True)


def _size(random: Random, number: int) -> int:
    if number % 20 == 0:
        return 0
    return random.choice((1, 100, 5_000, 50_000, 300_000))


def _write(file: Path, size: int, number: int) -> None:
    file.write_bytes(Random(number).randbytes(size))
    moment = 1_500_000_000_123_456_000 + number * 1_000_001_000
    os.utime(file, ns=(moment, moment))


def seen(root: Path) -> dict[str, tuple[bytes, int] | None]:
    """Bytes and time (in microseconds) of each file below `root`; of an empty folder None."""
    found: dict[str, tuple[bytes, int] | None] = {}
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file():
            found[name] = path.read_bytes(), path.stat().st_mtime_ns // 1000
        elif not any(path.iterdir()):
            found[name + "/"] = None
    return found
