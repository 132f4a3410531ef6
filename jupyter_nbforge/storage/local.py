"""The provider for a directory on a disk."""

from __future__ import annotations

import errno
import itertools
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from datetime import datetime, timedelta, timezone
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote

from traitlets import Int, TraitError, Unicode, validate

from .base import BaseStorageService, MultipartUpload
from .errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    StorageFullError,
    TooLargeError,
    UnavailableError,
)
from .local_files import CHUNK_SIZE, LocalFiles
from .local_tree import meta_of
from .metadata import MTIME, parse_mtime
from .paths import DELIMITER
from .threads import ThreadBridge
from .types import (
    ByteRange,
    Capabilities,
    IfMatch,
    ListPage,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)

T = TypeVar("T")

# A write that a cancelled caller left behind could replace what the caller wrote next.
_THREADS = ThreadBridge(32, name="nbforge-disk", wait_for_end=True)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_THREADS.forget)

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

_DENIED = (PermissionDeniedError, "{path!r} may not be read or changed; ask for the permission.")
_MISSING = (NotFoundError, "{path!r} does not exist.")
_FULL = (
    StorageFullError,
    "{path!r} was not saved: the disk is full; free some space and try again.",
)
_BUSY = (UnavailableError, "{path!r} cannot be opened just now: {reason}; try again.")
_ERRORS: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOENT: _MISSING,
    errno.ENOTDIR: _MISSING,
    errno.EISDIR: _MISSING,
    errno.ENXIO: _MISSING,  # A socket cannot be opened.
    errno.ELOOP: _MISSING,
    errno.EEXIST: (AlreadyExistsError, "{path!r} exists already."),
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
    errno.EROFS: (PermissionDeniedError, "{path!r} was not changed: the disk is read-only."),
    errno.ENOSPC: _FULL,
    errno.EDQUOT: (
        StorageFullError,
        "{path!r} was not saved: your disk quota is used up; free some space and try again.",
    ),
    errno.EFBIG: (TooLargeError, "{path!r} is larger than a file may be on this disk."),
    errno.ENAMETOOLONG: (InvalidPathError, "The name {path!r} is too long for this disk."),
    errno.EINVAL: (InvalidPathError, "{path!r} is no name that this disk allows."),
    errno.EILSEQ: (InvalidPathError, "{path!r} is no name that this disk allows."),
    errno.EMFILE: _BUSY,
    errno.ENFILE: _BUSY,
    errno.ESTALE: _BUSY,
}
"""What the operating system says, and what that is here; anything else: a `StorageError`."""


