"""``python -m benchmarks.plot``: the picture in docs/images, drawn from docs/performance.json."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from .claims import FAR
from .report import RESULTS
from .results import Measurement, Run
from .systems import ROOT

PICTURE = ROOT / "docs" / "images" / "performance.png"
_SHOWN = {
    "raw": "#9e9e9e",
    "nbforge": "#1f77b4",
    "local": "#2ca02c",
    "s3contents": "#d62728",
}
_BAR = 0.2
_MS = 1000.0


def draw(run: Run, delay: float) -> Figure:
    """Seconds and stalls of each gesture, one bar for each system, on logarithmic scales."""
    gestures = [name for name in run.gestures if not name.startswith("idle")]
    figure = Figure(figsize=(11, 0.42 * len(gestures) + 1.6), layout="constrained")
    seconds, stalls = figure.subplots(1, 2, sharey=True)
    for place, (system, colour) in enumerate(_SHOWN.items()):
        found = [run.find(gesture, system, delay) for gesture in gestures]
        _bars(seconds, found, place, colour, run.titles[system], 1.0, "seconds")
        _bars(stalls, found, place, colour, run.titles[system], _MS, "stall")
    seconds.set_yticks(range(len(gestures)), gestures)
    seconds.invert_yaxis()
    seconds.set_title(f"seconds, {delay * _MS:.0f} ms before each request to the store")
    stalls.set_title("longest stall that a second client sees, ms")
    for axes in (seconds, stalls):
        axes.set_xscale("log")
        axes.grid(axis="x", alpha=0.3)
    figure.legend(*seconds.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _bars(
    axes: Any,
    found: list[Measurement | None],
    place: int,
    colour: str,
    title: str,
    factor: float,
    attribute: str,
) -> None:
    shown = [
        (number, factor * getattr(one, attribute))
        for number, one in enumerate(found)
        if one is not None and getattr(one, attribute) is not None
    ]
    positions = [number + (place - 1.5) * _BAR for number, _ in shown]
    axes.barh(positions, [value for _, value in shown], _BAR, color=colour, label=title)


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser("python -m benchmarks.plot", description=__doc__)
    parser.add_argument("results", nargs="?", type=Path, default=RESULTS)
    parser.add_argument("--output", type=Path, default=PICTURE)
    given = parser.parse_args()
    run = Run.read(given.results)
    draw(run, FAR if FAR in run.delays else run.delays[-1]).savefig(given.output, dpi=110)
    print(given.output)


if __name__ == "__main__":
    main()
