"""The short memory: our own last reads and writes, kept for about two seconds.

jupyter_server asks for the same thing several times within one gesture (section 5 of the
design). What is remembered answers those questions. Nothing else is ever served stale: a
`head` goes to the store unless our own write is the latest thing known of the path, and a
`get` always does.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from traitlets import Float

from ..base import BaseStorageService, MultipartUpload, Recalled
from ..errors import NotFoundError, StorageError
from ..metrics import SHORT_MEMORY
from ..paths import as_prefix, parent_of
from ..types import (
    ByteRange,
    IfMatch,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .base import WrapperStorage
from .remembered import Fact, FolderFact, Found, Listing, ListingInProgress, Recent, Watch
from .upload import WrapperUpload

_PATHS = 4096
_LISTINGS = 64
_LISTED_ENTRIES = 20_000
_FOLDER_SECONDS = 15.0


class _Written(Protocol):
    def __call__(self, path: str, found: Found, *, serves_head: bool = True) -> None: ...


class ShortMemoryStorage(WrapperStorage):
    """Remembers our own last reads and writes for `seconds` and answers from them.

    The age of what was read counts from the moment of asking, that of a write from its
    answer. A read or a listing during which one of our own writes ended is not remembered;
    a write that failed, or that another of ours overlapped, leaves nothing known of its path.
    """

    seconds = Float(
        2.0,
        min=0,
        config=True,
        help="""For how many seconds our own last reads and writes answer questions that follow at
        once (is the file there? the same listing again). 0 remembers nothing.""",
    )

    def __init__(
        self,
        inner: BaseStorageService,
        *,
        clock: Callable[[], float] = time.monotonic,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner, **kwargs)
        self._clock = clock
        self._watches: set[Watch] = set()
        self._forget_all()

    def _forget_all(self) -> None:
        self._facts: Recent[str, Fact] = Recent(_PATHS)
        self._folders: Recent[str, FolderFact] = Recent(_PATHS)
        self._listings: Recent[tuple[str, str | None], Listing] = Recent(
            _LISTED_ENTRIES, size=lambda listing: max(listing.entries, _LISTED_ENTRIES // _LISTINGS)
        )

    async def head(self, path: str) -> ObjectMeta:
        fact = self._fact(path)
        self._count("head", fact is not None and fact.own)
        if fact is not None and fact.own:
            if isinstance(fact.found, ObjectMeta):
                return fact.found
            raise NotFoundError(f"{path!r} does not exist.", path=path)
        with self._reading(path) as remember:
            meta = await self.inner.head(path)
            remember(meta)
        return meta

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
            with self._reading(path) as remember:
                reader = await stack.enter_async_context(opening)
                remember(reader.meta)
            yield reader

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        with self._writing(path) as written:
            meta = await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )
            written(path, meta)
        return meta

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        with self._writing(path) as written:
            await self.inner.delete(path, condition=condition)
            written(path, False)

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        paths = list(paths)
        with self._writing(*paths) as written:
            await self.inner.delete_many(paths, versions=versions)
            for path in paths:
                written(path, False)

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        known = self._fact(source)
        with self._writing(target) as written, self._watching(Watch(frozenset({source}))) as watch:
            try:
                answer = await self.inner.copy(
                    source, target, condition=condition, source_version=source_version
                )
            except StorageError:
                self._facts.drop(source)
                raise
            copied = None
            if known is not None and not watch.overtaken:
                copied = known.as_copy(answer, source_version)
            # What the store answers to a copy may be less than what it shows of the target.
            written(target, copied or answer, serves_head=copied is not None)
        return copied or answer

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        known = Fact(source, self._clock(), full=source.content_hash is not None)
        with self._writing(source.path, target) as written:
            answer = await self.inner.move(source, target, condition=condition)
            written(source.path, False)
            moved = known.as_copy(answer, source.version)
            written(target, moved or answer, serves_head=moved is not None)
        return moved or answer

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        upload = await self.inner.create_multipart_upload(
            path, content_type=content_type, metadata=metadata
        )
        return _RememberedUpload(self, upload)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        whole = start_after is None
        known = self._listing(prefix, delimiter, self.seconds) if whole else None
        self._count("list_pages", known is not None)
        if known is not None:
            for page in known.pages:
                yield page
            return
        pages = self.inner.list_pages(
            prefix, delimiter=delimiter, start_after=start_after, page_size=page_size
        )
        with self._watching(Watch(prefix=prefix)) as watch:
            listing = ListingInProgress(self._clock(), _LISTED_ENTRIES)
            async for page in pages:
                listing.add(page)
                if whole and not watch.overtaken and listing.entries:
                    self._learn_folder(prefix, FolderFact(True, listing.moment))
                yield page
            if whole and not watch.overtaken:
                self._learn_listing(prefix, delimiter, listing)

    async def aclose(self) -> None:
        self._forget_all()
        await self.inner.aclose()

    def _count(self, question: str, remembered: bool) -> None:
        result = "remembered" if remembered else "asked"
        SHORT_MEMORY.labels(self.provider, question, result).inc()

    def recall(self, path: str) -> Recalled:
        found = self._recall(path)
        self._count("recall", found is not None)
        return found

    def _recall(self, path: str) -> Recalled:
        fact = self._fact(path)
        folder = path if path.endswith("/") else as_prefix(parent_of(path))
        listings = [self._listing(prefix, "/", self.seconds) for prefix in {folder, path}]
        listed = max(filter(None, listings), key=lambda listing: listing.moment, default=None)
        if listed is None or (fact is not None and fact.own):
            # An own write drops the listings it concerns: none can be newer.
            return None if fact is None else fact.found
        found: Found = listed.objects.get(path, False)
        if fact is None or (fact.moment < listed.moment and not fact.agrees_with(found)):
            return found
        return fact.found

    def recall_folder(self, folder: str, *, max_age: float | None = None) -> bool | None:
        folder = folder.strip("/")
        if not folder:
            return True
        age = self.seconds if max_age is None else min(max_age, _FOLDER_SECONDS)
        answers: list[FolderFact] = []
        known = self._folders.get(folder)
        if known is not None and self._is_fresh(known, age):
            answers.append(known)
        for prefix in (as_prefix(parent_of(folder)), folder):
            listing = self._listing(prefix, "/", age)
            if listing is not None:
                answers.append(FolderFact(folder + "/" in listing.prefixes, listing.moment))
        latest = max(answers, key=lambda answer: answer.moment, default=None)
        return None if latest is None else latest.exists

    def _is_fresh(self, learnt: Fact | FolderFact | Listing, age: float) -> bool:
        return self._clock() - learnt.moment < age

    def _fact(self, path: str) -> Fact | None:
        fact = self._facts.get(path)
        return fact if fact is not None and self._is_fresh(fact, self.seconds) else None

    def _listing(self, prefix: str, delimiter: str | None, age: float) -> Listing | None:
        listing = self._listings.get((prefix, delimiter))
        return listing if listing is not None and self._is_fresh(listing, age) else None

    def _learn_folder(self, prefix: str, folder: FolderFact) -> None:
        if prefix.endswith("/"):
            self._folders.put(prefix.rstrip("/"), folder)

    def _learn_listing(
        self, prefix: str, delimiter: str | None, listing: ListingInProgress
    ) -> None:
        self._learn_folder(prefix, FolderFact(listing.entries > 0, listing.moment))
        done = listing.done()
        if done is not None:
            self._listings.put((prefix, delimiter), done)

    @contextlib.contextmanager
    def _watching(self, watch: Watch) -> Iterator[Watch]:
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

    @contextlib.contextmanager
    def _reading(self, path: str) -> Iterator[Callable[[ObjectMeta], None]]:
        """Remember what the block learns of `path`, unless a write of ours ended meanwhile."""
        moment = self._clock()

        def remember(found: Found) -> None:
            known = self._facts.get(path)
            if not watch.overtaken and (known is None or known.moment <= moment):
                self._facts.put(path, Fact(found, moment))

        with self._watching(Watch(paths=frozenset({path}))) as watch:
            try:
                yield remember
            except NotFoundError:
                remember(False)
                raise

    @contextlib.contextmanager
    def _writing(self, *paths: str) -> Iterator[_Written]:
        """Remember what the block writes to `paths`; if it fails, nothing is known of them."""
        done: dict[str, Fact] = {}

        def written(path: str, found: Found, *, serves_head: bool = True) -> None:
            done[path] = Fact(found, self._clock(), own=serves_head, full=serves_head)

        with self._watching(Watch(paths=frozenset(paths))) as watch:
            try:
                yield written
            finally:
                overlapped = watch.overtaken
                for path in paths:
                    self._note_write(path, None if overlapped else done.get(path))

    def _note_write(self, path: str, fact: Fact | None) -> None:
        for watch in list(self._watches):
            watch.note_write(path)
        for key in [key for key in self._listings if path.startswith(key[0])]:
            self._note_in_listing(key, path, fact)
        exists = fact is not None and fact.found is not False
        folder = parent_of(path + "x") if path.endswith("/") else parent_of(path)
        while folder:
            # On a disk a write below a folder makes the folder's marker, and the marker of a
            # folder outlives its own deletion as long as something else is in the folder.
            self._facts.drop(folder + "/")
            if exists:
                self._folders.put(folder, FolderFact(True, self._clock()))
            else:
                self._folders.drop(folder)
            folder = parent_of(folder)
        if fact is None or (path.endswith("/") and not exists):
            self._facts.drop(path)
        else:
            self._facts.put(path, fact)

    def _note_in_listing(self, key: tuple[str, str | None], path: str, fact: Fact | None) -> None:
        """Bring a listing up to date after our own write, or drop it."""
        prefix, delimiter = key
        listing = self._listings.get(key)
        changed = None
        is_folder = delimiter == "/" and (not prefix or prefix.endswith("/"))
        if listing is not None and fact is not None and is_folder:
            changed = listing.after_write(prefix, path, fact.found)
        if changed is None:
            self._listings.drop(key)
        else:
            self._listings.put(key, changed)


class _RememberedUpload(WrapperUpload):
    def __init__(self, storage: ShortMemoryStorage, inner: MultipartUpload) -> None:
        super().__init__(inner)
        self._storage = storage

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        with self._storage._writing(self.path) as written:
            meta = await self.inner.complete(condition=condition)
            written(self.path, meta)
        return meta
