"""jupyter_server's own contents tests, over Jupyter's manager (the control) and over ours."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .clouds import CLOUDS
from .conftest import UpstreamRun
from .inapplicable import INAPPLICABLE, ONLY, WEAK_SPOTS

TARGETS = ("reference", "memory", *CLOUDS)

FEWEST = {
    "services/contents/test_api.py": 100,
    "services/contents/test_checkpoints.py": 3,
    "services/contents/test_config.py": 2,
    "services/contents/test_largefilemanager.py": 7,
    "services/contents/test_manager.py": 20,
    "services/contents/test_manager_no_hash.py": 1,
    "test_files.py": 9,
    "test_view.py": 4,
}
"""Upstream's modules, each with the fewest tests that can be right to run in it."""

pytestmark = pytest.mark.timeout(600)

Runner = Callable[[str], UpstreamRun]


@pytest.mark.parametrize("module", FEWEST)
@pytest.mark.parametrize("target", TARGETS)
def test_jupyters_own_tests_pass(upstream_run: Runner, target: str, module: str) -> None:
    run = upstream_run(target)
    failed = {name: text for name, text in run.failed.items() if _module(name) == module}
    report = "\n\n".join(f"{name}\n{text}" for name, text in failed.items())
    assert not failed, f"{len(failed)} of jupyter_server's tests failed:\n{report}"
    assert len([name for name in run.passed if _module(name) == module]) >= FEWEST[module]


@pytest.mark.parametrize("target", TARGETS)
def test_exactly_the_listed_tests_are_left_out(upstream_run: Runner, target: str) -> None:
    run = upstream_run(target)
    listed = {*INAPPLICABLE, *WEAK_SPOTS.get(target, {})}
    assert run.stale == (), "names in the list that match no test of jupyter_server"
    assert {name for name in run.deselected if not {name, name.partition("[")[0]} & listed} == set()
    assert not run.skipped, "a test that is skipped proves nothing; list it with its reason"
    assert {_module(name) for name in run.passed | run.failed.keys()} == set(FEWEST)


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "reference"])
def test_what_runs_over_ours_runs_over_the_reference(upstream_run: Runner, target: str) -> None:
    control, run = upstream_run("reference"), upstream_run(target)
    weak = WEAK_SPOTS.get(target, {})
    left_out = {name for name in run.deselected if {name, name.partition("[")[0]} & weak.keys()}
    assert run.passed | run.failed.keys() | left_out == control.passed | control.failed.keys()


@pytest.mark.parametrize("target", ONLY)
def test_the_weak_spots_of_one_server_are_tested_on_another(
    upstream_run: Runner, target: str
) -> None:
    run = upstream_run(target)
    assert not run.failed, "\n\n".join(run.failed.values())
    assert (run.stale, run.skipped) == ((), {})
    assert {name.partition("[")[0] for name in run.passed} == ONLY[target]


def _module(name: str) -> str:
    return name.partition("::")[0]
