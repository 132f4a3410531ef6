"""Copies within the store: with one request, or in parts where an object is too large for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timezone
from typing import Any

from .azure_client import AzureConnection
from .azure_directories import AzureDirectories
from .azure_links import AzureLinks
from .azure_multipart import MAX_PARTS
from .azure_objects import AzureObjects
from .azure_values import (
    headers_of,
    match_arguments,
    source_match_arguments,
    storage_arguments,
    version_of,
)
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from .paths import DELIMITER
from .types import ObjectMeta, Version, WriteCondition
from .workers import for_each

_COPY_PART_SIZE = 256 * 2**20
_COPIES_AT_ONCE = 8
_REFUSALS = (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
)
"""What Azure answers to a copy for a reason that may lie with the source."""


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be copied; see `BaseStorageService.copy`."""

    source: str
    target: str
    condition: WriteCondition | None
    source_version: Version | None
    max_size: int
    """Bytes that are copied at once; what is larger is copied in parts."""


class AzureCopies:
    """The ways to copy that are done when they are answered, all or nothing.

    Never the Copy Blob that is not: its target is there, half made, while it goes on.
    """

    def __init__(
        self,
        connection: AzureConnection,
        directories: AzureDirectories,
        objects: AzureObjects,
        options: Mapping[str, str],
    ) -> None:
        """`options` are how the store is to keep what is written."""
        self._connection = connection
        self._directories = directories
        self._objects = objects
        self._options = options
        self.links = AzureLinks(connection)

    async def copy(self, job: Copy) -> ObjectMeta:
        """Copy, and return the target's metadata."""
        if job.source.endswith(DELIMITER) and await self._directories.is_hierarchical():
            return await self._otherwise(job, await self._found(job))
        # That of the version seen last, where the store checks it, is the size of the copy.
        expected = job.source_version or self._objects.sizes.version_of(job.source)
        size = self._objects.sizes.size_of(job.source, expected)
        if size is not None and size > job.max_size:
            return await self._otherwise(job, await self._found(job))
        try:
            answer = await self._at_once(job, expected)
        except StorageError as error:
            return await self._refused(error, job, expected)
        return await self._copied(job.target, answer, size)

    async def _found(self, job: Copy) -> Mapping[str, Any]:
        """What a HEAD says of the source; `PreconditionError` if it is another version."""
        found = await self._objects.head_answer(job.source)
        if job.source_version not in (None, version_of(found["etag"])):
            raise PreconditionError(f"{job.source!r} was changed meanwhile.", path=job.source)
        return found

    async def _refused(
        self, error: StorageError, job: Copy, expected: Version | None
    ) -> ObjectMeta:
        """Find out which of the two objects a refusal is about, or copy in another way."""
        if type(error) not in _REFUSALS:
            raise error
        found = await self._found(job)
        version = version_of(found["etag"])
        # A marker that is a directory cannot be copied, whatever is said of it.
        marker = job.source.endswith(DELIMITER) and not found["size"]
        if marker or found["size"] > job.max_size:
            return await self._otherwise(job, found)
        if isinstance(error, NotFoundError):
            raise UnavailableError(
                f"{job.source!r} was being written while it was copied; try again.",
                path=job.source,
                retryable=True,
            )
        if job.source_version is not None or expected in (None, version):
            raise error
        # It was changed since it was seen, and any version is to be copied.
        answer = await self._at_once(job, version)
        return await self._copied(job.target, answer, found["size"])

    async def _otherwise(self, job: Copy, found: Mapping[str, Any]) -> ObjectMeta:
        """Copy what a HEAD `found`: a marker by making another, what is large in parts."""
        if job.source.endswith(DELIMITER):
            headers = headers_of(job.target, found["content_type"], found["metadata"])
            return await self._objects.write(job.target, b"", headers, job.condition)
        return self._objects.note(await self._in_parts(job, found))

    async def _copied(self, target: str, answer: Mapping[str, Any], size: int | None) -> ObjectMeta:
        """The metadata of a new copy; its size is not in the answer, but mostly known."""
        version = version_of(answer["etag"])
        if size is None:
            return replace(await self._objects.head(target), version=version)
        modified = answer["last_modified"].astimezone(timezone.utc)
        return self._objects.note(ObjectMeta(target, size, modified, version))

    async def _at_once(self, job: Copy, version: Version | None) -> Mapping[str, Any]:
        """Copy what is at `version` (None: whatever there is); the answer, without a size."""
        url, authorization = await self.links.source_of(job.source)
        client = await self._connection.client()
        with self._connection.call(job.target, condition=job.condition, write=True):
            answer: Mapping[str, Any] = await client.blob(job.target).start_copy_from_url(
                url,
                requires_sync=True,
                **authorization,
                **storage_arguments(self._options),
                **match_arguments(job.condition),
                **source_match_arguments(version),
            )
        return answer

    async def _in_parts(self, job: Copy, found: Mapping[str, Any]) -> ObjectMeta:
        """Copy the version that was `found` by a HEAD, with its properties."""
        size: int = found["size"]
        # The SDK knows no argument for the version of the source of a part.
        match = {"headers": {"x-ms-source-if-match": version_of(found["etag"])}}
        step = max(_COPY_PART_SIZE, -(-size // MAX_PARTS))
        upload = self._objects.upload(job.target, found)

        async def one(part: tuple[int, int]) -> None:
            number, start = part
            # For each part: neither a token nor a SAS need outlive the whole copy.
            url, authorization = await self.links.source_of(job.source)
            await upload.copy_part(
                number, url, start, min(start + step, size), {**match, **authorization}
            )

        async with upload:
            await for_each(one, enumerate(range(0, size, step), start=1), _COPIES_AT_ONCE)
            return await upload.complete(condition=job.condition)
