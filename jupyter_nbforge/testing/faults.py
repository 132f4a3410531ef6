"""Storages for tests around a storage: one that fails by rule, one that counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ..storage.base import BaseStorageService, MultipartUpload
from ..storage.errors import StorageError, UnavailableError
from ..storage.types import (
    ByteRange,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from ..storage.wrappers.base import WrapperStorage
from ..storage.wrappers.upload import WrapperUpload

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

Hook = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Fault:
    """What goes wrong with an operation, and when.

    `operation` is the name of a primitive (``put``, ``list_pages``, which is one page,
    ``upload_part``, ``chunk``, which is one chunk of a body) and `path` of an object, a
    prefix or a copy's target; both may be patterns as of a shell. The fault befalls `times`
    matching calls (None: all) after the first `skip`. They wait for `delay` seconds, then
    await `hook`, then fail with what `error` makes. With `lost_answer` the operation takes
    effect before it waits and fails. A `chunk` with none of these ends the body there, or, if
    the fault `damages`, has one bit flipped.
    """

    operation: str
    path: str = "*"
    error: Callable[[], Exception] | None = None
    delay: float = 0.0
    hook: Hook | None = None
    lost_answer: bool = False
    times: int | None = 1
    skip: int = 0
    damages: bool = False
    befallen: int = 0
    """How many calls it has befallen."""

    @property
    def cuts_body(self) -> bool:
        """Whether all that it does is to end a body early, without a word."""
        return self.error is None and self.hook is None and not (self.delay or self.damages)

    def befalls(self, operation: str, path: str) -> bool:
        """Whether this call is one of them; counts it."""
        if not (fnmatchcase(operation, self.operation) and fnmatchcase(path, self.path)):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None and self.befallen >= self.times:
            return False
        self.befallen += 1
        return True

    async def strike(self) -> None:
        """Wait, call the hook, fail."""
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.hook is not None:
            await self.hook()
        if self.error is not None:
            raise self.error()


def unavailable(*, retry_after: float | None = None, outcome_unknown: bool = False) -> StorageError:
    """What a store that is overloaded answers, or a connection that broke."""
    return UnavailableError(
        "The storage cannot be reached; try again.",
        retryable=True,
        retry_after=retry_after,
        outcome_unknown=outcome_unknown,
    )


def answer_lost() -> StorageError:
    """What is known when a connection breaks before the answer: nothing."""
    return unavailable(outcome_unknown=True)


class CalledStorage(WrapperStorage):
    """Sends every primitive through `call`, by its name; to be overridden."""

    async def call(self, operation: str, path: str, act: Callable[[], Awaitable[T]]) -> T:
        """The answer of `act`."""
        return await act()

    async def head(self, path: str) -> ObjectMeta:
        return await self.call("head", path, lambda: self.inner.head(path))

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        opening = self.inner.get(
            path, byte_range=byte_range, if_match=if_match, if_none_match=if_none_match
        )
        return self._open(path, opening)

    @asynccontextmanager
    async def _open(
        self, path: str, opening: AbstractAsyncContextManager[ObjectReader]
    ) -> AsyncIterator[ObjectReader]:
        async with AsyncExitStack() as stack:
            reader = await self.call("get", path, lambda: stack.enter_async_context(opening))
            yield ObjectReader(reader.meta, self.chunks(path, reader))

    def chunks(self, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
        """The body of an open read."""
        return reader.chunks

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        return await self.call(
            "put",
            path,
            lambda: self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            ),
        )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        await self.call("delete", path, lambda: self.inner.delete(path, condition=condition))

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        paths = list(paths)
        await self.call(
            "delete_many",
            paths[0] if paths else "",
            lambda: self.inner.delete_many(paths, versions=versions),
        )

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        pages = self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        )

        async def next_page() -> ListPage | None:
            return await anext(pages, None)

        while (page := await self.call("list_pages", prefix, next_page)) is not None:
            yield page

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        return await self.call(
            "copy",
            target,
            lambda: self.inner.copy(
                source, target, condition=condition, source_version=source_version
            ),
        )

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        return await self.call(
            "move", target, lambda: self.inner.move(source, target, condition=condition)
        )

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        upload = await self.call(
            "create_multipart_upload",
            path,
            lambda: self.inner.create_multipart_upload(
                path, content_type=content_type, metadata=metadata
            ),
        )
        return _CalledUpload(self, upload)

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        return await self.call(
            "abort_stale_uploads",
            prefix,
            lambda: self.inner.abort_stale_uploads(prefix, older_than),
        )

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        return await self.call(
            "get_presigned_url",
            path,
            lambda: self.inner.get_presigned_url(path, expires_in, **options),
        )


class _CalledUpload(WrapperUpload):
    def __init__(self, storage: CalledStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        await self._storage.call(
            "upload_part", self.path, lambda: self.inner.upload_part(number, data, more=more)
        )

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        return await self._storage.call(
            "complete", self.path, lambda: self.inner.complete(condition=condition)
        )

    async def _abort(self) -> None:
        await self._storage.call("abort", self.path, self.inner.abort)


class FaultyStorage(CalledStorage):
    """Fails as its `faults` say; each call is befallen by the first that matches."""

    def __init__(self, inner: BaseStorageService, *faults: Fault, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.faults = list(faults)
        self._damages = count()

    def lose_answer(self, operation: str, path: str = "*", *, hook: Hook | None = None) -> Fault:
        """Let the next such call take effect and lose its answer; `hook` runs in between."""
        fault = Fault(operation, path, error=answer_lost, hook=hook, lost_answer=True)
        self.faults.append(fault)
        return fault

    def fail(
        self, operation: str, path: str = "*", *, times: int | None = 1, skip: int = 0
    ) -> Fault:
        """Let such calls find the store unavailable."""
        fault = Fault(operation, path, error=unavailable, times=times, skip=skip)
        self.faults.append(fault)
        return fault

    async def call(self, operation: str, path: str, act: Callable[[], Awaitable[T]]) -> T:
        """The answer of `act`, unless a fault befalls it."""
        fault = self._next_fault(operation, path)
        if fault is None:
            return await act()
        if not fault.lost_answer:
            await fault.strike()
            return await act()
        answer = await act()
        await fault.strike()
        return answer

    def _next_fault(self, operation: str, path: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.befalls(operation, path)), None)

    def _damaged(self, chunk: bytes) -> bytes:
        """The chunk with one bit flipped, never the same one twice running."""
        place, bit = divmod(next(self._damages), 8)
        place %= len(chunk)
        return chunk[:place] + bytes([chunk[place] ^ 1 << bit]) + chunk[place + 1 :]

    async def chunks(self, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
        async for chunk in reader.chunks:
            fault = self._next_fault("chunk", path)
            if fault is not None:
                await fault.strike()
                if fault.cuts_body:
                    return
                if fault.damages:
                    chunk = self._damaged(chunk)
            yield chunk


class CountingStorage(CalledStorage):
    """Counts the calls of primitives that reach `inner`; a listing counts each of its pages.

    The end of a listing is no page: a store tells it with the last one. A listing of nothing
    counts as one.
    """

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self.calls: list[tuple[str, str]] = []
        """Name and path of each call, in order."""

    @property
    def counts(self) -> Counter[str]:
        """How many calls there were, by name."""
        return Counter(operation for operation, _ in self.calls)

    def reset(self) -> None:
        """Forget what was counted."""
        self.calls.clear()

    async def call(self, operation: str, path: str, act: Callable[[], Awaitable[T]]) -> T:
        self.calls.append((operation, path))
        return await act()

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        self.calls.append(("list_pages", prefix))
        first = True
        async for page in self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        ):
            if not first:
                self.calls.append(("list_pages", prefix))
            first = False
            yield page
