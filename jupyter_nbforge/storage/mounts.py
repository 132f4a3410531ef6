"""From a table of folders and storage URLs to one storage: each in a stack of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from traitlets.config import Config, Configurable

from .base import BaseStorageService
from .errors import ConfigurationError
from .factory import create_storage_service
from .placeholders import for_each_group
from .wrappers import MountedStorage, ReadOnlyStorage
from .wrappers.mount_table import checked_point

_URL = "url"
_READ_ONLY = "read_only"


class _NoRoot(ReadOnlyStorage):
    """An empty root, which nothing can be written to."""

    @property
    def url(self) -> str:
        return "nothing"

    def write_refusal(self, path: str) -> str:
        return (
            f"{path!r} was not changed: only the folders here have a storage. Choose one of them."
        )


@dataclass(frozen=True, slots=True)
class MountSpec:
    """What is configured for one folder, ``""`` the root, with its placeholders to be filled
    from `environ`. Nothing of it is looked at before `create`."""

    folder: str
    spec: object
    environ: Mapping[str, str]

    @property
    def is_read_only(self) -> bool:
        """Whether nothing is to be written there."""
        return isinstance(self.spec, Mapping) and self.spec.get(_READ_ONLY) is True

    def create(
        self,
        *,
        parent: Configurable | None = None,
        config: Config | None = None,
        wrap: bool = True,
    ) -> BaseStorageService:
        """The storage, as `create_storage_service` makes it, refusing writes if it is read-only.

        Raises `ConfigurationError` with a sentence that names the folder.
        """
        try:
            return _create(self.spec, parent=parent, config=config, environ=self.environ, wrap=wrap)
        except ConfigurationError as error:
            error.message = f"The mount {self.folder!r} cannot be used: {error.message}"
            error.args = (error.message,)
            raise


def mount_specs(
    mounts: Mapping[str, object], environ: Mapping[str, str] | None = None
) -> list[MountSpec]:
    """The entries of `mounts`, those for each group taken apart, in the order of the table.

    Raises `ConfigurationError` where a folder cannot be one, or two are the same.
    """
    environ = os.environ if environ is None else environ
    entries = for_each_group(mounts, environ)
    return [MountSpec(checked_point(one.folder), one.spec, one.environ) for one in entries]


def check_alone(storage_url: str, root_dir: str) -> None:
    """`ConfigurationError` if one of the manager's options that `mounts` replaces is set."""
    if storage_url:
        raise ConfigurationError(
            "storage_url and mounts are both set; write the URL into mounts, at the folder ''."
        )
    if root_dir.strip("/"):
        raise ConfigurationError(
            "root_dir and mounts are both set; write the folder into the URLs of mounts."
        )


def create_mounted_storage(
    mounts: Mapping[str, object],
    *,
    parent: Configurable | None = None,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
) -> BaseStorageService:
    """The storages of `mounts` in one tree; nothing is sent before its first call.

    A key is a folder, ``""`` the root; a value is a storage URL, or a dict with the ``url``,
    ``read_only`` (default False) and traits of the provider. Each has a whole
    `create_storage_service` of its own, whose prefix is what its URL says. Without a root the
    tree shows only the folders of the mounts. Placeholders are filled, see `for_each_group`.
    Raises `ConfigurationError` with one sentence.
    """
    storages = {
        one.folder: one.create(parent=parent, config=config) for one in mount_specs(mounts, environ)
    }
    if "" not in storages:
        nothing = create_storage_service("memory", wrap=False, environ={}, parent=parent)
        storages[""] = _NoRoot(nothing, parent=parent)
    return MountedStorage(storages, parent=parent)


def _create(spec: object, **sources: Any) -> BaseStorageService:
    options: dict[str, Any] = {_URL: spec} if isinstance(spec, str) else _as_dict(spec)
    url, read_only = options.pop(_URL, None), options.pop(_READ_ONLY, False)
    if not isinstance(url, str) or "://" not in url:
        raise ConfigurationError("it needs a storage URL such as 's3://bucket/prefix'.")
    if not isinstance(read_only, bool):
        raise ConfigurationError(f"its 'read_only' is {read_only!r}; it must be True or False.")
    if not urlsplit(url).path.strip("/"):
        # Neither the environment nor c.PrefixStorage.prefix may move it: they are for one storage.
        options.setdefault("prefix", "")
    storage = create_storage_service(url, **sources, **options)
    return ReadOnlyStorage(storage, parent=sources["parent"]) if read_only else storage


def _as_dict(spec: object) -> dict[str, Any]:
    if not isinstance(spec, Mapping) or not all(isinstance(name, str) for name in spec):
        raise ConfigurationError(
            "its value must be a storage URL, or a dict with 'url', 'read_only' and options."
        )
    reserved = sorted(set(spec) & {"provider", "parent", "config", "environ", "wrap"})
    if reserved:
        raise ConfigurationError(f"it has no option {reserved[0]!r}.")
    return dict(spec)
