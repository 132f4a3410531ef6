"""Confines a storage to one prefix of another."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from traitlets import Unicode

from ..base import BaseStorageService, MultipartUpload, Recalled
from ..diagnosis import Diagnosis
from ..errors import ConfigurationError, InvalidPathError, StorageError
from ..paths import as_prefix, check_path, invalid_reason
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
    renamed,
)
from .base import WrapperStorage
from .upload import WrapperUpload

if TYPE_CHECKING:
    from typing_extensions import Unpack

_REPORTED = 1000
"""Folders of which it is remembered that the log has told of their odd names."""


class PrefixStorage(WrapperStorage):
    """What lies below ``prefix/`` of `inner`, under paths without the prefix.

    Every path that goes in is checked, so none reaches a key outside the prefix
    (`InvalidPathError`); a listing of what no path can begin with is empty. Keys that are
    no valid path are left out of listings and counted in the log. Errors name the path that
    the caller gave. With an empty prefix the checks stay. The prefix is read once, at the
    start.
    """

    prefix = Unicode(
        "",
        config=True,
        help="""The folder of the bucket or container that everything is kept in; empty: all of it.
        Nothing outside it can be read or written.""",
    )

    def __init__(self, inner: BaseStorageService, prefix: str | None = None, **kwargs: Any) -> None:
        if prefix is not None:
            kwargs["prefix"] = prefix
        super().__init__(inner, **kwargs)
        self._root = _checked_root(self.prefix)
        self._reported: LRUCache[str, bool] = LRUCache(_REPORTED)

    @property
    def root(self) -> str:
        """What every key of `inner` begins with: the prefix with a trailing ``/``, or empty."""
        return self._root

    @property
    def url(self) -> str:
        if not self._root:
            return self.inner.url
        inner = self.inner.url
        return (inner if inner.endswith("/") else inner + "/") + self._root.rstrip("/")

    def url_of(self, path: str) -> str:
        return self.inner.url_of((self._root + path).rstrip("/"))

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        path = (self._root + path).rstrip("/")
        return await self.inner.tool_environment(path, credentials=credentials)

    @property
    def capabilities(self) -> Capabilities:
        return self._left_of(self.inner.capabilities)

    def capabilities_at(self, path: str) -> Capabilities:
        return self._left_of(self.inner.capabilities_at(self._root + path))

    def _left_of(self, inner: Capabilities) -> Capabilities:
        left = inner.max_path_bytes - len(self._root.encode())
        return dataclasses.replace(inner, max_path_bytes=left)

    def store_at(self, path: str) -> str:
        folder = self.inner.store_at(self._root + path)
        return folder[len(self._root) :] if folder.startswith(self._root) else ""

    def write_refusal(self, path: str) -> str | None:
        refusal = self.inner.write_refusal(self._root + path)
        return refusal and refusal.replace(repr(self._root + path), repr(path))

    def removal_refusal(self, path: str) -> str | None:
        refusal = self.inner.removal_refusal(self._root + path)
        return refusal and refusal.replace(repr(self._root + path), repr(path))

    async def head(self, path: str) -> ObjectMeta:
        key = self._key(path)
        with self._named_as_given(path):
            return self._meta(await self.inner.head(key))

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
        opening = self.inner.get(
            self._key(path), byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )
        async with AsyncExitStack() as stack:
            with self._named_as_given(path):
                reader = await stack.enter_async_context(opening)
                meta = self._meta(reader.meta)
            yield ObjectReader(meta, self._chunks(path, reader))

    async def _chunks(self, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
        while True:
            with self._named_as_given(path):
                chunk = await anext(reader.chunks, None)
            if chunk is None:
                return
            yield chunk

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        key = self._key(path)
        with self._named_as_given(path):
            meta = await self.inner.put(
                key, data, condition=condition, content_type=content_type, metadata=metadata
            )
            return self._meta(meta)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        key = self._key(path)
        with self._named_as_given(path):
            await self.inner.delete(key, condition=condition)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        keys: dict[str, str] = {}
        refused: InvalidPathError | None = None
        for path in paths:
            try:
                keys[path] = self._key(path)
            except InvalidPathError as error:
                refused = refused or error
        expected = {keys[path]: token for path, token in (versions or {}).items() if path in keys}
        with self._named_as_given(*keys):
            await self.inner.delete_many(keys.values(), versions=expected)
        if refused is not None:
            raise refused

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        if not _may_begin_a_path(prefix):
            return
        pages = self.inner.list_pages(
            self._root + prefix,
            delimiter=delimiter,
            start_after=None if start_after is None else self._root + start_after,
            page_size=page_size,
        )
        left_out = _LeftOut()
        try:
            while True:
                with self._named_as_given(prefix):
                    page = await anext(pages, None)
                if page is None:
                    return
                yield self._page(page, left_out)
        finally:
            self._report(prefix, left_out)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        source_key, target_key = self._key(source), self._key(target)
        with self._named_as_given(source, target):
            meta = await self.inner.copy(
                source_key, target_key, condition=condition, source_version=source_version
            )
            return self._meta(meta)

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        key, target_key = self._key(source.path), self._key(target)
        with self._named_as_given(source.path, target):
            moved = await self.inner.move(renamed(source, key), target_key, condition=condition)
            return self._meta(moved)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        key = self._key(path)
        with self._named_as_given(path):
            upload = await self.inner.create_multipart_upload(
                key, content_type=content_type, metadata=metadata
            )
        return _PrefixUpload(self, upload, path)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        if not _may_begin_a_path(prefix):
            return 0
        with self._named_as_given(prefix):
            return await self.inner.abort_stale_uploads(self._root + prefix, older_than)

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        key = self._key(path)
        with self._named_as_given(path):
            return await self.inner.get_presigned_url(key, expires_in, **options)

    def recall(self, path: str) -> Recalled:
        if invalid_reason(path) is not None:
            return None
        recalled = self.inner.recall(self._root + path)
        return self._meta(recalled) if isinstance(recalled, ObjectMeta) else recalled

    def recall_folder(self, folder: str, *, max_age: float | None = None) -> bool | None:
        if folder and invalid_reason(folder) is not None:
            return None
        return self.inner.recall_folder((self._root + folder).rstrip("/"), max_age=max_age)

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        return self.inner.diagnosis(self._root + prefix)

    def _key(self, path: str) -> str:
        check_path(path)
        length, limit = len(path.encode()), self.capabilities.max_path_bytes
        if length > limit:
            raise InvalidPathError(
                f"{path!r} is too long: {length} bytes, and this storage takes at most {limit}."
                " Choose a shorter name or a folder higher up.",
                path=path,
            )
        return self._root + path

    def _meta(self, meta: ObjectMeta) -> ObjectMeta:
        if not meta.path.startswith(self._root):
            raise StorageError(f"The storage answered for another path, {meta.path!r}.")
        return renamed(meta, meta.path[len(self._root) :]) if self._root else meta

    def _page(self, page: ListPage, left_out: _LeftOut) -> ListPage:
        objects = [meta for meta in page.objects if self._is_shown(meta.path, left_out)]
        prefixes = [prefix for prefix in page.prefixes if self._is_shown(prefix, left_out)]
        if not self._root:
            return ListPage(tuple(objects), tuple(prefixes))
        start = len(self._root)
        return ListPage(
            tuple(renamed(meta, meta.path[start:]) for meta in objects),
            tuple(prefix[start:] for prefix in prefixes),
        )

    def _is_shown(self, key: str, left_out: _LeftOut) -> bool:
        if key == self._root and key:
            return False  # the marker of the root, which needs none
        path = key[len(self._root) :]
        if key.startswith(self._root) and (_is_plain(path) or invalid_reason(path) is None):
            return True
        left_out.count += 1
        left_out.example = left_out.example or key
        return False

    def _report(self, prefix: str, left_out: _LeftOut) -> None:
        if not left_out.count:
            return
        level = logging.DEBUG if prefix in self._reported else logging.WARNING
        self._reported[prefix] = True
        self.log.log(
            level,
            "%d names in %r of %s are not shown because they are no valid path, for example %r.",
            left_out.count,
            prefix,
            self.url,
            left_out.example,
        )

    @contextlib.contextmanager
    def _named_as_given(self, *paths: str) -> Iterator[None]:
        """Let errors of `inner` name the path that the caller knows, also in their text."""
        try:
            yield
        except StorageError as error:
            if self._root:
                self._rename(error, paths)
            raise

    def _rename(self, error: StorageError, paths: tuple[str, ...]) -> None:
        if error.path is not None and error.path.startswith(self._root):
            paths = (error.path[len(self._root) :],)
            error.path = paths[0]
        for path in paths:
            error.message = error.message.replace(repr(self._root + path), repr(path))
        error.args = (error.message,)


@dataclasses.dataclass(slots=True)
class _LeftOut:
    """Names of a listing that are not shown."""

    count: int = 0
    example: str = ""


class _PrefixUpload(WrapperUpload):
    def __init__(self, storage: PrefixStorage, inner: MultipartUpload, path: str) -> None:
        super().__init__(inner, path)
        self._storage = storage

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        with self._storage._named_as_given(self.path):
            await self.inner.upload_part(number, data, more=more)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._storage._named_as_given(self.path):
            return self._storage._meta(await self.inner.complete(condition=condition))

    async def _abort(self) -> None:
        with self._storage._named_as_given(self.path):
            await self.inner.abort()


def _checked_root(prefix: str) -> str:
    root = as_prefix(prefix)
    reason = invalid_reason(root) if root else None
    if reason is not None:
        raise ConfigurationError(
            f"The prefix {prefix!r} cannot be used: {reason}. Give a folder such as 'team/alice'."
        )
    return root


def _may_begin_a_path(prefix: str) -> bool:
    # The last segment may go on: `a/.` begins `a/.git`.
    begun = prefix if prefix.endswith("/") else prefix + "x"
    return invalid_reason(begun) is None


def _is_plain(path: str) -> bool:
    """Whether `path` is valid beyond doubt: cheaper than `invalid_reason`, for whole listings."""
    return (
        path.isprintable()
        and "//" not in path
        and "./" not in path
        and "\\" not in path
        and not path.startswith("/")
        and not path.endswith(".")
        and path != ""
    )
