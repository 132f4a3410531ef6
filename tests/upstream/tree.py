"""A path into a store that answers to what upstream's tests ask of a `pathlib.Path`."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from .other_client import OtherClient


class StoreRoot:
    """A place in a store, seen as if it were mounted at a local directory.

    The directory exists and stays empty: jupyter_server wants a root on disk, and what is
    found in it afterwards was written past the storage.
    """

    def __init__(self, mount: Path, client: OtherClient, prefix: str) -> None:
        self.mount = mount
        self.client = client
        self.prefix = prefix

    def path(self, *parts: str | os.PathLike[str]) -> StorePath | Path:
        """What replaces `pathlib.Path`: a path under the mount is one in the store."""
        local = Path(*parts)
        if not local.is_absolute() or not local.is_relative_to(self.mount):
            return local
        return StorePath(self, local.relative_to(self.mount).as_posix())


class StorePath:
    """A file or a folder of a store; str() is where it would be under the mount."""

    def __init__(self, root: StoreRoot, inside: str = "") -> None:
        self.store = root
        self._inside = PurePosixPath(inside)

    @property
    def key(self) -> str:
        """The whole key of the object in the store."""
        inside = self._inside.as_posix()
        return self.store.prefix + ("" if inside == "." else inside)

    def __str__(self) -> str:
        return str(self.store.mount / self._inside)

    def __fspath__(self) -> str:
        return str(self)

    def __truediv__(self, name: str) -> StorePath:
        return StorePath(self.store, (self._inside / name).as_posix())

    def joinpath(self, *names: str) -> StorePath:
        return StorePath(self.store, self._inside.joinpath(*names).as_posix())

    def relative_to(self, other: StorePath) -> PurePosixPath:
        return self._inside.relative_to(other._inside)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """As the consoles of the clouds do it: an empty object whose name ends in a slash."""
        del mode, parents, exist_ok
        if self._inside != PurePosixPath():
            self.store.client.write(self.key + "/", b"")

    def write_bytes(self, data: bytes) -> None:
        self.store.client.write(self.key, data)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        self.write_bytes(text.encode(encoding))

    def is_file(self) -> bool:
        return self.store.client.read(self.key) is not None

    def is_dir(self) -> bool:
        return bool(self.store.client.paths(self.key.rstrip("/") + "/"))

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()
