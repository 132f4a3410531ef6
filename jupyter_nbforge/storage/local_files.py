"""A directory tree written as an object store; blocking, for `LocalStorage`."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from io import FileIO
from typing import TypeAlias

from .errors import (
    AlreadyExistsError,
    NotSupportedError,
    PreconditionError,
)
from .local_tree import TEMPORARY_PREFIX, LocalTree, meta_of
from .paths import DELIMITER
from .threads import check_call
from .types import IfAbsent, IfMatch, ObjectMeta, Version, WriteCondition

if sys.platform != "win32":
    import fcntl

CHUNK_SIZE = 1024 * 1024

_LEFTOVER_AGE = 24 * 3600.0
"""Seconds after which an unfinished file is taken for one of a killed process."""

_TIME_STEPS = (1, 1_000, 1_000_000, 1_000_000_000, 2_000_000_000)
"""Nanoseconds; file systems differ in the digits of a time that they keep, FAT in steps of 2 s."""

_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK})

_process_lock = threading.Lock()

_used_here: set[str] = set()
"""The unfinished files of this process."""

Chunks: TypeAlias = Iterable[bytes | memoryview]


class LocalFiles(LocalTree):
    """The writing half of `LocalTree`; a directory is removed only by a delete of its marker."""

    def write(
        self,
        path: str,
        chunks: Chunks,
        *,
        condition: WriteCondition | None = None,
        mtime_ns: int | None = None,
        mode: int | None = None,
    ) -> ObjectMeta:
        """Write an object, all or nothing; nothing at all once the call is abandoned.

        `mtime_ns` (default: now) becomes its time, moved on where the object that it
        replaces has the same; `mode` its permissions where it replaces none.
        """
        target = self.locate(path)
        if path.endswith(DELIMITER):
            return self._make_folder(path, target, chunks, condition, mtime_ns)
        # Also here, so that a write that will be refused takes no time and no space.
        _check_target(path, _find(target), condition)
        with self._temporary(path, os.path.dirname(target)) as temporary:
            with FileIO(temporary, "r+") as file:
                _fill(file, chunks)
            if mode is not None:
                _set_mode(temporary, mode)
            with self._locked():
                check_call()
                written = _commit(path, temporary, target, condition, mtime_ns)
        _sync_folder(os.path.dirname(target))
        return meta_of(path, written)

    def _make_folder(
        self,
        path: str,
        target: str,
        chunks: Chunks,
        condition: WriteCondition | None,
        mtime_ns: int | None,
    ) -> ObjectMeta:
        if any(len(chunk) for chunk in chunks):
            raise NotSupportedError(f"{path!r} is a folder, which holds no bytes here.", path=path)
        with self._locked():
            found = _find(target)
            _check_target(path, found, condition)
            _make_folders(path, target)
            return meta_of(path, _stamp(target, mtime_ns, found))

    def delete(self, path: str, condition: IfMatch | None = None) -> None:
        """Delete a file, a folder if nothing is in it, or a link itself."""
        target = self.locate(path)
        with self._locked():
            found = _find(target)
            if condition is not None:
                _check_condition(path, found, condition)
            if found is None or not _is_object(path, found):
                return
            entry = os.path.join(self.root, path.rstrip(DELIMITER))
            if path.endswith(DELIMITER) and not os.path.islink(entry):
                _remove_folder(entry)
            else:
                os.unlink(entry)

    def copy(
        self,
        source: str,
        target: str,
        *,
        condition: WriteCondition | None = None,
        source_version: Version | None = None,
    ) -> ObjectMeta:
        """Copy bytes, time and permissions."""
        if source.endswith(DELIMITER):
            found = os.stat(self.locate(source))
            _check_source(source, found, source_version)
            return self.write(target, (), condition=condition, mtime_ns=found.st_mtime_ns)
        with self.open(source) as file:
            found = os.fstat(file.fileno())
            _check_source(source, found, source_version)
            return self.write(
                target,
                iter(lambda: file.read(CHUNK_SIZE), b""),
                condition=condition,
                mtime_ns=found.st_mtime_ns,
                mode=stat.S_IMODE(found.st_mode),
            )

    def new_upload(self, path: str) -> str:
        """A hidden folder for the parts of an upload to `path`; those of killed processes go."""
        self.locate(path)
        self.end_stale_uploads(_LEFTOVER_AGE)
        folder = os.path.join(self.root, TEMPORARY_PREFIX + secrets.token_hex(8))
        os.mkdir(folder, 0o700)
        return folder

    def end_stale_uploads(self, older_than: float) -> int:
        """Remove the parts of uploads that got none for so many seconds; how many uploads."""
        return _sweep(self.root, older_than)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other writers out: those of this process, and of others where flock works.

        Held for a look and a rename, never while bytes are written.
        """
        descriptor = None
        try:
            if sys.platform != "win32":
                descriptor = os.open(self.root, os.O_RDONLY)
                with suppress(OSError):  # NFS, for one, does not lock a directory.
                    fcntl.flock(descriptor, fcntl.LOCK_EX)
            with _process_lock:
                yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    @contextmanager
    def _temporary(self, path: str, folder: str) -> Iterator[str]:
        """An empty file in `folder`, which is made; after a failure both are gone again."""
        temporary = os.path.join(folder, TEMPORARY_PREFIX + secrets.token_hex(8))
        made: list[str] = []
        with ExitStack() as used:
            try:
                with self._locked():
                    made = _make_folders(path, folder)
                    used.enter_context(_in_use(temporary))
                yield temporary
            except BaseException:
                # Whatever ended it, an interrupt too: nothing half-written may stay behind.
                with suppress(OSError):
                    os.unlink(temporary)
                with self._locked():
                    _remove_empty(made)
                raise


