"""What the software promises, as ratios of one run, each with what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from .results import Measurement, Run

_MS = 1000.0
FAR = 0.030
"""Seconds of delay at which times are compared with the floor."""

_FLOOR_AT_MOST = 1.3
_STALL_AT_MOST = 0.100
_OF_S3CONTENTS_AT_MOST = 0.1
_GROWTH_AT_MOST = 64.0
_DOWNLOAD_AT_LEAST = 0.8
_UPLOAD_AT_MOST = 1.0
_RENAME_AT_MOST = 2.0


@dataclass(frozen=True, slots=True)
class Claim:
    """One promise. `met` None: it could not be measured, and `value` says why."""

    text: str
    target: str
    value: str
    met: bool | None

    @property
    def verdict(self) -> str:
        """In words."""
        return "not measured" if self.met is None else "met" if self.met else "**not met**"


def claims(run: Run) -> list[Claim]:
    """All that the run's gestures have to do with, in the order of the docstrings below."""
    found: list[Claim] = []
    for delay in run.delays:
        for gesture in run.gestures:
            ours = run.find(gesture, "nbforge", delay)
            if ours is not None:
                found += _of_gesture(run, ours)
    return sorted(found, key=lambda claim: _ORDER.index(claim.text.split(":")[0]))


_BUDGET = "requests"
_STALL = "stall beyond Jupyter's HTTP layer"
_STALL_RATIO = "stall over that of s3contents"
_DOWNLOAD = "download over the SDK's throughput"
_UPLOAD = "upload over the time of the local manager"
_GROWTH = "memory growth"
_FLOOR = "time over the SDK alone"
_RENAME = "time of a rename"
_ORDER = [_BUDGET, _STALL, _STALL_RATIO, _DOWNLOAD, _UPLOAD, _GROWTH, _FLOOR, _RENAME]


def _of_gesture(run: Run, ours: Measurement) -> Iterator[Claim]:
    if ours.failure is not None or ours.seconds is None:
        yield Claim(f"{_BUDGET}: {_where(ours)}", "a result", f"fails: {ours.failure}", False)
        return
    kind, _, of = ours.gesture.partition(" ")
    yield from _requests(ours, kind)
    if "45 MB" in of or kind in ("upload", "download"):
        yield from _stalls(run, ours)
    if kind == "download":
        yield _downloads(run, ours)
    if kind == "upload":
        yield from _uploads(run, ours)
    if kind in ("upload", "download"):
        yield _grows(ours)
    if ours.delay == FAR and (kind in ("open", "save") or ours.gesture == "list 1,000"):
        yield _over_floor(run, ours)
    if ours.delay == FAR and kind == "rename":
        value = ours.seconds
        target = f"under {_RENAME_AT_MOST:g} s"
        yield Claim(f"{_RENAME}: {_where(ours)}", target, f"{value:.2f} s", value < _RENAME_AT_MOST)


def _requests(ours: Measurement, kind: str) -> Iterator[Claim]:
    budget = _budget(ours.gesture, kind)
    if budget is None or ours.requests is None:
        return
    text = f"{_BUDGET}: {_where(ours)}"
    yield Claim(text, f"at most {budget}", str(ours.requests), ours.requests <= budget)


def _budget(gesture: str, kind: str) -> int | None:
    """Of design.md, section 5; None where it has none."""
    amount = "".join(filter(str.isdigit, gesture))
    if kind == "list":
        return math.ceil(int(amount) / 1000)
    if kind == "upload":
        return math.ceil(int(amount) / 8) + 2
    if kind == "idle":
        return int(amount) + math.ceil(int(amount) / 10)
    return {"open": 2, "save": 3, "download": 1}.get(kind)


def _stalls(run: Run, ours: Measurement) -> Iterator[Claim]:
    least = run.find(ours.gesture, "http", ours.delay)
    if ours.stall is not None and least is not None and least.stall is not None:
        beyond = ours.stall - least.stall
        value = f"{beyond * _MS:.0f} ms ({ours.stall * _MS:.0f} - {least.stall * _MS:.0f})"
        target = f"under {_STALL_AT_MOST * _MS:.0f} ms"
        yield Claim(f"{_STALL}: {_where(ours)}", target, value, beyond < _STALL_AT_MOST)
    yield _stall_over_s3contents(run, ours, 0.0 if least is None else least.stall or 0.0)


