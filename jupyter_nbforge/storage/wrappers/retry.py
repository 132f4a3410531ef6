"""Tries again what failed for a moment, and knows its own earlier success."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from traitlets import Bool, Float, Int

from ..base import BaseStorageService, MultipartUpload
from ..errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
)
from ..types import (
    ByteRange,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from ..workers import for_each
from .attempts import Attempts
from .base import WrapperStorage
from .budget import RetryBudget
from .recognise import Sent, copied, moved
from .resume import ResumingBody, ResumingListing
from .upload import WrapperUpload

if TYPE_CHECKING:
    from typing_extensions import Unpack

T = TypeVar("T")

_MIB = 2**20
_DELETES_PER_SECOND = 100
_LOOKS_AT_ONCE = 16


class RetryStorage(WrapperStorage):
    """Repeats what failed with a retryable error, within bounds of number and time.

    A conditional write that fails on an object after an earlier attempt of it lost its
    answer is compared with what was sent: if that is what is there, it has succeeded.
    Bodies are read on from where they broke off; a listing gives each entry once. An error
    that is raised tells by `outcome_unknown` whether any attempt may have taken effect. All
    calls share one `RetryBudget`, so that a dead store is not asked five times by everybody.
    """

    max_attempts = Int(
        5, min=1, config=True, help="How often a request to the store is made before it has failed."
    )
    attempt_timeout = Float(
        60.0,
        min=0.001,
        config=True,
        help="""Seconds that one attempt may take; for sent data, one more for each MiB.""",
    )
    total_timeout = Float(
        120.0,
        min=0.001,
        config=True,
        help="""Seconds that all attempts and the waits between them may take; for sent data, one
        more for each MiB.""",
    )
    in_store_timeout = Float(
        600.0,
        min=0.001,
        config=True,
        help="""Seconds for what the store does by itself, more slowly the larger the object is: a
        copy, or joining the parts of an upload.""",
    )
    wait_initial = Float(
        0.2,
        min=0,
        config=True,
        help="""Seconds to wait before the second attempt; each further wait is twice as long, with
        some chance added. If the store says how long to wait, that holds.""",
    )
    wait_max = Float(5.0, min=0, config=True, help="Seconds to wait at most before an attempt.")
    retry_budget = Int(
        100,
        min=0,
        config=True,
        help="""How many retries all requests of the server together may make before the store
        answers one of them; what fails after that is an error at once. Each answer gives
        retry_refill of a retry back. 0: nothing is tried again.""",
    )
    retry_refill = Float(
        0.5,
        min=0,
        max=1,
        config=True,
        help="""How many retries each answer of the store gives back to the retry_budget: 0.5
        allows one retry for every two answers in the long run.""",
    )

    show_paths = Bool(
        True,
        config=True,
        help="""Whether the line in the log about a retry names the path. Off: only the operation
        and the kind of error; see LoggingStorage.show_paths.""",
    )

    def __init__(self, inner: BaseStorageService, **kwargs: Any) -> None:
        super().__init__(inner, **kwargs)
        self._budget = RetryBudget(self.retry_budget, self.retry_refill)

    def _attempts(
        self, operation: str, path: str, *, writes: bool = False, extra: float = 0
    ) -> Attempts:
        return Attempts(
            operation,
            path,
            seconds=self.attempt_timeout + extra,
            total=self.total_timeout + extra,
            max_attempts=self.max_attempts,
            wait_initial=self.wait_initial,
            wait_max=self.wait_max,
            budget=self._budget,
            log=self.log,
            provider=self.provider,
            show_paths=self.show_paths,
            writes=writes,
        )

    def _in_store_attempts(self, operation: str, path: str) -> Attempts:
        attempts = self._attempts(operation, path, writes=True)
        attempts.seconds = max(attempts.seconds, self.in_store_timeout)
        attempts.total = max(attempts.total, self.in_store_timeout)
        return attempts

    async def head(self, path: str) -> ObjectMeta:
        return await self._attempts("head", path).run(lambda: self.inner.head(path))

    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        body = ResumingBody(self.inner, path, byte_range, lambda: self._attempts("get", path))
        return _opened(body, if_match, if_none_match)

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        async def write() -> ObjectMeta:
            return await self.inner.put(
                path, data, condition=condition, content_type=content_type, metadata=metadata
            )

        async def find() -> ObjectMeta | None:
            sent = self._sent(metadata)
            await sent.add(1, data)
            return await sent.found(self.inner, path)

        attempts = self._attempts("put", path, writes=True, extra=len(data) / _MIB)
        return await _run_or_recognise(attempts, write, find)

    def _sent(self, metadata: Mapping[str, str] | None) -> Sent:
        return Sent(metadata or {}, self.capabilities.user_metadata)

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        attempts = self._attempts("delete", path, writes=True)

        async def once() -> None:
            try:
                await self.inner.delete(path, condition=condition)
            except (PreconditionError, NotFoundError):
                if not (attempts.outcome_unknown and await self._is_gone(path)):
                    raise

        await attempts.run(once)

    async def _is_gone(self, path: str) -> bool:
        try:
            await self.inner.head(path)
        except NotFoundError:
            return True
        return False

    async def _gone(self, paths: list[str]) -> set[str]:
        gone: set[str] = set()

        async def look(path: str) -> None:
            if await self._is_gone(path):
                gone.add(path)

        await for_each(look, paths, _LOOKS_AT_ONCE)
        return gone

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        left = list(paths)
        attempts = self._attempts(
            "delete_many",
            left[0] if left else "",
            writes=True,
            extra=len(left) / _DELETES_PER_SECOND,
        )

        async def once() -> None:
            nonlocal left
            if versions and attempts.last_error is not None:
                # A failed attempt has deleted some of them; their versions are met no more.
                gone = await self._gone([path for path in left if path in versions])
                left = [path for path in left if path not in gone]
            await self.inner.delete_many(left, versions=versions)

        await attempts.run(once)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        def list_from(resume_after: str | None) -> AsyncIterator[ListPage]:
            return self.inner.list_pages(
                prefix, delimiter=delimiter, start_after=resume_after, page_size=page_size
            )

        ordered = self.capabilities.ordered_listing
        listing = ResumingListing(list_from, start_after, ordered=ordered)
        while True:
            attempts = self._attempts("list_pages", prefix)
            page = await attempts.run(listing.fetch, clean_up=listing.restart)
            if page is None:
                return
            yield page

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        async def write() -> ObjectMeta:
            return await self.inner.copy(
                source, target, condition=condition, source_version=source_version
            )

        async def find() -> ObjectMeta | None:
            return await copied(self.inner, source, target, source_version)

        return await _run_or_recognise(self._in_store_attempts("copy", target), write, find)

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        async def write() -> ObjectMeta:
            return await self.inner.move(source, target, condition=condition)

        async def find() -> ObjectMeta | None:
            return await moved(self.inner, source, target)

        attempts = self._in_store_attempts("move", target)
        return await _run_or_recognise(attempts, write, find, missing_too=True)

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        attempts = self._attempts("create_multipart_upload", path)
        upload = await attempts.run(
            lambda: self.inner.create_multipart_upload(
                path, content_type=content_type, metadata=metadata
            )
        )
        return _RetriedUpload(self, upload, self._sent(metadata))

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        return await self._in_store_attempts("abort_stale_uploads", prefix).run(
            lambda: self.inner.abort_stale_uploads(prefix, older_than)
        )

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        attempts = self._attempts("get_presigned_url", path)
        return await attempts.run(lambda: self.inner.get_presigned_url(path, expires_in, **options))


@asynccontextmanager
async def _opened(
    body: ResumingBody, if_match: Version | None, if_none_match: Version | None
) -> AsyncIterator[ObjectReader]:
    try:
        meta = await body.open(if_match, if_none_match)
        yield ObjectReader(meta, body)
    finally:
        await body.aclose()


async def _run_or_recognise(
    attempts: Attempts,
    write: Callable[[], Awaitable[ObjectMeta]],
    find: Callable[[], Awaitable[ObjectMeta | None]],
    *,
    missing_too: bool = False,
) -> ObjectMeta:
    """Run `write`; where it meets an object after a lost answer, what `find` knows as ours.

    With `missing_too`, also where it does not find what an earlier attempt used up.
    """
    signs = (AlreadyExistsError, PreconditionError) + ((NotFoundError,) if missing_too else ())

    async def once() -> ObjectMeta:
        try:
            return await write()
        except signs:
            ours = await find() if attempts.outcome_unknown else None
            if ours is None:
                raise
            return ours

    return await attempts.run(once)


class _RetriedUpload(WrapperUpload):
    def __init__(self, storage: RetryStorage, inner: MultipartUpload, sent: Sent) -> None:
        super().__init__(inner)
        self._storage = storage
        self._sent = sent

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        attempts = self._storage._attempts("upload_part", self.path, extra=len(data) / _MIB)
        await attempts.run(lambda: self.inner.upload_part(number, data, more=more))
        await self._sent.add(number, data)

    async def _complete(self, condition: WriteCondition | None) -> ObjectMeta:
        return await _run_or_recognise(
            self._storage._in_store_attempts("complete", self.path),
            lambda: self.inner.complete(condition=condition),
            lambda: self._sent.found(self._storage.inner, self.path),
            missing_too=True,
        )

    async def _abort(self) -> None:
        attempts = self._storage._attempts("abort", self.path)
        await attempts.run(self.inner.abort)