@contextmanager
def _translated(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind, sentence = _ERRORS.get(
            error.errno or 0, (StorageError, "The disk failed at {path!r}: {reason}.")
        )
        message = sentence.format(path=path, reason=error.strerror)
        raise kind(message, path=path, retryable=kind is UnavailableError) from error


class LocalStorage(BaseStorageService):
    """The files below one directory of a disk.

    A write appears by a rename, so that a reader, a cancelled call or a killed process
    never leaves half a file. Of concurrent writers with `IfAbsent` one wins, whatever
    program they are. A check of `IfMatch` and the write after it are one step for all that
    use this class on the directory, also in other processes where the file system has
    ``flock`` (local disks do; on NFS only within the process); another program can come
    between them.

    The version is the file's time (nanoseconds) and size: each write moves the time, a copy
    keeps it. Of the metadata given to `put` only ``mtime`` is kept, as the file's time;
    the content type is guessed from the name.

    A directory is its own marker ``folder/``, with or without content: it is listed, is made
    by any write below it, stays when the last file in it is deleted, and goes when its marker
    is deleted, which does nothing as long as something is in it (`delete_many` deletes
    markers last). A file cannot be beside a folder of its name, nor anything below a file:
    such a write is an `AlreadyExistsError`.

    Symbolic links are followed within the directory; one that leads out of it is not listed,
    and using it is a `PermissionDeniedError`. A delete removes the link. A listing without
    delimiter does not enter a link to a folder, so that who deletes or moves all that it
    shows does not reach what lies elsewhere. Pipes, sockets, devices and names that are not
    UTF-8 are left out.
    """

    root = Unicode(
        config=True, help="Absolute path of the directory, which must exist; ~ is expanded."
    )
    page_size = Int(1000, min=1, config=True, help="Entries per page of a listing.")

    @validate("root")
    def _check_root(self, proposal: Mapping[str, Any]) -> str:
        root = os.path.expanduser(str(proposal["value"]))
        if root and not os.path.isabs(root):
            raise TraitError(f"LocalStorage.root must be an absolute path, not {root!r}.")
        return root

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        if url.netloc not in ("", "localhost") or url.fragment or not url.path:
            raise ConfigurationError(
                f"{url.geturl()!r} names no directory; write file:///the/directory, "
                "with three slashes and with %23 for #."
            )
        return {"root": unquote(url.path), "prefix": ""}

    @classmethod
    def options_from_environment(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        return {"root": environ["LOCAL_ROOT"]} if environ.get("LOCAL_ROOT") else {}

    @property
    def url(self) -> str:
        return Path(self.root).as_uri() if self.root else "file://"

    def url_of(self, path: str) -> str:
        # Not `url`, in which a space is %20.
        return f"file://{os.path.abspath(self.root).rstrip('/')}/{path}".rstrip("/")

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            user_metadata=False,
            file_beside_folder=False,
            max_part_size=sys.maxsize,
            max_put_size=sys.maxsize,
        )

    def _files(self) -> LocalFiles:
        # Made for each call, in its thread: the directory may come and go with a mount.
        return LocalFiles(self.root, self.log)

    async def head(self, path: str) -> ObjectMeta:
        return await _in_thread(path, lambda: self._files().head(path))

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
        with ExitStack() as opened:

            def open_file() -> tuple[ObjectMeta, FileIO | None]:
                if path.endswith(DELIMITER):
                    return self._files().head(path), None
                file = opened.enter_context(self._files().open(path))
                return meta_of(path, os.fstat(file.fileno())), file

            meta, file = await _in_thread(path, open_file)
            if if_match is not None and if_match != meta.version:
                raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)
            if if_none_match is not None and if_none_match == meta.version:
                raise NotModifiedError(f"{path!r} has not changed.", path=path)
            yield ObjectReader(meta, _chunks(meta, file, byte_range or ByteRange(0)))

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        condition: WriteCondition | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectMeta:
        del content_type
        mtime_ns = _mtime_ns(metadata)
        view = memoryview(data)
        chunks = (view[at : at + CHUNK_SIZE] for at in range(0, len(view), CHUNK_SIZE))
        return await _in_thread(
            path,
            lambda: self._files().write(path, chunks, condition=condition, mtime_ns=mtime_ns),
        )

    async def delete(self, path: str, *, condition: IfMatch | None = None) -> None:
        await _in_thread(path, lambda: self._files().delete(path, condition))

    async def delete_many(
        self, paths: Iterable[str], *, versions: Mapping[str, Version] | None = None
    ) -> None:
        """As the base does, markers after all else and the deepest first, so that trees go."""
        every = set(paths)
        markers = sorted((path for path in every if path.endswith(DELIMITER)), reverse=True)
        errors: list[StorageError] = []
        for batch in (every.difference(markers), *([marker] for marker in markers)):
            try:
                await super().delete_many(batch, versions=versions)
            except StorageError as error:
                errors.append(error)
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
        if delimiter not in (None, DELIMITER):
            raise NotSupportedError("A directory is listed by / or without delimiter.")
        files = await _in_thread(prefix, self._files)
        entries = files.entries(prefix, recursive=delimiter is None, start_after=start_after)
        size = min(page_size or self.page_size, self.page_size)
        while batch := await _in_thread(prefix, lambda: list(itertools.islice(entries, size))):
            yield ListPage(
                objects=tuple(entry for entry in batch if isinstance(entry, ObjectMeta)),
                prefixes=tuple(entry for entry in batch if isinstance(entry, str)),
            )

    async def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        return await _in_thread(
            source,
            lambda: self._files().copy(
                source, target, condition=condition, source_version=source_version
            ),
        )

    async def create_multipart_upload(
        self,
        path: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> MultipartUpload:
        del content_type
        folder = await _in_thread(path, lambda: self._files().new_upload(path))
        return _LocalUpload(self._files, path, folder, _mtime_ns(metadata))

    async def abort_stale_uploads(self, prefix: str, older_than: float) -> int:
        if prefix:
            return 0  # the parts do not tell where their file was to be; `new_upload` ends them
        return await _in_thread(prefix, lambda: self._files().end_stale_uploads(older_than))


class _LocalUpload(MultipartUpload):
    """Parts are files in a hidden folder in the storage's directory, joined by `complete`."""

    def __init__(
        self, files: Callable[[], LocalFiles], path: str, folder: str, mtime_ns: int | None
    ) -> None:
        super().__init__(path)
        self._files = files
        self._folder = folder
        self._mtime_ns = mtime_ns
        self._parts: dict[int, str] = {}
        self._names = itertools.count()

    def _check_open(self) -> None:
        if self._ended:
            raise NotFoundError(f"The upload of {self.path!r} has ended.", path=self.path)

    async def upload_part(self, number: int, data: bytes, *, more: bool = False) -> None:
        del more
        self._check_open()
        # A part that is sent again gets a new file: two at once do not mix their bytes.
        part = os.path.join(self._folder, f"{number}-{next(self._names)}")
        await _in_thread(self.path, lambda: Path(part).write_bytes(data))
        self._parts[number] = part

    async def complete(self, *, condition: WriteCondition | None = None) -> ObjectMeta:
        self._check_open()
        if not self._parts:
            raise StorageError(f"The upload of {self.path!r} has no part.", path=self.path)
        parts = [self._parts[number] for number in sorted(self._parts)]
        meta = await _in_thread(
            self.path,
            lambda: self._files().write(
                self.path, _joined(parts), condition=condition, mtime_ns=self._mtime_ns
            ),
        )
        await self.abort()
        return meta

    async def abort(self) -> None:
        self._ended = True
        await _in_thread(self.path, lambda: shutil.rmtree(self._folder, ignore_errors=True))


def _mtime_ns(metadata: Mapping[str, str] | None) -> int | None:
    moment = parse_mtime((metadata or {}).get(MTIME))
    return None if moment is None else (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _joined(files: Iterable[str]) -> Iterator[bytes]:
    for name in files:
        with open(name, "rb") as file:
            while chunk := file.read(CHUNK_SIZE):
                yield chunk


async def _chunks(
    meta: ObjectMeta, file: FileIO | None, byte_range: ByteRange
) -> AsyncIterator[bytes]:
    stop = meta.size if byte_range.stop is None else min(byte_range.stop, meta.size)
    position = byte_range.start
    while file is not None and position < stop:
        chunk = await _in_thread(meta.path, partial(_read_at, file, position, stop))
        if not chunk:
            raise StorageError(f"{meta.path!r} was cut while it was read.", path=meta.path)
        position += len(chunk)
        yield chunk


def _read_at(file: FileIO, position: int, stop: int) -> bytes:
    file.seek(position)
    return file.read(min(CHUNK_SIZE, stop - position))


async def _in_thread(path: str, function: Callable[[], T]) -> T:
    """The function's result, its `OSError` translated."""
    with _translated(path):
        return await _THREADS.run(function)
