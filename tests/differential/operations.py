"""What a client may ask of the contents API: one request, and the words from which it is made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

CHECKPOINT = "{checkpoint}"
"""In an operation: the id of the one checkpoint of its path, which each server names itself."""

FOLDERS = ("", "d", "d2", "d/e f", "d2/d", "ü.x", ".h")
FILES = (
    *("a.txt", "b.bin", "c", "d", "k.csv.gz", "p.py", "page.html", "n.ipynb", "ü ä.ipynb"),
    *(" lead.txt", "trail ", "dot.", "a.txt.ipynb", ".rc", "x-Copy1.txt", "100%+#?.md"),
)
PATHS = tuple(f"{folder}/{name}".strip("/") for folder in FOLDERS for name in FILES)


@dataclass(frozen=True)
class Operation:
    """One request for `path`; `tail` is what the contents API has below a path."""

    method: str
    path: str
    tail: str = ""
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    route: str = "api/contents"

    @property
    def changes(self) -> bool:
        """Whether it may change anything."""
        return self.method not in ("GET", "HEAD")

    @property
    def is_download(self) -> bool:
        """Whether it asks for the bytes of a file, not for a model."""
        return self.route == "files"

    def says(self, name: str) -> Any:
        """The value of `name` in the body; None if there is no such thing."""
        return self.body.get(name) if isinstance(self.body, dict) else None

    @property
    def target(self) -> str | None:
        """Where a rename goes."""
        path = self.says("path") if self.method == "PATCH" else None
        return path.strip("/") if isinstance(path, str) else None

    @property
    def source(self) -> str | None:
        """Of what a copy is made."""
        path = self.says("copy_from") if self.method == "POST" else None
        return path.strip("/") if isinstance(path, str) and path else None

    @property
    def writes_content(self) -> bool:
        """Whether it gives its path new content."""
        return self.method == "PUT" and not self.tail

    @property
    def is_unfinished(self) -> bool:
        """Whether it is a chunk of an upload, and not the last one."""
        return self.says("chunk") not in (None, -1)

    def __str__(self) -> str:
        parts = [self.method, f"/{self.route}/{self.path}"]
        parts[1] += f"/{self.tail}" if self.tail else ""
        parts += [json.dumps(part) for part in (self.query, self.headers) if part]
        parts += [] if self.body is None else [json.dumps(self.body)]
        return " ".join(parts)


def get(path: str, **query: str) -> Operation:
    return Operation("GET", path, query=query)


def save(path: str, content: Any, **model: Any) -> Operation:
    """Save a text file, or whatever the model says."""
    return Operation(
        "PUT", path, body={"type": "file", "format": "text", "content": content} | model
    )


def save_notebook(path: str, content: Any) -> Operation:
    return save(path, content, type="notebook", format="json")


def make_folder(path: str) -> Operation:
    return Operation("PUT", path, body={"type": "directory"})


def untitled(folder: str, **body: Any) -> Operation:
    return Operation("POST", folder, body=body or None)


def copy(source: str, into: str) -> Operation:
    return Operation("POST", into, body={"copy_from": source})


def rename(path: str, target: str) -> Operation:
    return Operation("PATCH", path, body={"path": target})


def delete(path: str) -> Operation:
    return Operation("DELETE", path)


def list_checkpoints(path: str) -> Operation:
    return Operation("GET", path, "checkpoints")


def make_checkpoint(path: str) -> Operation:
    return Operation("POST", path, "checkpoints")


def restore(path: str, checkpoint: str = CHECKPOINT) -> Operation:
    return Operation("POST", path, f"checkpoints/{checkpoint}")


def drop_checkpoint(path: str, checkpoint: str = CHECKPOINT) -> Operation:
    return Operation("DELETE", path, f"checkpoints/{checkpoint}")


def trust(path: str) -> Operation:
    return Operation("POST", path, "trust")


def chunk(path: str, number: Any, content: str, format: str = "base64") -> Operation:  # noqa: A002
    return save(path, content, format=format, chunk=number)


def download(
    path: str, method: str = "GET", *, attachment: bool = False, part: str = ""
) -> Operation:
    query = {"download": "1"} if attachment else {}
    headers = {"Range": part} if part else {}
    return Operation(method, path, query=query, headers=headers, route="files")
