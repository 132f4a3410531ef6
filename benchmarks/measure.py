"""One gesture on one system: made again and again, watched from all sides."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from .actors import Actor, Performed
from .children import Child, ChildError
from .gestures import Gesture
from .lab import GestureError
from .proxy import Traffic
from .results import Measurement
from .systems import NBFORGE
from .usage import PeakMemory, processor_seconds
from .watcher import Waiting

_ENOUGH_SECONDS = 8.0
"""After so much of one gesture it is not made again."""

_IDLE_SECONDS = 0.5
_PAUSE = 0.1
_PAUSE_OF_OURS = 2.1
"""Seconds between repetitions: by then our manager's two seconds of memory are over."""

_MB = 1e6
_MIB = 2**20


@dataclass(slots=True)
class _Seen:
    performed: list[Performed] = field(default_factory=list)
    traffic: list[Traffic] = field(default_factory=list)
    stalls: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


class Observer:
    """Measures on whatever runs at `pid`; a `watcher` where that is a server that it watches."""

    def __init__(self, actor: Actor, pid: int, proxy: Child, watcher: Child | None) -> None:
        self._actor = actor
        self._pid = pid
        self._proxy = proxy
        self._watcher = watcher

    def measure(self, gesture: Gesture, delay: float, first: int) -> Measurement:
        """`first` is the number of the first repetition."""
        seen, failure = _Seen(), None
        quiet = self._quiet()
        peak = PeakMemory(self._pid)
        try:
            number = self._repeat(gesture, first, seen, quiet)
            growth = peak.growth()
            self._actor.check(gesture, number)
        except (GestureError, ChildError) as error:
            failure, growth = str(error), peak.growth()
        return _summary(gesture, self._actor.system.key, delay, seen, growth, failure)

    def _quiet(self) -> float:
        """Seconds that an answer takes while nothing else is going on: the median."""
        if self._watcher is None:
            return 0.0
        self._watcher.ask("take")
        time.sleep(_IDLE_SECONDS)
        waiting: Waiting = self._watcher.ask("take")
        return waiting.median

    def _repeat(self, gesture: Gesture, first: int, seen: _Seen, quiet: float) -> int:
        """Returns the number of the last repetition."""
        number = first
        pause = _PAUSE_OF_OURS if self._actor.system is NBFORGE else _PAUSE
        for number in range(first, first + gesture.repetitions):
            self._actor.make_ready(gesture, number)
            if number > first:
                time.sleep(pause)
            self._once(gesture, number, seen, quiet)
            if sum(one.seconds for one in seen.performed) > _ENOUGH_SECONDS:
                break
        return number

    def _once(self, gesture: Gesture, number: int, seen: _Seen, quiet: float) -> None:
        if self._watcher is not None:
            self._watcher.ask("take")
        self._proxy.ask("traffic")
        used = processor_seconds(self._pid)
        performed = self._actor.perform(gesture, number)
        if used is not None:
            seen.processor.append((processor_seconds(self._pid) or used) - used)
        seen.traffic.append(self._proxy.ask("traffic"))
        seen.performed.append(performed)
        if self._watcher is not None:
            waiting: Waiting = self._watcher.ask("take")
            seen.stalls.append(max(0.0, waiting.longest - quiet))
        elif performed.stall is not None:
            seen.stalls.append(performed.stall)


def _summary(
    gesture: Gesture,
    system: str,
    delay: float,
    seen: _Seen,
    growth: int | None,
    failure: str | None,
) -> Measurement:
    if failure is not None or not seen.performed:
        return Measurement(gesture.name, system, delay, failure=failure)
    skipped = gesture.unmeasured if len(seen.performed) > gesture.unmeasured else 0
    performed, traffic = seen.performed[skipped:], seen.traffic[skipped:]
    stalls = seen.stalls[skipped:]
    seconds = [one.seconds for one in performed]
    typical = sorted(traffic, key=lambda one: one.total)[len(traffic) // 2]
    return Measurement(
        gesture.name,
        system,
        delay,
        seconds=statistics.median(seconds),
        stall=_median(stalls),
        processor_seconds=_median(seen.processor[skipped:]),
        requests=typical.total,
        megabytes=typical.bytes_both_ways / _MB,
        growth_mib=None if growth is None else growth / _MIB,
        operations=dict(sorted(typical.requests.items())),
        parts=_parts(performed),
        all_seconds=seconds,
        all_stalls=stalls,
    )


def _median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _parts(performed: list[Performed]) -> dict[str, float]:
    names = Counter(name for one in performed for name in one.parts)
    return {
        name: statistics.median(one.parts[name] for one in performed if name in one.parts)
        for name in names
    }
