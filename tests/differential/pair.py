"""One operation on both sides, and every value that is not the same in the two answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.server.api import Answer

from .answers import fields_of
from .differences import DIFFERENCES, NOTHING, OK, STORED, Difference, Found, is_time_of_store
from .operations import Operation
from .servers import Ours, Reference
from .trees import BESIDE, changed_paths, file_of_checkpoint


@dataclass
class Counts:
    """What all sequences together have done."""

    sequences: int = 0
    operations: int = 0
    succeeded: int = 0
    differences: Counter[str] = field(default_factory=Counter)


class Pair:
    """The two servers, in step: an undocumented difference is an `AssertionError`."""

    def __init__(self, reference: Reference, ours: Ours) -> None:
        self.reference = reference
        self.ours = ours
        self.counts = Counts()
        self._told: list[str] = []

    async def restart(self, *, allow_hidden: bool = False, always_delete_dir: bool = False) -> None:
        """Begin a sequence: two empty roots, and two managers that have seen nothing."""
        traits = {"allow_hidden": allow_hidden, "always_delete_dir": always_delete_dir}
        await self.reference.restart(**traits)
        await self.ours.restart(**traits)
        self.counts.sequences += 1
        self._told = [", ".join(f"{name}={value}" for name, value in traits.items())]

    async def step(self, operation: Operation) -> tuple[Answer, Answer]:
        """Ask both, and compare all that they say, and what they have stored."""
        reference, ours = await asyncio.gather(
            self.reference.call(operation), self.ours.call(operation)
        )
        self._told.append(f"{operation}: {reference.status}, {ours.status}")
        self.counts.operations += 1
        self.counts.succeeded += reference.status in OK and ours.status in OK
        self._note(operation, reference, ours)
        hits = self._compare(operation, reference, ours)
        if reference.status != ours.status:
            for path in _touched(operation, (reference, ours)):
                self.reference.seen.forget(path)
                self.ours.seen.forget(path)
        levelled = any(hit.levels for hit in hits)
        look = self.ours.place.is_near or operation.method == "POST"
        if levelled or (look and operation.changes and not operation.is_unfinished):
            self._compare_stored(operation, (reference, ours), levelled=levelled)
        if levelled and reference.status == 500 and ours.status in OK:
            # Now that it has the folder it can do the same, and sign a notebook.
            await self.reference.call(operation)
        return reference, ours

    def finish(self) -> None:
        """At the end of a sequence: the same must be stored on both sides."""
        nothing = Operation("GET", "")
        self._compare_stored(nothing, (Answer(200, {}, b""),) * 2, levelled=False)

    def _note(self, operation: Operation, reference: Answer, ours: Answer) -> None:
        """What has moved or gone is known by its new name, or not at all."""
        if not operation.changes or not (reference.status in OK and ours.status in OK):
            return
        for side, answer in ((self.reference, reference), (self.ours, ours)):
            if operation.target is not None:
                side.seen.move(operation.path, operation.target)
            elif operation.method == "POST" and not operation.tail:
                side.seen.forget(answer.json["path"])
            elif operation.method == "DELETE" or operation.tail.startswith("checkpoints/"):
                side.seen.forget(operation.path)

    def _compare(self, operation: Operation, reference: Answer, ours: Answer) -> list[Difference]:
        theirs = fields_of(operation, reference, self.reference.seen)
        own = fields_of(operation, ours, self.ours.seen)
        if reference.status != ours.status:
            names: Iterable[str] = ("status",)
        else:
            names = sorted(theirs.keys() | own.keys())
        statuses = (reference.status, ours.status)
        found = [
            Found(operation, self.ours.place.name, statuses, name, theirs.get(name), own.get(name))
            for name in names
            if theirs.get(name) != own.get(name)
        ]
        told = [one for one in found if not is_time_of_store(one)]
        return self._explain(told, reference, ours)

    def _compare_stored(
        self, operation: Operation, answers: tuple[Answer, Answer], *, levelled: bool
    ) -> None:
        theirs, own = self.reference.tree(), self.ours.tree()
        changed = changed_paths(theirs, own)
        statuses = (answers[0].status, answers[1].status)
        touched = _touched(operation, answers)
        found = [
            Found(
                operation,
                self.ours.place.name,
                statuses,
                STORED + path,
                theirs.get(path, NOTHING),
                own.get(path, NOTHING),
            )
            for path in sorted(changed)
            if path.endswith(BESIDE)
            or not (levelled and _is_about(file_of_checkpoint(path), touched))
        ]
        self._explain(found, *answers)
        if changed:
            self.reference.become(own)
            for path in changed:
                self.reference.seen.forget(file_of_checkpoint(path))
                self.ours.seen.forget(file_of_checkpoint(path))

    def _explain(self, found: list[Found], *answers: Answer) -> list[Difference]:
        """The documented differences that these are; one that is none of them is an error."""
        hits, unknown = [], []
        for one in found:
            hit = next((known for known in DIFFERENCES if known.applies(one)), None)
            if hit is None:
                unknown.append(one)
            else:
                hits.append(hit)
                self.counts.differences[hit.name] += 1
        if unknown:
            raise AssertionError(self._report(unknown, answers))
        return hits

    def _report(self, unknown: list[Found], answers: tuple[Answer, ...]) -> str:
        lines = [f"undocumented differences on {self.ours.place.name}", *self._told]
        lines += [
            f"  {one.field}: Jupyter {one.reference!r:.400}, ours {one.ours!r:.400}"
            for one in unknown
        ]
        lines += [f"  {answer.status} {answer.body!r:.400}" for answer in answers]
        return "\n".join(lines)


def _touched(operation: Operation, answers: tuple[Answer, ...]) -> set[str]:
    """The paths that an operation may change."""
    paths = {operation.path} if operation.method != "POST" or operation.tail else set[str]()
    if operation.target is not None:
        paths.add(operation.target)
    for answer in answers:
        if answer.status in OK and answer.body and operation.method in ("POST", "PUT"):
            found: Any = answer.json
            paths |= {found["path"]} if "path" in found else set()
    return paths


def _is_about(path: str, touched: set[str]) -> bool:
    return any(
        path == one or path.startswith(f"{one}/") or one.startswith(f"{path}/") for one in touched
    )
