"""A directory of a disk: what is no part of the tree, and what must not be lost."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import local_files
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    InvalidPathError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    StorageFullError,
    TooLargeError,
    UnavailableError,
)
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.local_tree import TEMPORARY_PREFIX
from jupyter_nbforge.storage.types import IfAbsent, IfMatch
from jupyter_nbforge.testing.suite import listing, race, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root=str(root))


def everything(root: Path) -> list[str]:
    """All that is on the disk, unfinished files too."""
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def failing(number: int) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.fixture
def outside(tmp_path: Path, root: Path) -> Path:
    """A folder beside the storage's, with links to it and to a file in it."""
    outside = tmp_path / "root-outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (root / "file").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "up").symlink_to("..")
    (root / "new").symlink_to(outside / "new")
    return outside


async def test_links_out_of_the_directory_are_not_listed(
    storage: LocalStorage, outside: Path
) -> None:
    for prefix in ("", "folder/", "up/", "folder/s", "up/root-outside/", "../"):
        for delimiter in ("/", None):
            found = await listing(storage.list_pages(prefix, delimiter=delimiter))
            assert (found.paths, found.prefixes) == ([], [])


@pytest.mark.parametrize(
    "path", ["file", "folder/secret", "folder/new", "folder/", "up/root-outside/secret", "new"]
)
async def test_links_out_of_the_directory_are_refused(
    storage: LocalStorage, outside: Path, path: str
) -> None:
    await storage.put("own", b"1")
    data = b"" if path.endswith("/") else b"2"
    for refused in (
        storage.head(path),
        read(storage, path),
        storage.put(path, data),
        storage.put(path, data, condition=IfAbsent()),
        storage.delete(path),
        storage.copy(path, "stolen"),
        storage.copy("own", path),
        storage.create_multipart_upload(path),
    ):
        with pytest.raises(PermissionDeniedError, match="link out of"):
            await refused
    assert everything(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


async def test_links_within_the_directory_are_followed(storage: LocalStorage, root: Path) -> None:
    await storage.put("data/file", b"1")
    (root / "link").symlink_to("data/file")
    (root / "folder").symlink_to(root / "data")
    found = await listing(storage.list_pages(""))
    assert (found.paths, found.prefixes) == (["link"], ["data/", "folder/"])
    assert (await listing(storage.list_pages("folder/"))).files == ["folder/file"]
    await storage.put("link", b"2")
    await storage.put("folder/other", b"3")
    assert (root / "link").is_symlink()
    assert await read(storage, "data/file") == b"2"
    assert await read(storage, "data/other") == b"3"


async def test_deleting_a_link_leaves_what_it_leads_to(storage: LocalStorage, root: Path) -> None:
    await storage.put("data/file", b"1")
    await storage.put("f/own", b"2")
    (root / "f" / "link").symlink_to("../data/file")
    (root / "f" / "folder").symlink_to("../data")
    (root / "f" / "up").symlink_to("..")
    for folder in ("f/folder/", "f/"):
        found = await listing(storage.list_pages(folder, delimiter=None))
        await storage.delete_many(found.paths)
    assert everything(root) == ["data", "data/file"]


async def test_a_link_that_leads_nowhere_is_no_object(storage: LocalStorage, root: Path) -> None:
    (root / "gone").symlink_to("none")
    (root / "loop").symlink_to("loop")
    assert (await listing(storage.list_pages(""))).paths == []
    for path in ("gone", "loop"):
        with pytest.raises(NotFoundError):
            await read(storage, path)


async def test_pipes_and_sockets_are_left_out(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(root / "pipe")
    monkeypatch.chdir(root)  # The path of a socket is short.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    assert (await listing(storage.list_pages(""))).paths == []
    for path in ("pipe", "socket"):
        with pytest.raises(NotFoundError):
            await storage.head(path)
        with pytest.raises(NotFoundError):
            await read(storage, path)
        await storage.delete(path)
        with pytest.raises(AlreadyExistsError):
            await storage.put(path, b"")
    assert everything(root) == ["pipe", "socket"]


async def test_names_that_are_no_paths_are_left_out(storage: LocalStorage, root: Path) -> None:
    for name in ("\udcff\udcfe", "new\nline", "bell\x07"):
        (root / name).touch()
    await storage.put("a", b"")
    assert (await listing(storage.list_pages(""))).paths == ["a"]


async def test_unfinished_files_are_no_objects(storage: LocalStorage, root: Path) -> None:
    name = f"{TEMPORARY_PREFIX}0"
    (root / name).touch()
    (root / "a").mkdir()
    (root / "a" / name).mkdir()
    (root / "a" / name / "part").touch()
    for prefix in ("", "a/", f"a/{name}/"):
        for delimiter in ("/", None):
            found = await listing(storage.list_pages(prefix, delimiter=delimiter))
            assert not any(name in path for path in found.paths + found.prefixes)
    for path in (name, f"a/{name}/", f"{name}/b"):
        with pytest.raises(InvalidPathError):
            await storage.put(path, b"")


async def test_a_folder_with_an_unfinished_file_can_be_deleted_once_nobody_writes_it(
    storage: LocalStorage, root: Path
) -> None:
    (root / "a").mkdir()
    unfinished = root / "a" / f"{TEMPORARY_PREFIX}0"
    with unfinished.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)  # as another process does while it writes
        await storage.delete("a/")
        assert everything(root) == ["a", f"a/{TEMPORARY_PREFIX}0"]
    await storage.delete("a/")
    assert everything(root) == []


async def test_a_folder_in_which_this_process_writes_is_not_deleted(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "a").mkdir()
    written, deleted = threading.Event(), threading.Event()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        written.set()
        deleted.wait(30)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    writing = asyncio.create_task(storage.put("a/b", b"new"))
    await asyncio.to_thread(written.wait, 30)
    # Also where a lock of the same process is no obstacle, as on NFS.
    monkeypatch.setattr(fcntl, "flock", lambda *args: None)
    await storage.delete("a/")
    deleted.set()
    await writing
    assert everything(root) == ["a", "a/b"]


async def test_a_folder_with_an_old_unfinished_file_can_be_deleted_where_nothing_is_locked(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EBADF))
    (root / "a").mkdir()
    (root / "a" / f"{TEMPORARY_PREFIX}0").touch()
    await storage.delete("a/")
    assert everything(root) == ["a", f"a/{TEMPORARY_PREFIX}0"]
    monkeypatch.setattr(local_files, "_LEFTOVER_AGE", -60.0)
    await storage.delete("a/")
    assert everything(root) == []


