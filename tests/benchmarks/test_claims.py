"""The promises: each is judged by the figures of one run, and none is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.claims import Claim, claims
from benchmarks.report import tables, write_document
from benchmarks.results import Measurement, Run, Surroundings

FAR = 0.03


def _run(gesture: str, delay: float = FAR, **systems: dict[str, Any]) -> Run:
    """A run of one gesture, with what was measured of each system."""
    return Run(
        Surroundings("Linux", 2, "3.12", {"tornado": "6"}, {"download": 400.0}),
        [delay],
        [gesture],
        {system: system for system in systems},
        [Measurement(gesture, system, delay, **known) for system, known in systems.items()],
    )


def _claim(run: Run, beginning: str) -> Claim:
    (found,) = [claim for claim in claims(run) if claim.text.startswith(beginning)]
    return found


@pytest.mark.parametrize(
    ("gesture", "budget"),
    [
        ("open 45 MB", 2),
        ("open again 45 MB", 2),
        ("save 20,000 cells", 3),
        ("list 10", 1),
        ("list 10,000", 10),
        ("upload 256 MiB", 34),
        ("upload 1,024 MiB", 130),
        ("download 256 MiB", 1),
        ("idle for 60 s", 66),
    ],
)
@pytest.mark.parametrize("beyond", [0, 1])
def test_requests_are_held_against_the_budget(gesture: str, budget: int, beyond: int) -> None:
    run = _run(gesture, nbforge={"seconds": 1.0, "requests": budget + beyond})
    claim = _claim(run, "requests")
    assert (claim.target, claim.met) == (f"at most {budget}", not beyond)


@pytest.mark.parametrize(("seconds", "met"), [(0.13, True), (0.14, False)])
def test_time_is_held_against_the_sdk_with_the_fewest_requests(seconds: float, met: bool) -> None:
    run = _run(
        "open 0.1 MB",
        nbforge={"seconds": seconds},
        raw={"seconds": 0.1},
        raw_allowed={"seconds": 0.2},
        http={"seconds": 0.05},
    )
    claim = _claim(run, "time over")
    assert claim.met is met
    assert f"{seconds / 0.2:.2f} of the budgeted requests" in claim.value


def test_a_notebook_opened_again_is_held_against_its_first_opening() -> None:
    run = _run("open again 45 MB", nbforge={"seconds": 0.2})
    run.measurements.append(Measurement("open 45 MB", "raw", FAR, seconds=0.1))
    assert _claim(run, "time over").value.startswith("2.00")


@pytest.mark.parametrize(("stall", "met"), [(0.39, True), (0.41, False)])
def test_a_stall_is_held_against_that_of_the_http_layer(stall: float, met: bool) -> None:
    run = _run(
        "save 45 MB",
        nbforge={"seconds": 1.0, "stall": stall},
        http={"seconds": 1.0, "stall": 0.3},
    )
    assert _claim(run, "stall beyond").met is met


@pytest.mark.parametrize(("stall", "met"), [(0.09, True), (0.11, False)])
def test_a_stall_is_held_against_that_of_s3contents(stall: float, met: bool) -> None:
    run = _run(
        "save 45 MB",
        nbforge={"seconds": 1.0, "stall": stall},
        s3contents={"seconds": 1.0, "stall": 1.0},
    )
    assert _claim(run, "stall over").met is met


@pytest.mark.parametrize(
    ("gesture", "other", "beginning", "good", "bad"),
    [
        ("download 256 MiB", "raw", "download over", 1.24, 1.26),
        ("upload 256 MiB", "local", "upload over", 1.0, 1.01),
    ],
)
def test_a_transfer_is_held_against_the_other_one(
    gesture: str, other: str, beginning: str, good: float, bad: float
) -> None:
    for seconds, met in ((good, True), (bad, False)):
        run = _run(gesture, nbforge={"seconds": seconds})
        run.measurements.append(Measurement(gesture, other, FAR, seconds=1.0))
        assert _claim(run, beginning).met is met


@pytest.mark.parametrize("gesture", ["upload 256 MiB", "download 1,024 MiB"])
@pytest.mark.parametrize(("growth", "met"), [(63.9, True), (64.0, False)])
def test_memory_of_transfers_is_bounded(gesture: str, growth: float, met: bool) -> None:
    run = _run(gesture, nbforge={"seconds": 1.0, "growth_mib": growth})
    assert _claim(run, "memory growth").met is met


@pytest.mark.parametrize(("seconds", "met"), [(1.9, True), (2.0, False)])
def test_a_rename_of_a_folder_ends_in_time(seconds: float, met: bool) -> None:
    run = _run("rename a folder of 200", nbforge={"seconds": seconds})
    assert _claim(run, "time of a rename").met is met


def test_a_gesture_that_fails_is_a_promise_not_met() -> None:
    run = _run("open 45 MB", nbforge={"failure": "GET api/contents answers 500"})
    assert [claim.met for claim in claims(run)] == [False]
    assert "fails: GET api/contents answers 500" in tables(run)


def test_what_nothing_was_measured_to_compare_with_is_called_so() -> None:
    run = _run("download 256 MiB", nbforge={"seconds": 1.0, "stall": 0.1})
    assert _claim(run, "download over").verdict == "not measured"
    assert _claim(run, "stall over").verdict == "not measured"


def test_a_run_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    run = _run("list 10", nbforge={"seconds": 1.0, "operations": {"LIST": 1}})
    run.write(tmp_path / "run.json")
    assert Run.read(tmp_path / "run.json") == run


def test_the_document_keeps_all_that_is_not_figures(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    begin, end = "<!-- figures: written by python -m benchmarks -->", "<!-- end of the figures -->"
    document.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    run = _run("list 10", nbforge={"seconds": 1.0})
    for _ in range(2):
        write_document(run, document)
    text = document.read_text()
    assert text.startswith(f"before\n{begin}\n")
    assert text.endswith(f"{end}\nafter\n")
    assert "old" not in text
    assert text.count("| list 10 | nbforge | 1.000 |") == 1


def test_a_document_without_a_place_for_figures_is_left_alone(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    document.write_text("mine\n")
    with pytest.raises(ValueError, match="no place for the figures"):
        write_document(_run("list 10"), document)
    assert document.read_text() == "mine\n"
