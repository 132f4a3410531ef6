"""Google Cloud Storage, through google-cloud-storage."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .base import MultipartUpload
from .diagnosis import Diagnosis
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from .gcs_client import Answer, GCSConnection
from .gcs_diagnosis import GCSDiagnosis
from .gcs_errors import About
from .gcs_links import signed_url
from .gcs_listing import list_pages
from .gcs_multipart import MIN_PART_SIZE, GCSUpload, delete_stale
from .gcs_options import GCSOptions
from .gcs_values import (
    RESOURCE_FIELDS,
    Payload,
    check_range,
    conditions_of,
    kept_properties,
    new_checksum,
    object_meta,
    payload,
    properties_of,
)
from .paths import check_path
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
from .values import check_link, no_chunks, range_header

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

MAX_OBJECT_SIZE = 5 * 2**40
"""https://cloud.google.com/storage/quotas#objects"""

_COPY_REFUSALS = (AlreadyExistsError, NotFoundError, PreconditionError)
"""What Cloud Storage answers to a copy or a move for a reason that may lie with the source."""

_MOVE_REFUSALS = (NotFoundError, NotSupportedError, PermissionDeniedError, StorageError)
"""What it answers to a move of what is there, where it moves nothing or only this not."""


class GCSStorage(GCSOptions):
    """The objects of one bucket.

    The version of an object is its generation. Objects are moved in one step, for which the
    account needs storage.objects.get and delete (or storage.objects.move) on the source and
    create on the target; delete too, where it replaces something
    (https://cloud.google.com/storage/docs/json_api/v1/objects/move). It was first offered in
    buckets with a hierarchical namespace only. Where the store refuses it, objects are copied
    and deleted.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.check_options()
        self._connection = GCSConnection(self.bucket, options=self.client_options())
        self._places = self._connection.places
        self._warned = False
        self._cannot_move = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        return f"gs://{self.bucket}"

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        return self.tool_variables(credentials=credentials)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            presigned_urls=not self.is_anonymous,
            atomic_move=self.atomic_move and not self._cannot_move,
            replaceable_parts=False,
            checked_writes=new_checksum() is not None,
            min_part_size=MIN_PART_SIZE,
            max_parts=MAX_OBJECT_SIZE // MIN_PART_SIZE,
            max_put_size=MAX_OBJECT_SIZE,
        )

    async def head(self, path: str) -> ObjectMeta:
        return await self._head(check_path(path))

    async def _head(self, path: str) -> ObjectMeta:
        return await self._head_answer(path, partial(_meta, path))

    async def _head_answer(
        self, path: str, parse: Callable[[Answer], T], fields: str = RESOURCE_FIELDS
    ) -> T:
        try:
            with self._connection.call(path):
                return await self._connection.send(
                    "GET", self._places.object(path), parse, parameters={"fields": fields}
                )
        except NotFoundError:
            await self._connection.check_bucket()
            raise

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        return self._open(check_path(path), byte_range, if_match, if_none_match)

    @asynccontextmanager
    async def _open(
        self,
        path: str,
        byte_range: ByteRange | None,
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> AsyncIterator[ObjectReader]:
        wanted = {} if byte_range is None else {"Range": range_header(byte_range)}
        reading = self._connection.reading(path, wanted, if_match, if_none_match)
        async with AsyncExitStack() as stack:
            try:
                body = await stack.enter_async_context(reading)
            except PreconditionError:
                # An object that is missing is no other version of it.
                await self._head(path)
                raise
            if body is not None:
                chunks = self._connection.chunks(path, body)
                try:
                    check_range(path, byte_range, body.status, body.resource)
                    yield ObjectReader(object_meta(path, body.resource), chunks)
                finally:
                    body.close()
                    await chunks.aclose()
                return
        yield await self._beyond_the_end(path, byte_range, if_match, if_none_match)

    async def _beyond_the_end(
        self,
        path: str,
        byte_range: ByteRange | None,
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> ObjectReader:
        meta = await self._head(path)
        if if_match not in (None, meta.version):
            raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)
        if meta.version == if_none_match:
            raise NotModifiedError(f"{path!r} has not changed.", path=path)
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
        properties = {**properties_of(content_type, metadata), **self.write_properties()}
        conditions = conditions_of(path, condition)
        with self._connection.call(path, condition=condition, write=True):
            return await self._connection.send(
                "POST",
                self._places.uploads,
                partial(_meta, path),
                parameters={"uploadType": "multipart", **self.write_options(), **conditions},
                payload=partial(payload, path, data, properties),
                about=About.BUCKET,
            )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        check_path(path)
        conditions = conditions_of(path, condition)
        try:
            with self._connection.call(path, condition=condition, write=True):
                await self._connection.send(
                    "DELETE", self._places.object(path), _nothing, parameters=conditions
                )
        except NotFoundError:
            await self._connection.check_bucket()

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        pages = list_pages(self._connection, prefix, delimiter, start_after, page_size)
        async for page in pages:
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
        request = conditions_of(target, condition)
        if source_version is not None:
            request |= conditions_of(source, IfMatch(source_version), "Source")
        described = await self._described(source, request)
        try:
            with self._connection.call(target, condition=condition, write=True):
                return await self._rewrite(source, target, request, described)
        except StorageError as error:
            raise await self._copy_refused(error, source, request, source_version) from error

    async def _described(self, source: str, request: dict[str, str]) -> dict[str, Any]:
        """What a copy has to be told: nothing, unless it is to have another storage class."""
        options = self.write_properties()
        if not options:
            return {}
        found = await self._head_answer(source, Answer.json, "*")
        request.setdefault("ifSourceGenerationMatch", found["generation"])
        return {**kept_properties(found), **options}

    async def _rewrite(
        self, source: str, target: str, request: Mapping[str, str], described: Mapping[str, Any]
    ) -> ObjectMeta:
        """Copy within the store, in as many rounds as it wants."""
        key = {"destinationKmsKeyName": self.kms_key_name} if self.kms_key_name else {}
        asked = {**request, **key}
        while True:
            reached = await self._connection.send(
                "POST",
                self._places.rewrite(source, target),
                partial(_rewritten, target),
                parameters=asked,
                payload=partial(Payload.of, described) if described else None,
            )
            if isinstance(reached, ObjectMeta):
                return reached
            asked["rewriteToken"] = reached

    async def _copy_refused(
        self,
        error: StorageError,
        source: str,
        request: Mapping[str, str],
        source_version: Version | None,
    ) -> StorageError:
        """Find out which of the two objects a refusal is about."""
        if type(error) not in _COPY_REFUSALS:
            return error
        found = await self._head(source)
        if request.get("ifSourceGenerationMatch") in (None, found.version):
            return error
        if source_version is not None:
            return PreconditionError(f"{source!r} was changed meanwhile.", path=source)
        return UnavailableError(
            f"{source!r} was replaced while it was copied; try again.", path=source, retryable=True
        )

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        check_path(target)
        if not self.capabilities.atomic_move or source.path == target:
            return await super().move(source, target, condition=condition)
        request = conditions_of(target, condition)
        request |= conditions_of(source.path, IfMatch(source.version), "Source")
        try:
            with self._connection.call(target, condition=condition, write=True):
                return await self._connection.send(
                    "POST",
                    self._places.move(source.path, target),
                    partial(_meta, target),
                    parameters=request,
                )
        except StorageError as error:
            refused = await self._copy_refused(error, source.path, request, source.version)
            if type(refused) not in _MOVE_REFUSALS:
                raise refused from error
            meta = await super().move(source, target, condition=condition)
            # It did work otherwise: so it was the move itself that was refused.
            self._note_refused_move(error)
            return meta

    def _note_refused_move(self, error: StorageError) -> None:
        # A permission may be missing for this one object only.
        self._cannot_move = not isinstance(error, PermissionDeniedError)
        if not self._warned:
            self._warned = True
            self.log.warning(
                "%s does not move objects in one step, so they are copied and then deleted: %s",
                self.url,
                error.message,
            )

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        check_path(path)
        properties = {**properties_of(content_type, metadata), **self.write_properties()}
        return await GCSUpload.begin(self, self._connection, path, properties, self.write_options())

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        return await delete_stale(self, self._connection, prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        check_path(path)
        if self.is_anonymous:
            raise NotSupportedError("A presigned URL needs credentials.", path=path)
        check_link(path, expires_in, options, self.capabilities)
        return await signed_url(
            self._connection, path, expires_in, options, self.signing_account, self.user_project
        )

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        return GCSDiagnosis(self, prefix, self._connection)

    async def aclose(self) -> None:
        await self._connection.aclose()


def _meta(path: str, answer: Answer) -> ObjectMeta:
    return object_meta(path, answer.json())


def _rewritten(target: str, answer: Answer) -> ObjectMeta | str:
    """The new object, or the token with which its copying goes on."""
    found = answer.json()
    if found["done"]:
        return object_meta(target, found["resource"])
    return str(found["rewriteToken"])


def _nothing(answer: Answer) -> None:
    """A delete is answered without a body."""
