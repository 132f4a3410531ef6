"""Where the files of a system are: what has to be there is put there past the system itself."""

from __future__ import annotations

import abc
from pathlib import Path

from .children import Child
from .corpus import file_bytes
from .systems import PREFIX

SMALL_FILE = b"a,b\n1,2\n" * 16


class Place(abc.ABC):
    """Paths are those of the contents API."""

    @abc.abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Put one file."""

    @abc.abstractmethod
    def write_many(self, folder: str, count: int) -> None:
        """Put small files into a folder."""

    @abc.abstractmethod
    def write_large(self, path: str, mib: int) -> None:
        """Put a file of so many MiB."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes:
        """The bytes of a file."""

    @abc.abstractmethod
    def size(self, path: str) -> int:
        """Of a file, in bytes."""

    @abc.abstractmethod
    def count(self, folder: str) -> int:
        """How many of the small files are in the folder."""


class InStore(Place):
    """In the bucket; `admin` is a `Raw` that goes to the store directly."""

    def __init__(self, admin: Child) -> None:
        self._admin = admin

    def write(self, path: str, data: bytes) -> None:
        self._admin.ask("write", f"{PREFIX}/{path}", data)

    def write_many(self, folder: str, count: int) -> None:
        self._admin.ask("write_many", f"{PREFIX}/{folder}", count, SMALL_FILE)

    def write_large(self, path: str, mib: int) -> None:
        self._admin.ask("write_large", f"{PREFIX}/{path}", mib)

    def read(self, path: str) -> bytes:
        return bytes(self._admin.ask("read", f"{PREFIX}/{path}"))

    def size(self, path: str) -> int:
        return int(self._admin.ask("size", f"{PREFIX}/{path}"))

    def count(self, folder: str) -> int:
        paths = self._admin.ask("paths", f"{PREFIX}/{folder}/")
        return sum(path.endswith(".txt") for path in paths)


class OnDisk(Place):
    """In a directory of the local disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, path: str, data: bytes) -> None:
        self._place(path).write_bytes(data)

    def write_many(self, folder: str, count: int) -> None:
        for number in range(count):
            self.write(f"{folder}/file-{number:05}.txt", SMALL_FILE)

    def write_large(self, path: str, mib: int) -> None:
        self.write(path, file_bytes(mib))

    def read(self, path: str) -> bytes:
        return self._place(path).read_bytes()

    def size(self, path: str) -> int:
        return self._place(path).stat().st_size

    def count(self, folder: str) -> int:
        return len(list(Path(self._directory, folder).glob("*.txt")))

    def _place(self, path: str) -> Path:
        place = Path(self._directory, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        return place
