"""How many storage requests each gesture costs: JupyterLab's own calls, on a real S3 server.

Run ``python benchmarks/requests.py``. It starts SeaweedFS, a counting proxy before it and a
Jupyter server behind both, makes the calls that JupyterLab 4.6 makes for each gesture, and
prints the counts beside the budget. It exits with 1 if a gesture is over its budget.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import os
import secrets
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session
from aiohttp import ClientSession

from jupyter_nbforge.testing.proxy import CountingProxy
from jupyter_nbforge.testing.servers import SeaweedServer

BUCKET = "requests"
MANY = 2500
UPLOAD_MIB = 16
AGE = 16.0
"""Seconds between gestures: by then the manager's short memory of the last one is gone."""

NOTEBOOK: dict[str, Any] = {
    "cells": [
        {"cell_type": "markdown", "id": "one", "metadata": {}, "source": "# Requests"},
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


class Client:
    """The contents API of one server, called as JupyterLab does."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self._session = session
        self._base = base

    async def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        """One request; anything but success is an error."""
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

    async def list_folder(self, path: str) -> Any:
        return await self.call("GET", path, type="directory", content=1, hash=0)

    async def open_notebook(self, path: str) -> Any:
        model = await self.call("GET", path, type="notebook", content=1, hash=1)
        await self.call("GET", f"{path}/checkpoints")
        return model

    async def save(self, path: str, *, by_hand: bool) -> None:
        look: dict[str, str | int] = {"type": "notebook", "content": 0, "hash": 1}
        await self.call("GET", path, **look)
        edited = {**NOTEBOOK, "metadata": {"edit": secrets.token_hex(4)}}
        model = {"type": "notebook", "format": "json", "content": edited, "path": path}
        await self.call("PUT", path, model)
        await self.call("GET", path, **look)
        if by_hand:
            await self.call("POST", f"{path}/checkpoints")

    async def upload(self, path: str, chunks: int) -> None:
        piece = base64.b64encode(secrets.token_bytes(2**20)).decode()
        for number in range(1, chunks + 1):
            chunk = -1 if number == chunks else number
            model = {"type": "file", "format": "base64", "content": piece, "chunk": chunk}
            await self.call("PUT", path, model)
            await self.list_folder(path.rpartition("/")[0])

    async def download(self, path: str) -> None:
        async with self._session.get(f"{self._base}/files/{path}") as answer:
            answer.raise_for_status()
            await answer.read()


@dataclass(frozen=True, slots=True)
class Gesture:
    """A gesture, the calls it makes, its budget, and whether that already binds.

    What `before` does is not counted; `pause` seconds lie between it and the gesture.
    """

    name: str
    make: Callable[[], Awaitable[Any]]
    budget: int
    binding: bool = True
    before: Callable[[], Awaitable[Any]] | None = None
    pause: float = AGE


def gestures(client: Client) -> list[Gesture]:
    """The rows of the table, in the order in which they can be made."""
    calls = client.call
    return [
        Gesture("list a folder of 10", lambda: client.list_folder("ten"), 1),
        Gesture(f"list a folder of {MANY}", lambda: client.list_folder("many"), math.ceil(2.5)),
        Gesture("open a notebook", lambda: client.open_notebook("ten/0.ipynb"), 2),
        Gesture("first save with Ctrl+S", lambda: client.save("ten/0.ipynb", by_hand=True), 3),
        Gesture("save with Ctrl+S", lambda: client.save("ten/0.ipynb", by_hand=True), 3),
        Gesture("autosave", lambda: client.save("ten/0.ipynb", by_hand=False), 2),
        Gesture("new notebook in the root", lambda: calls("POST", "", {"type": "notebook"}), 2),
        Gesture("new notebook in a folder", lambda: calls("POST", "ten", {"type": "notebook"}), 2),
        Gesture(
            "rename an open notebook",
            lambda: calls("PATCH", "ten/Untitled.ipynb", {"path": "ten/analysis.ipynb"}),
            4,
        ),
        Gesture(
            "rename a notebook, 1 checkpoint",
            lambda: calls("PATCH", "ten/3.ipynb", {"path": "ten/third.ipynb"}),
            4,
            before=lambda: _opened_and_saved(client, "ten/3.ipynb"),
        ),
        # Each further checkpoint is one more copy; the budget knows of one.
        Gesture(
            "rename a notebook, 2 checkpoints",
            lambda: calls("PATCH", "ten/0.ipynb", {"path": "ten/first.ipynb"}),
            4,
            binding=False,
        ),
        # The file browser lists its folder every ten seconds, which counts for itself.
        Gesture(
            "rename a file never opened",
            lambda: calls("PATCH", "ten/2.ipynb", {"path": "ten/second.ipynb"}),
            4,
            before=lambda: client.list_folder("ten"),
            pause=3.0,
        ),
        Gesture(
            f"upload of {UPLOAD_MIB} MiB",
            lambda: client.upload("ten/big.bin", UPLOAD_MIB),
            math.ceil(UPLOAD_MIB / 8) + 2,
            binding=False,
        ),
        Gesture("download", lambda: client.download("ten/1.ipynb"), 1),
    ]


async def _opened_and_saved(client: Client, path: str) -> None:
    await client.open_notebook(path)
    await client.save(path, by_hand=True)


@contextlib.asynccontextmanager
async def jupyter_server(proxy: CountingProxy, server: SeaweedServer) -> AsyncIterator[Client]:
    """A Jupyter server of its own process on the bucket behind the proxy."""
    token, port = secrets.token_hex(16), _free_port()
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ACCESS_KEY_ID": server.access_key,
            "AWS_SECRET_ACCESS_KEY": server.secret_key,
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
            f"--NBForgeContentsManager.storage_url=s3://{BUCKET}/home",
            f"--S3Storage.endpoint_url={proxy.endpoint_url}",
            "--S3Storage.region_name=us-east-1",
            # SeaweedFS honours ETags in a DeleteObjects request, as AWS does; of a store that
            # is not AWS we assume it only when told so.
            "--S3Storage.conditional_delete_many=True",
            "--S3Storage.ordered_listing=False",
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


async def fill(server: SeaweedServer) -> None:
    """Put the files as another tool would: straight into the bucket, without markers."""
    body = json.dumps(NOTEBOOK).encode()
    paths = [f"home/ten/{number}.ipynb" for number in range(10)]
    paths += [f"home/many/{number:04}.txt" for number in range(MANY)]
    limit = asyncio.Semaphore(16)
    async with get_session().create_client(
        "s3",
        endpoint_url=server.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    ) as s3:

        async def put(path: str) -> None:
            async with limit:
                await s3.put_object(Bucket=BUCKET, Key=path, Body=body)

        await asyncio.gather(*map(put, paths))


def show(rows: list[tuple[Gesture, Counter[str]]]) -> bool:
    """Print the table; returns whether every binding gesture is within its budget."""
    within = True
    print(f"| {'gesture':33} | budget | requests | which |")
    print(f"| {'-' * 33} | -----: | -------: | ----- |")
    for gesture, counts in rows:
        total = counts.total()
        which = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
        over = total > gesture.budget
        within = within and not (over and gesture.binding)
        mark = "" if not over else " **over**" if gesture.binding else " (not binding yet)"
        print(f"| {gesture.name:33} | {gesture.budget:6} | {total:8} | {which}{mark} |")
    return within


async def main() -> int:
    """Measure every gesture once."""
    rows: list[tuple[Gesture, Counter[str]]] = []
    with tempfile.TemporaryDirectory() as directory, SeaweedServer(directory, keep=False) as server:
        server.create_bucket(BUCKET)
        await fill(server)
        async with (
            CountingProxy(server.endpoint_url) as proxy,
            jupyter_server(proxy, server) as client,
        ):
            for gesture in gestures(client):
                if gesture.before is not None:
                    await gesture.before()
                await asyncio.sleep(gesture.pause)
                proxy.take()
                await gesture.make()
                rows.append((gesture, proxy.take()))
    return 0 if show(rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
