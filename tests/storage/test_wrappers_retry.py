"""RetryStorage: tries again within bounds of number and time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
import stamina

from jupyter_nbforge.storage import (
    BaseStorageService,
    NotFoundError,
    PermissionDeniedError,
    StorageTimeoutError,
    UnavailableError,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import LimitStorage, RetryStorage
from jupyter_nbforge.testing.faults import Fault, FaultyStorage, unavailable

from .helpers import listing, read
from .retry_world import World, started_upload


@pytest.fixture
def world() -> World:
    return World()


CALLS: dict[str, Callable[[BaseStorageService], Awaitable[object]]] = {
    "head": lambda storage: storage.head("a"),
    "get": lambda storage: read(storage, "a"),
    "put": lambda storage: storage.put("target", b"1"),
    "delete": lambda storage: storage.delete("a"),
    "delete_many": lambda storage: storage.delete_many(["a"]),
    "list_pages": lambda storage: listing(storage.list_pages("")),
    "copy": lambda storage: storage.copy("a", "target"),
    "create_multipart_upload": lambda storage: storage.create_multipart_upload("target"),
    "upload_part": lambda storage: started_upload(storage),
    "complete": lambda storage: complete(storage),
    "abort": lambda storage: abort(storage),
}


async def complete(storage: BaseStorageService) -> None:
    await (await started_upload(storage)).complete()


async def abort(storage: BaseStorageService) -> None:
    await (await started_upload(storage)).abort()


@pytest.mark.parametrize("operation", CALLS)
async def test_what_the_store_could_not_do_for_a_moment_is_tried_again(
    world: World, operation: str
) -> None:
    await world.store.put("a", b"1")
    fault = world.faulty.fail(operation, times=4)
    await CALLS[operation](world.storage)
    assert fault.befallen == 4


@pytest.mark.parametrize("operation", CALLS)
async def test_no_more_attempts_are_made_than_configured(operation: str) -> None:
    world = World(max_attempts=3)
    await world.store.put("a", b"1")
    fault = world.faulty.fail(operation, times=None)
    with pytest.raises(UnavailableError):
        await CALLS[operation](world.storage)
    assert fault.befallen == 3


@pytest.mark.parametrize("operation", CALLS)
async def test_an_answer_is_not_asked_for_again(world: World, operation: str) -> None:
    await world.store.put("a", b"1")

    def denied() -> PermissionDeniedError:
        return PermissionDeniedError("No.")

    fault = Fault(operation, error=denied, times=None)
    world.faulty.faults.append(fault)
    with pytest.raises(PermissionDeniedError):
        await CALLS[operation](world.storage)
    assert fault.befallen == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_an_attempt_that_takes_too_long_is_given_up_and_made_again(operation: str) -> None:
    world = World(attempt_timeout=0.03, in_store_timeout=0.03, total_timeout=5)
    await world.store.put("a", b"1")
    fault = Fault(operation, delay=60)
    world.faulty.faults.append(fault)
    await asyncio.wait_for(CALLS[operation](world.storage), 2)
    assert fault.befallen == 1


@pytest.mark.parametrize("operation", CALLS)
async def test_a_timeout_tells_whether_the_call_may_have_taken_effect(operation: str) -> None:
    world = World(attempt_timeout=0.01, in_store_timeout=0.01, max_attempts=2)
    await world.store.put("a", b"1")
    world.faulty.faults.append(Fault(operation, delay=60, times=None))
    with pytest.raises(StorageTimeoutError) as raised:
        await CALLS[operation](world.storage)
    assert raised.value.retryable
    writes = ("put", "delete", "delete_many", "copy", "complete")
    assert raised.value.outcome_unknown == (operation in writes)


async def test_a_large_body_has_more_time_to_be_sent() -> None:
    world = World(attempt_timeout=0.01)
    world.faulty.faults.append(Fault("put", delay=0.1))
    await world.storage.put("a", bytes(2**19))
    assert world.counting.counts["put"] == 1
    upload = await world.storage.create_multipart_upload("b")
    world.faulty.faults.append(Fault("upload_part", delay=0.1))
    await upload.upload_part(1, bytes(2**19))
    assert world.counting.counts["upload_part"] == 1


async def test_what_the_store_does_by_itself_has_more_time() -> None:
    world = World(attempt_timeout=0.01, total_timeout=0.01, in_store_timeout=5)
    await world.store.put("a", b"1")
    world.faulty.faults += [Fault("copy", delay=0.1), Fault("complete", delay=0.1)]
    await world.storage.copy("a", "b")
    await complete(world.storage)


async def test_all_attempts_and_waits_end_at_the_total_timeout() -> None:
    world = World(
        total_timeout=0.3, attempt_timeout=0.1, max_attempts=1000, wait_initial=0.01, wait_max=0.02
    )
    world.faulty.faults.append(Fault("head", delay=60, times=None))
    begun = time.monotonic()
    with pytest.raises(StorageTimeoutError):
        await world.storage.head("a")
    # Far from one attempt's 60 s, and from a thousand attempts' 100 s.
    assert 0.15 < time.monotonic() - begun < 30


async def test_the_last_attempt_has_no_more_time_than_is_left() -> None:
    world = World(total_timeout=0.2, attempt_timeout=60)
    world.faulty.faults.append(Fault("head", delay=60, times=None))
    begun = time.monotonic()
    with pytest.raises(StorageTimeoutError):
        await world.storage.head("a")
    assert time.monotonic() - begun < 30  # and not the attempt's 60


async def test_no_attempt_is_waited_for_that_would_come_too_late() -> None:
    world = World(total_timeout=2, wait_initial=60, wait_max=60)
    world.faulty.fail("head", times=None)
    begun = time.monotonic()
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert time.monotonic() - begun < 30  # and not the wait's 60


async def test_waits_grow_up_to_wait_max(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = sleeps(monkeypatch)
    world = World(max_attempts=8, wait_initial=1.0, wait_max=7.0)
    world.faulty.fail("head", times=None)
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert len(waits) == 7
    for wait, least in zip(waits, (1, 2, 4, 7, 7, 7, 7), strict=True):
        assert least <= wait <= min(least + 1, 7)
    assert len(set(waits[:3])) == 3


async def test_the_wait_that_the_store_asks_for_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = sleeps(monkeypatch)
    world = World(wait_initial=0.5, wait_max=1.0)
    await world.store.put("a", b"1")
    for seconds in (13.0, 0.0):
        world.faulty.faults.append(Fault("head", error=partial(unavailable, retry_after=seconds)))
    await world.storage.head("a")
    assert waits == [13.0, 0.5]


async def test_a_wait_that_is_longer_than_there_is_time_ends_the_attempts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits = sleeps(monkeypatch)
    world = World(total_timeout=10)
    world.faulty.faults.append(Fault("head", error=lambda: unavailable(retry_after=11), times=None))
    with pytest.raises(UnavailableError) as raised:
        await world.storage.head("a")
    assert raised.value.retry_after == 11
    assert waits == []


def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    waits: list[float] = []

    async def no_sleep(delay: float) -> None:
        waits.append(delay)

    monkeypatch.setattr("stamina._core._smart_sleep", no_sleep)
    return waits


async def test_a_cancellation_is_never_swallowed(world: World) -> None:
    await world.store.put("a", b"123456")
    for operation, call in CALLS.items():
        world.faulty.faults = [Fault(operation, delay=60, times=None)]
        task = asyncio.ensure_future(call(world.storage))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert max(world.counting.counts.values()) <= 6


async def test_a_cancellation_while_waiting_for_the_next_attempt_ends_it() -> None:
    world = World(wait_initial=60, wait_max=60)
    world.faulty.fail("head", times=None)
    task = asyncio.create_task(world.storage.head("a"))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.counting.counts["head"] == 1


async def test_an_error_that_is_not_the_stores_is_not_tried_again(world: World) -> None:
    fault = Fault("head", error=lambda: RuntimeError("a bug"), times=None)
    world.faulty.faults.append(fault)
    with pytest.raises(RuntimeError, match="a bug"):
        await world.storage.head("a")
    assert fault.befallen == 1


async def test_nothing_waits_in_a_place_of_the_limit() -> None:
    store = FaultyStorage(MemoryStorage())
    await store.put("a", b"1")
    storage = RetryStorage(
        LimitStorage(store, max_concurrency=1), wait_initial=0.5, wait_max=0.5, max_attempts=2
    )
    store.fail("head", "slow", times=None)
    store.fail("chunk", "a")
    slow = asyncio.create_task(storage.head("slow"))
    broken = asyncio.create_task(read(storage, "a"))
    await asyncio.sleep(0.02)
    await storage.put("b", b"")
    assert not slow.done()  # it waits for its next attempt, and the place was free
    assert await broken == b"1"
    with pytest.raises(UnavailableError):
        await slow


async def test_each_retry_is_one_line_that_says_what_and_why(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.storage.log = logging.getLogger("test_retry")
    world.faulty.fail("head", times=2)
    with caplog.at_level(logging.DEBUG), pytest.raises(NotFoundError):
        await world.storage.head("a b")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        (
            "WARNING",
            f"head of 'a b' failed; attempt {number} of 5 follows."
            " The storage cannot be reached; try again.",
        )
        for number in (2, 3)
    ]


async def test_retries_of_others_keep_their_own_line(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.storage.put("a", b"1")
    with caplog.at_level(logging.DEBUG):
        async for attempt in stamina.retry_context(on=ValueError, attempts=2, wait_max=0.0):
            with attempt:
                if attempt.num == 1:
                    raise ValueError
    assert [record.name for record in caplog.records] == ["stamina"]
