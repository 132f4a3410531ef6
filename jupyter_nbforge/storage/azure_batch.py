"""Deleting many objects with one request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from .azure_client import AzureConnection
from .azure_errors import DirectoryNotEmptyError, refusal
from .azure_paths import invalid_reason
from .errors import NotFoundError, NotSupportedError, PermissionDeniedError, StorageError
from .refusals import Call
from .types import IfMatch, Version
from .workers import errors_of, for_each

_BATCH_SIZE = 128
"""Objects that one Blob Batch request names. It might name 256, which the SDK takes twice as long
to write and to read, both on the event loop.

https://learn.microsoft.com/rest/api/storageservices/blob-batch#remarks
"""

_BATCHES_AT_ONCE = 4
_NO_BATCHES = (NotSupportedError, PermissionDeniedError, StorageError)
"""What a store without batches, or a SAS that is not for them, answers to one."""


class AzureBatches:
    """Deletes many of a container's objects; remembers whether the store takes batches."""

    def __init__(self, connection: AzureConnection) -> None:
        self._connection = connection
        self._offered = True

    async def delete(
        self,
        paths: Sequence[str],
        versions: Mapping[str, Version],
        singly: Callable[[Sequence[str]], Awaitable[None]],
    ) -> list[StorageError]:
        """Delete all, those in `versions` only at that version; what failed.

        What a batch cannot delete is left to `singly`.
        """
        errors: list[StorageError] = []

        async def one(start: int) -> None:
            batch = paths[start : start + _BATCH_SIZE]
            failed, rest = await self._delete_batch(batch, versions)
            errors.extend(failed + (await errors_of(singly(rest)) if rest else []))

        await for_each(one, range(0, len(paths), _BATCH_SIZE), _BATCHES_AT_ONCE)
        return errors

    async def _delete_batch(
        self, batch: Sequence[str], versions: Mapping[str, Version]
    ) -> tuple[list[StorageError], Sequence[str]]:
        """What failed, and what is still to be deleted."""
        valid = [path for path in batch if invalid_reason(path) is None]
        if not self._offered or len(valid) < 2:
            return [], batch
        try:
            failed = await self._send(valid, versions)
        except StorageError as error:
            if error.retryable or type(error) not in _NO_BATCHES:
                return [error], []
            self._offered = False
            return [], batch
        fine = (NotFoundError, DirectoryNotEmptyError)
        errors = [error for error in failed if not isinstance(error, fine)]
        return errors, [path for path in batch if path not in valid]

    async def _send(
        self, batch: Sequence[str], versions: Mapping[str, Version]
    ) -> list[StorageError]:
        """Delete `batch` with one request; what failed."""
        blobs: list[Any] = [
            {"name": path, "etag": versions[path]} if path in versions else path for path in batch
        ]
        client = await self._connection.client()
        with self._connection.call(None, write=True):
            answers: AsyncIterator[Any] = await client.container.delete_blobs(
                *blobs, delete_snapshots="include", raise_on_any_failure=False
            )
            found = [answer async for answer in answers]
        if len(found) != len(batch):
            raise NotSupportedError("The store answered to a part of a batch only.")
        pairs = zip(batch, found, strict=True)
        return [
            self._refusal(path, answer, versions.get(path))
            for path, answer in pairs
            if answer.status_code >= 300
        ]

    def _refusal(self, path: str, answer: Any, version: Version | None) -> StorageError:
        condition = None if version is None else IfMatch(version)
        call = Call(self._connection.bucket, self._connection.endpoint, path, condition, write=True)
        code = str(answer.headers.get("x-ms-error-code") or "")
        return refusal(code, answer.status_code, call, by_token=self._connection.by_token)
