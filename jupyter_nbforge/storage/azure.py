"""Azure Blob Storage, through azure-storage-blob."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import replace
from datetime import timezone
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .azure_batch import AzureBatches, errors_of
from .azure_client import MAX_PUT_SIZE, AzureConnection
from .azure_copies import AzureCopies, Copy
from .azure_directories import AzureDirectories
from .azure_errors import DirectoryNotEmptyError
from .azure_links import AzureLinks
from .azure_listing import AzureListing
from .azure_multipart import MAX_PART_SIZE, MAX_PARTS, AzureUpload
from .azure_options import AzureOptions
from .azure_values import (
    answer_of,
    content_arguments,
    content_md5,
    headers_of,
    is_directory,
    link_parameters,
    match_arguments,
    object_meta,
    request_headers,
    storage_arguments,
    version_of,
    whole_size,
)
from .base import MultipartUpload
from .errors import (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from .paths import DELIMITER, RESERVED_PREFIX, check_path, invalid_reason
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
from .values import KnownSizes, check_link, no_chunks, range_header

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

_COPY_REFUSALS = (
    AlreadyExistsError,
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    StorageError,
    TooLargeError,
)
"""What Azure answers to a copy for a reason that may lie with the source."""


class AzureStorage(AzureOptions):
    """The objects of one container, all of them block blobs.

    The version of an object is its ETag. A delete takes an object's snapshots along, which
    would keep it else.

    On an account with a hierarchical namespace (`hierarchical_namespace`) the marker of a
    folder is its directory; a directory with content stays when its marker is deleted. On
    any account a blob that says of itself that it is a directory is shown as a folder and
    never as a file. To find one, a listing of a folder in which nothing is listed, and one
    of all that is in a folder whose marker is not, cost one HEAD more; a listing with
    `page_size` 1 is taken for the question whether anything is there. A `delete` of ``folder``
    where there is such a blob deletes it, if it is empty, as that of ``folder/`` does.
    """

    schemes = ("az", "azure")

    max_copy_size = 256 * 2**20
    """Bytes that one Copy Blob From URL takes; what is larger is copied in parts.

    https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
    """

    max_page_size = 1000
    """Entries of a page; the store would give 5000, which is long to wait for the first."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        account = self.check_options()
        self._connection = AzureConnection(
            account,
            self.container,
            anonymous=self.anonymous,
            identity=self.managed_identity_client_id or None,
            max_connections=self.max_connections,
            timeouts=(self.connect_timeout, self.read_timeout),
            verify=(self.ca_bundle or True) if self.verify_tls else False,
        )
        self._directories = AzureDirectories(self._connection, self.hierarchical_namespace)
        self._listing = AzureListing(self._connection)
        self._links = AzureLinks(self._connection)
        self._sizes = KnownSizes()
        self._batches = AzureBatches(self._connection)
        self._copies = AzureCopies(self._connection, self._links, self.write_options())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        return f"az://{self.container}"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            presigned_urls=not (self.anonymous or self._connection.account.sas),
            presigned_put_headers=(("x-ms-blob-type", "BlockBlob"),),
            presigned_content_type=False,
            file_beside_folder=not self._directories.hierarchical,
            max_part_size=MAX_PART_SIZE,
            max_parts=MAX_PARTS,
            max_put_size=MAX_PUT_SIZE,
        )

    async def head(self, path: str) -> ObjectMeta:
        check_path(path)
        return await self._head(path)

    async def _head(self, path: str, **conditions: str) -> ObjectMeta:
        answer = await self._head_answer(path, **conditions)
        return self._note(object_meta(path, answer["size"], answer))

    async def _head_answer(self, path: str, **conditions: str) -> Mapping[str, Any]:
        headers = request_headers(conditions)
        if path.endswith(DELIMITER) and self._directories.hierarchical:
            return await self._directories.head(path, headers)
        try:
            answer = await self._connection.head(path, headers)
        except NotFoundError:
            if not path.endswith(DELIMITER):
                raise
            return await self._directories.head(path, headers)
        return self._no_directory(path, answer)

    @staticmethod
    def _no_directory(path: str, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        if is_directory(path, answer["metadata"]):
            raise NotFoundError(f"{path!r} does not exist; it is a folder.", path=path)
        return answer

    def _note(self, meta: ObjectMeta) -> ObjectMeta:
        """Remember the size of this version: the answer to a copy does not have it."""
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
        conditions = {"if_match": if_match, "if_none_match": if_none_match}
        given = {name: version for name, version in conditions.items() if version is not None}
        return self._open(check_path(path), byte_range, given)

    @asynccontextmanager
    async def _open(
        self, path: str, byte_range: ByteRange | None, conditions: Mapping[str, str]
    ) -> AsyncIterator[ObjectReader]:
        if path.endswith(DELIMITER):
            # The marker of a folder may be a directory, and mostly has no bytes to read.
            marker = await self._missing_first(path, self._head(path, **conditions))
            if not marker.size:
                yield ObjectReader(marker, no_chunks())
                return
        response = await self._missing_first(path, self._get(path, byte_range, conditions))
        if response is None:
            yield await self._beyond_the_end(path, byte_range, conditions)
            return
        try:
            answer = self._no_directory(path, answer_of(response.headers))
            md5 = answer["content_md5"] if response.status_code == 200 else None
            chunks = self._connection.chunks(path, response, md5)
            async with aclosing(chunks):
                size = whole_size(path, byte_range, answer)
                yield ObjectReader(self._note(object_meta(path, size, answer)), chunks)
        finally:
            response.internal_response.close()

    async def _missing_first(self, path: str, reading: Awaitable[T]) -> T:
        """The result of a read; a missing object is that, whatever the condition on it."""
        try:
            return await reading
        except PreconditionError:
            await self._head_answer(path)
            raise

    async def _get(
        self, path: str, byte_range: ByteRange | None, conditions: Mapping[str, str]
    ) -> Any:
        """The response to a GET, its body still to be read; None for a range beyond the end."""
        from azure.core.exceptions import HttpResponseError

        wanted = {} if byte_range is None else {"x-ms-range": range_header(byte_range)}
        headers = {**request_headers(conditions), **wanted}
        client = await self._connection.client()
        with self._connection.call(path):
            try:
                return await client.send("GET", client.blob(path).url, headers, {})
            except HttpResponseError as error:
                if error.status_code != 416:
                    raise
        return None

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
        if len(data) > MAX_PUT_SIZE:
            raise TooLargeError(f"{path!r} is larger than the store takes at once.", path=path)
        headers = headers_of(path, content_type, metadata)
        try:
            return await self._write(path, data, headers, condition)
        except AlreadyExistsError:
            if condition is not None or not path.endswith(DELIMITER):
                raise
            # A directory cannot be written over one that is there already.
            return await self._head(path)

    async def _write(
        self, path: str, data: bytes, headers: Mapping[str, Any], condition: WriteCondition | None
    ) -> ObjectMeta:
        name = await self._directories.blob_of(path)
        md5 = await content_md5(data)
        client = await self._connection.client()
        with self._connection.call(path, condition=condition, write=True):
            answer = await client.blob(name).upload_blob(
                data,
                length=len(data),
                overwrite=True,
                headers={"Content-MD5": md5},
                **content_arguments(headers),
                **storage_arguments(self.write_options()),
                **match_arguments(condition),
            )
        return self._note(object_meta(path, len(data), {**headers, **answer, "content_md5": md5}))

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        check_path(path)
        if path.endswith(DELIMITER):
            await self._directories.delete_marker(path, condition)
            return
        with suppress(NotFoundError, DirectoryNotEmptyError):
            await self._connection.delete(path, condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        every = list(dict.fromkeys(paths))
        markers = {path for path in every if path.endswith(DELIMITER)}
        hierarchical = bool(markers) and await self._directories.is_hierarchical()
        singly = partial(super().delete_many, versions=versions)
        errors = await self._batches.delete(
            [path for path in every if not hierarchical or path not in markers],
            versions or {},
            singly,
        )
        if hierarchical:
            # A directory goes when nothing is in it any more: the deepest first.
            for depth in sorted({path.count(DELIMITER) for path in markers}, reverse=True):
                level = [path for path in markers if path.count(DELIMITER) == depth]
                errors += await errors_of(singly(level))
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
        size = min(page_size or self.max_page_size, self.max_page_size)
        looked = not self._may_be_directory(prefix, start_after)
        async for page in self._listing.pages(prefix, delimiter, start_after, size):
            if not looked and self._wants_directory(prefix, delimiter, page_size, page):
                directory = await self._directories.find(prefix)
                if directory is not None:
                    yield ListPage(objects=(directory,))
            looked = True
            for meta in page.objects:
                self._note(meta)
            yield page

    def _may_be_directory(self, prefix: str, start_after: str | None) -> bool:
        """Whether the marker of `prefix` belongs into the listing and may be a directory.

        Of the folders of our own, which nobody else makes, it is of no interest.
        """
        if self._directories.hierarchical is False and self.hierarchical_namespace is False:
            return False
        before = start_after is not None and start_after >= prefix
        ours = f"/{RESERVED_PREFIX}" in f"/{prefix}"
        return (
            prefix.endswith(DELIMITER) and invalid_reason(prefix) is None and not (before or ours)
        )

    @staticmethod
    def _wants_directory(
        prefix: str, delimiter: str | None, page_size: int | None, page: ListPage
    ) -> bool:
        """Whether it is worth a look, by the first page of the listing."""
        if any(meta.path == prefix for meta in page.objects):
            return False
        nothing = not page.objects and not page.prefixes
        return nothing or (delimiter is None and page_size != 1)

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
        job = Copy(source, target, condition, source_version)
        if source.endswith(DELIMITER) and await self._directories.is_hierarchical():
            return await self._copy_otherwise(job, await self._source_of(job))
        # That of the version seen last, where the store checks it, is the size of the copy.
        expected = source_version or self._sizes.version_of(source)
        size = self._sizes.size_of(source, expected)
        if size is not None and size > self.max_copy_size:
            return await self._copy_otherwise(job, await self._source_of(job))
        try:
            answer = await self._copies.at_once(job, expected)
        except StorageError as error:
            return await self._copy_refused(error, job, expected)
        return await self._copied(target, answer, size)

    async def _source_of(self, job: Copy) -> Mapping[str, Any]:
        """What a HEAD says of the source; `PreconditionError` if it is another version."""
        found = await self._head_answer(job.source)
        if job.source_version not in (None, version_of(found["etag"])):
            raise PreconditionError(f"{job.source!r} was changed meanwhile.", path=job.source)
        return found

    async def _copy_refused(
        self, error: StorageError, job: Copy, expected: Version | None
    ) -> ObjectMeta:
        """Find out which of the two objects a refusal is about, or copy in another way."""
        if type(error) not in _COPY_REFUSALS:
            raise error
        found = await self._source_of(job)
        version = version_of(found["etag"])
        missing = isinstance(error, NotFoundError) and job.source.endswith(DELIMITER)
        if missing or found["size"] > self.max_copy_size:
            return await self._copy_otherwise(job, found)
        if job.source_version is not None or expected in (None, version):
            raise error
        # It was changed since it was seen, and any version is to be copied.
        answer = await self._copies.at_once(job, version)
        return await self._copied(job.target, answer, found["size"])

    async def _copy_otherwise(self, job: Copy, found: Mapping[str, Any]) -> ObjectMeta:
        """Copy what a HEAD `found`: a marker by making another, what is large in parts."""
        if job.source.endswith(DELIMITER):
            headers = headers_of(job.target, found["content_type"], found["metadata"])
            return await self._write(job.target, b"", headers, job.condition)
        upload = self._upload(job.target, found)
        return self._note(await self._copies.in_parts(job, upload, found))

    async def _copied(self, target: str, answer: Mapping[str, Any], size: int | None) -> ObjectMeta:
        """The metadata of a new copy; its size is not in the answer, but mostly known."""
        version = version_of(answer["etag"])
        if size is None:
            return replace(await self._head(target), version=version)
        modified = answer["last_modified"].astimezone(timezone.utc)
        return self._note(ObjectMeta(target, size, modified, version))

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        return self._upload(check_path(path), headers_of(path, content_type, metadata))

    def _upload(self, path: str, headers: Mapping[str, Any]) -> AzureUpload:
        return AzureUpload(
            self._connection, path, headers, self.write_options(), self.check_condition
        )

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        check_path(path)
        if self.anonymous:
            raise NotSupportedError("A presigned URL needs credentials.", path=path)
        check_link(path, expires_in, options, self.capabilities)
        permission = "cw" if options.get("method") == "PUT" else "r"
        bound = link_parameters(options)
        return await self._links.signed_url(path, permission, math.ceil(expires_in), **bound)

    async def aclose(self) -> None:
        await self._connection.aclose()