async def test_an_upload_sweeps_the_parts_of_old_ones(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await storage.create_multipart_upload("a")
    await old.upload_part(1, b"1")
    monkeypatch.setattr(local_files, "_LEFTOVER_AGE", -60.0)
    async with await storage.create_multipart_upload("b") as upload:
        await upload.upload_part(1, b"2")
        await upload.complete()
    assert everything(root) == ["b"]


async def test_stale_uploads_are_ended_and_others_go_on(storage: LocalStorage, root: Path) -> None:
    await storage.put("a/b", b"kept")
    upload = await storage.create_multipart_upload("a/c")
    await upload.upload_part(1, b"1")
    assert await storage.abort_stale_uploads("", 3600) == 0
    # Whose parts they are cannot be told: below a prefix none is touched.
    assert await storage.abort_stale_uploads("a/", -60) == 0
    await upload.upload_part(2, b"2")
    assert await storage.abort_stale_uploads("", -60) == 1
    assert everything(root) == ["a", "a/b"]
    with pytest.raises(StorageError):
        await upload.complete()


@pytest.mark.parametrize(
    ("number", "kind", "retryable"),
    [
        (errno.ENOSPC, StorageFullError, False),
        (errno.EDQUOT, StorageFullError, False),
        (errno.EIO, StorageError, False),
        (errno.EFBIG, TooLargeError, False),
        (errno.EACCES, PermissionDeniedError, False),
        (errno.EROFS, PermissionDeniedError, False),
        (errno.ENAMETOOLONG, InvalidPathError, False),
        (errno.EMFILE, UnavailableError, True),
    ],
    ids=lambda value: errno.errorcode.get(value) if isinstance(value, int) else None,
)
async def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    storage: LocalStorage,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    kind: type[StorageError],
    retryable: bool,
) -> None:
    await storage.put("a", b"old")
    monkeypatch.setattr(os, "fsync", failing(number))
    for path in ("a", "new/folder/b"):
        with pytest.raises(StorageError) as caught:
            await storage.put(path, b"new")
        assert type(caught.value) is kind
        assert caught.value.retryable is retryable
        assert caught.value.path == path
    assert everything(root) == ["a"]
    assert await read(storage, "a") == b"old"


