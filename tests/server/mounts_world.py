"""A server whose tree has a folder on each cloud, one on a disk, and one that may only be read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from tests.upstream.clouds import Cloud
from tests.upstream.other_client import OtherClient

FOLDERS = ("", "gcs", "azure", "disk")
"""Where people may write: the root is on S3."""

_NAMES = {"": "seaweedfs", "gcs": "gcs", "azure": "azure"}


@dataclass(frozen=True)
class Mounts:
    """What other programs see of the stores behind the mounts."""

    clouds: Mapping[str, Cloud]
    clients: Mapping[str, OtherClient]
    area: str
    disk: Path

    def paths(self, folder: str) -> list[str]:
        """The objects of one mount, but for its checkpoints."""
        if folder == "disk":
            files = (file for file in self.disk.rglob("*") if file.is_file())
            found = [str(file.relative_to(self.disk)) for file in files]
        else:
            start = f"{self.area}/"
            found = [path.removeprefix(start) for path in self.clients[folder].paths(start)]
        return sorted(path for path in found if not path.startswith("."))

    def read(self, folder: str, path: str) -> bytes | None:
        if folder == "disk":
            file = self.disk / path
            return file.read_bytes() if file.is_file() else None
        return self.clients[folder].read(f"{self.area}/{path}")

    def write(self, folder: str, path: str, data: bytes) -> None:
        if folder == "disk":
            (self.disk / path).parent.mkdir(parents=True, exist_ok=True)
            (self.disk / path).write_bytes(data)
        else:
            self.clients[folder].write(f"{self.area}/{path}", data)

    def table(self) -> dict[str, Any]:
        """The value of `mounts`: each provider's options with its own mount."""
        found: dict[str, Any] = {
            folder: {"url": f"{cloud.url}/{self.area}", **_only(cloud.options)}
            for folder, cloud in self.clouds.items()
        }
        ro = {**found["azure"], "url": f"{self.clouds['azure'].url}/{self.area}-ro"}
        return {**found, "disk": f"file://{self.disk}", "ro": {**ro, "read_only": True}}

    def config(self) -> Config:
        config = Config()
        config.NBForgeContentsManager.mounts = self.table()
        config.NBForgeContentsManager.check_at_start = False
        config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
        config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
        return config


def make_mounts(
    clouds: Callable[[str], Cloud], disk: Path, monkeypatch: pytest.MonkeyPatch
) -> Mounts:
    """Fresh places on the three clouds and on the disk; credentials go into the environment."""
    found = {folder: clouds(name) for folder, name in _NAMES.items()}
    for cloud in found.values():
        for name, value in cloud.environ.items():
            monkeypatch.setenv(name, value)
    disk.mkdir()
    clients = {folder: cloud.client() for folder, cloud in found.items()}
    return Mounts(found, clients, f"mounts-{uuid.uuid4().hex[:8]}", disk)


def _only(options: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    (traits,) = options.values()
    return traits
