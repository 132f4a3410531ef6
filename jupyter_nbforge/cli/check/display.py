"""How a check is told: on a terminal as it goes, in plain lines, or as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.padding import Padding
from rich.status import Status
from rich.table import Table
from rich.text import Text

from ...storage.diagnosis import Finding
from .results import Step, StepResult, StorageReport, document
from .runner import Watcher

_WORDS = {"not applicable": "n/a"}
_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}
_SIGNS = {"ok": "✓", "warning": "!", "failed": "✗", "skipped": "-", "not applicable": "·"}
_INDENT = 31
"""Columns before the message of a step in plain lines."""

VERDICTS = {
    "ok": "All is well.",
    "warning": "It works, with the warnings above.",
    "failed": "Something is wrong; see above.",
}


class PlainWatcher(Watcher):
    """One line for each step when it has ended, without colour: for files and for CI."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._began = False

    def _say(self, line: str = "") -> None:
        self._out.write(f"{line}".rstrip() + "\n")
        self._out.flush()

    def storage(self, report: StorageReport) -> None:
        if self._began:
            self._say()
        self._began = True
        self._say(f"Checking {_name(report)}")

    def begin(self, step: Step) -> None:
        """Nothing is said before there is a result."""

    def done(self, result: StepResult) -> None:
        finding = result.finding
        word = _WORDS.get(result.outcome, result.outcome)
        self._say(f"  {word:<8} {result.step.title:<19} {finding.message}")
        for line in _more(finding):
            self._say(" " * _INDENT + line)

    def finish(self, report: StorageReport) -> None:
        if report.policy is not None:
            self._say(f"\n{report.policy.title}:\n\n{report.policy.text}\n")
        self._say(VERDICTS[report.verdict])


class TerminalWatcher(Watcher):
    """Each step with a sign of its own; what is under way turns."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status: Status | None = None
        self._began = False

    def storage(self, report: StorageReport) -> None:
        if self._began:
            self._console.print()
        self._began = True
        self._console.print(Text(f"Checking {_name(report)}", style="bold"))

    def begin(self, step: Step) -> None:
        self._stop()
        self._status = self._console.status(f"{step.title} …")
        self._status.start()

    def done(self, result: StepResult) -> None:
        self._stop()
        style = _STYLES.get(result.outcome, "dim")
        row = Table.grid(padding=(0, 1))
        row.add_column(width=1)
        row.add_column(width=19)
        row.add_column(ratio=1)
        finding = result.finding
        message = Text(finding.message, style="dim" if style == "dim" else "")
        for line in _more(finding):
            message.append(f"\n{line}", style="dim" if finding.outcome == "ok" else "bold")
        sign = Text(_SIGNS[result.outcome], style=style)
        row.add_row(sign, Text(result.step.title), message)
        self._console.print(Padding(row, (0, 0, 0, 2)))

    def finish(self, report: StorageReport) -> None:
        self._stop()
        if report.policy is not None:
            self._console.print(Text(f"\n{report.policy.title}:\n", style="bold"))
            # As it stands: it is to be copied.
            self._console.print(Text(report.policy.text), soft_wrap=True)
            self._console.print()
        self._console.print(Text(VERDICTS[report.verdict], style=_STYLES[report.verdict]))

    def _stop(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None


class JSONWatcher(Watcher):
    """Says nothing: the document comes at the end."""

    def storage(self, report: StorageReport) -> None:
        """Nothing."""

    def begin(self, step: Step) -> None:
        """Nothing."""

    def done(self, result: StepResult) -> None:
        """Nothing."""

    def finish(self, report: StorageReport) -> None:
        """Nothing."""


def watcher_for(out: TextIO, *, as_json: bool) -> Watcher:
    """The one that fits where the output goes."""
    if as_json:
        return JSONWatcher()
    if out.isatty():
        return TerminalWatcher(Console(file=out, highlight=False))
    return PlainWatcher(out)


def write_document(reports: Sequence[StorageReport], out: TextIO, *, strict: bool) -> None:
    """All that was found, as JSON."""
    out.write(json.dumps(document(reports, strict=strict), indent=2, ensure_ascii=False) + "\n")


def _more(finding: Finding) -> list[str]:
    """What follows the message; where all is well, details are for programs only."""
    if finding.outcome == "ok":
        return [f"Tip: {finding.remedy}"] if finding.remedy else []
    return [*finding.details, *([f"To do: {finding.remedy}"] if finding.remedy else [])]


def _name(report: StorageReport) -> str:
    return report.url if report.mount is None else f"{report.mount or '/'}: {report.url}"
