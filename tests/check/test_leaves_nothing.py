"""However a check ends, the store is as it was: objects, uploads, blocks."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from traitlets.config import Config

from jupyter_nbforge.cli.check.results import Step, StepResult, StorageReport
from jupyter_nbforge.cli.check.runner import run
from jupyter_nbforge.cli.check.steps import PLAN
from jupyter_nbforge.cli.check.world import World
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.testing.fault_proxy import FaultProxy
from tests.upstream.clouds import Cloud, cloud_at

from .conftest import PREFIX, Check, Clouds, beside
from .stores import everything

On = Callable[..., list[str]]

WRITING = [planned.step.name for planned in PLAN if planned.writes] + ["link"]


class Interrupting:
    """Cancels the check when a step of that name has begun, and has got on for a while."""

    def __init__(self, step: str, ticks: int) -> None:
        self.step = step
        self.ticks = ticks
        self.task: asyncio.Task[None] | None = None
        self.ended: list[str] = []
        self._waiting: list[asyncio.Task[None]] = []

    def storage(self, report: StorageReport) -> None: ...

    def finish(self, report: StorageReport) -> None: ...

    def begin(self, step: Step) -> None:
        if step.name == self.step:
            self._waiting.append(asyncio.create_task(self._cancel()))

    def done(self, result: StepResult) -> None:
        self.ended.append(result.step.name)

    async def _cancel(self) -> None:
        for _ in range(self.ticks):
            await asyncio.sleep(0)
        assert self.task is not None
        self.task.cancel()


@pytest.mark.parametrize("name", ["seaweedfs", "gcs", "azure"])
def test_a_check_that_is_cancelled_in_any_step_leaves_nothing(
    clouds: Clouds, on: On, name: str
) -> None:
    cloud = clouds(name)
    on(cloud)
    before = everything(cloud)
    for step in WRITING:
        for ticks in (1, 30):
            ended = asyncio.run(_cancelled(cloud, step, ticks))
            assert "latency" not in ended
            assert everything(cloud) == before, (step, ticks)


async def _cancelled(cloud: Cloud, step: str, ticks: int) -> list[str]:
    storage = create_storage_service(
        f"{cloud.url}/{PREFIX}", config=Config(dict(cloud.options)), wrap=False
    )
    watcher = Interrupting(step, ticks)
    world = World(storage, storage.diagnosis(), StorageReport(storage.url))
    watcher.task = asyncio.create_task(run(world, watcher))
    try:
        with pytest.raises(asyncio.CancelledError):
            await watcher.task
    finally:
        await storage.aclose()
    return watcher.ended


@pytest.mark.parametrize("kind", ["reset_after", "broken"])
@pytest.mark.parametrize("operation", ["PUT", "COPY", "COMPLETE", "CREATE UPLOAD", "DELETE"])
def test_a_check_whose_requests_fail_leaves_nothing(
    check: Check, clouds: Clouds, on: On, kind: str, operation: str
) -> None:
    cloud = clouds("seaweedfs")
    before = everything(cloud)
    proxy = FaultProxy(cloud.endpoint)
    with beside(proxy):
        # More often than is tried again.
        proxy.plan(kind, operation, times=3)  # type: ignore[arg-type] # one of FaultKind
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)))
    assert sum(proxy.injected.values()) == 3
    assert everything(cloud) == before
    assert found.storage["left"] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_with_its_status_and_nothing_left(
    clouds: Clouds, on: On, tmp_path: Path, number: int
) -> None:
    cloud = clouds("seaweedfs")
    arguments = on(cloud)
    before = everything(cloud)
    code = "import sys; from jupyter_nbforge.cli import main; sys.exit(main(sys.argv[1:]))"
    child = subprocess.Popen(
        [sys.executable, "-c", code, "check", *arguments],
        env={**os.environ, **cloud.environ, "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        for line in child.stdout:
            if " Write " in line:
                child.send_signal(number)
                break
        rest, said = child.communicate(timeout=60)
    assert child.returncode == 128 + number
    assert "what was written is deleted first" in said
    assert "Traceback" not in said
    assert "Clean-up" in rest
    assert "Latency" not in rest
    assert everything(cloud) == before
