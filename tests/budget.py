"""What each gesture of JupyterLab 4.6 calls, and how many storage requests it may cost.

The budgets are those of the README's table; who makes the calls, and who counts, is open.
"""

from __future__ import annotations

import abc
import asyncio
import base64
import json
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

FEW = 10
UPLOADS_MIB = (2, 16, 24, 64)
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


def files(many: int) -> dict[str, bytes]:
    """What is in the store beforehand, by path: put there by another tool, without markers."""
    body = json.dumps(NOTEBOOK).encode()
    paths = [f"ten/{number}.ipynb" for number in range(FEW)]
    paths += [f"many/{number:04}.txt" for number in range(many)]
    return dict.fromkeys(paths, body)


class JupyterLab(abc.ABC):
    """The contents API of one server, called as JupyterLab does."""

    @abc.abstractmethod
    async def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        """One request; anything but success is an error."""

    @abc.abstractmethod
    async def download(self, path: str) -> None:
        """Fetch a file by its ``/files/`` URL."""

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

    async def watch(self, path: str) -> Any:
        """What a collaboration room asks of its document each second."""
        return await self.call("GET", path, content=0, hash=1)

    async def upload(self, path: str, chunks: int) -> None:
        piece = base64.b64encode(secrets.token_bytes(2**20)).decode()
        for number in range(1, chunks + 1):
            chunk = -1 if number == chunks else number
            model = {"type": "file", "format": "base64", "content": piece, "chunk": chunk}
            await self.call("PUT", path, model)
            await self.list_folder(path.rpartition("/")[0])


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


def gestures(
    lab: JupyterLab, many: int, wait: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> list[Gesture]:
    """The rows of the table, in the order in which they can be made after `files`.

    `wait` lets so many seconds pass for the server.
    """
    calls = lab.call
    return [
        Gesture(
            f"list a folder of {FEW}",
            lambda: lab.list_folder("ten"),
            1,
            before=lambda: _each_kind_of_write(lab),
        ),
        Gesture(
            f"list a folder of {many}", lambda: lab.list_folder("many"), math.ceil(many / 1000)
        ),
        Gesture("open a notebook", lambda: lab.open_notebook("ten/0.ipynb"), 2),
        Gesture("first save with Ctrl+S", lambda: lab.save("ten/0.ipynb", by_hand=True), 3),
        Gesture("save with Ctrl+S", lambda: lab.save("ten/0.ipynb", by_hand=True), 3),
        Gesture("autosave", lambda: lab.save("ten/0.ipynb", by_hand=False), 2),
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
            before=lambda: _opened_and_saved(lab, "ten/3.ipynb"),
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
            before=lambda: lab.list_folder("ten"),
            pause=3.0,
        ),
        *(
            Gesture(
                f"upload of {mib} MiB",
                partial(lab.upload, f"ten/{mib}.bin", mib),
                math.ceil(mib / 8) + 2,
            )
            for mib in UPLOADS_MIB
        ),
        Gesture("download", lambda: lab.download("ten/1.ipynb"), 1),
        Gesture("open a notebook again", lambda: lab.open_notebook("ten/1.ipynb"), 2),
        Gesture("idle minute", lambda: _each(wait, 10, lambda: lab.list_folder("ten")), 6),
        Gesture(
            "idle minute of a shared document",
            lambda: _each(wait, 1, lambda: lab.watch("ten/1.ipynb")),
            60,
        ),
    ]


async def _each(
    wait: Callable[[float], Awaitable[None]], seconds: int, ask: Callable[[], Awaitable[Any]]
) -> None:
    """Ask every so many `seconds`, for a minute."""
    for _ in range(60 // seconds):
        await wait(seconds)
        await ask()


async def _each_kind_of_write(lab: JupyterLab) -> None:
    """What a server finds out of its store at the first write of a kind is no part of a gesture."""
    await lab.call("PUT", "warm.ipynb", {"type": "notebook", "format": "json", "content": NOTEBOOK})
    await lab.call("PATCH", "warm.ipynb", {"path": "warmer.ipynb"})
    await lab.upload("warm.bin", 24)
    for path in ("warmer.ipynb", "warm.bin"):
        await lab.call("DELETE", path)


async def _opened_and_saved(lab: JupyterLab, path: str) -> None:
    await lab.open_notebook(path)
    await lab.save(path, by_hand=True)
