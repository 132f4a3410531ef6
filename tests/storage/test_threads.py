"""ThreadBridge: what waits is never begun after a cancellation, what runs is told of it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import anyio
import pytest

from jupyter_nbforge.storage.threads import (
    AbandonedError,
    ThreadBridge,
    check_call,
    current_call,
)


@pytest.fixture
def started() -> threading.Event:
    return threading.Event()


@pytest.fixture
def release() -> threading.Event:
    return threading.Event()


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_gives_its_result_or_its_error() -> None:
    bridge = ThreadBridge(2, name="test")
    assert await bridge.run(lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        await bridge.run(lambda: 1 // 0)
    bridge.close()


async def test_a_call_that_ends_an_iterator_is_an_error_and_never_an_endless_wait() -> None:
    bridge = ThreadBridge(1, name="test")
    nothing = iter(())
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(bridge.run(lambda: next(nothing)), 5)
    bridge.close()


async def test_calls_run_in_at_most_so_many_threads() -> None:
    bridge = ThreadBridge(3, name="test")
    names = await asyncio.gather(
        *(bridge.run(lambda: threading.current_thread().name) for _ in range(50))
    )
    assert 1 <= len(set(names)) <= 3
    assert threading.current_thread().name not in names
    bridge.close()


async def test_a_closed_bridge_can_be_used_again() -> None:
    bridge = ThreadBridge(1, name="test")
    bridge.close()
    assert await bridge.run(lambda: "one") == "one"
    bridge.close()
    bridge.close()
    assert await bridge.run(lambda: "two") == "two"
    bridge.close()


async def test_what_waits_for_a_thread_is_never_begun_after_its_cancellation(
    started: threading.Event, release: threading.Event
) -> None:
    bridge = ThreadBridge(1, name="test")
    begun: list[str] = []

    def hold() -> None:
        started.set()
        release.wait(10)

    holding = asyncio.create_task(bridge.run(hold))
    await asyncio.to_thread(started.wait, 10)
    waiting = asyncio.create_task(bridge.run(lambda: begun.append("begun")))
    await asyncio.sleep(0)
    await _cancelled(waiting)
    release.set()
    await holding
    await bridge.run(lambda: None)
    assert begun == []
    bridge.close()


async def test_a_cancelled_call_is_interrupted_and_does_nothing_more(
    started: threading.Event, release: threading.Event
) -> None:
    bridge = ThreadBridge(1, name="test")
    seen: list[type[BaseException]] = []

    def work() -> None:
        call = current_call()
        assert call is not None
        call.on_abandon(release.set)
        started.set()
        release.wait(10)
        try:
            check_call()
        except AbandonedError as error:
            seen.append(type(error))
            raise

    working = asyncio.create_task(bridge.run(work))
    await asyncio.to_thread(started.wait, 10)
    await _cancelled(working)
    await bridge.run(lambda: None)
    assert seen == [AbandonedError]
    bridge.close()


async def test_an_interrupt_that_comes_too_late_is_an_error(
    started: threading.Event, release: threading.Event
) -> None:
    bridge = ThreadBridge(1, name="test")
    outcome: list[str] = []

    def work() -> None:
        started.set()
        release.wait(10)
        call = current_call()
        assert call is not None
        try:
            call.on_abandon(lambda: outcome.append("interrupted"))
        except AbandonedError:
            outcome.append("refused")

    working = asyncio.create_task(bridge.run(work))
    await asyncio.to_thread(started.wait, 10)
    await _cancelled(working)
    release.set()
    await bridge.run(lambda: None)
    assert outcome == ["refused"]
    bridge.close()


@pytest.mark.parametrize("wait_for_end", [True, False])
async def test_a_cancelled_caller_waits_for_the_end_only_if_told(
    started: threading.Event, release: threading.Event, wait_for_end: bool
) -> None:
    bridge = ThreadBridge(1, name="test", wait_for_end=wait_for_end)

    def work() -> None:
        started.set()
        release.wait(10)

    working = asyncio.create_task(bridge.run(work))
    await asyncio.to_thread(started.wait, 10)
    working.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert working.done() is not wait_for_end
    release.set()
    await asyncio.wait([working])
    assert working.cancelled()
    bridge.close()


async def test_a_caller_that_a_time_limit_has_cancelled_waits_without_work_for_the_loop(
    started: threading.Event, release: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge = ThreadBridge(1, name="test", wait_for_end=True)
    waits = 0
    wait = asyncio.wait

    def counted(*arguments: Any) -> Any:
        nonlocal waits
        waits += 1
        return wait(*arguments)

    def work() -> None:
        started.set()
        release.wait(10)

    async def limited() -> None:
        with anyio.move_on_after(0.01):
            await bridge.run(work)

    monkeypatch.setattr("jupyter_nbforge.storage.threads.asyncio.wait", counted)
    working = asyncio.create_task(limited())
    await asyncio.to_thread(started.wait, 10)
    await asyncio.sleep(0.2)  # many turns of the loop
    assert not working.done()
    assert waits <= 3
    release.set()
    await working
    bridge.close()


async def test_a_caller_that_is_cancelled_twice_still_waits_for_the_end(
    started: threading.Event, release: threading.Event
) -> None:
    bridge = ThreadBridge(1, name="test", wait_for_end=True)

    def work() -> None:
        started.set()
        release.wait(10)

    working = asyncio.create_task(bridge.run(work))
    await asyncio.to_thread(started.wait, 10)
    for _ in range(3):
        working.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
    assert not working.done()
    release.set()
    await _cancelled(working)
    bridge.close()


async def test_outside_of_a_thread_there_is_no_call() -> None:
    assert current_call() is None
    check_call()
