"""What a check has found: its steps, its verdict, and both as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from ...storage.diagnosis import Finding, Outcome, Policy

Verdict: TypeAlias = Literal["ok", "warning", "failed"]

SCHEMA = 1
"""The version of the JSON document; it grows when a member changes its meaning or goes."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to find out. `name` is for programs, `title` for people; both are fixed."""

    name: str
    title: str


@dataclass(frozen=True, slots=True)
class StepResult:
    """What came of a step; `seconds` is how long it took."""

    step: Step
    finding: Finding
    seconds: float = 0.0

    @property
    def outcome(self) -> Outcome:
        return self.finding.outcome


@dataclass(slots=True)
class StorageReport:
    """The check of one storage. `url` has no credentials; `mount` is its folder, if it is one.

    `misconfigured` says that nothing could be tried: the configuration itself is wrong. `left`
    are the objects that could not be deleted again, by their whole keys.
    """

    url: str
    mount: str | None = None
    results: list[StepResult] = field(default_factory=list)
    misconfigured: bool = False
    left: list[str] = field(default_factory=list)
    policy: Policy | None = None

    def outcome_of(self, name: str) -> Outcome | None:
        """Of the step of that name; None before it."""
        found = (result.outcome for result in self.results if result.step.name == name)
        return next(found, None)

    @property
    def verdict(self) -> Verdict:
        return verdict_of(result.outcome for result in self.results)

    def to_json(self) -> dict[str, Any]:
        """The part of the document that is about this storage."""
        return {
            "url": self.url,
            "mount": self.mount,
            "result": self.verdict,
            "steps": [
                {
                    "name": result.step.name,
                    "title": result.step.title,
                    "result": result.outcome,
                    "message": result.finding.message,
                    "remedy": result.finding.remedy or None,
                    "details": list(result.finding.details),
                    "seconds": round(result.seconds, 3),
                }
                for result in self.results
            ],
            "left": list(self.left),
            "policy": None if self.policy is None else asdict(self.policy),
        }


def verdict_of(outcomes: Iterable[Outcome]) -> Verdict:
    """The worst of them; what was skipped or does not apply is no fault."""
    found = set(outcomes)
    if "failed" in found:
        return "failed"
    return "warning" if "warning" in found else "ok"


def exit_code(reports: Iterable[StorageReport], *, strict: bool) -> int:
    """0: all is well; 1: something failed, with `strict` also a warning; 2: configured wrongly."""
    every = list(reports)
    if any(report.misconfigured for report in every):
        return 2
    worst = verdict_of(report.verdict for report in every)
    return 1 if worst == "failed" or (strict and worst == "warning") else 0


def document(reports: Iterable[StorageReport], *, strict: bool) -> dict[str, Any]:
    """All as one JSON document."""
    every = list(reports)
    return {
        "schema": SCHEMA,
        "result": verdict_of(report.verdict for report in every),
        "exit_code": exit_code(every, strict=strict),
        "storages": [report.to_json() for report in every],
    }
