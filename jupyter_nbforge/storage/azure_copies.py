"""Copies within the store: with one request, or in parts where an object is too large for that."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .azure_client import AzureConnection
from .azure_links import AzureLinks
from .azure_multipart import MAX_PARTS, AzureUpload
from .azure_values import (
    match_arguments,
    source_match_arguments,
    storage_arguments,
    version_of,
)
from .types import ObjectMeta, Version, WriteCondition

_COPY_PART_SIZE = 256 * 2**20
_COPIES_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Copy:
    """What is to be copied; see `BaseStorageService.copy`."""

    source: str
    target: str
    condition: WriteCondition | None
    source_version: Version | None


class AzureCopies:
    """The ways to copy that are done when they are answered, all or nothing.

    Never the Copy Blob that is not: its target is there, half made, while it goes on.
    """

    def __init__(
        self, connection: AzureConnection, links: AzureLinks, options: Mapping[str, str]
    ) -> None:
        self._connection = connection
        self._links = links
        self._options = options

    async def at_once(self, job: Copy, version: Version | None) -> Mapping[str, Any]:
        """Copy what is at `version` (None: whatever there is); the answer, without a size."""
        url, authorization = await self._links.source_of(job.source)
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

    async def in_parts(
        self, job: Copy, upload: AzureUpload, found: Mapping[str, Any]
    ) -> ObjectMeta:
        """Fill `upload` from the source as `found` by a HEAD, and complete it."""
        url, authorization = await self._links.source_of(job.source)
        size: int = found["size"]
        source = {**source_match_arguments(version_of(found["etag"])), **authorization}
        step = max(_COPY_PART_SIZE, -(-size // MAX_PARTS))
        limit = asyncio.Semaphore(_COPIES_AT_ONCE)

        async def one(number: int, start: int) -> None:
            async with limit:
                await upload.copy_part(number, url, start, min(start + step, size), source)

        async with upload:
            starts = enumerate(range(0, size, step), start=1)
            copies = [one(number, start) for number, start in starts]
            for result in await asyncio.gather(*copies, return_exceptions=True):
                if isinstance(result, BaseException):
                    raise result
            return await upload.complete(condition=job.condition)
