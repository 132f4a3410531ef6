"""Our manager on a store that ignores every condition: what the suite has to find out."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_nbforge.contents.manager import NBForgeContentsManager
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.types import ObjectMeta, WriteCondition
from jupyter_nbforge.storage.wrappers import WrapperStorage


class UnconditionalStorage(WrapperStorage):
    """Writes whatever the condition is."""

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        return await self.inner.put(path, data, content_type=content_type, metadata=metadata)


class UnconditionalContentsManager(NBForgeContentsManager):
    """For the tests that show that the others can fail."""

    def _configured_storage(self) -> BaseStorageService:
        return UnconditionalStorage(super()._configured_storage())
