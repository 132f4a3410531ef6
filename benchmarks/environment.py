"""s3contents in a virtual environment of its own, kept in the user's cache directory."""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import platformdirs

NAME = "s3contents"
_VERSION = f"from importlib.metadata import version; print(version({NAME!r}))"


class InstallError(RuntimeError):
    """s3contents could not be installed; the message is the last line that pip said."""


def s3contents_python() -> Path:
    """The interpreter of an environment with its newest version that installs.

    Beside it is the jupyter_server that is installed here, so that both are served alike.
    """
    server = metadata.version("jupyter_server")
    python_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    name = f"{NAME}-python{python_version}-server{server}"
    folder = platformdirs.user_cache_path("jupyter_nbforge") / "benchmarks" / name
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, clear=True, with_pip=True)
        command = [
            str(python),
            "-m",
            "pip",
            "install",
            "--quiet",
            NAME,
            f"jupyter_server=={server}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise InstallError(f"{NAME} cannot be installed: {done.stderr.splitlines()[-1]}")
        ready.touch()
    return python


def s3contents_version(python: Path) -> str:
    """Which version is installed there."""
    done = subprocess.run([str(python), "-c", _VERSION], capture_output=True, text=True, check=True)
    return done.stdout.strip()
