"""What a process and its children use of the machine, seen from outside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_RESET_PEAK = "5"


class PeakMemory:
    """From its making on: how far a process and its children rise above where they were.

    Linux keeps the peak of each process and lets it be reset (proc_pid_clear_refs(5)); where
    that is not to be had, `growth` is None. Children that are born meanwhile count whole.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before: dict[int, int] = {}
        for member in _family(pid):
            with suppress(OSError):
                Path(f"/proc/{member}/clear_refs").write_text(_RESET_PEAK)
                self._before[member] = _status(member, "VmRSS")

    def growth(self) -> int | None:
        """Bytes above the beginning, at the highest."""
        growth = 0
        for member in _family(self._pid):
            with suppress(OSError):
                growth += max(0, _status(member, "VmHWM") - self._before.get(member, 0))
        return growth if self._before else None


def processor_seconds(pid: int) -> float | None:
    """Seconds of processor time up to now; None where the system does not tell."""
    ticks = 0
    for member in _family(pid):
        with suppress(OSError):
            # The name of the program, which may hold anything, ends with the last bracket.
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # in user and in system mode
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def _family(pid: int) -> Iterator[int]:
    yield pid
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            for child in file.read_text().split():
                yield from _family(int(child))


def _status(pid: int, name: str) -> int:
    """Bytes, from a line that gives them in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0
