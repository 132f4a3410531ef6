"""What really happened in one round: who saved what over what, and who was told of it.

A version is named by its hash. Edits are unique, so no version ever comes back.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

_SENTENCE = re.compile(
    r"^(?P<name>\S+) .* \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC by ada; .*\. Save again .*"
)


@dataclass(frozen=True, slots=True)
class Version:
    """A save that was acknowledged.

    `parent` is the hash of the version that its author had seen last; None for the first.
    """

    author: str
    marks: tuple[str, ...]
    parent: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A save that was refused, the hash on which it was based, and the sentence."""

    author: str
    path: str
    based_on: str
    message: str


@dataclass
class Verdict:
    """The outcome of rounds; what must not be has its reasons in words."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    false: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    """What is neither, and must not be: mixed bytes, a hash that lies, a text that is gone."""

    def add(self, other: Verdict) -> None:
        self.counts += other.counts
        self.lost += other.lost
        self.false += other.false
        self.wrong += other.wrong

    def __str__(self) -> str:
        names = ("rounds", "gestures", "saves", "dialogs", "refusals")
        counts = ", ".join(f"{self.counts[name]} {name}" for name in names)
        return (
            f"{counts}, {len(self.lost)} lost updates, {len(self.false)} false dialogs,"
            f" {len(self.wrong)} other faults"
        )


class Ledger:
    """Written by several threads; judged when they have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._saved: dict[str, Version] = {}
        self._twice: list[str] = []
        self._loads: list[tuple[str, tuple[str, ...]]] = []
        self._dialogs: list[tuple[str, str]] = []
        self._disturbed: list[str] = []
        self._refusals: list[Refusal] = []
        self.kept: dict[str, tuple[str, ...]] = {}

    def note_save(self, hash_: str, version: Version) -> None:
        """A save was acknowledged, and has this hash."""
        with self._lock:
            if hash_ in self._saved:
                self._twice.append(hash_)
            self._saved[hash_] = version

    def note_load(self, hash_: str, marks: tuple[str, ...]) -> None:
        """A client was shown this text under this hash."""
        with self._lock:
            self._loads.append((hash_, marks))

    def note_dialog(self, author: str, hash_: str) -> None:
        """A client was told that the file has changed to this."""
        with self._lock:
            self._dialogs.append((author, hash_))

    def note_disturbed(self, words: str) -> None:
        """A client was shown a change where there can be none."""
        with self._lock:
            self._disturbed.append(words)

    def note_refusal(self, refusal: Refusal) -> None:
        """A save was a 409."""
        with self._lock:
            self._refusals.append(refusal)

    def note_kept(self, path: str, marks: tuple[str, ...]) -> None:
        """What was refused was saved under another name."""
        with self._lock:
            self.kept[path] = marks

    def judge(self, stored: Mapping[str, tuple[str, ...]], path: str) -> Verdict:
        """`stored` is what the bucket has in the end, by path."""
        verdict = Verdict()
        final = stored.get(path)
        verdict.counts.update(
            saves=len(self._saved), dialogs=len(self._dialogs), refusals=len(self._refusals)
        )
        verdict.lost = self._lost(final)
        verdict.false = [*self._disturbed, *self._false_dialogs(), *self._false_refusals()]
        verdict.wrong = [*self._wrong(final), *self._badly_told()]
        for kept, marks in self.kept.items():
            if stored.get(kept) != marks:
                verdict.wrong.append(f"{kept} is not what was saved there")
        return verdict

    def _lost(self, final: tuple[str, ...] | None) -> list[str]:
        """Acknowledged versions that are neither there nor what a later author had seen."""
        overwritten = {version.parent for version in self._saved.values()}
        return [
            f"{version.marks[-1]} by {version.author}"
            for hash_, version in self._saved.items()
            if version.marks != final and hash_ not in overwritten
        ]

    def _false_dialogs(self) -> list[str]:
        return [
            f"{author} was asked about {hash_}"
            for author, hash_ in self._dialogs
            if hash_ not in self._saved or self._saved[hash_].author == author
        ]

    def _false_refusals(self) -> list[str]:
        """A save may be refused only if somebody else has replaced what it was based on."""
        return [
            f"{refusal.author} was refused: {refusal.message}"
            for refusal in self._refusals
            if not any(
                version.parent == refusal.based_on and version.author != refusal.author
                for version in self._saved.values()
            )
        ]

    def _wrong(self, final: tuple[str, ...] | None) -> list[str]:
        texts = {version.marks for version in self._saved.values()}
        found = [f"two saves have the hash {hash_}" for hash_ in self._twice]
        if final not in texts:
            found.append(f"the store has what nobody saved: {final}")
        for hash_, marks in self._loads:
            saved = self._saved.get(hash_)
            if saved is None or saved.marks != marks:
                found.append(f"a text was shown with the hash of another: {hash_}")
        return found

    def _badly_told(self) -> list[str]:
        """A refusal says which file, when and by whom it was written, and what to do."""
        return [
            f"not for people: {refusal.message}"
            for refusal in self._refusals
            if (match := _SENTENCE.match(refusal.message)) is None
            or match["name"] != refusal.path.rpartition("/")[2]
        ]
