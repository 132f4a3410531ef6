"""How many storage requests each gesture costs: JupyterLab's own calls, on a real server.

Run ``python -m benchmarks.budgets [seaweedfs] [gcs] [azure]`` in the project's folder (default:
all three). It starts the server, a counting proxy before it and a Jupyter server behind both,
makes the calls that JupyterLab 4.6 makes for each gesture, and prints the counts beside the
budget. It exits with 1 if a gesture is over its budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from jupyter_nbforge.testing.proxy import CountingProxy
from tests.budget import Gesture, JupyterLab, files, gestures
from tests.upstream.clouds import CLOUDS, Cloud, cloud_at, cloud_on, start_server

MANY = 2500


class Client(JupyterLab):
    """JupyterLab's calls to a server over HTTP."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        async with self._session.request(
            method,
            f"{self._base}/api/contents/{path}",
            params=query,
            data=None if body is None else json.dumps(body),
        ) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text}")
            return json.loads(text) if text else None

    async def download(self, path: str) -> None:
        async with self._session.get(f"{self._base}/files/{path}") as answer:
            answer.raise_for_status()
            await answer.read()


@contextlib.asynccontextmanager
async def jupyter_server(cloud: Cloud) -> AsyncIterator[Client]:
    """A Jupyter server of its own process on the container."""
    token, port = secrets.token_hex(16), _free_port()
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            **cloud.environ,
            "HOME": home,
            "JUPYTER_CONFIG_DIR": home,
            "JUPYTER_DATA_DIR": home,
            "JUPYTER_RUNTIME_DIR": home,
        }
        log = Path(home, "log").open("wb")  # noqa: SIM115, ASYNC230 - closed below
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jupyter",
            "server",
            "--no-browser",
            "--allow-root",
            f"--ServerApp.port={port}",
            f"--IdentityProvider.token={token}",
            "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
            f"--NBForgeContentsManager.storage_url={cloud.url}/home",
            *(
                f"--{name}.{trait}={value}"
                for name, traits in cloud.options.items()
                for trait, value in traits.items()
            ),
            env=environment,
            cwd=home,
            stdout=log,
            stderr=log,
        )
        try:
            headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
            async with ClientSession(headers=headers) as session:
                base = f"http://127.0.0.1:{port}"
                await _wait_for(session, base, process)
                yield Client(session, base)
        finally:
            process.terminate()
            await process.wait()
            log.close()


async def _wait_for(session: ClientSession, base: str, process: asyncio.subprocess.Process) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            async with session.get(f"{base}/api/status") as answer:
                if answer.status == 200:
                    return
        if process.returncode is not None:
            break
        await asyncio.sleep(0.1)
    raise RuntimeError("The Jupyter server did not come up.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def show(cloud: str, rows: list[tuple[Gesture, Counter[str]]]) -> bool:
    """Print the table; returns whether every binding gesture is within its budget."""
    within = True
    print(f"| {cloud + ': gesture':33} | budget | requests | which |")
    print(f"| {'-' * 33} | -----: | -------: | ----- |")
    for gesture, counts in rows:
        counts.pop("TOKEN", 0)  # once an hour, whatever is done
        total = counts.total()
        which = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        over = total > gesture.budget
        within = within and not (over and gesture.binding)
        mark = "" if not over else " **over**" if gesture.binding else " (not binding yet)"
        print(f"| {gesture.name:33} | {gesture.budget:6} | {total:8} | {which}{mark} |")
    return within


async def measure(name: str) -> list[tuple[Gesture, Counter[str]]]:
    """Make every gesture once on one server."""
    rows: list[tuple[Gesture, Counter[str]]] = []
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with start_server(name, folder / "server") as server:
            cloud = cloud_on(server, "requests", folder)
            other = cloud.client()
            for path, data in files(MANY).items():
                other.write(f"home/{path}", data)
            other.close()
            async with (
                CountingProxy(cloud.endpoint, cloud.protocol) as proxy,
                jupyter_server(cloud_at(cloud, proxy.endpoint_url)) as client,
            ):
                for gesture in gestures(client, MANY):
                    if gesture.before is not None:
                        await gesture.before()
                    await asyncio.sleep(gesture.pause)
                    proxy.take()
                    await gesture.make()
                    rows.append((gesture, proxy.take()))
    return rows


def main(names: list[str]) -> int:
    """Measure and print; the exit status."""
    within = [show(name, asyncio.run(measure(name))) for name in names or CLOUDS]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
