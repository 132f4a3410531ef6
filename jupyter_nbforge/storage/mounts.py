"""From a table of folders and storage URLs to one storage: each in a stack of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    environ = os.environ if environ is None else environ
    storages: dict[str, BaseStorageService] = {}
    for entry in for_each_group(mounts, environ):
        point = checked_point(entry.folder)
        try:
            storages[point] = _create(
                entry.spec, parent=parent, config=config, environ=entry.environ
            )
        except ConfigurationError as error:
            error.message = f"The mount {entry.folder!r} cannot be used: {error.message}"
            error.args = (error.message,)
            raise
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
