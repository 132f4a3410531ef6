"""Every provider and every wrapper keeps the rules of the storage interface."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jupyter_nbforge.storage.base import BaseStorageService, MultipartUpload
from jupyter_nbforge.storage.errors import NotSupportedError
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import (
    Capabilities,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    WriteCondition,
)
from jupyter_nbforge.storage.wrappers.base import WrapperStorage
from jupyter_nbforge.testing.conformance import StorageConformance

if TYPE_CHECKING:
    from typing_extensions import Unpack


DISK = Capabilities(user_metadata=False, file_beside_folder=False)


class TestMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage()


class TestMemoryThatMoves(StorageConformance):
    capabilities = Capabilities(atomic_move=True)

    @pytest.fixture
    def storage(self) -> MemoryStorage:
        return MemoryStorage(atomic_move=True)


class TestLocal(StorageConformance):
    capabilities = DISK

    @pytest.fixture
    def storage(self, tmp_path: Path) -> LocalStorage:
        return LocalStorage(root=str(tmp_path))


class TestLocalStack(StorageConformance):
    """Prefix, short memory and the others meet markers that nobody made."""

    capabilities = DISK

    @pytest.fixture
    def storage(self, tmp_path: Path) -> BaseStorageService:
        return create_storage_service(tmp_path.as_uri(), prefix="team/alice")


class TestWrapper(StorageConformance):
    @pytest.fixture
    def storage(self) -> WrapperStorage:
        return WrapperStorage(MemoryStorage())


BARE = Capabilities(
    conditional_put=False,
    conditional_delete=False,
    conditional_copy=False,
    multipart=False,
    user_metadata=False,
    ordered_listing=False,
)


class BareStorage(WrapperStorage):
    """A store that can do nothing that is optional: what it lacks must be refused."""

    @property
    def capabilities(self) -> Capabilities:
        return BARE

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        _refuse(condition is not None)
        return await super().put(path, data)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        _refuse(condition is not None)
        await super().delete(path)

    def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        _refuse(start_after is not None)
        return super().list_pages(prefix, delimiter=delimiter, page_size=page_size)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        raise NotSupportedError("This storage has no uploads in parts.", path=path)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        raise NotSupportedError("This storage has no presigned URLs.", path=path)


def _refuse(asked: bool) -> None:
    if asked:
        raise NotSupportedError("This storage has no such option.")


class TestBare(StorageConformance):
    capabilities = BARE

    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return BareStorage(MemoryStorage())
