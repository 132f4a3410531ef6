"""A multipart upload around a multipart upload, for wrappers to build on."""

from __future__ import annotations

from ..base import MultipartUpload
from ..types import ObjectMeta, WriteCondition


class WrapperUpload(MultipartUpload):
    """Hands every call to `inner` unchanged; after the end, `abort` does nothing."""

    def __init__(self, inner: MultipartUpload, path: str | None = None) -> None:
        super().__init__(inner.path if path is None else path)
        self.inner = inner

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        await self.inner.upload_part(number, data, more=more)

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        meta = await self._complete(condition)
        self._ended = True
        return meta

    async def abort(self) -> None:
        if not self._ended:
            await self._abort()
            self._ended = True

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        return await self.inner.complete(condition=condition)

    async def _abort(self) -> None:
        await self.inner.abort()
