"""A storage that may only be read, whatever the credentials would allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NoReturn

from ..base import MultipartUpload
from ..errors import PermissionDeniedError
from ..types import IfMatch, ObjectMeta, Version, WriteCondition
from .base import WrapperStorage

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..types import LinkOptions


def read_only_sentence(path: str) -> str:
    """What a person is told who wants to change `path`."""
    return (
        f"{path!r} was not changed: the files here are read-only. Download what you want to keep."
    )


class ReadOnlyStorage(WrapperStorage):
    """Reads and lists as `inner` does; every write is a `PermissionDeniedError`, and not sent.

    Stale uploads stay what they are: to end them is a write.
    """

    def write_refusal(self, path: str) -> str:
        return read_only_sentence(path)

    def removal_refusal(self, path: str) -> str:
        return self.write_refusal(path)

    def _refuse(self, path: str) -> NoReturn:
        raise PermissionDeniedError(self.write_refusal(path), path=path)

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        self._refuse(path)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        self._refuse(path)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        for path in paths:
            self._refuse(path)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        self._refuse(target)

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        self._refuse(source.path)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        self._refuse(path)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        return 0

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        if options.get("method", "GET") != "GET":
            self._refuse(path)
        return await self.inner.get_presigned_url(path, expires_in, **options)
