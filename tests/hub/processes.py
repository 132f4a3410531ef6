"""A real JupyterHub and its proxy, each in a process of its own, from the files of the example."""

from __future__ import annotations

import json
import os
import secrets
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_nbforge.testing.nodejs import find_node, installed
from jupyter_nbforge.testing.processes import NO_PROXY, ServerProcess, answer_of, free_port
from tests.addons import JUPYTERHUB, environ_with
from tests.browser.server import environment

EXAMPLE = Path(__file__).parents[2] / "examples/jupyterhub"
PROXY_VERSION = "5.3.0"
_NO_ACTIVITY = 300
"""Seconds after which a server ends by itself that a killed test has left."""


class Proxy(ServerProcess):
    """configurable-http-proxy; it knows the Hub's address before there is a Hub."""

    name = "configurable-http-proxy"

    def __init__(self, hub_port: int, token: str) -> None:
        super().__init__()
        self._hub = f"http://127.0.0.1:{hub_port}"
        self._token = token
        self.api_url = ""
        self.environ = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": token}

    def _prepare(self) -> tuple[Sequence[str], Path]:
        package = installed("configurable-http-proxy", PROXY_VERSION, variable="NBFORGE_PROXY_DIR")
        port, api_port = free_port(), free_port()
        self.endpoint_url = f"http://127.0.0.1:{port}"
        self.api_url = f"http://127.0.0.1:{api_port}"
        command = [*find_node().node, str(package / "bin/configurable-http-proxy")]
        command += ["--ip", "127.0.0.1", "--port", str(port)]
        command += ["--api-ip", "127.0.0.1", "--api-port", str(api_port)]
        command += ["--default-target", self._hub, "--error-target", f"{self._hub}/hub/error"]
        return command, self._temporary_log()

    def _is_ready(self) -> bool:
        return self._has_logged("Proxy API at") and self.routes() is not None

    def routes(self) -> dict[str, Any] | None:
        """What is forwarded where, by path; None while it does not answer."""
        headers = {"Authorization": f"token {self._token}"}
        request = urllib.request.Request(f"{self.api_url}/api/routes", headers=headers)
        try:
            with NO_PROXY.open(request, timeout=5) as answer:
                found: dict[str, Any] = json.loads(answer.read())
        except OSError:
            return None
        return found


class Hub(ServerProcess):
    """JupyterHub with the example's configuration; only who logs in and how is the test's own.

    `start` after `stop` is a restart: the same ports, the same database. `endpoint_url` is the
    proxy's, through which people come.
    """

    name = "JupyterHub"
    stop_timeout = 20.0

    def __init__(
        self, home: Path, proxy: Proxy, port: int, token: str, environ: Mapping[str, str]
    ) -> None:
        super().__init__()
        self.password = secrets.token_hex(16)
        self.homes = home / "homes"
        self._home = home
        self._logs: list[Path] = []
        self.endpoint_url = proxy.endpoint_url
        self._own_url = f"http://127.0.0.1:{port}"
        state = home / "state"
        state.mkdir()
        own = {
            "CONFIGPROXY_AUTH_TOKEN": token,
            "HUB_AUTHENTICATOR": "dummy",
            "HUB_ADMINS": "admin",
            "HUB_URL": proxy.endpoint_url,
            "HUB_API_URL": self._own_url,
            "HUB_STATE": str(state),
            "PROXY_API_URL": proxy.api_url,
        }
        addon = environ_with(JUPYTERHUB)
        packages = [str(Path(__file__).parents[2]), addon["PYTHONPATH"]]
        addon = {"PYTHONPATH": os.pathsep.join(packages)}
        self.environ = environment(home, {**addon, **own, **environ})

    @property
    def log(self) -> str:
        """What the Hub and all servers that it has started have printed."""
        return "".join(log.read_text(errors="replace") for log in self._logs)

    def _prepare(self) -> tuple[Sequence[str], Path]:
        timeout = f"--ServerApp.shutdown_no_activity_timeout={_NO_ACTIVITY}"
        options = {
            "DummyAuthenticator.password": self.password,
            "JupyterHub.spawner_class": "simple",
            "SimpleLocalProcessSpawner.home_dir_template": f"{self.homes}/{{username}}",
            "Spawner.cmd": [sys.executable, "-m", "jupyterhub.singleuser"],
            "Spawner.args": ["--allow-root", timeout],
            # Five servers start at once, on a machine that may have other work.
            "Spawner.http_timeout": 90,
            "Spawner.start_timeout": 90,
        }
        command = [sys.executable, "-m", "jupyterhub", "-f", str(EXAMPLE / "jupyterhub_config.py")]
        command += [f"--{name}={value}" for name, value in options.items()]
        # Servers that outlive a Hub go on writing to its log.
        self._logs.append(self._home / f"hub-{len(self._logs)}.log")
        return command, self._logs[-1]

    def _is_ready(self) -> bool:
        return answer_of(f"{self._own_url}/hub/health") is not None

    def _may_move(self) -> bool:
        return False
