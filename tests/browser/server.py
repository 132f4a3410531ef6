"""A Jupyter server in a process of its own, as a person would start it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

START_TIMEOUT = 90.0
STOP_TIMEOUT = 60.0

QUIET = (
    "--no-browser",
    "--allow-root",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port=0",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.extension_manager=readonly",
)
"""Neither a browser nor the internet, and any free port."""

NEWS_SETTING = "lab/user-settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
"""Where JupyterLab keeps the answer to its question about news."""


_KEPT_OUT = (
    *("JUPYTER", "IPYTHON", "JPY_", "STORAGE_"),
    *("AWS_", "S3_", "GOOGLE_", "GCS_", "AZURE_"),
)


def environment(home: Path, extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with all of Jupyter's directories below `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
    own = {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONUNBUFFERED": "1",
    }
    return {**kept, **own, **extra}


class JupyterProcess:
    """``jupyter ARGUMENTS`` with its directories in `home`; a context manager."""

    def __init__(
        self, arguments: Sequence[str], home: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self.token = secrets.token_hex(16)
        self.home = home
        self.url = ""
        self.stdin = subprocess.DEVNULL
        """A file descriptor that the process is to have as its standard input."""
        self._environment = environment(home, env or {})
        bin_directory = Path(sys.executable).parent
        self._command = [str(bin_directory / "jupyter"), *arguments, *QUIET]
        self._command += [f"--IdentityProvider.token={self.token}"]
        self._environment["PATH"] = f"{bin_directory}{os.pathsep}{os.environ['PATH']}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> JupyterProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        """Everything that the process has printed."""
        return (self.home / "server.log").read_text()

    @contextmanager
    def started(self) -> Iterator[JupyterProcess]:
        """As a context manager that does not wait for the server."""
        self._spawn()
        try:
            yield self
        finally:
            self.stop()

    def start(self) -> None:
        """Start, and return when the server answers."""
        self._wait_until_ready(self._spawn())

    def _spawn(self) -> subprocess.Popen[bytes]:
        work = self.home / "work"
        work.mkdir(parents=True, exist_ok=True)
        answer = self.home / "config" / NEWS_SETTING
        answer.parent.mkdir(parents=True, exist_ok=True)
        answer.write_text('{"fetchNews": "false"}')
        with (self.home / "server.log").open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=work,
                env=self._environment,
                stdin=self.stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not self._is_ready():
            ended = process.poll() is not None
            if ended or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the server did not come up:\n{self.log}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            file = self.home / "runtime" / f"jpserver-{self.pid}.json"
            self.url = json.loads(file.read_text())["url"]
            self.request("api/status")
        except (OSError, ValueError):
            return False
        return True

    def request(self, path: str, method: str = "GET", body: object = None) -> Any:
        """The JSON that the server answers to a request with the token."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.loads(response.read() or b"null")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; returns the exit status."""
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.send_signal(number)
        try:
            return process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the server did not end by itself:\n{self.log}") from None
