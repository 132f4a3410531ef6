"""What a copy of a tree does with each object, and what it tells of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.copying.engine import Copier
from jupyter_nbforge.copying.types import CopyOptions, Outcome, SameStore, Summary
from jupyter_nbforge.storage import (
    BaseStorageService,
    UnauthenticatedError,
    create_storage_service,
    stamp,
)
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import PrefixStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage
from tests.storage.helpers import listing, put_all, read


@dataclass
class Notes:
    """Remembers what it is told."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    bytes: int = 0

    def found(self, size: int) -> None:
        pass

    def sent(self, size: int) -> None:
        self.bytes += size

    def done(self, outcome: Outcome) -> None:
        self.outcomes[outcome.path] = outcome

    @property
    def actions(self) -> dict[str, str]:
        return {path: outcome.action for path, outcome in self.outcomes.items()}


async def copied(
    source: BaseStorageService, target: BaseStorageService, **options: Any
) -> tuple[Summary, Notes]:
    notes = Notes()
    same = options.pop("same", None)
    copier = Copier(source, target, CopyOptions(**options), notes, same=same)
    return await copier.copy_tree(), notes


async def paths(storage: BaseStorageService) -> list[str]:
    return (await listing(storage.list_pages("", delimiter=None))).paths


async def test_what_is_equal_is_not_read_again() -> None:
    source, target = CountingStorage(MemoryStorage()), MemoryStorage()
    await put_all(source, ["a", "b/c", "b/d/e"])
    first, _ = await copied(source, target)
    assert (first.counts, first.bytes, first.complete) == ({"copied": 3}, 9, True)
    source.reset()
    again, _ = await copied(source, target)
    assert (again.counts, again.complete) == ({"equal": 3}, True)
    assert source.counts["get"] == 0


@pytest.mark.parametrize("content", [b"another size", b"A"])
async def test_what_differs_stays_and_is_told_unless_it_may_be_replaced(content: bytes) -> None:
    source, target = MemoryStorage(), MemoryStorage()
    await put_all(source, ["a", "b"])
    await target.put("a", content, metadata=stamp(content))
    for dry_run in (True, False):
        summary, notes = await copied(source, target, dry_run=dry_run)
        assert notes.actions == {"a": "differs", "b": "copied"}
        assert not summary.complete
    assert await read(target, "a") == content
    summary, notes = await copied(source, target, overwrite="changed")
    assert notes.actions == {"a": "replaced", "b": "equal"}
    assert summary.complete
    assert await read(target, "a") == b"a"
    summary, notes = await copied(source, target, overwrite="always")
    assert notes.actions == {"a": "replaced", "b": "replaced"}


async def test_only_the_version_that_was_compared_is_replaced() -> None:
    source, inner = MemoryStorage(), MemoryStorage()
    await source.put("a", b"source")
    await inner.put("a", b"compared")

    async def overtake() -> None:
        await inner.put("a", b"theirs")

    target = FaultyStorage(inner, Fault("put", hook=overtake))
    _, notes = await copied(source, target, overwrite="changed")
    assert notes.actions == {"a": "failed"}
    assert await read(inner, "a") == b"theirs"


async def test_a_file_on_a_disk_with_another_time_is_compared_by_its_bytes(tmp_path: Path) -> None:
    source, target = LocalStorage(root=str(tmp_path)), MemoryStorage()
    (tmp_path / "same").write_bytes(b"1234")
    (tmp_path / "other").write_bytes(b"1234")
    await target.put("same", b"1234", metadata=stamp(b"1234"))
    await target.put("other", b"4321", metadata=stamp(b"4321"))
    _, notes = await copied(source, target)
    assert notes.actions == {"same": "equal", "other": "differs"}


async def test_an_error_of_one_object_does_not_stop_the_others() -> None:
    source, target = MemoryStorage(), FaultyStorage(MemoryStorage())
    await put_all(source, ["a", "b", "c"])
    target.fail("put", "b")
    summary, notes = await copied(source, target)
    assert notes.actions == {"a": "copied", "b": "failed", "c": "copied"}
    assert not summary.complete
    assert [problem.path for problem in summary.problems] == ["b"]
    summary, notes = await copied(source, target)
    assert notes.actions == {"a": "equal", "b": "copied", "c": "equal"}
    assert summary.complete


async def test_what_every_object_would_meet_ends_the_copy() -> None:
    source, inner = MemoryStorage(), MemoryStorage()
    await put_all(source, [f"{number:03}" for number in range(100)])
    fault = Fault("put", error=lambda: UnauthenticatedError("Log in again."), times=None)
    summary, _ = await copied(source, FaultyStorage(inner, fault), concurrency=2)
    assert summary.stopped == "Log in again."
    assert not summary.complete
    assert fault.befallen <= 2


async def test_a_listing_that_breaks_off_is_no_complete_copy() -> None:
    source = FaultyStorage(MemoryStorage(page_size=1))
    await put_all(source, ["a", "b", "c"])
    source.fail("list_pages", skip=2)
    summary, _ = await copied(source, MemoryStorage())
    assert summary.stopped
    assert not summary.complete


async def test_a_dry_run_writes_nothing() -> None:
    source, target = MemoryStorage(), CountingStorage(MemoryStorage())
    await put_all(source, ["a", "folder/"])
    summary, notes = await copied(source, target, dry_run=True, overwrite="always")
    assert notes.actions == {"a": "copied", "folder/": "copied"}
    assert set(target.counts) <= {"head"}
    assert summary.complete


