"""RetryStorage: all that fails at once shares one budget of retries, so there is no storm."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter

import pytest

from jupyter_nbforge.storage import NotFoundError, UnavailableError
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.faults import Fault, unavailable

from .retry_world import World
from .stub import Request, refusal, stub_s3
from .test_wrappers_retry import CALLS, sleeps

CALLERS = 100
NO_WAIT = {"wait_initial": 0.0, "wait_max": 0.0}


async def failures(storage: RetryStorage, count: int = CALLERS) -> None:
    """So many requests at once, all of which fail."""
    calls = (storage.head(f"{number}") for number in range(count))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert Counter(map(type, outcomes)) == {UnavailableError: count}


@pytest.mark.parametrize("answer", [b"", refusal(503, "SlowDown"), refusal(500, "InternalError")])
async def test_a_hundred_callers_of_a_dead_store_make_a_bounded_number_of_requests(
    answer: bytes,
) -> None:
    requests: list[Request] = []
    async with stub_s3(lambda request, number: answer, requests=requests) as store:
        storage = RetryStorage(store, retry_budget=20, **NO_WAIT)
        await failures(storage)
        assert len(requests) == CALLERS + 20
        await failures(storage)
        assert len(requests) == 2 * CALLERS + 20


async def test_the_budget_is_one_for_all_operations() -> None:
    world = World(retry_budget=3)
    await world.store.put("a", b"1")
    world.faulty.faults.append(Fault("*", error=unavailable, times=None))
    for call in CALLS.values():
        with pytest.raises(UnavailableError):
            await call(world.storage)
    assert len(world.counting.calls) == len(CALLS) + 3


async def test_what_cannot_be_tried_again_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = sleeps(monkeypatch)
    world = World(retry_budget=0, wait_initial=60.0, wait_max=60.0)
    world.faulty.fail("head")
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert waits == []


@pytest.mark.parametrize(("answers", "retries"), [(0, 0), (1, 0), (2, 1), (4, 2), (50, 4)])
async def test_answers_give_retries_back_up_to_the_budget(answers: int, retries: int) -> None:
    world = World(retry_budget=4, retry_refill=0.5, max_attempts=100)
    await world.store.put("a", b"1")
    world.faulty.fail("head", times=5)
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    for _ in range(answers):
        await world.storage.head("a")
    world.counting.reset()
    world.faulty.fail("head", times=None)
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert world.counting.counts["head"] == 1 + retries


async def test_a_refusal_is_an_answer_too() -> None:
    world = World(retry_budget=1, retry_refill=1.0)
    for _ in range(3):
        world.faulty.fail("head")
        with pytest.raises(NotFoundError):
            await world.storage.head("missing")


async def test_the_last_attempt_of_a_call_takes_nothing_from_the_budget() -> None:
    world = World(retry_budget=2, max_attempts=2)
    world.faulty.fail("head", times=None)
    await failures(world.storage, 2)
    assert world.counting.counts["head"] == 4


async def test_the_log_tells_of_an_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    world = World(retry_budget=4, retry_refill=1.0)
    world.storage.log = logging.getLogger("test_budget")
    await world.store.put("a", b"1")
    for outage in (1, 2):
        world.faulty.fail("head", times=CALLERS + 4)
        await failures(world.storage)
        told = [record for record in caplog.records if "fails so often" in record.getMessage()]
        assert [record.levelname for record in told] == ["WARNING"] * outage
        for _ in range(4):
            await world.storage.head("a")
