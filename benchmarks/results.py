"""What was measured, as values, and as JSON that other programs can read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Measurement:
    """One gesture on one system with one delay.

    Seconds, stalls, the server's processor time and requests are medians of the repetitions that
    count, bytes those of one repetition, `growth_mib` the most in all repetitions together. None
    means not measured; with a `failure` the gesture was not made, and it says what happened.
    """

    gesture: str
    system: str
    delay: float
    seconds: float | None = None
    stall: float | None = None
    processor_seconds: float | None = None
    requests: int | None = None
    megabytes: float | None = None
    growth_mib: float | None = None
    failure: str | None = None
    operations: dict[str, int] = field(default_factory=dict)
    """Requests of one repetition by what they do."""
    parts: dict[str, float] = field(default_factory=dict)
    """Median seconds of each call that the gesture consists of."""
    all_seconds: list[float] = field(default_factory=list)
    all_stalls: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where and with what it was measured."""

    machine: str
    processors: int
    python: str
    versions: dict[str, str]
    proxy_mib_per_second: dict[str, float]
    """What the store alone and the store behind the proxy give and take."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command."""

    surroundings: Surroundings
    delays: list[float]
    gestures: list[str]
    titles: dict[str, str]
    """Of the systems, by key, in order."""
    measurements: list[Measurement]
    notebooks: list[dict[str, Any]] = field(default_factory=list)

    def find(self, gesture: str, system: str, delay: float) -> Measurement | None:
        """One measurement, failed or not."""
        for one in self.measurements:
            if (one.gesture, one.system, one.delay) == (gesture, system, delay):
                return one
        return None

    def write(self, file: Path) -> None:
        """As JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, file: Path) -> Self:
        """What `write` wrote."""
        known = json.loads(file.read_text())
        known["surroundings"] = Surroundings(**known["surroundings"])
        known["measurements"] = [Measurement(**one) for one in known["measurements"]]
        return cls(**known)
