"""What is measured: the gestures, how often each is made, and what each needs beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .corpus import NOTEBOOKS
from .systems import HTTP, LOCAL, NBFORGE, RAW_ALLOWED, S3CONTENTS, System

Kind = Literal["open", "reopen", "save", "list", "rename", "upload", "download", "idle"]

_OFTEN = 4

IDLE_FOLDER = 10
"""How many files the folder has that is listed while nobody does anything."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """One row. `of` is the notebook's name in the corpus, else a number in words.

    The first `unmeasured` of the repetitions do not count for the time, only for the memory.
    """

    kind: Kind
    of: str
    amount: int
    repetitions: int
    unmeasured: int = 0

    @property
    def name(self) -> str:
        """As it is called in tables."""
        return f"{_WORDS[self.kind]} {self.of}"

    def applies_to(self, system: System) -> bool:
        """Whether there is something to measure."""
        if self.kind == "idle":
            return system in (NBFORGE, S3CONTENTS)
        if self.kind == "reopen":
            return system in (NBFORGE, LOCAL, S3CONTENTS, HTTP)
        if system is RAW_ALLOWED:
            return self.kind in ("open", "save")
        return True


_WORDS: dict[Kind, str] = {
    "open": "open",
    "reopen": "open again",
    "save": "save",
    "list": "list",
    "rename": "rename a folder of",
    "upload": "upload",
    "download": "download",
    "idle": "idle for",
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How large everything is."""

    notebooks: tuple[str, ...] = tuple(NOTEBOOKS)
    lists: tuple[int, ...] = (10, 1_000, 10_000)
    renamed: int = 200
    transferred_mib: int = 256
    idle_seconds: int = 60


FULL = Scale()
QUICK = Scale(("0.1 MB", "4 MB", "2,000 cells"), (10, 1_000), 20, 16, 10)
LARGE_MIB = 1024


def gestures(scale: Scale, *, large: bool = False) -> list[Gesture]:
    """All rows, in their order."""
    rows: list[Gesture] = []
    for name in scale.notebooks:
        rows.append(Gesture("open", name, 0, _OFTEN, 1))
        if name not in ("0.1 MB", "4 MB"):
            rows.append(Gesture("reopen", name, 0, _OFTEN, 1))
        rows.append(Gesture("save", name, 0, _OFTEN, 1))
    rows += [Gesture("list", f"{count:,}", count, _OFTEN, 1) for count in scale.lists]
    rows.append(Gesture("rename", str(scale.renamed), scale.renamed, 3))
    transfers = [(scale.transferred_mib, 2)] + [(LARGE_MIB, 1)] * large
    for mib, often in transfers:
        rows.append(Gesture("upload", f"{mib:,} MiB", mib, 1))
        rows.append(Gesture("download", f"{mib:,} MiB", mib, often))
    rows.append(Gesture("idle", f"{scale.idle_seconds} s", scale.idle_seconds, 1))
    return rows


def chosen(rows: list[Gesture], only: list[str]) -> list[Gesture]:
    """The rows of which the name begins with one of `only`; all without any."""
    return [row for row in rows if not only or row.name.startswith(tuple(only))]
