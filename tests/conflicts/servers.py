"""Jupyter servers in processes of their own, on one prefix of one store."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.systems import JupyterProcess
from tests.upstream.clouds import Cloud

from .connection import Connection
from .editor import marks_in

USER = "ada"
"""Whose servers these are."""

OURS = "jupyter_nbforge.NBForgeContentsManager"
WITHOUT_CONDITIONS = "tests.conflicts.unconditional.UnconditionalContentsManager"


@dataclass(frozen=True)
class Servers:
    """Several servers of one user's files, and another program's view of the bucket."""

    cloud: Cloud
    prefix: str
    processes: list[JupyterProcess]

    def connect(self, number: int) -> Connection:
        """A client of one of them."""
        process = self.processes[number]
        return Connection(process.port, process.token)

    def paths(self, folder: str = "") -> list[str]:
        """The objects in a folder that are no concern of the manager alone."""
        start = self.prefix + folder
        found = self.cloud.client().paths(start)
        return [
            path.removeprefix(self.prefix)
            for path in found
            if not path.startswith(self.prefix + ".nbforge/")
        ]

    def read(self, path: str) -> bytes | None:
        """The bytes of an object."""
        return self.cloud.client().read(self.prefix + path)

    def marks(self, path: str) -> tuple[str, ...]:
        """The edits that a notebook in the bucket has."""
        data = self.read(path)
        assert data is not None, path
        return marks_in(json.loads(data))


@contextmanager
def servers_on(
    cloud: Cloud, prefix: str, count: int, folder: Path, manager: str = OURS
) -> Iterator[Servers]:
    """That many bare ``jupyter server`` processes with one manager on one prefix."""
    configuration: dict[str, Any] = {
        **cloud.options,
        "ServerApp": {"contents_manager_class": manager},
        "NBForgeContentsManager": {"storage_url": f"{cloud.url}/{prefix}"},
    }
    with ExitStack() as stack:
        processes: list[JupyterProcess] = []
        for number in range(count):
            home = folder / f"server-{number}"
            home.mkdir()
            processes.append(JupyterProcess(Path(sys.executable), configuration, home))
            stack.callback(processes[-1].stop)
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(count) as pool:
            for name, value in {**cloud.environ, "JUPYTERHUB_USER": USER}.items():
                patch.setenv(name, value)
            list(pool.map(JupyterProcess.start, processes))
        yield Servers(cloud, prefix, processes)
