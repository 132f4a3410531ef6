"""The server extension: looks at the storage when the server starts, closes it when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from tornado import httputil, web

from .contents.errors import retry_after
from .contents.manager import NBForgeContentsManager
from .handlers import ROUTES
from .kernels import KernelEnvironment
from .storage.base import BaseStorageService
from .storage.errors import (
    ConfigurationError,
    PermissionDeniedError,
    StorageError,
    UnauthenticatedError,
)
from .storage.metrics import LOOP_DELAY

_FIRST_SWEEP = 60.0
_SWEEP_EVERY = 6 * 3600.0
"""Seconds from the start of the server, and from then on, to the search for stale uploads."""

_FATAL = (ConfigurationError, PermissionDeniedError, UnauthenticatedError)


class RetryAfter(web.OutputTransform):
    """Gives every 503 of this server a Retry-After header, which an HTTPError cannot carry.

    An error page is written while its error is handled, so the error is at hand here, also in
    Jupyter's own handlers.
    """

    def __init__(self, request: httputil.HTTPServerRequest) -> None:
        super().__init__(request)

    def transform_first_chunk(
        self,
        status_code: int,
        headers: httputil.HTTPHeaders,
        chunk: bytes,
        finishing: bool,
    ) -> tuple[int, httputil.HTTPHeaders, bytes]:
        if status_code == 503 and "Retry-After" not in headers:
            headers["Retry-After"] = str(retry_after(sys.exc_info()[1]))
        return status_code, headers, chunk


async def _sweep(manager: NBForgeContentsManager) -> None:
    await asyncio.sleep(_FIRST_SWEEP)
    while True:
        await manager.abort_stale_uploads()
        await asyncio.sleep(_SWEEP_EVERY)


_HUB_SERVER = "JUPYTERHUB_SERVICE_PREFIX"


def _end_well_when_interrupted(server: ServerApp) -> None:
    """Let SIGINT, by which JupyterHub's local spawners end a server, end it as SIGTERM does.

    Without a terminal Jupyter has no handler for it, and breaks off without calling any
    extension: kernels, uploads and connections would be left as they are. Nowhere else is
    the signal ours to handle: then the process is somebody's own.
    """
    own = threading.current_thread() is threading.main_thread() and _HUB_SERVER in os.environ
    if own and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda number, frame: server.stop(from_signal=True))


async def _watch_loop() -> None:
    """Measure once a second how late the event loop is."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + 1.0
        await asyncio.sleep(1.0)
        LOOP_DELAY.observe(max(0.0, loop.time() - due))


class NBForgeExtension(ExtensionApp):
    """Does nothing unless the server's contents manager is ours."""

    _background: tuple[asyncio.Future[None], ...] = ()

    name = "jupyter_nbforge"
    app_name = "jupyter_nbforge"

    @property
    def _manager(self) -> NBForgeContentsManager | None:
        manager = None if self.serverapp is None else self.serverapp.contents_manager
        return manager if isinstance(manager, NBForgeContentsManager) else None

    def initialize_handlers(self) -> None:
        manager = self._manager
        if manager is None or self.serverapp is None:
            return
        self.serverapp.web_app.add_transform(RetryAfter)
        self.handlers.extend(ROUTES)
        # Asked for at each kernel: another extension may put a manager of its own in its place.
        environment = KernelEnvironment(lambda: self._manager or manager)
        environment.attach(self.serverapp.session_manager, self.serverapp.kernel_manager)
        self._tell_first_folder(self.serverapp, manager)
        if manager.check_at_start:
            self.serverapp.io_loop.add_callback(self._check_storage)
        self.serverapp.io_loop.add_callback(self._begin_background, manager)
        self.serverapp.io_loop.add_callback(_end_well_when_interrupted, self.serverapp)

    def _tell_first_folder(self, app: ServerApp, manager: NBForgeContentsManager) -> None:
        """Notebook 7 begins in the folder that leads from our root to the server's preferred_dir.

        That one is a directory of the disk, by default the one that the server was started in:
        there is no such folder in the storage. Nothing else asks for it.
        """
        folder = os.path.normpath(os.path.join("/", manager.root_dir, manager.preferred_dir))
        with app.cross_validation_lock:  # it need not be on the disk
            app.preferred_dir = folder

    def _begin_background(self, manager: NBForgeContentsManager) -> None:
        work = (_sweep(manager), _watch_loop())
        self._background = tuple(asyncio.ensure_future(task) for task in work)

    async def _check_storage(self) -> None:
        """List the storage once; what cannot mend itself ends the server with one sentence.

        Of several mounts all are asked at once, and only that of the root may end the server:
        whoever opens the folder of another is told what is wrong with it.
        """
        manager = self._manager
        if manager is None:
            return
        parts = manager.storage.parts()
        await asyncio.gather(*(self._check_part(manager, name, parts[name]) for name in parts))

    async def _check_part(
        self, manager: NBForgeContentsManager, folder: str, storage: BaseStorageService
    ) -> None:
        name = f"The storage of the folder {folder!r}" if folder else "The storage"
        try:
            # Not the listing that the file browser asks for, which the short memory would keep.
            async for _ in storage.list_pages("", delimiter=None, page_size=1):
                break
        except _FATAL as error:
            if folder or self.serverapp is None:
                self.log.error("%s cannot be used: %s", name, error.message)
                return
            self.log.critical("%s cannot be used: %s", name, error.message)
            await manager.aclose()
            self.serverapp.exit(1)
        except StorageError as error:
            self.log.error("%s does not answer yet: %s", name, error.message)
        else:
            self.log.info("%s answers: %s", name, storage.url)

    async def stop_extension(self) -> None:
        """Close what the contents manager has open."""
        for task in self._background:
            task.cancel()
        manager = self._manager
        if manager is not None:
            await manager.aclose()
