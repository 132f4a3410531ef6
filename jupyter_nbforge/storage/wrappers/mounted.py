"""Several storages in one tree, each at a folder of its own."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from ..base import BaseStorageService, MultipartUpload, Recalled, check_read, check_write
from ..errors import (
    InvalidPathError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    StorageError,
)
from ..paths import FOLDER_CONTENT_TYPE
from ..transfer import transfer
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
from ..values import no_chunks
from ..workers import errors_of
from .base import WrapperStorage
from .mount_table import Mount, MountTable, Place, combined
from .mounted_listing import MountedListing, Query
from .placed import PlacedUpload, placed_chunks

if TYPE_CHECKING:
    from typing_extensions import Unpack

_MARKER = Version("mount")


class MountedStorage(BaseStorageService):
    """`storages` in one tree, each in the folder (``""``: the root) that is its key.

    Each keeps what is below its folder, and what is kept under the reserved prefix for that;
    a mount that is down is missed by nobody else. The folder of a mount is always there, and
    has a marker that can be neither written nor deleted. What another storage has under the
    same name is hidden, and nothing touches it. Copies and moves between two storages go
    through this process, see `transfer`; within one they are its own. Errors of a mount name
    the paths of the whole. `ConfigurationError` for a folder that cannot be one.

    A listing that starts within the folder of a mount shows that folder once more.
    """

    def __init__(self, storages: Mapping[str, BaseStorageService], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._table = MountTable(storages)
        self._made = datetime.now(timezone.utc)
        self._listing = MountedListing(self._table, self._marker, self.log)

    @property
    def url(self) -> str:
        root, *others = self._table
        mounts = ", ".join(f"{mount.storage.url} in {mount.point!r}" for mount in others)
        return f"{root.storage.url} with {mounts}" if mounts else root.storage.url

    @property
    def mounted(self) -> Mapping[str, BaseStorageService]:
        """The storages by the folder that each is at; ``""`` is the root."""
        return {mount.point: mount.storage for mount in self._table}

    @property
    def capabilities(self) -> Capabilities:
        return combined(self.capabilities_at(mount.prefix) for mount in self._table)

    def capabilities_at(self, path: str) -> Capabilities:
        place = self._table.at(path)
        found = place.storage.capabilities_at(place.inside(path))
        more = len(place.outer.encode()) - len(place.inner.encode())
        return replace(found, max_path_bytes=found.max_path_bytes + more) if more else found

    def store_at(self, path: str) -> str:
        place = self._table.at(self._in_folder(path))
        inner = place.storage.store_at(place.inside(path))
        return f"{place.mount.prefix}{inner}".rstrip("/")

    def url_of(self, path: str) -> str:
        place = self._table.at(self._in_folder(path))
        return place.storage.url_of(place.inside(path))

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        place = self._table.at(self._in_folder(path))
        return await place.storage.tool_environment(place.inside(path), credentials=credentials)

    def parts(self) -> Mapping[str, BaseStorageService]:
        return {mount.point: mount.storage for mount in self._table}

    def write_refusal(self, path: str) -> str | None:
        place = self._table.at(self._in_folder(path))
        inside = place.inside(path)
        refusal = place.storage.write_refusal(inside)
        return refusal and refusal.replace(repr(inside), repr(path.rstrip("/")))

    def removal_refusal(self, path: str) -> str | None:
        path = path.rstrip("/")
        below = self._table.point_below(path)
        if self._table.is_point(path):
            return _pinned(path)
        if below is not None:
            return (
                f"{path!r} cannot be renamed, moved or deleted: the folder {below!r} in it has a"
                " storage of its own."
            )
        place = self._table.at(path)
        refusal = place.storage.removal_refusal(place.inside(path))
        return refusal and refusal.replace(repr(place.inside(path)), repr(path))

    async def head(self, path: str) -> ObjectMeta:
        if self._table.is_marker(path):
            return self._marker(path)
        place = self._readable(path)
        with place.named(path):
            return place.meta(await place.storage.head(place.inside(path)))

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        return self._open(path, byte_range, if_match, if_none_match)

    @asynccontextmanager
    async def _open(
        self,
        path: str,
        byte_range: ByteRange | None,
        if_match: Version | None,
        if_none_match: Version | None,
    ) -> AsyncIterator[ObjectReader]:
        if self._table.is_marker(path):
            marker = check_read(path, self._marker(path), if_match, if_none_match)
            yield ObjectReader(marker, no_chunks())
            return
        place = self._readable(path)
        opening = place.storage.get(
            place.inside(path),
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        async with AsyncExitStack() as stack:
            with place.named(path):
                reader = await stack.enter_async_context(opening)
            yield ObjectReader(place.meta(reader.meta), placed_chunks(place, path, reader))

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        place = self._writable(path, condition)
        with place.named(path):
            meta = await place.storage.put(
                place.inside(path),
                data,
                condition=condition,
                content_type=content_type,
                metadata=metadata,
            )
        return place.meta(meta)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        place = self._writable(path, None)
        with place.named(path):
            await place.storage.delete(place.inside(path), condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        groups: dict[Mount, dict[str, str]] = defaultdict(dict)
        errors: list[StorageError] = []
        for path in paths:
            try:
                place = self._writable(path, None)
            except StorageError as error:
                errors.append(error)
            else:
                groups[place.mount][place.inside(path)] = path
        for mount, names in groups.items():
            errors += await errors_of(_delete_in(mount, names, versions or {}))
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
        place = self._table.at(prefix)
        if delimiter not in ("/", None):
            raise NotSupportedError("Mounted storages are listed by folders only.", path=prefix)
        if self._table.is_closed(prefix, place):
            return
        query = Query(delimiter, start_after, page_size)
        async for page in self._listing.pages(place, prefix, query):
            yield page

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        come, go = self._readable(source, marker=True), self._writable(target, condition)
        if come.mount is not go.mount or self._table.is_marker(source):
            refusal = self.write_refusal(target)
            if refusal is not None:
                # Before anything is read.
                raise PermissionDeniedError(refusal, path=target)
            ends = _At(self, source), _At(self, target)
            return await transfer(
                *(ends[0], source, ends[1], target),
                condition=condition,
                source_version=source_version,
            )
        with come.named(source, target):
            meta = await go.storage.copy(
                come.inside(source),
                go.inside(target),
                condition=condition,
                source_version=source_version,
            )
        return go.meta(meta)

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        come, go = self._writable(source.path, None), self._writable(target, condition)
        if come.mount is not go.mount:
            refusal = self.removal_refusal(source.path)
            if refusal is not None:
                raise PermissionDeniedError(refusal, path=source.path)
            return await super().move(source, target, condition=condition)
        moved = replace(source, path=come.inside(source.path))
        with come.named(source.path, target):
            meta = await go.storage.move(moved, go.inside(target), condition=condition)
        return go.meta(meta)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        place = self._writable(path, None)
        with place.named(path):
            upload = await place.storage.create_multipart_upload(
                place.inside(path), content_type=content_type, metadata=metadata
            )
        return PlacedUpload(place, upload, path)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        """As of any storage; what fails in a mount is told in the log, and the others go on."""

        async def end(mount: Mount, begin: str) -> int:
            try:
                return await mount.storage.abort_stale_uploads(begin, older_than)
            except StorageError as error:
                # Who may only read, or whose store knows no such question, has left none.
                usual = isinstance(error, PermissionDeniedError | NotSupportedError)
                level = logging.INFO if usual else logging.WARNING
                text = "Stale uploads in %r could not be looked for: %s"
                self.log.log(level, text, mount.point, error.message)
                return 0

        touched = self._table.touched_by(prefix)
        return sum(await asyncio.gather(*(end(mount, begin) for mount, begin in touched)))

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        place = self._readable(path)
        with place.named(path):
            return await place.storage.get_presigned_url(place.inside(path), expires_in, **options)

    async def aclose(self) -> None:
        closing = (errors_of(mount.storage.aclose()) for mount in self._table)
        for errors in await asyncio.gather(*closing):
            for error in errors:
                raise error

    def recall(self, path: str) -> Recalled:
        if self._table.is_point(path):
            return self._marker(path) if path.endswith("/") else False
        place = self._table.at(path)
        if self._table.is_closed(path, place):
            return None
        recalled = place.storage.recall(place.inside(path))
        return place.meta(recalled) if isinstance(recalled, ObjectMeta) else recalled

    def recall_folder(self, folder: str, *, max_age: float | None = None) -> bool | None:
        folder = folder.strip("/")
        if self._table.is_folder(folder):
            return True
        place = self._table.at(folder)
        if self._table.is_closed(folder, place):
            return None
        return place.storage.recall_folder(place.inside(folder), max_age=max_age)

    def _in_folder(self, path: str) -> str:
        """The path by which the table finds a mount point in its own mount."""
        return path.rstrip("/") + "/" if self._table.is_point(path) else path

    def _marker(self, path: str) -> ObjectMeta:
        return ObjectMeta(path, 0, self._made, _MARKER, FOLDER_CONTENT_TYPE)

    def _readable(self, path: str, *, marker: bool = False) -> Place:
        """Where an object that may be there is kept; the marker of a mount counts as one."""
        if self._table.is_point(path) and not (marker and path.endswith("/")):
            raise NotFoundError(f"{path!r} is the folder of a storage, and no object.", path=path)
        return self._open_place(path)

    def _writable(self, path: str, condition: WriteCondition | None) -> Place:
        """Where an object is kept that is to be written or deleted."""
        if self._table.is_point(path):
            check_write(path, self._marker(path), condition)
            raise PermissionDeniedError(_pinned(path.rstrip("/")), path=path)
        return self._open_place(path)

    def _open_place(self, path: str) -> Place:
        place = self._table.at(path)
        if self._table.is_closed(path, place):
            raise InvalidPathError(
                f"{path!r} is not a valid path: checkpoints and the like are kept there.", path=path
            )
        return place


class _At(WrapperStorage):
    """The whole as it is at one path: what is asked of it is about that path alone."""

    def __init__(self, inner: BaseStorageService, path: str) -> None:
        super().__init__(inner, parent=inner)
        self._path = path

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities_at(self._path)


async def _delete_in(
    mount: Mount, names: Mapping[str, str], versions: Mapping[str, Version]
) -> None:
    """Delete objects of a mount; `names` are their paths in the whole by those in the mount."""
    expected = {inside: versions[path] for inside, path in names.items() if path in versions}
    with mount.named(names):
        await mount.storage.delete_many(names, versions=expected)


def _pinned(path: str) -> str:
    return (
        f"{path!r} cannot be renamed, moved, deleted or replaced: it is the folder of a storage of"
        " its own."
    )
