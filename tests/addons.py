"""Server extensions of others beside ours, each installed apart from the test environment.

Every server of the environment in which they are installed changes by that: so they are
not in it. Only a process that is told of their directory has them.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from platformdirs import user_cache_path

_INSTALL_TIMEOUT = 300


@dataclass(frozen=True, slots=True)
class Addon:
    """An extension, and all that it needs beyond the test environment, each in one version."""

    name: str
    packages: tuple[str, ...]


COLLABORATION = Addon(
    "jupyter-collaboration",
    (
        "jupyter-collaboration==5.0.4",
        "jupyter-collaboration-ui==3.0.4",
        "jupyter-docprovider==3.0.4",
        "jupyter-server-fileid==0.10.0",
        "jupyter-server-ydoc==3.0.4",
        "jupyter-ydoc==4.2.1",
        "pycrdt==0.14.13",
        "pycrdt-store==0.1.5",
        "pycrdt-websocket==0.16.5",
        "sqlite-anyio==0.2.10",
    ),
)
JUPYTEXT = Addon(
    "jupytext",
    ("jupytext==1.19.6", "markdown-it-py==4.3.0", "mdit-py-plugins==0.7.0", "mdurl==0.1.2"),
)
NOTEBOOK = Addon(
    "notebook",
    (
        *("notebook==7.6.5", "nbclassic==1.3.3"),
        *("ipython-genutils==0.2.0", "nest-asyncio==1.6.0"),
    ),
)
PAPERMILL = Addon("papermill", ("papermill==2.7.0", "entrypoints==0.4.2", "tqdm==4.70.1"))
FSSPEC = Addon("s3fs", ("fsspec==2026.9.0", "s3fs==2026.9.0"))
JUPYTERHUB = Addon(
    "jupyterhub",
    (
        "jupyterhub==6.1.1",
        "Mako==1.4.3",
        "SQLAlchemy==2.1.9",
        "aiodns==4.0.4",
        "alembic==1.20.1",
        "annotated-types==0.8.0",
        "certipy==0.2.3",
        "oauthlib==4.0.1",
        "pamela==1.2.0",
        "pycares==5.2.1",
        "pydantic==2.14.4",
        "pydantic_core==2.50.5",
        "typing-inspection==0.4.5",
    ),
)


def environ_with(*addons: Addon) -> dict[str, str]:
    """The environment variables with which a Jupyter process has these extensions as well."""
    folders = [installed(addon) for addon in addons]
    known = os.environ.get("PYTHONPATH")
    return {
        "PYTHONPATH": os.pathsep.join([*filter(None, [known]), *map(str, folders)]),
        "JUPYTER_PATH": os.pathsep.join(str(folder / "share" / "jupyter") for folder in folders),
        "JUPYTER_CONFIG_PATH": os.pathsep.join(
            str(folder / "etc" / "jupyter") for folder in folders
        ),
    }


def installed(addon: Addon) -> Path:
    """The directory with an extension, kept in the user's cache directory.

    Where it cannot be installed the test is skipped, in CI it fails.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(" ".join(addon.packages).encode()).hexdigest()[:12]
    cache = user_cache_path("jupyter_nbforge", appauthor=False)
    folder = cache / f"{addon.name}-python{version}-{digest}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            _install(addon, folder)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            reason = (error.stderr or b"").decode(errors="replace").strip() or str(error)
            message = f"{addon.name} cannot be installed: {reason.splitlines()[-1]}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
    return folder


def _install(addon: Addon, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as name:
        unfinished = Path(name) / folder.name
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:", "--no-compile"]
        subprocess.run(
            [*command, "--target", str(unfinished), *addon.packages],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INSTALL_TIMEOUT,
            check=True,
        )
        try:
            unfinished.rename(folder)
        except OSError:
            # Another process was quicker: nobody sees one that is half-done.
            if not folder.is_dir():
                raise
