"""Azure Blob Storage, through azure-storage-blob."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from .azure_batch import AzureBatches
from .azure_client import MAX_PUT_SIZE, AzureConnection
from .azure_copies import AzureCopies, Copy
from .azure_credentials import tokens_from
from .azure_diagnosis import AzureDiagnosis
from .azure_directories import AzureDirectories
from .azure_errors import DirectoryNotEmptyError
from .azure_links import MAX_DELEGATED_SECONDS, MAX_SECONDS
from .azure_listing import AzureListing
from .azure_multipart import MAX_PART_SIZE, MAX_PARTS
from .azure_objects import AzureObjects, file_answer
from .azure_options import AzureOptions
from .azure_paths import check_path, invalid_reason
from .azure_values import (
    headers_of,
    link_parameters,
    object_meta,
    request_headers,
    whole_size,
)
from .base import MultipartUpload
from .diagnosis import Diagnosis
from .errors import (
    NotFoundError,
    NotSupportedError,
    PreconditionError,
    TooLargeError,
    UnavailableError,
)
from .paths import DELIMITER, RESERVED_PREFIX
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
from .workers import errors_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")


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
            tokens=tokens_from(self.credentials_provider) if self.credentials_provider else None,
        )
        self._directories = AzureDirectories(self._connection, self.hierarchical_namespace)
        options = self.write_options()
        self._objects = AzureObjects(
            self._connection, self._directories, options, self.check_condition
        )
        self._copies = AzureCopies(self._connection, self._directories, self._objects, options)
        self._listing = AzureListing(self._connection)
        self._batches = AzureBatches(self._connection)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"

    @property
    def url(self) -> str:
        return f"az://{self.container}"

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        return self._connection.account.tool_variables(credentials=credentials)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            presigned_urls=not (self.anonymous or self._connection.account.sas),
            presigned_put_headers=(("x-ms-blob-type", "BlockBlob"),),
            presigned_content_type=False,
            checked_writes=True,
            max_link_seconds=MAX_DELEGATED_SECONDS if self._connection.by_token else MAX_SECONDS,
            # A hierarchical namespace lists ``a/b`` before ``a-``:
            # https://github.com/Azure/azure-sdk-for-go/issues/24210
            ordered_listing=self._directories.hierarchical is False,
            file_beside_folder=not self._directories.hierarchical,
            max_part_size=MAX_PART_SIZE,
            max_parts=MAX_PARTS,
            max_put_size=MAX_PUT_SIZE,
        )

    async def head(self, path: str) -> ObjectMeta:
        check_path(path)
        return await self._objects.head(path)

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
            marker = await self._missing_first(path, self._objects.head(path, **conditions))
            if not marker.size:
                yield ObjectReader(marker, no_chunks())
                return
        wanted = {} if byte_range is None else {"x-ms-range": range_header(byte_range)}
        headers = {**request_headers(conditions), **wanted}
        reading = await self._missing_first(path, self._connection.get(path, headers))
        if reading is None:
            yield await self._beyond_the_end(path, byte_range, conditions)
            return
        answer, response = reading
        chunks = self._connection.chunks(path, answer, response)
        try:
            size = whole_size(path, byte_range, file_answer(path, answer))
            yield ObjectReader(self._objects.note(object_meta(path, size, answer)), chunks)
        finally:
            await chunks.aclose()
            response.internal_response.close()

    async def _missing_first(self, path: str, reading: Awaitable[T]) -> T:
        """The result of a read; a missing object is that, whatever the condition on it."""
        try:
            return await reading
        except PreconditionError:
            await self._objects.head_answer(path)
            raise

    async def _beyond_the_end(
        self, path: str, byte_range: ByteRange | None, conditions: Mapping[str, str]
    ) -> ObjectReader:
        meta = await self._objects.head(path, **conditions)
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
        return await self._objects.write(path, data, headers, condition)

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
        plain = self._directories.plain
        markers = [path for path in every if path.endswith(DELIMITER) and not plain]
        batched = [path for path in every if plain or not path.endswith(DELIMITER)]
        singly = partial(super().delete_many, versions=versions)
        errors = await self._batches.delete(batched, versions or {}, singly)
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
        if start_after is not None and not self.capabilities.ordered_listing:
            raise NotSupportedError("This store may not list in order.", path=prefix)
        size = min(page_size or self.max_page_size, self.max_page_size)
        look = self._may_be_directory(prefix, start_after)
        async for page in self._listing.pages(prefix, delimiter, start_after, size):
            # An empty page that is not the last would say that there is nothing.
            if not page.objects and not page.prefixes:
                continue
            marked = any(meta.path == prefix for meta in page.objects)
            if look and delimiter is None and page_size != 1 and not marked:
                async for directory in self._directory_page(prefix):
                    yield directory
            look = False
            for meta in page.objects:
                self._objects.note(meta)
            yield page
        if look:
            async for directory in self._directory_page(prefix):
                yield directory

    async def _directory_page(self, prefix: str) -> AsyncIterator[ListPage]:
        """A page with the marker of `prefix`, if that is a directory."""
        directory = await self._directories.find(prefix)
        if directory is not None:
            yield ListPage(objects=(directory,))

    def _may_be_directory(self, prefix: str, start_after: str | None) -> bool:
        """Whether the marker of `prefix` belongs into the listing and may be a directory.

        Of the folders of our own, which nobody else makes, it is of no interest.
        """
        folder = prefix.endswith(DELIMITER) and invalid_reason(prefix) is None
        before = start_after is not None and start_after >= prefix
        ours = f"/{RESERVED_PREFIX}" in f"/{prefix}"
        plain = self.hierarchical_namespace is False
        return folder and not (before or ours or plain)

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
        job = Copy(source, target, condition, source_version, self.max_copy_size)
        return await self._copies.copy(job)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        check_path(path)
        return self._objects.upload(path, headers_of(path, content_type, metadata))

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        check_path(path)
        if self.anonymous:
            raise NotSupportedError("A presigned URL needs credentials.", path=path)
        check_link(path, expires_in, options, self.capabilities)
        permission = "cw" if options.get("method") == "PUT" else "r"
        bound = link_parameters(options)
        return await self._copies.links.signed_url(path, permission, math.ceil(expires_in), **bound)

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        return AzureDiagnosis(self, prefix, self._connection)

    async def aclose(self) -> None:
        await self._connection.aclose()