async def test_a_full_disk_is_named(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(StorageError, match="disk is full"):
        await storage.put("a", b"new")


async def test_too_long_a_name_is_an_invalid_path(storage: LocalStorage) -> None:
    for refused in (storage.put("x" * 256, b""), storage.head("x" * 256)):
        with pytest.raises(InvalidPathError, match="too long"):
            await refused


async def test_the_bytes_are_on_the_disk_before_the_name(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    for name in ("fsync", "replace", "link"):
        real = getattr(os, name)

        def record(*args: Any, name: str = name, real: Callable[..., None] = real) -> None:
            calls.append(name)
            real(*args)

        monkeypatch.setattr(os, name, record)
    await storage.put("a", b"1")
    await storage.put("b", b"1", condition=IfAbsent())
    assert calls == ["fsync", "replace", "fsync", "fsync", "link", "fsync"]


async def test_a_write_that_is_refused_writes_no_bytes(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.put("a", b"1")
    monkeypatch.setattr(os, "fsync", failing(errno.ENOSPC))
    with pytest.raises(AlreadyExistsError):
        await storage.put("a", b"2", condition=IfAbsent())


async def test_writes_of_one_process_exclude_each_other_without_file_locks(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", failing(errno.EBADF))
    version = (await storage.put("a", b"0")).version
    for number in range(50):
        won, lost = await race(
            storage.put("a", b"%d" % number, condition=IfMatch(version)) for _ in range(6)
        )
        assert {type(error) for error in lost} == {PreconditionError}
        [version] = {meta.version for meta in won}


async def test_create_works_without_hard_links(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(errno.EPERM))
    await storage.put("a", b"1", condition=IfAbsent())
    with pytest.raises(AlreadyExistsError):
        await storage.put("a", b"2", condition=IfAbsent())
    assert everything(root) == ["a"]
    assert await read(storage, "a") == b"1"


async def test_create_refuses_a_file_that_another_program_makes_at_that_moment(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def come_first(source: str, target: str) -> None:
        Path(target).write_bytes(b"other")
        link(source, target)

    monkeypatch.setattr(os, "link", come_first)
    with pytest.raises(AlreadyExistsError):
        await storage.put("a", b"1", condition=IfAbsent())
    assert everything(root) == ["a"]
    assert await read(storage, "a") == b"other"


async def test_a_cancelled_write_never_lands_later(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is held at its `fsync`; meanwhile the loop goes on, and cancels it twice."""
    await storage.put("a", b"old")
    held, go_on, fsync = threading.Event(), threading.Event(), os.fsync

    def hold(descriptor: int) -> None:
        held.set()
        assert go_on.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", hold)
    writing = asyncio.ensure_future(storage.put("a", b"new"))
    assert await asyncio.to_thread(held.wait, 30)
    for _ in range(2):
        writing.cancel()
        await asyncio.wait([writing], timeout=0.01)
    assert not writing.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert everything(root) == ["a"]
    assert await read(storage, "a") == b"old"
