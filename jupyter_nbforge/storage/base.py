"""The interface of a storage, and the notebook-level service written once on top of it."""

from __future__ import annotations

import abc
import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, final
from urllib.parse import SplitResult

from traitlets import MetaHasTraits
from traitlets.config import LoggingConfigurable

from .diagnosis import Diagnosis
from .errors import (
    AlreadyExistsError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PreconditionError,
    StorageError,
)
from .metadata import stamp
from .paths import RESERVED_PREFIX, as_prefix
from .types import (
    ByteRange,
    Capabilities,
    IfAbsent,
    IfMatch,
    LinkOptions,
    ListPage,
    NotebookInfo,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)
from .workers import errors_of, for_each

if TYPE_CHECKING:
    from typing_extensions import Unpack

NOTEBOOK_CONTENT_TYPE = "application/x-ipynb+json"
_DELETES_AT_ONCE = 32

Recalled: TypeAlias = ObjectMeta | Literal[False] | None
"""What is remembered of a path: its metadata, False (known to be absent), None (nothing)."""


def check_read(
    path: str,
    found: ObjectMeta | None,
    if_match: Version | None = None,
    if_none_match: Version | None = None,
) -> ObjectMeta:
    """What is `found` at `path` (None: nothing), or the error that `get` promises."""
    if found is None:
        raise NotFoundError(f"{path!r} does not exist.", path=path)
    if if_match is not None and if_match != found.version:
        raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)
    if if_none_match == found.version:
        raise NotModifiedError(f"{path!r} has not changed.", path=path)
    return found


def check_write(path: str, found: ObjectMeta | None, condition: WriteCondition | None) -> None:
    """The error that `condition` promises where `found` (None: nothing) is at `path`."""
    if isinstance(condition, IfAbsent) and found is not None:
        raise AlreadyExistsError(f"{path!r} exists already.", path=path)
    if isinstance(condition, IfMatch) and (found is None or found.version != condition.version):
        raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)


