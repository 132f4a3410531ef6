"""Goes through the steps of a check, and leaves nothing behind however it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Protocol, TypeVar

from ...storage.diagnosis import Finding
from ...storage.errors import StorageError
from .results import Step, StepResult, StorageReport
from .scratch import clean
from .steps import CLEANUP, PLAN, Planned
from .world import World

T = TypeVar("T")

_PATIENCE = 10.0
"""Seconds for which an interrupted step may end by itself: a write that is broken off may still
arrive, after everything was deleted."""


class Watcher(Protocol):
    """Is told how a check gets on."""

    def storage(self, report: StorageReport) -> None:
        """The check of one more storage begins."""

    def begin(self, step: Step) -> None:
        """A step begins."""

    def done(self, result: StepResult) -> None:
        """It has ended."""

    def finish(self, report: StorageReport) -> None:
        """The check of this storage has ended."""


async def run(world: World, watcher: Watcher) -> None:
    """All steps; the results go into the world's report. Everything written is deleted again,
    also where this is cancelled or fails."""
    try:
        for planned in PLAN:
            await _take(world, watcher, planned)
    finally:
        # A cancellation is over when it has been raised: what follows here runs undisturbed.
        if not world.read_only and world.scratch.used:
            watcher.begin(CLEANUP)
            began = time.monotonic()
            finding, world.report.left = await clean(world.scratch, world.diagnosis)
            _note(world, watcher, CLEANUP, finding, time.monotonic() - began)
    failed = any(result.outcome == "failed" for result in world.report.results)
    world.report.policy = world.diagnosis.policy() if failed and _is_about_rights(world) else None


def _is_about_rights(world: World) -> bool:
    actions = ("list", "read", "write", "delete", "copy", "multipart")
    return any(world.report.outcome_of(action) == "failed" for action in actions)


async def _take(world: World, watcher: Watcher, planned: Planned) -> None:
    watcher.begin(planned.step)
    began = time.monotonic()
    finding = _obstacle(world, planned)
    if finding is None:
        try:
            finding = await _settled(planned.act(world))
        except StorageError as error:
            finding = Finding("failed", error.message)
    _note(world, watcher, planned.step, finding, time.monotonic() - began)


def _note(world: World, watcher: Watcher, step: Step, finding: Finding, seconds: float) -> None:
    result = StepResult(step, finding, seconds)
    world.report.results.append(result)
    watcher.done(result)


def _obstacle(world: World, planned: Planned) -> Finding | None:
    """Why a step cannot be taken; None: it can."""
    if planned.writes and world.read_only:
        return Finding("skipped", "Nothing is written: --read-only or read_only says so.")
    titles = {one.step.name: one.step.title for one in PLAN}
    missing = [name for name in planned.needs if world.report.outcome_of(name) in _UNDONE]
    if missing:
        return Finding("skipped", f"Needs “{titles[missing[0]]}”.")
    return None


_UNDONE = ("failed", "skipped")


async def _settled(work: Awaitable[T]) -> T:
    """The result of `work`. Cancelled, it is still waited for, a while: see `_PATIENCE`."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_PATIENCE)
        task.cancel()
        await asyncio.wait([task])
        raise
