"""Amazon S3 and the stores that speak its protocol, through aiobotocore."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timezone
from functools import partial
from typing import TYPE_CHECKING, Any

from .base import MultipartUpload
from .diagnosis import Diagnosis
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from .paths import check_path
from .s3_batch import BATCH_SIZE, delete_batch
from .s3_client import S3Connection
from .s3_conditions import S3Conditions
from .s3_credentials import keys_from
from .s3_diagnosis import S3Diagnosis
from .s3_listing import list_pages
from .s3_multipart import MAX_PARTS, MIN_PART_SIZE, S3Upload, copy_in_parts, kept_headers
from .s3_options import S3Options
from .s3_stale import LeftProbes, abort_stale
from .s3_values import (
    fits_xml,
    headers_of,
    link_parameters,
    object_meta,
    payload,
    version_of,
    whole_size,
)
from .types import (
    ByteRange,
    Capabilities,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .values import KnownSizes, check_link, no_chunks, range_header, unlogged
from .workers import errors_of, for_each

if TYPE_CHECKING:
    from typing_extensions import Unpack

_BATCHES_AT_ONCE = 4
_COPY_REFUSALS = (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
    StorageError,
    TooLargeError,
)
"""What S3 answers to a copy for a reason that may lie with the source."""


class S3Storage(S3Options):
    """The objects of one bucket.

    The version of an object is its ETag, so conditions need a store that honours
    `If-Match` and `If-None-Match` on writes, as S3 has since 2024; where one does not, as the
    traits `conditional_*` say or a probe finds out, a look comes before the write. Of a store
    that was not probed yet `capabilities` say that it honours them.
    """

    max_copy_size = 5 * 2**30
    """Bytes that one CopyObject takes; what is larger is copied in parts."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_options()
        self._connection = S3Connection(
            self.bucket,
            profile=self.profile_name or None,
            anonymous=self.anonymous,
            config=self.client_config(),
            options=self.client_options(),
            keys=keys_from(self.credentials_provider) if self.credentials_provider else None,
        )
        self._conditions = S3Conditions(self, self._connection)
        self._sizes = KnownSizes()
        self._left_probes = LeftProbes()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        return f"s3://{self.bucket}"

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        found = self.tool_variables()
        return found | (await self._connection.credentials() if credentials else {})

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            conditional_put=self._conditions.honours("conditional_put"),
            conditional_delete=self._conditions.honours("conditional_delete"),
            conditional_copy=self._conditions.honours("conditional_copy"),
            presigned_urls=not self.anonymous,
            checked_writes=self._connection.sends_checksums,
            ordered_listing=self.ordered_listing,
            min_part_size=MIN_PART_SIZE,
            max_parts=MAX_PARTS,
        )

    async def head(self, path: str) -> ObjectMeta:
        check_path(path)
        try:
            return await self._head(path)
        except NotFoundError:
            await self._connection.check_bucket()
            raise

    async def _head(self, path: str, **conditions: Any) -> ObjectMeta:
        answer = await self._head_answer(path, **conditions)
        return self._note(object_meta(path, answer["ContentLength"], answer))

    async def _head_answer(self, path: str, **conditions: Any) -> Mapping[str, Any]:
        client = await self._connection.client()
        with self._connection.call(path):
            return await client.head_object(Bucket=self.bucket, Key=path, **conditions)

    def _note(self, meta: ObjectMeta) -> ObjectMeta:
        """Remember the size of this version: the answer to a copy does not have it."""
        self._connection.bucket_seen = True
        self._sizes.note(meta)
        return meta

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        conditions = {"IfMatch": if_match, "IfNoneMatch": if_none_match}
        given = {name: version for name, version in conditions.items() if version is not None}
        return self._open(check_path(path), byte_range, given)

    @asynccontextmanager
    async def _open(
        self, path: str, byte_range: ByteRange | None, conditions: Mapping[str, str]
    ) -> AsyncIterator[ObjectReader]:
        client = await self._connection.client()
        wanted = {} if byte_range is None else {"Range": range_header(byte_range)}
        request: dict[str, Any] = {**conditions, **wanted}
        with self._connection.call(path):
            try:
                answer = await client.get_object(Bucket=self.bucket, Key=path, **request)
            except client.exceptions.ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 416:
                    raise
                answer = None
        if answer is None:
            yield await self._beyond_the_end(path, byte_range, conditions)
            return
        body = answer["Body"]
        chunks = self._connection.chunks(path, body)
        try:
            size = whole_size(path, byte_range, answer)
            yield ObjectReader(self._note(object_meta(path, size, answer)), chunks)
        finally:
            await chunks.aclose()
            body.close()

    async def _beyond_the_end(
        self, path: str, byte_range: ByteRange | None, conditions: Mapping[str, str]
    ) -> ObjectReader:
        meta = await self._head(path, **conditions)
        if byte_range is None or byte_range.start < meta.size:
            raise UnavailableError(
                f"{path!r} was replaced while it was opened; try again.", path=path, retryable=True
            )
        return ObjectReader(meta, no_chunks())

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        check_path(path)
        return await self._write(path, data, headers_of(content_type, metadata), condition)

    async def _write(
        self, path: str, data: bytes, headers: Mapping[str, Any], condition: WriteCondition | None
    ) -> ObjectMeta:
        conditions = await self._conditions.of_target(path, condition, "put")
        client = await self._connection.client()
        body = await payload(client, data)
        request: dict[str, Any] = {**body, **headers, **self.write_options(), **conditions}
        with self._connection.call(path, condition=condition, write=True):
            answer = await client.put_object(Bucket=self.bucket, Key=path, **request)
        return self._note(object_meta(path, len(data), {**headers, **answer}))

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        check_path(path)
        conditions: dict[str, Any] = await self._conditions.of_delete(path, condition)
        client = await self._connection.client()
        # S3 does not mind a missing object; a store that does is overruled.
        with (
            suppress(NotFoundError),
            self._connection.call(path, condition=condition, write=True),
        ):
            await client.delete_object(Bucket=self.bucket, Key=path, **conditions)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        expected = versions or {}
        etags = await self._conditions.of_batch(expected)
        singles: list[str] = []
        batched: list[str] = []
        for path in paths:
            alone = not fits_xml(path) or (path in expected and etags is None)
            (singles if alone else batched).append(path)
        one_by_one = super().delete_many

        async def one(start: int) -> None:
            batch = batched[start : start + BATCH_SIZE]
            try:
                await delete_batch(self._connection, batch, etags or {})
            except NotSupportedError:
                await one_by_one(batch, versions=versions)
            except StorageError as error:
                errors.append(error)

        errors = await errors_of(one_by_one(singles, versions=versions))
        await for_each(one, range(0, len(batched), BATCH_SIZE), _BATCHES_AT_ONCE)
        if errors:
            raise errors[0]

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        if start_after is not None and not self.ordered_listing:
            raise NotSupportedError("This store does not list in order.", path=prefix)
        pages = list_pages(self._connection, prefix, delimiter, start_after, page_size)
        async for page in pages:
            for meta in page.objects:
                self._note(meta)
                self._left_probes.note(meta)
            yield page

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        check_path(source)
        check_path(target)
        request: dict[str, Any] = self.write_options()
        request |= await self._conditions.of_target(target, condition, "copy")
        request |= await self._conditions.of_source(source, source_version, target)
        client = await self._connection.client()
        try:
            with self._connection.call(target, condition=condition, write=True):
                answer = await client.copy_object(
                    Bucket=self.bucket,
                    Key=target,
                    CopySource={"Bucket": self.bucket, "Key": source},
                    **request,
                )
        except StorageError as error:
            return await self._copy_refused(error, source, target, condition, source_version)
        return await self._copied(source, target, answer["CopyObjectResult"], source_version)

    async def _copy_refused(
        self,
        error: StorageError,
        source: str,
        target: str,
        condition: WriteCondition | None,
        source_version: Version | None,
    ) -> ObjectMeta:
        """Find out which of the two objects a refusal is about, or copy in parts."""
        if type(error) not in _COPY_REFUSALS:
            raise error
        found = await self._head_answer(source)
        version = version_of(found["ETag"])
        if source_version is not None and version != source_version:
            raise PreconditionError(f"{source!r} was changed meanwhile.", path=source)
        if isinstance(error, NotFoundError) and not found["ContentLength"]:
            # SeaweedFS does not copy the marker of a folder: it has no bytes, so it is written.
            headers = headers_of(found.get("ContentType"), found.get("Metadata"))
            return await self._write(target, b"", headers, condition)
        too_large = type(error) in (StorageError, TooLargeError)
        if not too_large or found["ContentLength"] <= self.max_copy_size:
            raise error
        upload = await self._begin(target, kept_headers(found))
        bound = await self._conditions.of_source(source, version, target)
        answer = await copy_in_parts(upload, source, found, bound, condition)
        return replace(await self._head(target), version=version_of(answer["ETag"]))

    async def _copied(
        self,
        source: str,
        target: str,
        result: Mapping[str, Any],
        source_version: Version | None,
    ) -> ObjectMeta:
        """The metadata of a new copy; its size is not in the answer, but mostly known."""
        version = version_of(result["ETag"])
        checks = self._conditions.known("copy_source")
        checked = source_version if checks is not None and checks.kept else None
        size = self._sizes.size_of(source, version, checked)
        if size is None:
            return replace(await self._head(target), version=version)
        modified = result["LastModified"].astimezone(timezone.utc)
        return self._note(ObjectMeta(target, size, modified, version))

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        return await self._begin(check_path(path), headers_of(content_type, metadata))

    async def _begin(self, path: str, headers: Mapping[str, Any]) -> S3Upload:
        conditions = partial(self._conditions.of_target, operation="complete")
        return await S3Upload.begin(
            self._connection, path, headers, self.write_options(), conditions
        )

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        await self._left_probes.delete(self, prefix, older_than)
        return await abort_stale(self._connection, prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        check_path(path)
        if self.anonymous:
            raise NotSupportedError("A presigned URL needs credentials.", path=path)
        check_link(path, expires_in, options, self.capabilities)
        client = await self._connection.client()
        with self._connection.call(path), unlogged("botocore.auth"):
            return await client.generate_presigned_url(
                "put_object" if options.get("method") == "PUT" else "get_object",
                Params={"Bucket": self.bucket, "Key": path, **link_parameters(options)},
                ExpiresIn=math.ceil(expires_in),
            )

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        return S3Diagnosis(self, prefix, self._connection)

    async def aclose(self) -> None:
        await self._conditions.aclose()
        await self._connection.aclose()
