"""All that a person can do which changes something, as requests of a browser."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tests.server.api import Answer, Api, Store, notebook_model, text_model

CHECKPOINT = ".nbforge/checkpoints/a.txt/checkpoint-1"
FILES = {
    "a.txt": b"of old",
    "b.ipynb": b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}',
    "d/c.txt": b"c",
    "d/": b"",
    CHECKPOINT: b"older",
}

Writes = dict[str, Callable[[], Awaitable[Answer]]]


def fill(store: Store) -> None:
    """What is there before it."""
    for path, data in FILES.items():
        store.put(path, data)


def untouched(store: Store) -> bool:
    """Whether all of it is as it was, and nothing is new."""
    return {path: store.get(path) for path in store.paths(hidden=True)} == FILES


def writes(api: Api) -> Writes:
    """By name; each answers with whatever the server says."""

    async def upload() -> Answer:
        first = await api.contents("PUT", "up.bin", {**text_model("new"), "chunk": 1})
        if first.status >= 300:
            return first
        return await api.contents("PUT", "up.bin", {**text_model("er"), "chunk": -1})

    return {
        "save": lambda: api.contents("PUT", "a.txt", text_model("new")),
        "save a notebook": lambda: api.contents("PUT", "b.ipynb", notebook_model("new")),
        "save under a new name": lambda: api.contents("PUT", "new.txt", text_model("new")),
        "new notebook": lambda: api.contents("POST", "", {"type": "notebook"}),
        "new folder": lambda: api.contents("POST", "d", {"type": "directory"}),
        "upload": upload,
        "rename": lambda: api.contents("PATCH", "a.txt", {"path": "z.txt"}),
        "rename a folder": lambda: api.contents("PATCH", "d", {"path": "e"}),
        "delete": lambda: api.contents("DELETE", "a.txt"),
        "delete a folder": lambda: api.contents("DELETE", "d"),
        "copy": lambda: api.contents("POST", "", {"copy_from": "a.txt"}),
        "copy a folder": lambda: api.contents("POST", "", {"copy_from": "d"}),
        "checkpoint": lambda: api.contents("POST", "a.txt/checkpoints"),
        "restore": lambda: api.contents("POST", "a.txt/checkpoints/checkpoint-1"),
        "delete a checkpoint": lambda: api.contents("DELETE", "a.txt/checkpoints/checkpoint-1"),
    }


def is_sentence(message: str) -> bool:
    """Whether a person can be shown this."""
    begins = message[:1].isupper() or message[:1] in "'\""
    return begins and message.endswith(".") and "Traceback" not in message
