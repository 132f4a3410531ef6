"""Single objects of a container, where the marker of a folder may be a directory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from .azure_client import AzureConnection
from .azure_directories import AzureDirectories
from .azure_multipart import AzureUpload, Check
from .azure_values import (
    content_arguments,
    content_md5,
    is_directory,
    match_arguments,
    object_meta,
    request_headers,
    storage_arguments,
)
from .errors import AlreadyExistsError, NotFoundError, PreconditionError
from .paths import DELIMITER
from .types import IfAbsent, ObjectMeta, WriteCondition
from .values import KnownSizes


class AzureObjects:
    """What is asked and written of one object at a time."""

    def __init__(
        self,
        connection: AzureConnection,
        directories: AzureDirectories,
        options: Mapping[str, str],
        check: Check,
    ) -> None:
        """`options` are how the store is to keep what is written; `check` see `AzureUpload`."""
        self._connection = connection
        self._directories = directories
        self._options = options
        self._check = check
        self.sizes = KnownSizes()

    def note(self, meta: ObjectMeta) -> ObjectMeta:
        """Remember the size of this version: the answer to a copy does not have it."""
        self.sizes.note(meta)
        return meta

    async def head(self, path: str, **conditions: str) -> ObjectMeta:
        answer = await self.head_answer(path, **conditions)
        return self.note(object_meta(path, answer["size"], answer))

    async def head_answer(self, path: str, **conditions: str) -> Mapping[str, Any]:
        """What a HEAD of the object says; one more, where it is a marker, of its directory."""
        headers = request_headers(conditions)
        if path.endswith(DELIMITER) and self._directories.hierarchical:
            return await self._directories.head(path, headers)
        try:
            answer = await self._connection.head(path, headers)
        except (NotFoundError, PreconditionError) as error:
            # Azurite says of a condition on what is missing that it is not met.
            if path.endswith(DELIMITER):
                with suppress(NotFoundError):
                    return await self._directories.head(path, headers)
            raise error
        return file_answer(path, answer)

    async def write(
        self, path: str, data: bytes, headers: Mapping[str, Any], condition: WriteCondition | None
    ) -> ObjectMeta:
        """Write an object, a marker as a directory where the account has those."""
        name = await self._directories.blob_of(path)
        if name == path or condition is not None:
            return await self._write(path, name, data, headers, condition)
        try:
            # Over nothing: a directory that is there stays, and so does a file of that name.
            return await self._write(path, name, data, headers, IfAbsent())
        except AlreadyExistsError as error:
            with suppress(NotFoundError):
                return await self.head(path)
            raise error

    async def _write(
        self,
        path: str,
        name: str,
        data: bytes,
        headers: Mapping[str, Any],
        condition: WriteCondition | None,
    ) -> ObjectMeta:
        md5 = await content_md5(data)
        client = await self._connection.client()
        with self._connection.call(path, condition=condition, write=True):
            answer = await client.blob(name).upload_blob(
                data,
                length=len(data),
                overwrite=True,
                headers={"Content-MD5": md5},
                **content_arguments(headers),
                **storage_arguments(self._options),
                **match_arguments(condition),
            )
        return self.note(object_meta(path, len(data), {**headers, **answer, "content_md5": md5}))

    def upload(self, path: str, headers: Mapping[str, Any]) -> AzureUpload:
        """An upload in parts; nothing is sent for it yet."""
        return AzureUpload(self._connection, path, headers, self._options, self._check)


def file_answer(path: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """`answer`, or `NotFoundError` where it is that of a directory."""
    if is_directory(path, answer["metadata"], answer["resource_type"]):
        raise NotFoundError(f"{path!r} does not exist; it is a folder.", path=path)
    return answer
