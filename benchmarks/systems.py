"""The contents managers that are compared, each in a Jupyter server of its own process."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_nbforge.testing.processes import ServerProcess, answer_of, free_port
from jupyter_nbforge.testing.servers import REGION

from .raw import Store

PREFIX = "home"
"""Where in the bucket everything is."""

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class System:
    """One column of the comparison. `on_disk`: its files are in a directory, not in the store."""

    key: str
    title: str
    served: bool = True
    on_disk: bool = False


NBFORGE = System("nbforge", "jupyter_nbforge")
LOCAL = System("local", "AsyncLargeFileManager on local disk", on_disk=True)
S3CONTENTS = System("s3contents", "s3contents")
HTTP = System("http", "Jupyter's HTTP layer for the same body", on_disk=True)
RAW = System("raw", "SDK alone, fewest requests", served=False)
RAW_ALLOWED = System("raw_allowed", "SDK alone, requests as budgeted", served=False)

SYSTEMS = (NBFORGE, LOCAL, S3CONTENTS, HTTP, RAW, RAW_ALLOWED)


class JupyterProcess(ServerProcess):
    """A Jupyter server with one contents manager; `home` is its own, new and empty."""

    name = "Jupyter"

    def __init__(self, python: Path, configuration: dict[str, Any], home: Path) -> None:
        super().__init__()
        self.port = 0
        self.token = secrets.token_hex(16)
        self._python = python
        self._configuration = configuration
        self._home = home

    @property
    def pid(self) -> int:
        """Of the server itself."""
        assert self._process is not None
        return self._process.pid

    def _prepare(self) -> tuple[Sequence[str], Path]:
        self.port = free_port()
        self.endpoint_url = f"http://127.0.0.1:{self.port}"
        # A file, because it holds keys, and the command line can be seen by everybody.
        file = self._home / "jupyter_server_config.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(self._configuration | self._own_configuration()))
        command = ["env", "JUPYTER_NO_CONFIG=1", f"HOME={self._home}", f"PYTHONPATH={ROOT}"]
        command += [f"JUPYTER_DATA_DIR={self._home}", f"JUPYTER_RUNTIME_DIR={self._home}"]
        command += [str(self._python), "-m", "jupyter_server", f"--config={file}"]
        return command, self._home / "log"

    def _own_configuration(self) -> dict[str, Any]:
        server = {
            "allow_root": True,
            "ip": "127.0.0.1",
            "jpserver_extensions": {"jupyter_nbforge": True},
            "open_browser": False,
            "port": self.port,
            "port_retries": 0,
            **self._configuration["ServerApp"],
        }
        return {"ServerApp": server, "IdentityProvider": {"token": self.token}}

    def _is_ready(self) -> bool:
        return answer_of(f"{self.endpoint_url}/api") is not None


def jupyter_process(
    system: System, store: Store, disk: Path, home: Path, s3contents: Path | None
) -> JupyterProcess:
    """The server of a system that has one, not started yet."""
    python = Path(sys.executable)
    if system is S3CONTENTS:
        assert s3contents is not None
        python = s3contents
    return JupyterProcess(python, _configuration(system, store, disk, home), home)


def _configuration(system: System, store: Store, disk: Path, home: Path) -> dict[str, Any]:
    if system is NBFORGE:
        return {
            **_managed_by("jupyter_nbforge.NBForgeContentsManager"),
            "NBForgeContentsManager": {"storage_url": f"s3://{store.bucket}/{PREFIX}"},
            "S3Storage": {
                "endpoint_url": store.endpoint,
                "region_name": REGION,
                "access_key_id": store.access_key,
                "secret_access_key": store.secret_key,
                # What SeaweedFS does and does not; see the help of these options.
                "ordered_listing": False,
                "conditional_delete_many": True,
            },
        }
    if system is S3CONTENTS:
        return {
            **_managed_by("s3contents.S3ContentsManager", jpserver_extensions={}),
            "S3ContentsManager": {
                "endpoint_url": store.endpoint,
                "region_name": REGION,
                "access_key_id": store.access_key,
                "secret_access_key": store.secret_key,
                "bucket": store.bucket,
                "prefix": PREFIX,
                "root_dir": str(home),  # its checkpoints go to the local disk
            },
        }
    if system is HTTP:
        manager = "benchmarks.floor.ReadyMadeManager"
        return {**_managed_by(manager), "ReadyMadeManager": {"root_dir": str(disk)}}
    large = "jupyter_server.services.contents.largefilemanager.AsyncLargeFileManager"
    return _managed_by(large, root_dir=str(disk))


def _managed_by(manager: str, **server: Any) -> dict[str, Any]:
    return {"ServerApp": {"contents_manager_class": manager, **server}}