def _find(real: str) -> os.stat_result | None:
    try:
        return os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _is_object(path: str, found: os.stat_result) -> bool:
    kind = stat.S_ISDIR if path.endswith(DELIMITER) else stat.S_ISREG
    return kind(found.st_mode)


def _check_condition(
    path: str, found: os.stat_result | None, condition: WriteCondition | None
) -> None:
    current = meta_of(path, found) if found is not None and _is_object(path, found) else None
    if isinstance(condition, IfAbsent) and current is not None:
        raise AlreadyExistsError(f"{path!r} exists already.", path=path)
    if isinstance(condition, IfMatch) and (current is None or current.version != condition.version):
        raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)


def _check_target(
    path: str, found: os.stat_result | None, condition: WriteCondition | None
) -> None:
    """As `_check_condition`; and a file does not take a folder's place, nor the reverse."""
    _check_condition(path, found, condition)
    if found is not None and not _is_object(path, found):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a file"
        raise AlreadyExistsError(
            f"{path.rstrip(DELIMITER)!r} is {kind}; choose another name.", path=path
        )


def _check_source(path: str, found: os.stat_result, version: Version | None) -> None:
    if version not in (None, meta_of(path, found).version):
        raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)


def _fill(file: FileIO, chunks: Chunks) -> None:
    for chunk in chunks:
        check_call()
        rest = memoryview(chunk)
        while rest:
            rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def _commit(
    path: str,
    temporary: str,
    target: str,
    condition: WriteCondition | None,
    mtime_ns: int | None,
) -> os.stat_result:
    """Let the written file appear as `target`; called under the lock."""
    found = _find(target)
    _check_target(path, found, condition)
    if found is not None:
        if not os.access(target, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), target)
        _set_mode(temporary, stat.S_IMODE(found.st_mode))
    written = _stamp(temporary, mtime_ns, found)
    if isinstance(condition, IfAbsent):
        _rename_to_absent(temporary, target)
    else:
        os.replace(temporary, target)
    return written


def _rename_to_absent(temporary: str, target: str) -> None:
    """Rename, `FileExistsError` if another program, which knows no lock of ours, came first."""
    try:
        os.link(temporary, target)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        os.replace(temporary, target)
    else:
        os.unlink(temporary)


def _stamp(real: str, mtime_ns: int | None, replaced: os.stat_result | None) -> os.stat_result:
    """Set the time of a file, to another one than that of what it replaces."""
    now = time.time_ns()
    wanted = now if mtime_ns is None else mtime_ns
    os.utime(real, ns=(now, wanted))
    found = os.stat(real)
    for step in _TIME_STEPS:
        if replaced is None or found.st_mtime_ns != replaced.st_mtime_ns:
            break
        os.utime(real, ns=(now, wanted + step))
        found = os.stat(real)
    return found


def _set_mode(real: str, mode: int) -> None:
    with suppress(PermissionError):  # FAT and some network file systems keep none.
        os.chmod(real, mode)


def _sync_folder(folder: str) -> None:
    """Make a rename in `folder` last through a power failure, where that can be had."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_folders(path: str, folder: str) -> list[str]:
    """Make `folder` and those above it, and say which were made; called under the lock."""
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    made: list[str] = []
    try:
        for folder in reversed(missing):
            os.mkdir(folder)
            made.append(folder)
    except OSError as error:
        _remove_empty(made)
        if isinstance(error, FileExistsError | NotADirectoryError):
            name = os.path.basename(folder)
            raise AlreadyExistsError(
                f"{path!r} cannot be made: {name!r} is a file; choose another name.", path=path
            ) from error
        raise
    return made


def _remove_empty(folders: list[str]) -> None:
    with suppress(OSError):
        for folder in reversed(folders):
            os.rmdir(folder)


def _remove_folder(folder: str) -> None:
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if _sweep(folder, _LEFTOVER_AGE, abandoned_too=True):
            _remove_empty([folder])


@contextmanager
def _in_use(temporary: str) -> Iterator[None]:
    """Make an empty file, and show by a lock, which ends with the process, that it is needed."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    _used_here.add(temporary)
    try:
        if sys.platform == "win32":
            os.close(descriptor)  # what is open cannot be renamed
        else:
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        _used_here.discard(temporary)
        if sys.platform != "win32":
            os.close(descriptor)


def _is_abandoned(temporary: str) -> bool:
    """Whether surely no process writes this file any more."""
    # NFS takes a lock of the same process for no obstacle.
    if sys.platform == "win32" or temporary in _used_here:
        return False
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # it is in use, or there are no locks here
    finally:
        os.close(descriptor)
    return True


def _sweep(folder: str, older_than: float, *, abandoned_too: bool = False) -> int:
    """Remove what killed processes left unfinished in `folder`; how much there was.

    That is what is old, and with `abandoned_too` files that nobody has open.
    """
    swept = 0
    with os.scandir(folder) as found:
        for entry in found:
            if not entry.name.startswith(TEMPORARY_PREFIX):
                continue
            with suppress(OSError):
                # Not the time of change of the bytes: that may be set to any.
                is_folder = entry.is_dir(follow_symlinks=False)
                if entry.stat(follow_symlinks=False).st_ctime > time.time() - older_than and not (
                    abandoned_too and not is_folder and _is_abandoned(entry.path)
                ):
                    continue
                if is_folder:
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
                swept += 1
    return swept
