"""Uploads in parts."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from .azure_client import AzureConnection
from .azure_values import (
    content_arguments,
    content_md5,
    match_arguments,
    object_meta,
    storage_arguments,
)
from .base import MultipartUpload
from .errors import NotFoundError, StorageError
from .types import ObjectMeta, WriteCondition

Check: TypeAlias = Callable[[str, WriteCondition], Awaitable[None]]
"""Looks whether a condition on a path holds, or raises what it promises."""

MAX_PARTS = 50_000
MAX_PART_SIZE = 4000 * 2**20
"""https://learn.microsoft.com/rest/api/storageservices/put-block#remarks"""


class AzureUpload(MultipartUpload):
    """An upload in blocks, which appear as an object when their list is committed.

    Nothing begins or aborts one at the store: blocks are kept beside the object, or, where
    there is none, as one that nobody sees, until a list is committed, the object is written at
    once by whomever, which discards them, or a week has passed. So a write of another to the
    same path ends the upload: `complete` then is a `NotFoundError`, or what its condition
    says. The ids of blocks have a random part, so that two uploads never mix, and one length,
    as all blocks of an object must.

    https://learn.microsoft.com/rest/api/storageservices/put-block#remarks
    """

    def __init__(
        self,
        connection: AzureConnection,
        path: str,
        headers: Mapping[str, Any],
        options: Mapping[str, Any],
        check: Check,
    ) -> None:
        """`headers` describe the object, `options` how the store is to keep it."""
        super().__init__(path)
        self._connection = connection
        self._headers = headers
        self._options = options
        self._check = check
        self._id = uuid.uuid4().hex
        self._sizes: dict[int, int] = {}
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._in_order = 0
        """How many parts the MD5 is of: those that came one after the other from the first on."""

    def _block_id(self, number: int) -> str:
        return f"{self._id}-{number:05}"

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        del more
        self._check_open()
        md5 = await content_md5(data)
        client = await self._connection.client()
        with self._connection.call(self.path, write=True):
            await client.blob(self.path).stage_block(
                self._block_id(number), data, len(data), headers={"Content-MD5": md5}, **self._scope
            )
        if number == len(self._sizes) + 1 == self._in_order + 1:
            self._in_order = number
            await asyncio.to_thread(self._md5.update, data)
        elif number <= self._in_order:
            self._in_order = -1  # it may have other bytes now
        self._sizes[number] = len(data)

    async def copy_part(
        self, number: int, url: str, start: int, stop: int, source: Mapping[str, Any]
    ) -> None:
        """Take bytes `start` to `stop` (exclusive) of what is at `url` as a part.

        `source` are more arguments of the SDK's call: the version, how the URL is authorised.
        """
        client = await self._connection.client()
        with self._connection.call(self.path, write=True):
            await client.blob(self.path).stage_block_from_url(
                self._block_id(number), url, start, stop - start, **source, **self._scope
            )
        self._sizes[number] = stop - start

    @property
    def _scope(self) -> dict[str, Any]:
        """The options of a write that each block has to be told too."""
        found = self._options.get("encryption_scope")
        return {"encryption_scope": found} if found else {}

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        self._check_open()
        if not self._sizes:
            raise StorageError(f"The upload of {self.path!r} has no part.", path=self.path)
        try:
            answer = await self._commit(condition)
        except NotFoundError:
            # Another's write has discarded the blocks; the condition comes first.
            if condition is not None:
                await self._check(self.path, condition)
            raise
        self._ended = True
        # The answer's MD5 is that of the list of blocks.
        found = {**self._headers, **answer, **self._whole_md5()}
        return object_meta(self.path, sum(self._sizes.values()), found)

    async def _commit(self, condition: WriteCondition | None) -> Mapping[str, Any]:
        from azure.storage.blob import BlobBlock

        # The latest of that id: a commit whose answer was lost can be made again.
        blocks = [BlobBlock(self._block_id(number)) for number in sorted(self._sizes)]
        client = await self._connection.client()
        with self._connection.call(self.path, condition=condition, write=True):
            answer: Mapping[str, Any] = await client.blob(self.path).commit_block_list(
                blocks,
                **content_arguments({**self._headers, **self._whole_md5()}),
                **storage_arguments(self._options),
                **match_arguments(condition),
            )
        return answer

    def _whole_md5(self) -> dict[str, str | None]:
        """The MD5 of a copy's source, or of parts that came in order; the store makes none."""
        if 0 < self._in_order == len(self._sizes):
            return {"content_md5": b64encode(self._md5.digest()).decode()}
        return {"content_md5": self._headers.get("content_md5")}

    async def abort(self) -> None:
        """End it here; the store frees the blocks itself, after a week at most."""
        self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)
