"""What a copy shows while it runs, on a terminal and elsewhere, and at its end."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from ..copying.types import PROBLEMS, Outcome, Summary

_LINE_SECONDS = 10.0

_DRY = {"copied": "would copy", "replaced": "would replace", "equal": "is there already"}


class Display:
    """A bar on a terminal; elsewhere a line every ten seconds. Problems are lines on stderr.

    In a dry run each object is a line on stdout: what would be done with it.
    """

    def __init__(self, *, dry_run: bool) -> None:
        self._dry_run = dry_run
        self._console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("{task.fields[files]} of {task.fields[found]} files", markup=False),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=dry_run or not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=0, files=0, found=0)
        self._found = self._done = self._bytes = self._total = 0
        self._begun = time.monotonic()
        self._told = self._begun

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._begun

    def found(self, size: int) -> None:
        self._found += 1
        self._total += size
        self._progress.update(self._task, total=self._total, found=self._found)

    def sent(self, size: int) -> None:
        self._bytes += size
        self._progress.update(self._task, advance=size)
        self._tell()

    def done(self, outcome: Outcome) -> None:
        self._done += 1
        if outcome.action == "equal":
            self._progress.update(self._task, advance=outcome.size)
        self._progress.update(self._task, files=self._done)
        if outcome.action in PROBLEMS:
            self._console.print(
                f"{outcome.action}: {_printable(outcome.path)}: {_printable(outcome.reason)}"
            )
        elif self._dry_run:
            said = _DRY[outcome.action]
            sys.stdout.write(f"{said}: {outcome.path} ({size_of(outcome.size)})\n")
        self._tell()

    def _tell(self) -> None:
        if not self._progress.disable or self._dry_run:
            return
        now = time.monotonic()
        if now - self._told >= _LINE_SECONDS:
            self._told = now
            self._console.print(
                f"{self._done} of {self._found} files found so far, {size_of(self._bytes)} sent"
            )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()


def print_summary(summary: Summary, seconds: float, *, dry_run: bool) -> None:
    """How many objects there were of each kind, in one line, and what has to be done."""
    counts = summary.counts
    done = "would be " if dry_run else ""
    parts = [f"{counts['copied']} {done}copied", f"{counts['equal']} equal already"]
    if counts["replaced"]:
        parts.insert(1, f"{counts['replaced']} {done}replaced")
    parts += [f"{counts[action]} {action}" for action in sorted(PROBLEMS) if counts[action]]
    speed = f", {size_of(summary.bytes / seconds)}/s" if seconds > 0 and not dry_run else ""
    if summary.ended_uploads:
        parts.append(f"{summary.ended_uploads} leftover uploads ended")
    sys.stdout.write(f"{', '.join(parts)}; {size_of(summary.bytes)} in {seconds:.1f} s{speed}\n")
    for sentence in _advice(summary):
        sys.stderr.write(sentence + "\n")


def _advice(summary: Summary) -> list[str]:
    said = []
    if summary.stopped:
        said.append(f"Stopped: {summary.stopped} Run the command again to go on.")
    if summary.counts["differs"]:
        said.append("What differs at the target was not touched; --overwrite changed replaces it.")
    if summary.counts["failed"]:
        said.append("Run the command again to try what failed once more.")
    return said


def _printable(text: str) -> str:
    """Without what would steer a terminal: a key that is no valid path may have anything in it."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def size_of(count: float) -> str:
    """So many bytes, for a person."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
