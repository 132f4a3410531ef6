"""What a copy is asked for, and what it tells."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from ..storage.base import BaseStorageService

Overwrite: TypeAlias = Literal["never", "changed", "always"]
"""What happens to an object of the target that is not equal to its source: it stays and is told
(``never``), it is replaced (``changed``). ``always`` replaces equal ones too."""

Action: TypeAlias = Literal["copied", "replaced", "equal", "differs", "failed", "left out"]
"""What became of an object. ``differs``: another is in its place, and stays. ``left out``: it is
nothing that can be copied."""

PROBLEMS: frozenset[Action] = frozenset({"differs", "failed", "left out"})

_TOLD = 1000
"""Problems that a summary keeps one by one; of further ones it knows how many there are."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """How to copy. `include` and `exclude` are as in `Selection`."""

    overwrite: Overwrite = "never"
    concurrency: int = 16
    dry_run: bool = False
    checkpoints: bool = True
    """Whether what lies below ``.nbforge/`` goes along."""
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    stale_seconds: float = 600.0
    """Uploads in parts at the target that got none for so long are ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one object (in a dry run: would become); `size` in bytes."""

    path: str
    action: Action
    size: int = 0
    reason: str = ""


class Watcher(Protocol):
    """Is told how the work goes on."""

    def found(self, size: int) -> None:
        """One more object of so many bytes is there to be copied."""

    def sent(self, size: int) -> None:
        """So many bytes more have arrived; a negative number takes some back."""

    def done(self, outcome: Outcome) -> None:
        """This is what became of one."""


@dataclass(slots=True)
class Summary:
    """What became of all of them."""

    counts: Counter[Action] = field(default_factory=Counter)
    bytes: int = 0
    """Of the objects that were copied or replaced."""
    ended_uploads: int = 0
    problems: list[Outcome] = field(default_factory=list)
    stopped: str = ""
    """Why the work ended before all was done; empty if it did not."""

    def note(self, outcome: Outcome) -> None:
        """Count one in."""
        self.counts[outcome.action] += 1
        if outcome.action in ("copied", "replaced"):
            self.bytes += outcome.size
        if outcome.action in PROBLEMS and len(self.problems) < _TOLD:
            self.problems.append(outcome)

    @property
    def complete(self) -> bool:
        """Whether everything that was to be copied is at the target."""
        return not self.stopped and not any(self.counts[action] for action in PROBLEMS)


@dataclass(frozen=True, slots=True)
class SameStore:
    """One storage that holds source and target: below prefixes that are empty or end in ``/``."""

    storage: BaseStorageService
    source: str
    target: str
