"""``jupyter nbforge check``: a diagnosis of a storage in plain words."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from traitlets.config import Config

from ...storage.base import BaseStorageService
from ...storage.diagnosis import Finding
from ...storage.errors import ConfigurationError, MissingExtraError
from ...storage.factory import create_storage_service
from ...storage.mounts import MountSpec, check_alone, mount_specs
from ...storage.placeholders import GROUPS_VARIABLE, fill_placeholders
from ...storage.wrappers import PrefixStorage, RetryStorage
from ..errors import CommandError
from ..lab import configured_mounts, read_configuration
from .display import watcher_for, write_document
from .results import Step, StepResult, StorageReport, exit_code
from .runner import Watcher, run
from .steps import CONFIGURATION, SDK
from .world import World

_MAX_ATTEMPTS = 3
"""Of each request: a diagnosis is to tell of a trouble, but not of a single lost packet."""

_MANAGER = "NBForgeContentsManager"
_USER = re.compile(r"(://)[^/]*@")
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_INTERRUPTED = 128
"""Exit status of a program that a signal ended, less its number, as shells count it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line."""

    url: str | None
    as_json: bool = False
    read_only: bool = False
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """One storage to check: that of `url`, or of `mount`, a folder in the tree of people.

    `error` is what keeps every storage from being made.
    """

    url: str | None = None
    mount: MountSpec | None = None
    read_only: bool = False
    error: ConfigurationError | None = None


def run_check(wanted: Wanted, arguments: Sequence[str]) -> int:
    """Check the storage of the URL, else the configured ones; returns the exit status.

    `arguments` are options as JupyterLab takes them.
    """
    if wanted.url is not None and "://" not in wanted.url:
        raise CommandError(f"{wanted.url!r} is not a storage URL; give one such as s3://bucket.")
    config = read_configuration(arguments)
    watcher = watcher_for(sys.stdout, as_json=wanted.as_json)
    reports: list[StorageReport] = []

    async def check_all() -> None:
        for place in places(wanted, config):
            await _check(place, config, watcher, reports)

    interrupted = asyncio.run(_until_signal(check_all))
    if wanted.as_json:
        write_document(reports, sys.stdout, strict=wanted.strict)
    return interrupted or exit_code(reports, strict=wanted.strict)


def places(wanted: Wanted, config: Config) -> list[Place]:
    """What to check: the URL that was given, else what is configured."""
    manager = config.get(_MANAGER, {})
    read_only = wanted.read_only or bool(manager.get("read_only"))
    url = manager.get("storage_url") or ""
    mounts = {} if wanted.url else configured_mounts(config)
    if not mounts:
        return [Place(wanted.url or url or None, read_only=read_only)]
    try:
        check_alone(url, str(manager.get("root_dir", "")))
        specs = mount_specs(mounts)
    except ConfigurationError as error:
        return [Place(error=error)]
    if not specs:
        raise CommandError(
            "There is nothing to check: each folder of mounts is for a group, and the user here"
            f" is in none (the environment variable {GROUPS_VARIABLE})."
        )
    return [Place(mount=one, read_only=read_only or one.is_read_only) for one in specs]


async def _check(
    place: Place, config: Config, watcher: Watcher, reports: list[StorageReport]
) -> None:
    mount = place.mount.folder if place.mount else None
    report = StorageReport(_shown(place.url or "the configured storage"), mount)
    reports.append(report)
    storage, error = _create(place, config)
    report.url = storage.url if storage else report.url
    watcher.storage(report)
    for step, finding in _first_findings(config, error):
        report.results.append(StepResult(step, finding))
        watcher.done(report.results[-1])
    if storage is None:
        report.misconfigured = not isinstance(error, MissingExtraError)
        watcher.finish(report)
        return
    links = float(config.get(_MANAGER, {}).get("max_link_lifetime", 1)) >= 1
    world = World(storage, storage.diagnosis(), report, place.read_only, links)
    try:
        await run(world, watcher)
    finally:
        await storage.aclose()
        watcher.finish(report)


def _shown(url: str) -> str:
    """What may be a URL, without the places in which people put secrets."""
    return _USER.sub(r"\1…@", re.split(r"[?#]", url, maxsplit=1)[0])


def _create(
    place: Place, config: Config
) -> tuple[BaseStorageService | None, ConfigurationError | None]:
    """The storage as it is below its prefix, without what remembers; or what is wrong."""
    if place.error is not None:
        return None, place.error
    try:
        if place.mount is not None:
            storage = place.mount.create(config=config, wrap=False)
        else:
            storage = create_storage_service(place.url, config=config, wrap=False)
            root_dir = str(config.get(_MANAGER, {}).get("root_dir", ""))
            root = fill_placeholders(root_dir, os.environ).strip("/")
            storage = PrefixStorage(storage, prefix=root) if root else storage
        return RetryStorage(storage, config=config, max_attempts=_MAX_ATTEMPTS), None
    except ConfigurationError as error:
        return None, error


def _first_findings(config: Config, error: ConfigurationError | None) -> list[tuple[Step, Finding]]:
    if error is not None and not isinstance(error, MissingExtraError):
        return [(CONFIGURATION, Finding("failed", error.message))]
    names = [
        f"{section}.{option}"
        for section, options in sorted(config.items())
        if section.endswith("Storage") or section == _MANAGER
        for option in sorted(options)
    ]
    told = ", ".join(names) or "no options are set"
    found = [(CONFIGURATION, Finding("ok", f"Read: {told}."))]
    if error is not None:
        found.append((SDK, Finding("failed", error.message)))
    return found


async def _until_signal(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Do `work`; a signal cancels it, once, and is waited for. The exit status of that, else 0."""
    task = asyncio.ensure_future(work())
    loop = asyncio.get_running_loop()
    came: list[int] = []

    def stop(number: int) -> None:
        if not came:
            came.append(number)
            sys.stderr.write("\nStopping; what was written is deleted first ...\n")
            task.cancel()

    for name in _SIGNALS:
        # Windows has no such handlers: there asyncio itself cancels at Ctrl+C.
        with suppress(NotImplementedError, AttributeError):
            number = getattr(signal, name)
            loop.add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        if not came:
            raise
        return _INTERRUPTED + came[0]
    return 0
