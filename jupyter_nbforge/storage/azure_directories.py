"""Folders that stand in a container as blobs without a slash: directories.

An account with a hierarchical namespace has them for every folder, and tools that know of
such accounts make them on others. There a marker ``folder/`` is the blob ``folder``.
https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues#blob-storage-apis
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .azure_client import AzureConnection
from .azure_errors import DirectoryNotEmptyError
from .azure_values import is_directory, object_meta, version_of
from .errors import (
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from .paths import DELIMITER
from .types import IfMatch, ObjectMeta


class AzureDirectories:
    """The directories of one container; paths are those of markers, with the slash."""

    def __init__(self, connection: AzureConnection, hierarchical: bool | None) -> None:
        self._connection = connection
        self.plain = hierarchical is False
        """Whether no directory is anywhere, as the administrator says."""
        self.hierarchical = hierarchical
        """Whether the account has a hierarchical namespace; None as long as it is not known."""
        self._untold = False

    async def is_hierarchical(self) -> bool:
        """`hierarchical`, asked for once; who is not told is taken to be on a plain account."""
        if self.hierarchical is None and not self._untold:
            try:
                self.hierarchical = await self._ask()
            except (PermissionDeniedError, NotSupportedError):
                self._untold = True
            except UnauthenticatedError:
                # Of a SAS as well, if it is not for this; else the next request says it again.
                return False
        return bool(self.hierarchical)

    async def _ask(self) -> bool:
        client = await self._connection.client()
        with self._connection.call(None):
            found: Mapping[str, Any] = await client.container.get_account_information()
        return bool(found.get("is_hns_enabled"))

    async def blob_of(self, path: str) -> str:
        """The name of the blob that is written for the object `path`."""
        if path.endswith(DELIMITER) and await self.is_hierarchical():
            return path.removesuffix(DELIMITER)
        return path

    async def head(self, path: str, headers: Mapping[str, str]) -> Mapping[str, Any]:
        """As `AzureConnection.head`; `NotFoundError` if there is no directory."""
        name = path.removesuffix(DELIMITER)
        answer = await self._connection.head(name, headers)
        if not is_directory(name, answer["metadata"], answer["resource_type"]):
            raise NotFoundError(f"{path!r} does not exist.", path=path)
        return {**answer, "size": 0}

    async def find(self, path: str) -> ObjectMeta | None:
        """The directory as the marker that it is; None if there is none."""
        try:
            return object_meta(path, 0, await self.head(path, {}))
        except NotFoundError:
            return None

    async def delete_marker(self, path: str, condition: IfMatch | None) -> None:
        """Delete the marker `path`: the blob of that name, or a directory, or both."""
        try:
            if not await self.is_hierarchical():
                await self._connection.delete(path, condition)
                # Where the marker was written beside it, it would keep the folder.
                await self._delete(path, None)
                return
        except (NotFoundError, PreconditionError) as error:
            if await self._delete(path, condition) or condition is None:
                return
            raise error
        if not await self._delete(path, condition) and condition is not None:
            raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)

    async def _delete(self, path: str, condition: IfMatch | None) -> bool:
        """Delete the directory; False if there is none, or not of that version.

        One that holds something stays, without an error: it is the marker of its content.
        """
        if self.plain:
            return False
        try:
            answer = await self.head(path, {})
        except NotFoundError:
            return False
        version = version_of(answer["etag"])
        if condition is not None and condition.version != version:
            return False
        # Only what was looked at: a file may be in its place by now.
        with suppress(NotFoundError, DirectoryNotEmptyError):
            name = path.removesuffix(DELIMITER)
            await self._connection.delete(name, IfMatch(version), snapshots=False)
        return True
