"""Reads that go on where they broke off: the body of an object, and a listing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from ..base import BaseStorageService
from ..digests import digest_of
from ..errors import PreconditionError, StorageError, UnavailableError
from ..types import ByteRange, ListPage, ObjectMeta, ObjectReader, Version
from .attempts import Attempts, in_time
from .checked import Check


class ResumingBody(AsyncIterator[bytes]):
    """The bytes of one version of an object, asked for again from where a read broke off.

    Nobody sees a truncated body or one of two versions: the end comes only after as many
    bytes as the metadata tells, else an error; `PreconditionError` if the version has gone.
    Nor a damaged one, where a SHA-256 was kept with the object: the last chunk is given when
    all fit it. Each chunk that arrives gives the next one all attempts again.
    """

    def __init__(
        self,
        storage: BaseStorageService,
        path: str,
        byte_range: ByteRange | None,
        attempts: Callable[[], Attempts],
    ) -> None:
        self._storage = storage
        self._path = path
        self._range = byte_range
        self._attempts = attempts
        self._opened = AsyncExitStack()
        self._reader: ObjectReader | None = None
        self._meta: ObjectMeta | None = None
        self._check: Check | None = None
        self._received = 0

    async def open(self, if_match: Version | None, if_none_match: Version | None) -> ObjectMeta:
        """Begin to read; the metadata. Errors are those of `get`."""

        async def first() -> ObjectMeta:
            opening = self._storage.get(
                self._path,
                byte_range=self._range,
                if_match=if_match,
                if_none_match=if_none_match,
            )
            self._reader = await self._opened.enter_async_context(opening)
            self._meta = self._reader.meta
            self._check = Check(self._meta, self._range)
            return self._meta

        return await self._attempts().run(first, clean_up=self.aclose)

    async def __anext__(self) -> bytes:
        attempts = self._attempts()
        try:
            chunk = await in_time(self._fetch, attempts.seconds, self._path)
        except StorageError as error:
            if not error.retryable:
                raise
            if self._missing() == 0:
                raise StopAsyncIteration from None
            chunk = await attempts.run(_fail_first(error, self._fetch), clean_up=self._drop)
        if chunk is None:
            raise StopAsyncIteration
        self._received += len(chunk)
        if self._check is not None:
            await self._check.add(chunk)
            if self._missing() == 0 and not self._check.fits:
                await self._confirm(self._check.digest)
        return chunk

    async def _confirm(self, digest: bytes) -> None:
        """Raise, unless the bytes that do not fit their SHA-256 come just so once more.

        Then they are as they lie in the store: another tool has written them, and kept the
        metadata of what was there before.
        """

        async def again() -> bytes:
            return await digest_of(self._storage, self._known())

        await self.aclose()
        if await self._attempts().run(again) != digest:
            # Not to be read on from here: the rest would not show the damage.
            raise UnavailableError(f"{self._path!r} arrived damaged; try again.", path=self._path)

    async def _fetch(self) -> bytes | None:
        """The next chunk; None at the end."""
        if self._reader is None:
            if self._missing() == 0:
                return None
            self._reader = await self._reopen()
        chunk = await anext(self._reader.chunks, None)
        if chunk is None and self._missing() > 0:
            raise UnavailableError(
                f"The connection was lost while {self._path!r} was read.",
                path=self._path,
                retryable=True,
            )
        return chunk

    async def _reopen(self) -> ObjectReader:
        meta = self._known()
        start, stop = self._bounds()
        opening = self._storage.get(
            self._path, byte_range=ByteRange(start + self._received, stop), if_match=meta.version
        )
        reader = await self._opened.enter_async_context(opening)
        if reader.meta.version != meta.version:
            raise PreconditionError(
                f"{self._path!r} was changed while it was read.", path=self._path
            )
        return reader

    def _known(self) -> ObjectMeta:
        if self._meta is None:
            raise RuntimeError("the body is read before it is opened")
        return self._meta

    def _bounds(self) -> tuple[int, int]:
        size = self._known().size
        if self._range is None:
            return 0, size
        stop = size if self._range.stop is None else min(self._range.stop, size)
        return self._range.start, max(stop, self._range.start)

    def _missing(self) -> int:
        start, stop = self._bounds()
        return stop - start - self._received

    async def _drop(self) -> None:
        """Close a connection that is broken: its own complaint is no news."""
        with contextlib.suppress(StorageError):
            await self.aclose()

    async def aclose(self) -> None:
        self._reader = None
        await self._opened.aclose()


class ResumingListing:
    """The pages of a listing, each entry once, whatever breaks in between."""

    def __init__(
        self,
        list_from: Callable[[str | None], AsyncIterator[ListPage]],
        start_after: str | None,
        *,
        ordered: bool,
    ) -> None:
        self._list_from = list_from
        self._start_after = start_after
        self._ordered = ordered
        self._pages: AsyncIterator[ListPage] | None = None
        self._restarted = False
        self._last = ""
        # Only of a listing without an order: with one, the last entry tells what was given.
        self._given: set[str] = set()

    async def fetch(self) -> ListPage | None:
        """The next page; None at the end. After an error, `restart` and call it again."""
        if self._pages is None:
            resume_after = self._last if self._ordered and self._last else self._start_after
            self._pages = self._list_from(resume_after)
        page = await anext(self._pages, None)
        if page is None:
            return None
        if self._restarted:
            page = ListPage(
                tuple(meta for meta in page.objects if self._is_new(meta.path)),
                tuple(prefix for prefix in page.prefixes if self._is_new(prefix)),
            )
        self._note([*(meta.path for meta in page.objects), *page.prefixes])
        return page

    async def restart(self) -> None:
        self._pages, self._restarted = None, True

    def _is_new(self, name: str) -> bool:
        # The order of str is that of UTF-8. A folder given last comes again with what is in it.
        return name > self._last if self._ordered else name not in self._given

    def _note(self, names: list[str]) -> None:
        if self._ordered:
            self._last = max(names, default=self._last)
        else:
            self._given.update(names)


def _fail_first(
    error: StorageError, call: Callable[[], Awaitable[bytes | None]]
) -> Callable[[], Awaitable[bytes | None]]:
    """`call`, but its first use raises `error`: an attempt that was made already."""
    failures = [error]

    async def attempt() -> bytes | None:
        if failures:
            raise failures.pop()
        return await call()

    return attempt
