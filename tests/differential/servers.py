"""Two Jupyter servers side by side, and what is stored behind each."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.utils import url_path_join
from nbformat.sign import NotebookNotary
from tornado.escape import url_escape
from tornado.httpclient import AsyncHTTPClient
from tornado.httputil import url_concat

from jupyter_nbforge.contents.manager import NBForgeContentsManager
from tests.server.api import Answer
from tests.upstream.other_client import OtherClient

from .answers import Seen
from .operations import CHECKPOINT, Operation, list_checkpoints
from .trees import Tree, empty, tree_of_disk, tree_of_keys, write_tree


@dataclass(frozen=True)
class Place:
    """Where our manager keeps its objects: any number of fresh roots below one URL."""

    name: str
    url: str
    options: Mapping[str, Any]
    client: OtherClient | None
    """What sees the objects from outside; None for a directory of the disk."""

    @property
    def is_near(self) -> bool:
        """Whether a look at all that is stored costs next to nothing."""
        return self.name in ("memory", "file")


@dataclass
class Side:
    """One of the two servers, and what it has told so far."""

    app: Any
    port: int
    seen: Seen = field(default_factory=Seen)

    async def call(self, operation: Operation) -> Answer:
        """Send the request; the id of a checkpoint is the one that this server gave."""
        tail = operation.tail
        if CHECKPOINT in tail:
            tail = tail.replace(CHECKPOINT, await self._checkpoint_id(operation.path))
        return await self._fetch(operation, tail)

    async def _checkpoint_id(self, path: str) -> str:
        listing = list_checkpoints(path)
        answer = await self._fetch(listing, listing.tail)
        found = answer.json if answer.status == 200 else []
        return str(found[0]["id"]) if found else "checkpoint-1"

    async def _fetch(self, operation: Operation, tail: str) -> Answer:
        path = url_escape(f"{operation.route}/{operation.path}/{tail}".strip("/"), plus=False)
        path = path.replace("%2F", "/")
        url = url_path_join(f"http://127.0.0.1:{self.port}", self.app.base_url, path)
        token = self.app.identity_provider.token
        answer = await AsyncHTTPClient().fetch(
            url_concat(url, dict(operation.query)),
            method=operation.method,
            body=None if operation.body is None else json.dumps(operation.body),
            headers={"Authorization": f"token {token}", **operation.headers},
            allow_nonstandard_methods=True,
            raise_error=False,
            follow_redirects=False,
            request_timeout=30,
        )
        return Answer(answer.code, answer.headers, answer.body or b"")

    def close(self) -> None:
        """Close the signatures of the manager in use."""
        self.app.contents_manager.notary.store.close()

    def use(self, manager: Any) -> None:
        """Let the server use this manager from now on."""
        self.seen = Seen()
        self.close()
        self.app.contents_manager = manager
        self.app.web_app.settings["contents_manager"] = manager


class Reference(Side):
    """Jupyter's own manager on a directory."""

    @property
    def root(self) -> Path:
        return Path(self.app.root_dir)

    async def restart(self, **traits: Any) -> None:
        """Begin with an empty root and a manager that has seen nothing."""
        empty(self.root)
        # After an error it opens the signatures anew, and those in memory would be lost.
        signatures = self.root.with_name("signatures.db")
        signatures.unlink(missing_ok=True)
        notary = NotebookNotary(parent=self.app, db_file=str(signatures))
        manager = AsyncLargeFileManager(
            parent=self.app, delete_to_trash=False, notary=notary, **traits
        )
        self.use(manager)

    def tree(self) -> Tree:
        return tree_of_disk(self.root)

    def become(self, tree: Tree) -> None:
        """Store from now on what the other side stores."""
        write_tree(self.root, tree)


class Ours(Side):
    """Our manager on a fresh root of `place`."""

    def __init__(self, app: Any, port: int, place: Place) -> None:
        super().__init__(app, port)
        self.place = place
        self._area = ""
        self._manager: NBForgeContentsManager | None = None

    async def restart(self, **traits: Any) -> None:
        """As `Reference.restart`."""
        await self.aclose()
        self._area = f"d-{uuid.uuid4().hex[:12]}"
        url = f"{self.place.url}/{self._area}"
        if self.place.client is None:
            self._directory.mkdir()
        self._manager = NBForgeContentsManager(parent=self.app, storage_url=url, **traits)
        self.use(self._manager)

    async def aclose(self) -> None:
        """Close the manager that is in use."""
        if self._manager is not None:
            await self._manager.aclose()

    @property
    def _directory(self) -> Path:
        return Path(self.place.url.removeprefix("file://")) / self._area

    def tree(self) -> Tree:
        client, prefix = self.place.client, f"{self._area}/"
        if client is None:
            return _tree_of_directory(self._directory)
        keys = [path[len(prefix) :] for path in client.paths(prefix)]
        return tree_of_keys(keys, lambda key: client.read(prefix + key))


def _tree_of_directory(root: Path) -> Tree:
    read: Callable[[str], bytes] = lambda key: (root / key).read_bytes()  # noqa: E731
    found = (entry for entry in root.rglob("*"))
    keys = [e.relative_to(root).as_posix() + ("/" if e.is_dir() else "") for e in found]
    return tree_of_keys(keys, read)
