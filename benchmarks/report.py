"""The figures as Markdown, printed and put into docs/performance.md; none is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .claims import Claim, claims
from .notebooks import table as notebooks_table
from .results import Measurement, Run
from .systems import ROOT

DOCUMENT = ROOT / "docs" / "performance.md"
RESULTS = ROOT / "docs" / "performance.json"
_BEGIN = "<!-- figures: written by python -m benchmarks -->"
_END = "<!-- end of the figures -->"
_MS = 1000.0


def tables(run: Run) -> str:
    """All that is to be said of a run."""
    return "\n".join(_sections(run)).rstrip() + "\n"


def write_document(run: Run, document: Path = DOCUMENT) -> None:
    """Put the tables between the marks in the document."""
    text = document.read_text()
    before, mark, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not mark or not end:
        raise ValueError(f"{document} has no place for the figures.")
    document.write_text(f"{before}{_BEGIN}\n\n{tables(run)}\n{_END}{after}")


def _sections(run: Run) -> Iterator[str]:
    yield from ("### Measured with", "", *_surroundings(run), "")
    yield from ("### What is promised", "", *_claims(claims(run)), "")
    for delay in run.delays:
        yield f"### {delay * _MS:.0f} ms before each request to the store"
        yield from ("", *_measurements(run, delay), "")
    if run.notebooks:
        yield from ("### What the time of a large notebook goes into", "")
        yield from (notebooks_table(run.notebooks), "")


def _surroundings(run: Run) -> Iterator[str]:
    around = run.surroundings
    versions = ", ".join(f"{name} {version}" for name, version in around.versions.items())
    yield f"- {around.machine}, {around.processors} processors, Python {around.python}"
    yield f"- {versions}"
    for name, speed in around.proxy_mib_per_second.items():
        yield f"- {name}: {speed:.0f} MiB/s, by the SDK alone"


def _claims(found: list[Claim]) -> Iterator[str]:
    yield "| promise | target | measured | |"
    yield "| --- | --- | --- | --- |"
    for claim in found:
        yield f"| {claim.text} | {claim.target} | {claim.value} | {claim.verdict} |"


def _measurements(run: Run, delay: float) -> Iterator[str]:
    columns = "seconds", "CPU s", "requests", "MB", "memory growth, MiB", "longest stall, ms"
    yield f"| gesture | system | {' | '.join(columns)} |"
    yield f"| --- | --- |{' ---: |' * len(columns)}"
    for gesture in run.gestures:
        named = False
        for system, title in run.titles.items():
            one = run.find(gesture, system, delay)
            if one is not None:
                yield f"| {'' if named else gesture} | {title} | {_cells(one)} |"
                named = True


def _cells(one: Measurement) -> str:
    if one.failure is not None:
        return f"fails: {one.failure.replace('|', '/')} | | | | |"
    return " | ".join(
        (
            _number(one.seconds, 3),
            _number(one.processor_seconds, 2),
            _number(one.requests, 0),
            _number(one.megabytes, 1),
            _number(one.growth_mib, 0),
            _number(None if one.stall is None else one.stall * _MS, 0),
        )
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
