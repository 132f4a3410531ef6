"""What kernels find in their environment: the URL of their notebook, and less of the server's."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cachetools import LRUCache
from tornado.web import HTTPError

from .contents.manager import NBForgeContentsManager
from .contents.models import api_path
from .storage.base import BaseStorageService
from .storage.errors import StorageError
from .storage.paths import name_of, parent_of

NOTEBOOK_URL = "NBFORGE_NOTEBOOK_URL"
FOLDER_URL = "NBFORGE_FOLDER_URL"

_KERNELS = 4096


class KernelEnvironment:
    """Adds to the environment that the server gives to kernels, and takes away from it.

    `manager` gives the contents manager of the moment; another extension may put its own in
    its place.
    """

    def __init__(self, manager: Callable[[], NBForgeContentsManager]) -> None:
        self._manager = manager
        self._of_store: set[str] = set()
        self._folders: LRUCache[str, str | None] = LRUCache(_KERNELS)

    def attach(self, sessions: Any, kernels: Any) -> None:
        """From now on `kernels`, called by `sessions` or by anybody, starts kernels so.

        The administrator may have put classes of their own there: so single methods are
        replaced, and on these two objects only.
        """
        environment_of, start = sessions.get_kernel_env, kernels.start_kernel
        restart = kernels.restart_kernel
        # Not in every jupyter_client that this server may run with.
        update = getattr(kernels, "update_env", None)

        def get_kernel_env(path: str | None, *args: Any, **kwargs: Any) -> dict[str, str]:
            return {**environment_of(path, *args, **kwargs), **self._urls(path)}

        def update_env(*, kernel_id: str, env: Mapping[str, str]) -> None:
            """After a rename; what the store has given is not in the server's environment."""
            kept = {name: env[name] for name in self._cleaned(env) if name not in self._of_store}
            if update is not None:
                update(kernel_id=kernel_id, env=kept)

        async def start_kernel(*args: Any, **kwargs: Any) -> str:
            given, folder = kwargs.get("env"), kwargs.get("path")
            environ = self._cleaned(os.environ if given is None else given)
            environ.update(await self._store_variables(folder))
            kernel_id: str = await start(*args, **{**kwargs, "env": environ})
            self._folders[kernel_id] = folder
            return kernel_id

        async def restart_kernel(kernel_id: str, *args: Any, **kwargs: Any) -> Any:
            """With the credentials of now: those of the start may have ended."""
            if update is not None and self._manager().kernel_credentials:
                variables = await self._store_variables(self._folders.get(kernel_id))
                update(kernel_id=kernel_id, env=variables)
            return await restart(kernel_id, *args, **kwargs)

        vars(sessions).update(get_kernel_env=get_kernel_env)
        vars(kernels).update(start_kernel=start_kernel, restart_kernel=restart_kernel)
        if update is not None:
            vars(kernels).update(update_env=update_env)

    def _cleaned(self, environ: Mapping[str, str]) -> dict[str, str]:
        patterns = self._manager().kernel_environment_without
        return {
            name: value
            for name, value in environ.items()
            if not any(fnmatchcase(name, pattern) for pattern in patterns)
        }

    def _urls(self, path: str | None) -> dict[str, str]:
        """For a session of this path; a console has one that names no file."""
        manager = self._manager()
        if path is None or not manager.kernel_urls:
            return {}
        try:
            path = api_path(path)
        except HTTPError:
            return {}
        found = {FOLDER_URL: manager.storage.url_of(parent_of(path))}
        if "." in name_of(path):
            found[NOTEBOOK_URL] = manager.storage.url_of(path)
        return found

    async def _store_variables(self, folder: str | None) -> dict[str, str]:
        """How the store of a folder is reached; with credentials where that is configured."""
        manager = self._manager()
        storage: BaseStorageService = manager.storage
        credentials = manager.kernel_credentials
        if not (manager.kernel_urls or credentials):
            return {}
        try:
            path = api_path(folder or "")
            found = await storage.tool_environment(path, credentials=credentials)
        except (HTTPError, StorageError) as error:
            # A kernel that cannot read the store is better than none.
            manager.log.warning("A kernel starts without the variables of its store: %s", error)
            return {}
        self._of_store.update(found)
        return found
