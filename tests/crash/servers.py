"""Jupyter servers that are there to be killed, and what asks them."""

from __future__ import annotations

import asyncio
import io
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout
from typing_extensions import Self

from jupyter_nbforge.testing.processes import free_port
from tests.browser.server import environment

ROOT = Path(__file__).parent.parent.parent
TOKEN = "0123456789abcdef"


class KilledError(Exception):
    """The server was killed before it answered."""


class Server:
    """One server, in a process of its own."""

    def __init__(self, pid: int, port: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._url = f"http://127.0.0.1:{port}/"
        self._process = os.pidfd_open(pid)
        self._session = ClientSession(
            headers={"Authorization": f"token {TOKEN}"}, timeout=ClientTimeout(total=60)
        )

    def kill(self) -> None:
        """End it as a power failure would: it gets to do nothing more. Idempotent."""
        try:
            signal.pidfd_send_signal(self._process, signal.SIGKILL)
        except ProcessLookupError:
            return
        # Not before it has ended is it sure that nothing more comes of it.
        select.select([self._process], [], [])

    async def close(self) -> None:
        """Kill it and free what is kept of it here."""
        self.kill()
        os.close(self._process)
        await self._session.close()

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of a request to the contents API; `KilledError`."""
        # As a stream: aiohttp warns of a large body that is sent at once.
        data = io.BytesIO(b"" if body is None else json.dumps(body).encode())
        try:
            async with self._session.request(
                method, f"{self._url}api/contents/{path}", data=data
            ) as answer:
                read = await answer.read()
                return answer.status, json.loads(read) if read else None
        except (ClientError, ConnectionError) as error:
            raise KilledError(self.log.read_text()) from error


class Template:
    """Starts servers with one configuration, the next one always ahead of its use."""

    def __init__(self, folder: Path, configuration: dict[str, Any], env: Mapping[str, str]) -> None:
        self._folder = folder
        self._configuration = configuration
        self._started = 0
        self._next: asyncio.Task[Server] | None = None
        self._servers: list[Server] = []
        self._environment = {
            **environment(folder / "home", env),
            "JUPYTER_NO_CONFIG": "1",
            "PYTHONPATH": str(ROOT),
        }

    async def __aenter__(self) -> Self:
        command = [sys.executable, "-m", "tests.crash.template"]
        with (self._folder / "template.log").open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        self._next = asyncio.create_task(self._start())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.server(last=True)
        for server in self._servers:
            await server.close()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def server(self, *, last: bool = False) -> Server:
        """A server that listens; the one before it is closed."""
        assert self._next is not None
        server = await self._next
        for former in self._servers:
            await former.close()
        self._servers = [server]
        if not last:
            self._next = asyncio.create_task(self._start())
        return server

    async def _start(self) -> Server:
        self._started += 1
        file = self._folder / f"server-{self._started}.json"
        file.touch(mode=0o600)
        server = {
            "allow_root": True,
            "ip": "127.0.0.1",
            "port": free_port(),
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(self._folder),
            "contents_manager_class": "jupyter_nbforge.NBForgeContentsManager",
            "jpserver_extensions": {"jupyter_nbforge": True},
        }
        own = {"ServerApp": server, "IdentityProvider": {"token": TOKEN}}
        file.write_text(json.dumps({**self._configuration, **own}))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{file}\n".encode())
        answer = (await self._process.stdout.readline()).split()
        if len(answer) != 2:
            log = file.with_suffix(".log")
            raise AssertionError(log.read_text() if log.exists() else "no server was started")
        pid, port = map(int, answer)
        return Server(pid, port, file.with_suffix(".log"))