async def test_keys_that_are_no_paths_are_told_of() -> None:
    inner = MemoryStorage()
    await inner.put("p/a", b"a")
    stored = inner._objects["p/a"]
    for key in ("p/b//c", "p/d\n", "p/../e"):
        inner._objects[key] = replace(stored, meta=replace(stored.meta, path=key))
    summary, notes = await copied(PrefixStorage(inner, "p"), target := MemoryStorage())
    assert notes.actions == {
        "a": "copied",
        "b//c": "left out",
        "d\n": "left out",
        "../e": "left out",
    }
    assert await paths(target) == ["a"]
    assert not summary.complete


async def test_what_on_a_disk_is_no_file_is_told_of(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    (root / "folder/a").write_text("a")
    (root / "to-file").symlink_to("folder/a")
    (root / "to-folder").symlink_to("folder")
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    (root / "gone").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    (root / os.fsdecode(b"\xff")).write_text("no UTF-8")
    summary, notes = await copied(LocalStorage(root=str(root)), target := MemoryStorage())
    left_out = {path for path, action in notes.actions.items() if action == "left out"}
    assert left_out == {"to-folder", "out", "loop", "gone", "pipe", "\\udcff"}
    assert await paths(target) == ["folder/a", "to-file"]
    assert not summary.complete
    names = ("to-folder", "out", "loop", "gone", "pipe", "*udcff")
    summary, _ = await copied(LocalStorage(root=str(root)), target, exclude=names)
    assert summary.complete


async def test_of_a_disk_only_empty_folders_are_copied_for_themselves(tmp_path: Path) -> None:
    (tmp_path / "source/a/empty").mkdir(parents=True)
    (tmp_path / "source/b").mkdir()
    (tmp_path / "source/b/file").write_text("b")
    store = MemoryStorage()
    await copied(LocalStorage(root=str(tmp_path / "source")), store)
    assert await paths(store) == ["a/empty/", "b/file"]
    (tmp_path / "target").mkdir()
    await copied(store, LocalStorage(root=str(tmp_path / "target")))
    assert (tmp_path / "target/a/empty").is_dir()


async def test_a_file_where_the_target_has_a_folder_is_told_of(tmp_path: Path) -> None:
    source = MemoryStorage()
    await put_all(source, ["a", "a/b"])
    summary, notes = await copied(source, LocalStorage(root=str(tmp_path)), concurrency=1)
    assert sorted(notes.actions.values()) == ["copied", "failed"]
    assert not summary.complete


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [".nbforge/c", "a.csv", "b/a.ipynb", "b/c/d.ipynb"]),
        ({"checkpoints": False}, ["a.csv", "b/a.ipynb", "b/c/d.ipynb"]),
        ({"include": ("*.ipynb",)}, ["b/a.ipynb", "b/c/d.ipynb"]),
        ({"include": ("b/*",), "exclude": ("c",)}, ["b/a.ipynb"]),
        ({"exclude": ("b", ".nbforge")}, ["a.csv"]),
        ({"exclude": ("b/c/d.ipynb", ".*")}, ["a.csv", "b/a.ipynb"]),
    ],
)
async def test_patterns_select(options: dict[str, Any], expected: list[str]) -> None:
    source, target = MemoryStorage(), MemoryStorage()
    await put_all(source, [".nbforge/c", "a.csv", "b/a.ipynb", "b/c/d.ipynb", ".nbforge-upload-1"])
    await copied(source, target, **options)
    assert await paths(target) == expected


async def test_one_store_copies_by_itself() -> None:
    inner = MemoryStorage()
    counting = CountingStorage(inner)
    await put_all(inner, ["p/a", "p/b/c"])
    same = SameStore(counting, "p/", "q/")
    summary, notes = await copied(
        PrefixStorage(counting, "p"), PrefixStorage(counting, "q"), same=same
    )
    assert (summary.counts, notes.bytes) == ({"copied": 2}, len("p/a") + len("p/b/c"))
    assert await paths(inner) == ["p/a", "p/b/c", "q/a", "q/b/c"]
    assert (counting.counts["get"], counting.counts["put"]) == (0, 0)


async def test_uploads_that_a_killed_copy_has_left_are_ended(tmp_path: Path) -> None:
    target = LocalStorage(root=str(tmp_path))
    upload = await target.create_multipart_upload("large")
    await upload.upload_part(1, b"part")
    summary, _ = await copied(MemoryStorage(), target, stale_seconds=3600.0)
    assert summary.ended_uploads == 0
    summary, _ = await copied(MemoryStorage(), target, stale_seconds=-1.0)
    assert summary.ended_uploads == 1
    assert os.listdir(tmp_path) == []


async def test_the_listing_waits_for_the_copies() -> None:
    """However many objects there are, only a few of them are in memory."""
    store = MemoryStorage(page_size=1)
    source = CountingStorage(store)
    await put_all(store, [f"{number:04}" for number in range(200)])
    ahead = 0

    class Watched(MemoryStorage):
        async def put(self, path: str, data: bytes, **options: Any) -> Any:
            nonlocal ahead
            ahead = max(ahead, source.counts["list_pages"] - len(self._objects))
            return await super().put(path, data, **options)

    await copied(source, Watched(), concurrency=3)
    assert 0 < ahead < 20


async def test_through_the_standard_stack_nothing_else_happens() -> None:
    source = create_storage_service("memory://a", environ={})
    target = create_storage_service("memory://b/c", environ={})
    await put_all(source, ["x", "y/z"])
    summary, _ = await copied(source, target)
    assert summary.complete
    assert await paths(target) == ["x", "y/z"]
    await source.aclose()
    await target.aclose()
