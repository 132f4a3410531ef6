"""The two ends of a copy, and what `ls` and `link` are about: a storage URL, a file or a folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from traitlets.config import Config
from traitlets.config.loader import (
    ConfigFileNotFound,
    DeferredConfigString,
    JSONFileConfigLoader,
    PyFileConfigLoader,
)

from ..copying.engine import has_any, is_object
from ..storage.base import BaseStorageService
from ..storage.factory import create_storage_service
from ..storage.paths import name_of
from .errors import CommandError


@dataclass(frozen=True, slots=True)
class Address:
    """What was written on the command line: a folder of a store or of a disk, and a name in it.

    `name` is empty where the folder itself is meant; `as_folder` says that it cannot be a file.
    """

    text: str
    config: Config
    folder: str
    """The URL of the folder that holds `name`, or its path on the disk."""

    name: str
    on_disk: bool
    as_folder: bool

    @property
    def container(self) -> str:
        """The URL of the whole bucket or container; for a store only."""
        scheme, netloc, *_ = urlsplit(self.folder)
        return f"{scheme}://{netloc}"

    @property
    def may_exist(self) -> bool:
        """False if it is known to be missing: on a disk."""
        return not self.on_disk or os.path.exists(os.path.join(self.folder, self.name))

    @property
    def whole(self) -> Address:
        """The same, taken for a folder."""
        joined = os.path.join if self.on_disk else _joined
        folder = joined(self.folder, self.name) if self.name else self.folder
        return Address(self.text, self.config, folder, "", self.on_disk, True)

    def open(self) -> BaseStorageService:
        """The storage of the folder; `StorageError` if it is wrongly configured."""
        # What is copied is read once: to keep it in memory helps nobody.
        config = _merged(self.config, Config({"CacheStorage": {"max_bytes": 0}}))
        if self.on_disk:
            return create_storage_service("file", config=config, environ={}, root=self.folder)
        return create_storage_service(self.folder, config=config)


def _merged(*configs: Config) -> Config:
    """A new configuration; what comes later wins."""
    merged = Config()
    for config in configs:
        merged.merge(config)
    return merged


def _joined(url: str, name: str) -> str:
    return f"{url.rstrip('/')}/{name}"


def parse_address(text: str, config: Config) -> Address:
    """What `text` stands for: a storage URL, a ``file:`` URL or a path on this computer."""
    if "://" not in text:
        return _on_disk(text, os.path.expanduser(text), config)
    url = urlsplit(text)
    if url.scheme == "file":
        return _on_disk(text, unquote(url.path), config)
    path = url.path.strip("/")
    as_folder = text.endswith("/") or not path
    if as_folder:
        return Address(text, config, text, "", False, True)
    # Of the URL itself: what is in it stays as it is.
    folder = text[: text.rindex("/")]
    return Address(text, config, folder, name_of(path), False, False)


def _on_disk(text: str, path: str, config: Config) -> Address:
    whole = os.path.abspath(path)
    if os.path.isdir(whole) or text.endswith(("/", os.sep)):
        return Address(text, config, whole, "", True, True)
    return Address(text, config, os.path.dirname(whole), os.path.basename(whole), True, False)


@dataclass(frozen=True, slots=True)
class Found:
    """A storage and in it one object, or with an empty `path` all of it."""

    storage: BaseStorageService
    path: str


async def find_source(address: Address) -> Found:
    """The object or the folder that is meant; `CommandError` if there is neither."""
    if not address.may_exist:
        raise CommandError(f"{address.text} does not exist.")
    if address.name:
        storage = address.open()
        if await is_object(storage, address.name):
            return Found(storage, address.name)
        await storage.aclose()
    storage = address.whole.open()
    if not address.on_disk and not await has_any(storage, ""):
        await storage.aclose()
        raise CommandError(f"There is nothing at {address.text}.")
    return Found(storage, "")


async def find_target(address: Address, name: str) -> tuple[Address, str]:
    """Where an object of that name is to go: the folder, and its path in it.

    Into the folder that the address names, if there is one or it ends in ``/``; else it gets
    the name that the address ends in.
    """
    if not address.name:
        return address, name
    if not address.on_disk:
        storage = address.whole.open()
        try:
            if await has_any(storage, ""):
                return address.whole, name
        finally:
            await storage.aclose()
    return address, address.name


def made_folder(address: Address) -> None:
    """Make the folder of a target on a disk; `CommandError` if that fails."""
    if address.on_disk:
        try:
            Path(address.folder).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandError(f"{address.folder} cannot be made: {error.strerror}.") from None


def with_options(config: Config, file: str | None, options: Iterable[str]) -> Config:
    """`config`, over it what is in a configuration file, over that options ``Class.name=value``.

    `CommandError` for what cannot be read.
    """
    given = Config()
    for option in options:
        name, found, value = option.removeprefix("--").partition("=")
        section, dot, trait = name.partition(".")
        if not (found and dot):
            raise CommandError(
                f"{name!r} is no option; write it as S3Storage.endpoint_url=https://…"
            )
        given[section][trait] = DeferredConfigString(value)
    from_file = Config() if file is None else _from_file(Path(file).expanduser())
    return _merged(config, from_file, given)


def _from_file(file: Path) -> Config:
    loader = JSONFileConfigLoader if file.suffix == ".json" else PyFileConfigLoader
    try:
        return loader(file.name, path=str(file.parent)).load_config()
    except (OSError, ConfigFileNotFound, ValueError) as error:
        raise CommandError(f"The configuration file {file} cannot be read: {error}.") from None
    except Exception as error:  # noqa: BLE001 (the file is a program and may raise anything)
        # No traceback: it shows lines of the file, which may hold secrets.
        raise CommandError(
            f"The configuration file {file} cannot be read: it ends with {type(error).__name__}."
        ) from None
