"""What is special to a directory of a disk."""

from __future__ import annotations

import errno
import logging
import os
import stat
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from traitlets import TraitError

from jupyter_nbforge.storage.errors import (
    ConfigurationError,
    NotSupportedError,
    PermissionDeniedError,
    StorageError,
)
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.metadata import MTIME
from jupyter_nbforge.storage.types import ByteRange
from jupyter_nbforge.testing.suite import listing, read


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


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("file:///srv/notebooks", "/srv/notebooks"),
        ("file:///srv/notebooks/", "/srv/notebooks/"),
        ("file://localhost/srv", "/srv"),
        ("file:///with%20space/100%25/caf%C3%A9%23", "/with space/100%/café#"),
        ("file:///", "/"),
    ],
)
def test_a_url_names_the_directory(url: str, root: str) -> None:
    assert LocalStorage.options_from_url(urlsplit(url)) == {"root": root, "prefix": ""}


@pytest.mark.parametrize("url", ["file://srv/notebooks", "file:", "file:///a#b"])
def test_a_url_that_names_no_directory_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="three slashes"):
        LocalStorage.options_from_url(urlsplit(url))


def test_the_environment_names_the_directory() -> None:
    options = LocalStorage.options_from_environment({"LOCAL_ROOT": "/srv"})
    assert options == {"root": "/srv"}
    assert LocalStorage.options_from_environment({"LOCAL_ROOT": ""}) == {}


def test_the_url_leads_to_the_same_directory() -> None:
    storage = LocalStorage(root="/with space/100%/café#")
    assert LocalStorage.options_from_url(urlsplit(storage.url))["root"] == storage.root


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert LocalStorage(root="~/notebooks").root == "/home/someone/notebooks"


def test_a_relative_directory_is_refused() -> None:
    with pytest.raises(TraitError, match="absolute"):
        LocalStorage(root="notebooks")


async def test_a_missing_directory_is_refused_and_not_made(root: Path) -> None:
    storage = LocalStorage(root=str(root / "none"))
    for refused in (storage.put("a", b""), storage.head("a"), read(storage, "a")):
        with pytest.raises(ConfigurationError, match="does not exist"):
            await refused
    with pytest.raises(ConfigurationError, match="does not exist"):
        await listing(storage.list_pages(""))
    assert everything(root) == []


async def test_no_directory_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"c\.LocalStorage\.root"):
        await LocalStorage().head("a")


async def test_another_delimiter_is_refused(storage: LocalStorage) -> None:
    with pytest.raises(NotSupportedError):
        await listing(storage.list_pages("", delimiter="-"))


async def test_the_files_of_other_programs_are_objects(storage: LocalStorage, root: Path) -> None:
    (root / "folder" / "empty").mkdir(parents=True)
    (root / "folder" / "a.csv").write_bytes(b"1,2")
    found = await listing(storage.list_pages("", delimiter=None))
    assert found.paths == ["folder/", "folder/a.csv", "folder/empty/"]
    assert found.objects[1] == await storage.head("folder/a.csv")
    assert found.objects[1].content_type == "text/csv"
    assert await read(storage, "folder/a.csv") == b"1,2"


async def test_a_compressed_file_is_not_taken_for_what_is_in_it(storage: LocalStorage) -> None:
    assert (await storage.put("a.csv.gz", b"")).content_type == "application/octet-stream"


async def test_the_version_survives_a_rename_and_a_copy(storage: LocalStorage, root: Path) -> None:
    old = await storage.put("a", b"1")
    copied = await storage.copy("a", "b")
    (root / "a").rename(root / "c")
    renamed = await storage.head("c")
    assert {copied.version, renamed.version} == {old.version}
    assert {copied.last_modified, renamed.last_modified} == {old.last_modified}


async def test_the_time_in_the_metadata_becomes_that_of_the_file(
    storage: LocalStorage, root: Path
) -> None:
    await storage.put("a", b"1", metadata={MTIME: "1234567890.123456"})
    assert (root / "a").stat().st_mtime_ns == 1_234_567_890_123_456_000
    async with await storage.create_multipart_upload("b", metadata={MTIME: "-1.5"}) as upload:
        await upload.upload_part(1, b"1")
        await upload.complete()
    assert (root / "b").stat().st_mtime_ns == -1_500_000_000


