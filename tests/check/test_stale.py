"""What a check that was killed has left goes with a later one, and nothing else does."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import PREFIX, Check, Clouds
from .stores import everything

On = Callable[..., list[str]]

LEFT = ".nbforge-check-0123456789abcdef"
"""A folder as a check makes it."""

SCRATCH = "jupyter_nbforge.cli.check.scratch"


def aged(folder: Path, name: str, *, seconds: float) -> Path:
    """A folder with a file in it, both so old."""
    made = folder / name
    made.mkdir()
    (made / "1.txt").write_text("jupyter nbforge check\n")
    for path in (made / "1.txt", made):
        os.utime(path, (time.time() - seconds,) * 2)
    return made


def test_the_next_check_deletes_what_is_older_than_a_day_and_nothing_of_others(
    check: Check, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    day = 86400.0
    gone = aged(files, LEFT, seconds=day + 60)
    kept = [
        aged(files, LEFT.replace("0", "a"), seconds=day - 600),
        aged(files, ".nbforge-check-notes", seconds=10 * day),
        aged(files, f"{LEFT}0", seconds=10 * day),
        aged(files, LEFT.removeprefix("."), seconds=10 * day),
    ]
    found = check(f"file://{files}")
    assert found.code == 0, found.out
    assert not gone.exists()
    assert sorted(files.iterdir()) == sorted(kept)
    assert all((folder / "1.txt").exists() for folder in kept)
    assert "a check that was killed had left (1 object)" in found.step("delete")["message"]


def test_a_read_only_check_deletes_nothing(check: Check, tmp_path: Path) -> None:
    left = aged(tmp_path, LEFT, seconds=1e6)
    found = check(f"file://{tmp_path}", "--read-only")
    assert found.code == 0
    assert (left / "1.txt").exists()


@pytest.mark.parametrize("name", ["seaweedfs", "gcs", "azure"])
def test_it_goes_from_each_cloud_below_the_prefix_alone(
    check: Check, clouds: Clouds, on: On, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = clouds(name)
    arguments = on(cloud)
    before = everything(cloud)
    client = cloud.client()
    for number in range(3):
        client.write(f"{PREFIX}/{LEFT}/{number}.txt", b"jupyter nbforge check\n")
    assert check(*arguments).code == 0
    assert len(everything(cloud) - before) == 3  # of today: its check may be under way
    client.write(f"people/eve/{LEFT}/1.txt", b"jupyter nbforge check\n")
    monkeypatch.setattr(f"{SCRATCH}.STALE", -60.0)
    found = check(*arguments)
    assert found.code == 0, found.out
    assert "(3 objects)" in found.step("delete")["message"]
    assert len(everything(cloud) - before) == 1
    client.delete(f"people/eve/{LEFT}/1.txt")
    assert everything(cloud) == before
