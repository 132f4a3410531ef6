"""What Jupyter's own HTTP layer costs: a contents manager that has nothing to do.

It answers with models that are ready in memory, and forgets what it is given. What it still
takes, and how long the event loop stands still for it, no contents manager can avoid.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.contents.checkpoints import AsyncCheckpoints
from jupyter_server.services.contents.manager import AsyncContentsManager
from tornado import web
from traitlets import default

_NOW = datetime(2025, 1, 1, tzinfo=timezone.utc)
_PIECE = bytes(256 * 1024)


class NoCheckpoints(AsyncCheckpoints):
    """Says that there is one, and does nothing."""

    async def create_checkpoint(self, contents_mgr: Any, path: str) -> dict[str, Any]:
        return {"id": "1", "last_modified": _NOW}

    async def list_checkpoints(self, path: str) -> list[dict[str, Any]]:
        return []


class ReadyFiles(JupyterHandler):
    """Sends zeros, as many as the file has bytes."""

    auth_resource = "contents"

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """The whole file."""
        size = cast("ReadyMadeManager", self.settings["contents_manager"]).size(path)
        self.set_header("Content-Length", str(size))
        self.set_header("Content-Type", "application/octet-stream")
        for start in range(0, size, len(_PIECE)):
            self.write(_PIECE[: size - start])
            await self.flush()


class ReadyMadeManager(AsyncContentsManager):
    """Shows what is in its root directory, which it reads when it is first asked for a path."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._models: dict[str, dict[str, Any]] = {}

    @default("checkpoints_class")
    def _default_checkpoints_class(self) -> type[NoCheckpoints]:
        return NoCheckpoints

    @default("files_handler_class")
    def _default_files_handler_class(self) -> type[ReadyFiles]:
        return ReadyFiles

    @default("files_handler_params")
    def _default_files_handler_params(self) -> dict[str, Any]:
        return {}

    def size(self, path: str) -> int:
        """Of a file, in bytes."""
        return self._place(path).stat().st_size

    async def is_hidden(self, path: str) -> bool:
        return False

    async def file_exists(self, path: str = "") -> bool:
        return True

    async def dir_exists(self, path: str) -> bool:
        return True

    async def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,  # noqa: A002 - Jupyter's names
        format: str | None = None,  # noqa: A002
        require_hash: bool = False,
    ) -> dict[str, Any]:
        """A model as it was made at the first question."""
        if not content:
            return _model(path, type or "file")
        if path not in self._models:
            self._models[path] = self._folder(path) if type == "directory" else self._file(path)
        return self._models[path]

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Nothing is kept."""
        return _model(path, model["type"])

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Nothing is moved."""

    async def update(self, model: dict[str, Any], path: str) -> dict[str, Any]:
        return _model(model["path"], "directory")

    def _place(self, path: str) -> Path:
        return Path(self.root_dir, path.strip("/"))

    def _file(self, path: str) -> dict[str, Any]:
        content = json.loads(self._place(path).read_bytes())
        return _model(path, "notebook") | {"content": content, "format": "json"}

    def _folder(self, path: str) -> dict[str, Any]:
        entries = [_model(f"{path}/{entry.name}", "file") for entry in self._place(path).iterdir()]
        return _model(path, "directory") | {"content": entries, "format": "json"}


def _model(path: str, kind: str) -> dict[str, Any]:
    return {
        "name": path.rpartition("/")[2],
        "path": path,
        "type": kind,
        "writable": True,
        "created": _NOW,
        "last_modified": _NOW,
        "mimetype": None,
        "size": 0,
        "content": None,
        "format": None,
        "hash": "0" * 64,
        "hash_algorithm": "sha256",
    }