async def test_writes_with_the_same_time_have_different_versions(storage: LocalStorage) -> None:
    metadata = {MTIME: "1234567890.123456"}
    metas = [await storage.put("a", b"1", metadata=metadata) for _ in range(3)]
    assert len({meta.version for meta in metas[:2]}) == 2
    assert metas[1].version != metas[2].version
    assert len({meta.last_modified for meta in metas}) == 1


async def test_versions_differ_where_the_disk_keeps_only_seconds(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    utime = os.utime

    def coarse(path: str, ns: tuple[int, int]) -> None:
        utime(path, ns=(ns[0], ns[1] // 10**9 * 10**9))

    monkeypatch.setattr(os, "utime", coarse)
    old = await storage.put("a", b"1", metadata={MTIME: "1.5"})
    new = await storage.put("a", b"1", metadata={MTIME: "1.5"})
    assert old.version != new.version
    assert new == await storage.head("a")


async def test_a_write_keeps_the_permissions(storage: LocalStorage, root: Path) -> None:
    await storage.put("a.sh", b"1")
    (root / "a.sh").chmod(0o750)
    await storage.put("a.sh", b"2")
    await storage.copy("a.sh", "b.sh")
    for name in ("a.sh", "b.sh"):
        assert stat.S_IMODE((root / name).stat().st_mode) == 0o750


async def test_a_file_that_may_not_be_written_is_not_replaced(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await storage.put("a", b"1")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(PermissionDeniedError):
        await storage.put("a", b"2")
    assert await read(storage, "a") == b"1"


async def test_a_file_that_is_cut_while_it_is_read_is_an_error(
    storage: LocalStorage, root: Path
) -> None:
    await storage.put("a", bytes(3_000_000))
    async with storage.get("a") as reader:
        assert await anext(reader.chunks)
        os.truncate(root / "a", 10)
        with pytest.raises(StorageError, match="cut"):
            await reader.read()


async def test_a_read_goes_on_while_the_file_is_replaced(storage: LocalStorage) -> None:
    await storage.put("a", b"1" * 3_000_000)
    async with storage.get("a") as reader:
        await storage.put("a", b"2" * 2_000_000)
        assert await reader.read() == b"1" * 3_000_000


async def test_a_file_deleted_while_it_is_listed_is_left_out(
    storage: LocalStorage, root: Path
) -> None:
    for name in "abc":
        await storage.put(name, b"")
    pages = storage.list_pages("", page_size=1)
    seen = [(await anext(pages)).objects[0].path]
    (root / "b").unlink()
    seen += (await listing(pages)).paths
    assert seen == ["a", "c"]


async def test_a_folder_that_may_not_be_read_hides_only_itself(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("a/1", "closed/2", "z/3"):
        await storage.put(path, b"")
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("closed"):
            raise PermissionError(errno.EACCES, "denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    storage.log = logging.getLogger("test")
    found = await listing(storage.list_pages("", delimiter=None))
    assert found.paths == ["a/", "a/1", "closed/", "z/", "z/3"]
    assert "closed may not be read" in caplog.text
    with pytest.raises(PermissionDeniedError):
        await listing(storage.list_pages("closed/"))


async def test_a_tree_may_be_deeper_than_the_stack_of_python(
    storage: LocalStorage, root: Path
) -> None:
    depth = sys.getrecursionlimit() + 10
    await storage.put("d/" * depth + "f", b"1")
    found = await listing(storage.list_pages("", delimiter=None))
    assert found.files == ["d/" * depth + "f"]
    # pytest's own removal of the directory is recursive.
    (root / found.files[0]).unlink()
    os.removedirs(root / found.paths[-2])


async def test_a_range_of_a_marker_is_empty(storage: LocalStorage) -> None:
    await storage.put("a/", b"")
    assert await read(storage, "a/", byte_range=ByteRange(0, 5)) == b""


async def test_a_marker_holds_no_bytes(storage: LocalStorage) -> None:
    await storage.put("file", b"1")
    with pytest.raises(NotSupportedError):
        await storage.put("a/", b"1")
    with pytest.raises(NotSupportedError):
        await storage.copy("file", "a/")
    assert (await listing(storage.list_pages(""))).prefixes == []
