"""Runs upstream's tests once per target, in a child process, and keeps what came out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from .clouds import cloud_on, start_server
from .sdist import unpacked_tests

MODULES = (
    "tests/services/contents",
    "tests/test_files.py",
    "tests/test_view.py",
)


@dataclass(frozen=True)
class UpstreamRun:
    """The outcome of all selected tests over one target."""

    passed: frozenset[str]
    failed: dict[str, str]
    skipped: dict[str, str]
    deselected: frozenset[str]
    stale: tuple[str, ...]


_RUNS = pytest.StashKey[dict[str, UpstreamRun | str]]()


@pytest.fixture(scope="session")
def upstream_run(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], UpstreamRun]:
    """A function from the name of a target to its `UpstreamRun`; each target runs once."""
    runs = request.config.stash.setdefault(_RUNS, {})

    def run(target: str) -> UpstreamRun:
        if target not in runs:
            runs[target] = _run(target, tmp_path_factory.mktemp(target))
        outcome = runs[target]
        if isinstance(outcome, str):
            pytest.fail(f"the run over {target} broke off:\n{outcome}", pytrace=False)
        return outcome

    return run


def _run(target: str, folder: Path) -> UpstreamRun | str:
    report = folder / "report.json"
    with ExitStack() as stack:
        environ = {
            **os.environ,
            "HOME": str(folder),
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "NBFORGE_UPSTREAM_TARGET": target,
            "NBFORGE_UPSTREAM_REPORT": str(report),
        }
        if target not in ("reference", "memory"):
            server = stack.enter_context(start_server(target, folder / "server"))
            environ |= cloud_on(server, f"upstream-{uuid.uuid4().hex[:8]}", folder).dump()
        child = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "--config-file=pyproject.toml", "-o", "addopts="),
                *("-p", "upstream.plugin", "-p", "no:asyncio", "-p", "no:anyio"),
                *("-p", "no:cacheprovider", "-p", "no:xdist", "--quiet", "--tb=short"),
                # Upstream's "debug" has each step of each SDK written out.
                *("-o", "log_cli_level=info"),
                *(f"--basetemp={folder / 'tmp'}", *MODULES),
            ],
            cwd=unpacked_tests(),
            env=environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=540,
        )
    if not report.is_file() or child.returncode not in (0, 1):
        return child.stdout
    found = json.loads(report.read_text())
    return UpstreamRun(
        passed=frozenset(found["passed"]),
        failed=found["failed"],
        skipped=found["skipped"],
        deselected=frozenset(found["deselected"]),
        stale=tuple(found["stale"]),
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line per target: how many of jupyter_server's own tests ran over it."""
    for target, run in config.stash.get(_RUNS, {}).items():
        counts = "broke off"
        if isinstance(run, UpstreamRun):
            counts = (
                f"{len(run.passed)} passed, {len(run.failed)} failed, "
                f"{len(run.skipped)} skipped, {len(run.deselected)} deselected"
            )
        terminalreporter.write_line(f"jupyter_server's own tests over {target}: {counts}")