class MultipartUpload(abc.ABC):
    """An object that is being written in parts; it appears, whole, with `complete`.

    Used as an async context manager, it is aborted on the way out unless it was completed.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._ended = False

    @abc.abstractmethod
    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        """Send part `number` (from 1; may be sent again, in any order, several at once).

        Sent again with other bytes: `NotSupportedError` without `replaceable_parts`.
        `more` promises that another part follows: a store that has to be told which one is
        the last keeps in memory each part that may be it.
        """

    @abc.abstractmethod
    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        """Join the parts by number and let the object appear; errors as for `put`."""

    @abc.abstractmethod
    async def abort(self) -> None:
        """Give up and free what the parts take; idempotent, nothing becomes visible."""

    async def __aenter__(self) -> MultipartUpload:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.abort()


class _AbstractTraitsMeta(MetaHasTraits, abc.ABCMeta):
    """traitlets and abc each bring a metaclass; a class with both needs one of both."""


class BaseStorageService(LoggingConfigurable, metaclass=_AbstractTraitsMeta):
    """One store of objects under paths.

    A provider implements the abstract primitives; the notebook-level methods are final.
    Every failure is a `StorageError`. Nothing touches the network before the first call;
    clients belong to the running event loop and are closed by `aclose`. Paths are relative
    to the storage, ``/``-separated, without a leading ``/``; only the marker of a folder
    ends in ``/``.
    """

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        """Trait values that a storage URL stands for, the prefix as ``prefix``.

        ``bucket`` is the URL's authority by default and the rest of it the prefix.
        Raises `ConfigurationError` with one sentence where the URL cannot be meant so.
        """
        return {"bucket": url.netloc, "prefix": url.path.strip("/")}

    @classmethod
    def options_from_environment(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        """Trait values found in environment variables, the prefix as ``prefix``."""
        del environ
        return {}

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The storage URL, without credentials, for logs and for people."""

    def url_of(self, path: str) -> str:
        """The URL by which other tools of the cloud name what is at `path`; "": the root.

        As fsspec takes it: nothing in it is percent-encoded. No request is made.
        """
        url = self.url
        if not path:
            return url
        return url + path if url.endswith("/") else f"{url}/{path}"

    async def tool_environment(
        self, path: str = "", *, credentials: bool = False
    ) -> dict[str, str]:
        """Environment variables with which other tools reach the store that `path` is in.

        Without `credentials` there is no secret among them. With them there is what the
        storage itself signs with now, as far as variables can carry it; one that is
        short-lived ends at its time. Raises `StorageError` where it cannot be had.
        """
        del path, credentials
        return {}

    @property
    @abc.abstractmethod
    def capabilities(self) -> Capabilities:
        """What this storage can honour."""

    def capabilities_at(self, path: str) -> Capabilities:
        """What it can honour at `path`: where several stores are joined, the one there may more."""
        return self.capabilities

    def store_at(self, path: str) -> str:
        """The folder at which the store begins that keeps `path`; ``""`` where one keeps all."""
        return ""

    def parts(self) -> Mapping[str, BaseStorageService]:
        """The storages that this one joins, by folder; itself where it joins none."""
        return {"": self}

    def write_refusal(self, path: str) -> str | None:
        """Why nothing can be written at `path`, as a sentence; None: it may be tried. No request.

        Of a folder: why nothing can be written into it.
        """
        return None

    def removal_refusal(self, path: str) -> str | None:
        """As `write_refusal`, why a file or folder can be neither moved nor deleted."""
        return self.write_refusal(path)

    @abc.abstractmethod
    async def head(self, path: str) -> ObjectMeta:
        """The metadata of an object; `NotFoundError`."""

    @abc.abstractmethod
    def get(
        self,
        path: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: Version | None = None,
        if_none_match: Version | None = None,
    ) -> AbstractAsyncContextManager[ObjectReader]:
        """Open an object for reading; metadata and bytes are of one version.

        Errors, all on entering: `NotFoundError`, `PreconditionError` (`if_match` names
        another version), `NotModifiedError` (`if_none_match` names this one). A range that
        begins at or after the end gives no bytes; one that ends after it is cut.
        """

    @abc.abstractmethod
    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        """Write an object, all or nothing, and return its new metadata.

        The answer equals a later `head`, to the last digit of `last_modified`. `metadata`
        keys are lower-case identifiers, values printable ASCII. Without a condition an
        existing object is replaced. Errors: `AlreadyExistsError`, `PreconditionError`,
        `TooLargeError`, `InvalidPathError`.
        """

    @abc.abstractmethod
    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        """Delete an object; one that is missing already is no error unless `condition` is given."""

    @abc.abstractmethod
    def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        """All objects whose path starts with `prefix`, page by page.

        With a delimiter, those that have one after the prefix are folded into `prefixes`
        (each once in the whole listing, ending in the delimiter); with None all are listed.
        `start_after` leaves out paths up to and including it (`NotSupportedError` where
        listings are not ordered). `page_size` is a hint. Nothing found: no page, or an
        empty one. The marker of the folder itself (path equal to `prefix`) is listed.
        """

    @abc.abstractmethod
    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        """Copy bytes, content type and metadata within the store; returns the target's metadata.

        `condition` is on the target; `source_version` makes it a `PreconditionError` if
        the source is no longer that version. A missing source is `NotFoundError`. Content
        type and hash of the answer may be None, and its `last_modified` the store's time,
        where they would cost a request.
        """

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        """Begin an upload in parts; `NotSupportedError` without the capability `multipart`."""
        raise NotSupportedError(
            f"{type(self).__name__} takes no uploads in parts; write the object at once.", path=path
        )

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        """End uploads in parts below `prefix` that nobody has fed for `older_than` seconds.

        Killed processes leave them. Returns how many; 0 also where the store drops them itself.
        """
        del prefix, older_than
        return 0

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        """Delete all of `paths`, each as `delete` does, those in `versions` only at that version.

        Every path is tried; then the first error, if any, is raised.
        """
        expected = versions or {}
        errors: list[StorageError] = []

        async def one(path: str) -> None:
            version = expected.get(path)
            condition = None if version is None else IfMatch(version)
            errors.extend(await errors_of(self.delete(path, condition=condition)))

        await for_each(one, paths, _DELETES_AT_ONCE)
        if errors:
            raise errors[0]

    async def move(
        self, source: ObjectMeta, target: str, *, condition: WriteCondition | None = None
    ) -> ObjectMeta:
        """Give the object `source` (at that version) another path; returns its new metadata.

        One step with `atomic_move`, else a copy and a delete: if it is stopped in between,
        both paths have the object. Errors as for `copy`; to its own path `InvalidPathError`.
        """
        if source.path == target:
            # A store may take a copy onto itself, and the delete would then be of the only one.
            raise InvalidPathError(f"{target!r} is its own path; choose another.", path=target)
        copied = await self.copy(
            source.path, target, condition=condition, source_version=source.version
        )
        await self.delete(source.path, condition=IfMatch(source.version))
        return copied

    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        """A URL with which anybody may read (or write) the object for `expires_in` seconds.

        No request is made for the object: it need not exist. `NotSupportedError` where the
        store has no such URLs, not for so long, or not with these `options`.
        """
        raise NotSupportedError(
            f"{type(self).__name__} has no presigned URLs; use a cloud storage for them.", path=path
        )

    async def aclose(self) -> None:
        """Close all clients; idempotent. The storage may be used again afterwards."""

    def recall(self, path: str) -> Recalled:
        """What our own last read or write of `path`, a moment ago, showed; no request is made.

        Good enough to answer a question that follows from it at once (does it exist?),
        never in place of a look that a person relies on. A provider remembers nothing.
        """
        return None

    def recall_folder(self, folder: str, *, max_age: float | None = None) -> bool | None:
        """As `recall`, whether a folder exists; from a listing at most `max_age` seconds old."""
        return None

    def diagnosis(self, prefix: str = "") -> Diagnosis:
        """What `jupyter nbforge check` asks of this provider, for what begins with `prefix`."""
        return Diagnosis(self, prefix)

    @final
    async def list_notebooks(self, prefix: str = "") -> list[NotebookInfo]:
        """All ``*.ipynb`` objects below a folder, however deep, sorted by path."""
        found: list[NotebookInfo] = []
        async for page in self.list_pages(as_prefix(prefix), delimiter=None):
            found += [
                {"path": meta.path, "last_modified": meta.last_modified, "size": meta.size}
                for meta in page.objects
                if meta.path.endswith(".ipynb") and not meta.path.startswith(RESERVED_PREFIX)
            ]
        return sorted(found, key=lambda info: info["path"])

    @final
    async def read_notebook(self, path: str) -> BinaryIO:
        """The notebook's bytes as a binary stream positioned at 0; `NotFoundError`."""
        async with self.get(path) as reader:
            return io.BytesIO(await reader.read())

    @final
    async def write_notebook(self, path: str, content: BinaryIO) -> str:
        """Write what `content` holds from its position on, replacing; returns `path`."""
        data = await asyncio.to_thread(content.read)
        metadata = await asyncio.to_thread(stamp, data)
        await self.put(path, data, content_type=NOTEBOOK_CONTENT_TYPE, metadata=metadata)
        return path

    @final
    async def delete_notebook(self, path: str) -> None:
        """Delete a notebook; a missing one is no error."""
        await self.delete(path)

    @final
    async def check_condition(self, path: str, condition: WriteCondition) -> None:
        """Check a write condition by a `head`: the fallback for a store that ignores it.

        Between this look and the write another writer can come.
        """
        try:
            found: ObjectMeta | None = await self.head(path)
        except NotFoundError:
            found = None
        check_write(path, found, condition)
