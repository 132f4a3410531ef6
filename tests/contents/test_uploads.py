"""Chunked uploads: whole or not at all, and never two mixed into one."""

from __future__ import annotations

import base64
import logging
import tempfile

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.contents.outgoing import Memory, Outgoing
from jupyter_nbforge.contents.uploads import Uploads
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage, unavailable

from .conftest import Clock, Managers
from .gestures import chunk, contents_of


async def status_of(manager: NBForgeContentsManager, number: object, text: str = "x") -> int:
    with pytest.raises(HTTPError) as refused:
        await manager.save({**chunk(1, text), "chunk": number}, "f.bin")
    return int(refused.value.status_code)


async def test_the_file_appears_whole_with_the_last_chunk_and_not_before(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for number, text in ((1, "a"), (2, "b"), (3, "c")):
        model = await manager.save(chunk(number, text), "f.bin")
        assert model["size"] == number
        assert await contents_of(store) == {}
    await manager.save(chunk(-1, "d"), "f.bin")
    assert await contents_of(store) == {"f.bin": b"abcd"}


async def test_bytes_of_any_value_arrive_as_they_were(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    data = bytes(range(256)) * 3
    for number, start in ((1, 0), (2, 256), (-1, 512)):
        piece = base64.encodebytes(data[start : start + 256]).decode()
        model = {"type": "file", "format": "base64", "content": piece, "chunk": number}
        await manager.save(model, "f.bin")
    assert await contents_of(store) == {"f.bin": data}


async def test_uploads_of_different_paths_do_not_touch_each_other(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for number in (1, 2, -1):
        for path in ("one", "other"):
            await manager.save(chunk(number, path[0]), path)
    assert await contents_of(store) == {"one": b"ooo", "other": b"ooo"}


@pytest.mark.parametrize("number", [2, -1, 17])
async def test_a_chunk_without_its_first_is_refused(
    manager: NBForgeContentsManager, store: MemoryStorage, number: int
) -> None:
    assert await status_of(manager, number) == 400
    assert await contents_of(store) == {}


@pytest.mark.parametrize("number", [0, -2, -7, 1.5, "1", True, [1]])
async def test_what_is_no_number_of_a_chunk_is_refused(
    manager: NBForgeContentsManager, number: object
) -> None:
    assert await status_of(manager, number) == 400


async def test_a_missing_chunk_ends_the_upload(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await manager.save(chunk(1, "a"), "f.bin")
    assert await status_of(manager, 3) == 400
    assert await status_of(manager, -1) == 400
    assert await contents_of(store) == {}


async def test_a_chunk_sent_twice_counts_once(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for number, text in ((1, "a"), (1, "a"), (2, "b"), (2, "b"), (-1, "c"), (-1, "c")):
        await manager.save(chunk(number, text), "f.bin")
    assert await contents_of(store) == {"f.bin": b"abc"}


async def test_a_second_upload_of_a_path_waits_for_the_first(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await manager.save(chunk(1, "a"), "f.bin")
    assert await status_of(manager, 1, "other") == 409
    await manager.save(chunk(-1, "b"), "f.bin")
    assert await contents_of(store) == {"f.bin": b"ab"}


async def test_two_uploads_that_got_mixed_leave_nothing(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    await manager.save(chunk(1, "same start"), "f.bin")
    await manager.save(chunk(2, "of one"), "f.bin")
    assert await status_of(manager, 2, "of the other") == 409
    assert await status_of(manager, -1) == 400
    assert await contents_of(store) == {}


async def test_an_upload_that_cannot_be_stored_ends_and_can_be_made_again(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    faults.fail("put")
    await manager.save(chunk(1, "a"), "f.bin")
    assert await status_of(manager, -1) == 503
    for number in (1, -1):
        await manager.save(chunk(number, "b"), "f.bin")
    assert await contents_of(store) == {"f.bin": b"bb"}


async def test_hooks_run_with_the_first_and_the_last_chunk(
    manager: NBForgeContentsManager,
) -> None:
    ran: list[str] = []
    manager.register_pre_save_hook(lambda **_: ran.append("pre"))
    manager.register_post_save_hook(lambda **_: ran.append("post"))
    for number in (1, 2, -1):
        await manager.save(chunk(number, "x"), "f.bin")
        ran.append(str(number))
    assert ran == ["pre", "1", "2", "post", "-1"]


def uploads_on(storage: BaseStorageService, clock: Clock, idle: float = 10.0) -> Uploads:
    memory = Memory(64, 16)

    def begin(path: str) -> Outgoing:
        return Outgoing(
            storage,
            path,
            content_type="text/plain",
            part_size=4,
            memory=memory,
            log=logging.getLogger("test"),
        )

    return Uploads(idle, begin, timer=clock)


async def test_an_idle_upload_is_given_up_when_another_begins(
    store: MemoryStorage, clock: Clock
) -> None:
    uploads = uploads_on(store, clock)
    await uploads.add("a", 1, "x", "text", None)
    clock.pass_by(9)
    await uploads.add("b", 1, "x", "text", None)
    assert uploads.is_running("a")
    clock.pass_by(2)
    await uploads.add("c", 1, "x", "text", None)
    assert [path for path in "abc" if uploads.is_running(path)] == ["b", "c"]
    await uploads.aclose()


async def test_a_broken_upload_does_not_end_in_the_file_of_an_earlier_one(
    manager: NBForgeContentsManager, store: MemoryStorage
) -> None:
    for number, text in ((1, "first"), (-1, " upload"), (1, "second")):
        await manager.save(chunk(number, text), "f.bin")
    assert await status_of(manager, 3) == 400
    assert await status_of(manager, -1, "tail") == 400
    assert await contents_of(store) == {"f.bin": b"first upload"}


async def test_a_first_chunk_sent_again_keeps_the_condition_of_the_first_time(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    assert not await manager.file_exists("f.bin")
    await manager.save(chunk(1, "mine"), "f.bin")
    clock.pass_by()
    await store.put("f.bin", b"theirs")
    assert await manager.file_exists("f.bin")
    await manager.save(chunk(1, "mine"), "f.bin")
    assert await status_of(manager, -1) == 409
    assert await contents_of(store) == {"f.bin": b"theirs"}


async def test_an_upload_whose_chunk_could_not_be_kept_ends_there(
    manager: NBForgeContentsManager, store: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await manager.save(chunk(1, "a"), "f.bin")
    monkeypatch.setattr(manager._upload_memory, "_free", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    assert await status_of(manager, 2, "more than was reserved") == 507
    assert await status_of(manager, -1) == 400
    assert await contents_of(store) == {}


class Full:
    """A file on a disk that is full."""

    def close(self) -> None: ...

    def write(self, data: bytes) -> None:
        raise OSError(28, "No space left on device")


async def test_an_upload_that_is_ending_is_not_begun_again(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    seen: list[int] = []

    async def begin_again() -> None:
        seen.append(await status_of(manager, 1, "a"))

    faults.faults.append(Fault("put", hook=begin_again))
    await manager.save(chunk(1, "a"), "f.bin")
    await manager.save(chunk(-1, "b"), "f.bin")
    assert seen == [409]
    assert await contents_of(store) == {"f.bin": b"ab"}


async def test_an_upload_is_not_given_up_while_its_object_is_written(
    store: MemoryStorage, clock: Clock
) -> None:
    seen: list[bool] = []

    async def look() -> None:
        clock.pass_by()
        seen.append(uploads.is_running("a"))

    uploads = uploads_on(FaultyStorage(store, Fault("put", hook=look)), clock)
    await uploads.add("a", 1, "x", "text", None)
    await uploads.add("a", -1, "y", "text", None)
    await uploads.complete("a")
    assert seen == [True]
    assert not uploads.is_running("a")
    assert await contents_of(store) == {"a": b"xy"}


async def test_a_part_that_does_not_arrive_is_sent_again_and_no_other(
    managers: Managers, store: MemoryStorage
) -> None:
    counting = CountingStorage(
        FaultyStorage(store, Fault("upload_part", error=unavailable, skip=1))
    )
    manager = managers(RetryStorage(counting, wait_initial=0.01), upload_part_size_mb=1)
    mebibyte = "x" * 2**20
    for number in (1, 2, 3, -1):
        await manager.save(chunk(number, mebibyte), "f.bin")
    assert counting.counts["create_multipart_upload"] == counting.counts["complete"] == 1
    assert counting.counts["upload_part"] == 4 + 1
    assert (await store.head("f.bin")).size == 4 * 2**20
