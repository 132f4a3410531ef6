"""JupyterLab in this process, on a storage that was looked at first."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType
from typing import Any

from jupyter_core.application import JupyterApp
from jupyter_server.serverapp import ServerApp
from traitlets.config import Application, Config
from traitlets.config.loader import DeferredConfig

from ..contents.manager import NBForgeContentsManager
from ..storage.base import BaseStorageService
from ..storage.factory import create_storage_service
from ..storage.mounts import create_mounted_storage
from ..storage.values import is_installed
from .errors import CommandError, require

MANAGER = "jupyter_nbforge.NBForgeContentsManager"
_SINGLE = re.compile(
    r"--(?:(?:\w+Storage|NBForgeContentsManager)\.\w+|ServerApp\.contents_manager_class)="
)


def run_lab(url: str | None, arguments: Sequence[str]) -> None:
    """Serve JupyterLab on `url` until a signal ends it; `arguments` go to JupyterLab.

    Without a URL it is the configured one, else what the environment says. Raises
    `CommandError` or `StorageError` before anything is started.
    """
    require_jupyterlab()
    if url is not None and "://" not in url:
        raise CommandError(
            f"{url!r} is not a storage URL; give one such as s3://bucket/prefix, "
            "before the options for JupyterLab."
        )
    check_storage(url, read_configuration(arguments))
    serve(url, arguments)


def require_jupyterlab() -> None:
    """`CommandError` if JupyterLab is not installed."""
    require("jupyterlab", "JupyterLab", "jupyterlab")


def read_configuration(arguments: Sequence[str]) -> Config:
    """The configuration that the server will have: its files and the command line.

    Where JupyterLab is not installed, that of the server alone.
    """
    reader = ServerApp(log_level=logging.CRITICAL)
    lab = _lab_app() if is_installed("jupyterlab") else None
    if lab is not None:
        reader.aliases = {**reader.aliases, **lab.aliases}
        reader.flags = {**reader.flags, **lab.flags}
    # The server as far as its configuration: no port, no extension, no output.
    JupyterApp.initialize(reader, list(arguments))
    if lab is not None:
        file = f"jupyter_{lab.name}_config"
        Application.load_config_file(reader, file, path=reader.config_file_paths)
        reader.update_config(reader.cli_config)
    return reader.config


def _lab_app() -> Any:
    from jupyterlab.labapp import LabApp  # type: ignore[import-untyped]

    return LabApp


def check_storage(url: str | None, config: Config) -> None:
    """Open the storage and list one page of it; `StorageError` if that fails.

    Of mounts only the root is looked at: another that is down is no reason not to start.
    """
    asyncio.run(_list_one_page(configured_storage(url, config)))


def configured_storage(url: str | None, config: Config) -> BaseStorageService:
    """The storage of `url`, else the one that the server with this configuration has."""
    mounts = configured_mounts(config)
    if mounts and url is None:
        return create_mounted_storage(mounts, config=config)
    section = config.get("NBForgeContentsManager", {})
    return create_storage_service(url or section.get("storage_url"), config=config)


def configured_mounts(config: Config) -> Mapping[str, object]:
    """The option `mounts`, from a file or the command line; empty if it is not set."""
    mounts = config.get("NBForgeContentsManager", {}).get("mounts")
    if isinstance(mounts, DeferredConfig):
        mounts = mounts.get_value(NBForgeContentsManager.mounts)
    return mounts or {}


async def _list_one_page(storage: BaseStorageService) -> None:
    try:
        async for _page in storage.list_pages("", page_size=1):
            break
    finally:
        await storage.aclose()


def serve(url: str | None, arguments: Sequence[str]) -> None:
    """Run JupyterLab on `url` in this process until SIGINT, SIGTERM or SIGHUP.

    What is passed here never shows in the list of processes, and no kernel inherits it.
    It comes before `arguments`, which may override it, and wins over configuration files.
    """
    ours = [
        f"--ServerApp.contents_manager_class={MANAGER}",
        "--ServerApp.jpserver_extensions=jupyter_nbforge=True",
    ]
    if url is not None:
        ours.append(f"--NBForgeContentsManager.storage_url={url}")
    server = _lab_app().initialize_server(argv=_last_of_each([*ours, *arguments]))
    _stop_on_signals(server)
    server.start()


def _last_of_each(arguments: Sequence[str]) -> list[str]:
    """`arguments` without options that are given again later.

    traitlets ends with a traceback, values included, when a single value is given twice.
    """
    last = {argument.partition("=")[0]: index for index, argument in enumerate(arguments)}
    return [
        argument
        for index, argument in enumerate(arguments)
        if not _SINGLE.match(argument) or last[argument.partition("=")[0]] == index
    ]


def _stop_on_signals(server: ServerApp) -> None:
    """End the server, its kernels and extensions in order at the first signal.

    Jupyter asks back on a terminal, and without one Ctrl+C leaves out the extensions.
    Further signals change nothing, so that an impatient one cannot break the clean end.
    """

    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        sys.stderr.write("\nStopping JupyterLab and its kernels ...\n")
        server.stop(from_signal=True)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
