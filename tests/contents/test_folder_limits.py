"""Large folders: refused before anything is done, or worked on within bounds, and told of."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.contents import transfers
from jupyter_nbforge.contents.progress import Progress
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ObjectMeta
from jupyter_nbforge.storage.wrappers import WrapperStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage, unavailable

from .conftest import Clock, Managers
from .gestures import contents_of

Act = Callable[[NBForgeContentsManager], Awaitable[object]]

ACTS: dict[str, Act] = {
    "rename": lambda manager: manager.rename("old", "new"),
    "copy": lambda manager: manager.copy("old"),
    "delete": lambda manager: manager.delete("old"),
}
each_act = pytest.mark.parametrize("action", ACTS)


async def fill(store: MemoryStorage, count: int) -> None:
    for number in range(count):
        await store.put(f"old/{number:04}.txt", b"x")


@each_act
async def test_a_folder_of_too_many_objects_is_refused_before_anything_is_done(
    managers: Managers, store: MemoryStorage, action: str
) -> None:
    await fill(store, 12)
    before = await contents_of(store)
    manager = managers(max_folder_objects=10, always_delete_dir=True)
    with pytest.raises(HTTPError) as refused:
        await ACTS[action](manager)
    assert refused.value.status_code == 400
    sentence = str(refused.value.log_message)
    assert action in sentence
    assert "10 objects" in sentence
    assert "'old' has 1" in sentence
    assert "max_folder_objects" in sentence
    assert await contents_of(store) == before


async def test_a_folder_over_the_limit_is_refused_before_anything_is_copied(
    managers: Managers, store: MemoryStorage
) -> None:
    await store.put("old/big", b"x" * (2**20 + 1))
    with pytest.raises(HTTPError) as refused:
        await managers(max_copy_folder_size_mb=1).copy("old")
    assert refused.value.status_code == 400
    assert set(await contents_of(store)) == {"old/big"}


@each_act
async def test_a_folder_of_just_as_many_objects_as_allowed_is_worked_on(
    managers: Managers, store: MemoryStorage, action: str
) -> None:
    await fill(store, 10)
    await ACTS[action](managers(max_folder_objects=10, always_delete_dir=True))
    left = {"rename": {"new"}, "copy": {"old", "old-Copy1"}, "delete": set[str]()}
    assert {path.split("/")[0] for path in await contents_of(store)} == left[action]


@each_act
async def test_no_limit_is_no_limit(managers: Managers, store: MemoryStorage, action: str) -> None:
    await fill(store, 1100)
    await ACTS[action](managers(max_folder_objects=0, always_delete_dir=True))


@each_act
async def test_counting_ends_where_the_limit_is_passed(
    managers: Managers, store: MemoryStorage, requests: CountingStorage, action: str
) -> None:
    await fill(store, 5000)
    manager = managers(max_folder_objects=1500, always_delete_dir=True)
    with pytest.raises(HTTPError):
        await ACTS[action](manager)
    listed = [path for operation, path in requests.calls if operation == "list_pages"]
    assert listed.count("old/") <= 3


async def test_that_a_folder_is_not_empty_is_seen_from_its_first_page(
    managers: Managers, store: MemoryStorage, requests: CountingStorage
) -> None:
    await fill(store, 5000)
    with pytest.raises(HTTPError, match="not empty"):
        await managers().delete("old")
    listed = [path for operation, path in requests.calls if operation == "list_pages"]
    assert listed.count("old/") == 1


class WatchedStorage(WrapperStorage):
    """Notes how many copies are under way, and which questions are asked at the same time."""

    def __init__(self, inner: BaseStorageService) -> None:
        super().__init__(inner)
        self.copying = 0
        self.most = 0
        self.asking: set[str] = set()
        self.together: set[str] = set()

    async def copy(self, source: str, target: str, **options: Any) -> ObjectMeta:
        self.copying += 1
        self.most = max(self.most, self.copying)
        for _ in range(5):
            await asyncio.sleep(0)
        self.copying -= 1
        return await super().copy(source, target, **options)

    async def list_pages(self, prefix: str, **options: Any) -> Any:
        self.asking.add(prefix)
        for _ in range(5):
            await asyncio.sleep(0)
        self.together = max(self.together, set(self.asking), key=len)
        async for page in super().list_pages(prefix, **options):
            yield page
        self.asking.discard(prefix)


@pytest.mark.parametrize("action", ["rename", "copy"])
async def test_so_many_copies_are_under_way_as_configured_and_no_more(
    managers: Managers, store: MemoryStorage, action: str
) -> None:
    await fill(store, 100)
    watched = WatchedStorage(store)
    await ACTS[action](managers(watched, max_folder_concurrency=7))
    assert watched.most == 7


async def test_what_a_rename_has_to_know_is_asked_at_once(
    managers: Managers, store: MemoryStorage
) -> None:
    await fill(store, 3)
    watched = WatchedStorage(store)
    await managers(watched).rename("old", "new")
    checkpoints = {f".nbforge/checkpoints/{folder}/" for folder in ("old", "new")}
    assert watched.together == {"new", "old/", *checkpoints}


async def test_of_many_pieces_that_are_deleted_one_that_has_changed_keeps_no_other(
    manager: NBForgeContentsManager,
    store: MemoryStorage,
    faults: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfers, "_DELETED_AT_ONCE", 2)
    await fill(store, 7)

    async def save() -> None:
        await store.put("old/0001.txt", b"newer")

    faults.faults.append(Fault("delete_many", hook=save))
    with pytest.raises(HTTPError) as refused:
        await manager.rename("old", "new")
    assert refused.value.status_code == 409
    assert await contents_of(store, "old/") == {"old/0001.txt": b"newer"}
    assert len(await contents_of(store, "new/")) == 7


async def test_a_deletion_that_the_store_does_not_answer_ends_there(
    managers: Managers,
    store: MemoryStorage,
    faults: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfers, "_DELETED_AT_ONCE", 2)
    await fill(store, 7)
    faults.faults.append(Fault("delete_many", error=unavailable, skip=1))
    with pytest.raises(HTTPError) as refused:
        await managers(always_delete_dir=True).delete("old")
    assert refused.value.status_code == 503
    assert len(await contents_of(store, "old/")) == 5


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.INFO and "'old'" in record.getMessage()
    ]


@each_act
async def test_the_log_tells_of_the_begin_and_the_end_in_one_line_each(
    managers: Managers, store: MemoryStorage, caplog: pytest.LogCaptureFixture, action: str
) -> None:
    await fill(store, 12)
    manager = managers(always_delete_dir=True)
    with caplog.at_level(logging.INFO, manager.log.name):
        await ACTS[action](manager)
    first, last = lines(caplog)
    assert first.endswith(": 12 objects of 12 bytes")
    assert ": done after " in last
    assert last.endswith(" 12 objects deleted" if action != "copy" else " 12 objects copied")


async def test_the_log_tells_how_far_a_rename_came_that_failed(
    manager: NBForgeContentsManager,
    store: MemoryStorage,
    faults: FaultyStorage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await fill(store, 12)
    faults.faults.append(Fault("delete_many", error=unavailable, times=None))
    with caplog.at_level(logging.INFO, manager.log.name), pytest.raises(HTTPError):
        await manager.rename("old", "new")
    assert ": stopped after " in lines(caplog)[-1]
    assert lines(caplog)[-1].endswith(", 12 objects copied")


def test_the_log_tells_every_few_seconds_how_far_it_is(
    caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    log = logging.getLogger("test_folder_limits")
    with (
        caplog.at_level(logging.INFO, log.name),
        Progress(log, "Copying 'old'", [], clock=clock) as progress,
    ):
        for _ in range(30):
            clock.pass_by(1.0)
            progress.step("copied", 10)
    told = lines(caplog)
    assert told[0] == "Copying 'old': 0 objects of 0 bytes"
    assert told[1:3] == ["Copying 'old': 50 objects copied", "Copying 'old': 100 objects copied"]
    assert told[-1] == "Copying 'old': done after 30.0 s, 300 objects copied"
    assert len(told) == 8
