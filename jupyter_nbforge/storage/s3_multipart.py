"""Uploads in parts, and copies of objects that are too large for one CopyObject."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from .base import MultipartUpload
from .errors import NotFoundError, PreconditionError, StorageError
from .s3_client import S3Connection
from .s3_values import object_meta, payload, wants_checksums
from .types import ObjectMeta, WriteCondition
from .workers import errors_of, for_each

MIN_PART_SIZE = 5 * 2**20
MAX_PARTS = 10_000
_COPY_PART_SIZE = 256 * 2**20
_COPIES_AT_ONCE = 8

_KEPT_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Metadata",
)
"""What CopyObject takes along and a multipart upload has to be told."""


Conditions: TypeAlias = Callable[[str, WriteCondition | None], Awaitable[Mapping[str, Any]]]
"""Gives the request parameters of a write condition, or checks it by a look."""


@dataclass(frozen=True, slots=True)
class _Part:
    size: int
    completed: Mapping[str, Any]


class S3Upload(MultipartUpload):
    """A multipart upload; begun by `begin`."""

    def __init__(
        self,
        connection: S3Connection,
        path: str,
        upload_id: str,
        headers: Mapping[str, Any],
        conditions: Conditions,
    ) -> None:
        super().__init__(path)
        self._connection = connection
        self._headers = headers
        self._conditions = conditions
        self._target: dict[str, Any] = {
            "Bucket": connection.bucket,
            "Key": path,
            "UploadId": upload_id,
        }
        self._parts: dict[int, _Part] = {}

    @classmethod
    async def begin(
        cls,
        connection: S3Connection,
        path: str,
        headers: Mapping[str, Any],
        options: Mapping[str, Any],
        conditions: Conditions,
    ) -> S3Upload:
        """Begin one; `headers` describe the object, `options` how the store is to keep it."""
        client = await connection.client()
        request: dict[str, Any] = {**headers, **options}
        if wants_checksums(client):
            # Of the whole object, so that a read can be compared with it.
            request |= {"ChecksumAlgorithm": "CRC32", "ChecksumType": "FULL_OBJECT"}
        with connection.call(path, write=True):
            answer = await client.create_multipart_upload(
                Bucket=connection.bucket, Key=path, **request
            )
        return cls(connection, path, answer["UploadId"], headers, conditions)

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        del more
        self._check_open()
        client = await self._connection.client()
        body = await payload(client, data)
        with self._connection.call(self.path, write=True):
            answer = await client.upload_part(PartNumber=number, **body, **self._target)
        self._keep(number, len(data), answer)

    async def copy_part(
        self, number: int, source: str, start: int, stop: int, conditions: Mapping[str, str]
    ) -> None:
        """Take bytes `start` to `stop` (exclusive) of another object as a part."""
        client = await self._connection.client()
        origin: Any = {"Bucket": self._connection.bucket, "Key": source}
        request: dict[str, Any] = {**self._target, **conditions}
        with self._connection.call(source, write=True):
            answer = await client.upload_part_copy(
                PartNumber=number,
                CopySource=origin,
                CopySourceRange=f"bytes={start}-{stop - 1}",
                **request,
            )
        self._keep(number, stop - start, answer["CopyPartResult"])

    async def check_source(self, source: str, found: Mapping[str, Any]) -> None:
        """`PreconditionError` if the source of the parts is no longer what a HEAD has `found`."""
        client = await self._connection.client()
        with self._connection.call(source):
            now = await client.head_object(Bucket=self._connection.bucket, Key=source)
        if now["ETag"] != found["ETag"]:
            raise PreconditionError(f"{source!r} was changed meanwhile.", path=source)

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        answer = await self.join(condition)
        size = sum(part.size for part in self._parts.values())
        return object_meta(self.path, size, {**self._headers, **answer})

    async def join(self, condition: WriteCondition | None) -> Mapping[str, Any]:
        """Let the object appear; S3's answer, which has its ETag and not its time."""
        self._check_open()
        if not self._parts:
            raise StorageError(f"The upload of {self.path!r} has no part.", path=self.path)
        conditions = await self._conditions(self.path, condition)
        client = await self._connection.client()
        parts: list[Any] = [self._parts[number].completed for number in sorted(self._parts)]
        with self._connection.call(self.path, condition=condition, write=True):
            answer = await client.complete_multipart_upload(
                MultipartUpload={"Parts": parts}, **self._target, **conditions
            )
        self._ended = True
        return answer

    async def abort(self) -> None:
        if self._ended:
            return
        client = await self._connection.client()
        with suppress(NotFoundError), self._connection.call(self.path):
            await client.abort_multipart_upload(**self._target)
        self._ended = True

    def _check_open(self) -> None:
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)

    def _keep(self, number: int, size: int, answer: Mapping[str, Any]) -> None:
        completed = {"PartNumber": number, "ETag": answer["ETag"]}
        if "ChecksumCRC32" in answer:
            completed["ChecksumCRC32"] = answer["ChecksumCRC32"]
        self._parts[number] = _Part(size, completed)


async def copy_in_parts(
    upload: S3Upload,
    source: str,
    found: Mapping[str, Any],
    conditions: Mapping[str, str],
    condition: WriteCondition | None,
) -> Mapping[str, Any]:
    """Fill `upload` on the server from `source`, of which a HEAD has `found`, and join it.

    `conditions` bind each part to that version; for a store that ignores them it is looked
    at again at the end.
    """
    size: int = found["ContentLength"]
    step = max(_COPY_PART_SIZE, -(-size // MAX_PARTS))
    errors: list[StorageError] = []

    async def one(part: tuple[int, int]) -> None:
        # What has begun is waited for: a part that arrives after the abort would be billed.
        if not errors:
            number, start = part
            stop = min(start + step, size)
            copying = upload.copy_part(number, source, start, stop, conditions)
            errors.extend(await errors_of(copying))

    async with upload:
        await for_each(one, enumerate(range(0, size, step), start=1), _COPIES_AT_ONCE)
        if errors:
            raise errors[0]
        await upload.check_source(source, found)
        return await upload.join(condition)


def kept_headers(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Of the answer to a HEAD, what a copy takes along."""
    return {name: answer[name] for name in _KEPT_HEADERS if name in answer}
