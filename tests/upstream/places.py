"""Where a test of upstream's works: a directory (the reference) or a fresh prefix in a store."""

from __future__ import annotations

import abc
import os
import posixpath
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from traitlets.config import Config

from .clouds import Cloud
from .other_client import MemoryClient, OtherClient
from .tree import StorePath, StoreRoot

REFERENCE = "jupyter_server.services.contents.largefilemanager.AsyncLargeFileManager"
OURS = "jupyter_nbforge.NBForgeContentsManager"


class Place(abc.ABC):
    """One test's own root, its manager and the settings with which a server uses them."""

    contents_manager_class: str
    root: Any
    """The root as a `pathlib.Path` or as what stands for one."""

    @abc.abstractmethod
    def path(self, *parts: str | os.PathLike[str]) -> Any:
        """What stands for `pathlib.Path` in the tests."""

    @abc.abstractmethod
    def manager(self, root_dir: str | None = None) -> Any:
        """A manager of this place; a local `root_dir` matters to the reference only."""

    @abc.abstractmethod
    def config(self) -> Config:
        """The server's configuration for this place, class of the manager included."""

    @abc.abstractmethod
    def close(self, run: Callable[[Awaitable[None]], None]) -> None:
        """Free what was made, running coroutines with `run`; checks what must not have happened."""


class LocalPlace(Place):
    """Jupyter's own manager on a directory: shows that the harness itself is right."""

    contents_manager_class = REFERENCE

    def __init__(self, mount: Path) -> None:
        self.root = mount

    def path(self, *parts: str | os.PathLike[str]) -> Path:
        return Path(*parts)

    def manager(self, root_dir: str | None = None) -> Any:
        return AsyncLargeFileManager(root_dir=root_dir or str(self.root))

    def config(self) -> Config:
        settings = Config()
        settings.ServerApp.contents_manager_class = REFERENCE
        return settings

    def close(self, run: Callable[[Awaitable[None]], None]) -> None:
        pass


class StorePlace(Place):
    """Our manager on a prefix that no other test uses, in a store that other programs use too."""

    contents_manager_class = OURS

    def __init__(
        self, mount: Path, client: OtherClient, url: str, options: Mapping[str, Any], area: str
    ) -> None:
        self._area = area
        self._client = client
        self._settings = Config({"NBForgeContentsManager": {"storage_url": f"{url}/{area}/root"}})
        self._settings.merge(Config(options))
        self._managers: list[Any] = []
        self._outside: dict[str, bytes] = {}
        self.root = StorePath(StoreRoot(mount, client, f"{area}/root/"))
        self.mount = mount

    def path(self, *parts: str | os.PathLike[str]) -> Any:
        return self.root.store.path(*parts)

    def manager(self, root_dir: str | None = None) -> Any:
        from jupyter_nbforge.contents.manager import NBForgeContentsManager

        mount = self.mount

        class Manager(NBForgeContentsManager):
            def _get_os_path(self, path: str) -> str:
                return str(mount / path)

        made = Manager(config=self._settings)
        self._managers.append(made)
        return made

    def config(self) -> Config:
        settings = Config()
        settings.merge(self._settings)
        # The look at the start is a listing of the root, which would be remembered for two seconds.
        settings.NBForgeContentsManager.check_at_start = False
        settings.ServerApp.contents_manager_class = OURS
        settings.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
        return settings

    def open(self, name: str, mode: str = "r") -> Any:
        """What stands for `open`: a name that climbs out of the root is an object beside it."""
        if ".." not in str(name).split("/"):
            return open(name, mode)
        key = posixpath.normpath(f"{self._area}/root/{name}")
        return _ObjectWriter(self._client, key, self._outside)

    def stat(self, name: str) -> SimpleNamespace:
        """What stands for `os.stat`: as if both times were now."""
        del name
        now = time.time()
        return SimpleNamespace(st_atime=now, st_mtime=now)

    def utime(self, name: str, times: tuple[float, float]) -> None:
        """What stands for `os.utime`: moves the kept time by what lies between the two."""
        self._client.backdate(self.path(name).key, times[0] - times[1])

    def close(self, run: Callable[[Awaitable[None]], None]) -> None:
        for manager in self._managers:
            run(manager.aclose())
        left = list(self.mount.iterdir())
        assert not left, f"written to the local disk: {left}"
        beside = self._client.paths(self._area + "/")
        strays = {key for key in beside if not key.startswith(f"{self._area}/root/")}
        assert strays == set(self._outside), f"outside the root: {strays}"
        for key, data in self._outside.items():
            assert self._client.read(key) == data, f"changed outside the root: {key}"


class _ObjectWriter:
    def __init__(self, client: OtherClient, key: str, written: dict[str, bytes]) -> None:
        self._client = client
        self._key = key
        self._written = written

    def __enter__(self) -> _ObjectWriter:
        return self

    def __exit__(self, *exc_info: object) -> None:
        pass

    def write(self, text: str) -> None:
        self._written[self._key] = text.encode()
        self._client.write(self._key, text.encode())


def new_place(
    target: str, mount: Path, stack: ExitStack, environ: Mapping[str, str] = os.environ
) -> Place:
    """A place of `target`: ``reference``, ``memory``, or the name of a server."""
    if target == "reference":
        return LocalPlace(mount)
    area = f"t-{uuid.uuid4().hex[:12]}"
    if target == "memory":
        memory = MemoryClient()
        stack.enter_context(memory.shared())
        return StorePlace(mount, memory, "memory:/", {}, area)
    cloud = Cloud.load(environ).emptied()
    return StorePlace(mount, cloud.client(), cloud.url, cloud.options, area)
