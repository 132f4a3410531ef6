"""A storage around a storage: passes everything on; a wrapper overrides what it is for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..base import BaseStorageService, MultipartUpload, Recalled
from ..diagnosis import Diagnosis
from ..types import (
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

if TYPE_CHECKING:
    from typing_extensions import Unpack


class WrapperStorage(BaseStorageService):
    """Hands every call to `inner` unchanged."""

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inner = inner

    @property
    def url(self) -> str:
        return self.inner.url

    def url_of(self, path: str) -> str:
        return self.inner.url_of(path)

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        return await self.inner.tool_environment(path, credentials=credentials)

    @cached_property
    def provider(self) -> str:
        """The scheme of the URL, by which figures tell stores apart."""
        return self.url.partition(":")[0]

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def capabilities_at(self, path: str) -> Capabilities:
        # A wrapper that says something else of the whole, and nothing of paths, means all of them.
        own = type(self).capabilities is not WrapperStorage.capabilities
        return self.capabilities if own else self.inner.capabilities_at(path)

    def store_at(self, path: str) -> str:
        return self.inner.store_at(path)

    def parts(self) -> Mapping[str, BaseStorageService]:
        parts = self.inner.parts()
        return parts if len(parts) > 1 else {"": self}

    def write_refusal(self, path: str) -> str | None:
        return self.inner.write_refusal(path)

    def removal_refusal(self, path: str) -> str | None:
        return self.inner.removal_refusal(path)

    async def head(self, path: str) -> ObjectMeta:
        return await self.inner.head(path)

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        return self.inner.get(
            path, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        return await self.inner.put(
            path, data, condition=condition, content_type=content_type, metadata=metadata
        )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        await self.inner.delete(path, condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        await self.inner.delete_many(paths, versions=versions)

    def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        return self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        )

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        return await self.inner.copy(
            source, target, condition=condition, source_version=source_version
        )

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        return await self.inner.move(source, target, condition=condition)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        return await self.inner.create_multipart_upload(
            path, content_type=content_type, metadata=metadata
        )

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        return await self.inner.abort_stale_uploads(prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        return await self.inner.get_presigned_url(path, expires_in, **options)

    async def aclose(self) -> None:
        await self.inner.aclose()

    def recall(self, path: str) -> Recalled:
        return self.inner.recall(path)

    def recall_folder(self, folder: str, *, max_age: float | None = None) -> bool | None:
        return self.inner.recall_folder(folder, max_age=max_age)

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        return self.inner.diagnosis(prefix)
