"""The tools for tests that we ship: faults by rule, and a count of the calls."""

from __future__ import annotations

import asyncio
import time

import pytest

from jupyter_nbforge.storage import NotFoundError, StorageError, UnavailableError
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage, unavailable

from .helpers import listing, put_all, read


@pytest.fixture
def storage() -> FaultyStorage:
    return FaultyStorage(MemoryStorage())


async def test_a_fault_befalls_so_many_calls_after_so_many(storage: FaultyStorage) -> None:
    await storage.put("a", b"1")
    fault = storage.fail("head", times=2, skip=1)
    outcomes = []
    for _ in range(5):
        try:
            await storage.head("a")
            outcomes.append(True)
        except UnavailableError:
            outcomes.append(False)
    assert outcomes == [True, False, False, True, True]
    assert fault.befallen == 2


async def test_a_fault_befalls_the_operation_and_the_path_that_it_names(
    storage: FaultyStorage,
) -> None:
    await put_all(storage, ["a.txt", "b.txt"])
    storage.fail("head", "a.*", times=None)
    await storage.head("b.txt")
    await read(storage, "a.txt")
    with pytest.raises(UnavailableError):
        await storage.head("a.txt")
    storage.faults = [Fault("*", error=unavailable, times=None)]
    for call in (storage.head("b.txt"), storage.delete("x"), listing(storage.list_pages(""))):
        with pytest.raises(UnavailableError):
            await call


async def test_a_failed_call_does_not_take_effect_and_a_lost_answer_does(
    storage: FaultyStorage,
) -> None:
    storage.fail("put")
    with pytest.raises(UnavailableError) as failed:
        await storage.put("a", b"1")
    assert not failed.value.outcome_unknown
    with pytest.raises(NotFoundError):
        await storage.head("a")
    storage.lose_answer("put")
    with pytest.raises(UnavailableError) as lost:
        await storage.put("a", b"1")
    assert lost.value.outcome_unknown
    assert await read(storage, "a") == b"1"


async def test_a_delay_waits_and_a_hook_runs_at_the_moment_of_the_fault(
    storage: FaultyStorage,
) -> None:
    seen: list[bool] = []

    async def look() -> None:
        try:
            await storage.inner.head("a")
            seen.append(True)
        except NotFoundError:
            seen.append(False)

    storage.faults = [
        Fault("put", hook=look, delay=0.02),
        Fault("put", lost_answer=True, hook=look),
    ]
    begun = time.monotonic()
    await storage.put("a", b"1")
    assert time.monotonic() - begun >= 0.02
    await storage.put("a", b"1")
    assert seen == [False, True]


async def test_a_body_is_cut_or_broken_between_chunks(storage: FaultyStorage) -> None:
    await storage.put("a", bytes(3 * 2**20))
    storage.faults.append(Fault("chunk", skip=1))
    assert len(await read(storage, "a")) == 2**20
    storage.fail("chunk")
    with pytest.raises(UnavailableError):
        await read(storage, "a")
    assert len(await read(storage, "a")) == 3 * 2**20


async def test_a_page_of_a_listing_can_fail(storage: FaultyStorage) -> None:
    await put_all(storage, ["a", "b"])
    storage.fail("list_pages", skip=1)
    pages = storage.list_pages("", page_size=1)
    await anext(pages)
    with pytest.raises(UnavailableError):
        await anext(pages)


async def test_calls_are_counted_by_name() -> None:
    counting = CountingStorage(MemoryStorage())
    await put_all(counting, ["a", "b", "c"])
    await read(counting, "a")
    await counting.copy("a", "d")
    await asyncio.gather(counting.delete("a"), counting.delete_many(["b", "c"]))
    with pytest.raises(NotFoundError):
        await counting.head("a")
    with pytest.raises(StorageError):
        await counting.get_presigned_url("d")
    async with await counting.create_multipart_upload("e") as upload:
        await upload.upload_part(1, b"")
        await upload.upload_part(2, b"")
        await upload.complete()
    assert counting.counts == {
        "put": 3,
        "get": 1,
        "copy": 1,
        "delete": 1,
        "delete_many": 1,
        "head": 1,
        "get_presigned_url": 1,
        "create_multipart_upload": 1,
        "upload_part": 2,
        "complete": 1,
    }
    assert counting.calls[0] == ("put", "a")
    counting.reset()
    assert counting.calls == []
    assert not counting.counts


@pytest.mark.parametrize(("entries", "pages"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 2), (5, 3)])
async def test_a_listing_counts_each_of_its_pages(entries: int, pages: int) -> None:
    counting = CountingStorage(MemoryStorage(page_size=2))
    await put_all(counting.inner, [str(number) for number in range(entries)])
    await listing(counting.list_pages(""))
    assert counting.counts == {"list_pages": pages}
