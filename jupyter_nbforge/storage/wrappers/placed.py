"""What is open in a mount, under the names that the whole has for it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..base import MultipartUpload
from ..types import ObjectMeta, ObjectReader, WriteCondition
from .mount_table import Place
from .upload import WrapperUpload


class PlacedUpload(WrapperUpload):
    """An upload in a mount."""

    def __init__(self, place: Place, inner: MultipartUpload, path: str) -> None:
        super().__init__(inner, path)
        self._place = place

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        with self._place.named(self.path):
            await self.inner.upload_part(number, data, more=more)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._place.named(self.path):
            return self._place.meta(await self.inner.complete(condition=condition))

    async def _abort(self) -> None:
        with self._place.named(self.path):
            await self.inner.abort()


async def placed_chunks(place: Place, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
    """The body of a read in a mount."""
    while True:
        with place.named(path):
            chunk = await anext(reader.chunks, None)
        if chunk is None:
            return
        yield chunk