def _stall_over_s3contents(run: Run, ours: Measurement, least: float) -> Claim:
    """`least`: the part of both that is Jupyter's."""
    text, target = f"{_STALL_RATIO}: {_where(ours)}", f"under {_OF_S3CONTENTS_AT_MOST:g}"
    theirs = run.find(ours.gesture, "s3contents", ours.delay)
    if theirs is None or theirs.stall is None or ours.stall is None:
        return Claim(text, target, "s3contents does not do it", None)
    ratio = ours.stall / theirs.stall
    value = f"{ratio:.2f} ({ours.stall * _MS:.0f} / {theirs.stall * _MS:.0f} ms"
    if theirs.stall > least:
        beyond = max(0.0, ours.stall - least) / (theirs.stall - least)
        value += f"; {beyond:.2f} beyond Jupyter's HTTP layer"
    return Claim(text, target, f"{value})", ratio < _OF_S3CONTENTS_AT_MOST)


def _downloads(run: Run, ours: Measurement) -> Claim:
    text, target = f"{_DOWNLOAD}: {_where(ours)}", f"at least {_DOWNLOAD_AT_LEAST:g}"
    ratio = _ratio(run, ours, "raw")
    if ratio is None:
        return Claim(text, target, "no floor", None)
    value = f"{1 / ratio:.2f}"
    both = _ratio(run, ours, "raw", "http")
    if both is not None:
        value += f" ({1 / both:.2f} of the SDK and then Jupyter's HTTP layer)"
    return Claim(text, target, value, 1 / ratio >= _DOWNLOAD_AT_LEAST)


def _uploads(run: Run, ours: Measurement) -> Iterator[Claim]:
    ratio = _ratio(run, ours, "local")
    if ratio is not None:
        text = f"{_UPLOAD}: {_where(ours)}"
        met = ratio <= _UPLOAD_AT_MOST
        yield Claim(text, f"at most {_UPLOAD_AT_MOST:g}", f"{ratio:.2f}", met)


def _grows(ours: Measurement) -> Claim:
    text, target = f"{_GROWTH}: {_where(ours)}", f"under {_GROWTH_AT_MOST:g} MiB"
    if ours.growth_mib is None:
        return Claim(text, target, "this system does not tell", None)
    met = ours.growth_mib < _GROWTH_AT_MOST
    return Claim(text, target, f"{ours.growth_mib:.0f} MiB", met)


def _over_floor(run: Run, ours: Measurement) -> Claim:
    """Against the fewest requests; beside it, against what cannot be avoided."""
    text, target = f"{_FLOOR}: {_where(ours)}", f"at most {_FLOOR_AT_MOST:g}"
    first_opened = ours.gesture.replace("open again", "open")
    ratio = _ratio(run, ours, "raw", gesture=first_opened)
    if ratio is None:
        return Claim(text, target, "no floor", None)
    budgeted = "raw" if ours.gesture.startswith("list") else "raw_allowed"
    others = [
        f"{other:.2f} of {what}"
        for other, what in (
            (_ratio(run, ours, budgeted, gesture=first_opened), "the budgeted requests"),
            (_ratio(run, ours, budgeted, "http", gesture=first_opened), "those and the HTTP layer"),
        )
        if other is not None
    ]
    return Claim(text, target, f"{ratio:.2f} ({', '.join(others)})", ratio <= _FLOOR_AT_MOST)


def _ratio(run: Run, ours: Measurement, *systems: str, gesture: str | None = None) -> float | None:
    """Our seconds over those of the others together."""
    seconds = 0.0
    for system in systems:
        other = run.find(gesture or ours.gesture, system, ours.delay)
        if other is None or other.seconds is None:
            return None
        seconds += other.seconds
    return None if ours.seconds is None or not seconds else ours.seconds / seconds


def _where(ours: Measurement) -> str:
    return f"{ours.gesture}, {ours.delay * _MS:.0f} ms"
