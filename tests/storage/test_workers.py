"""Work at the same time: how much of it, and what becomes of it after an error."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from jupyter_nbforge.storage.errors import NotFoundError, StorageError
from jupyter_nbforge.storage.workers import Together, errors_of, for_each


class Work:
    """Counts what is under way; fails at some items."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.running = 0
        self.most = 0
        self.done: list[int] = []

    async def __call__(self, item: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for _ in range(item % 3 + 1):
                await asyncio.sleep(0)
            if item in self.failing:
                raise StorageError(f"item {item}")
            self.done.append(item)
        finally:
            self.running -= 1


async def test_all_is_done_and_never_more_at_once_than_allowed() -> None:
    work = Work()
    await for_each(work, range(100), 7)
    assert sorted(work.done) == list(range(100))
    assert work.most == 7


async def test_items_are_taken_when_there_is_a_worker_for_them() -> None:
    taken = 0
    most = 0
    work = Work()

    def items() -> Iterator[int]:
        nonlocal taken, most
        for item in range(1000):
            taken += 1
            most = max(most, taken - len(work.done))
            yield item

    before = len(asyncio.all_tasks())
    tasks = 0

    async def watched(item: int) -> None:
        nonlocal tasks
        tasks = max(tasks, len(asyncio.all_tasks()) - before)
        await work(item)

    await for_each(watched, items(), 5)
    assert most <= 6
    assert tasks <= 5


async def test_the_first_error_stops_the_rest_and_leaves_nothing_running() -> None:
    work = Work(20)
    with pytest.raises(StorageError, match="item 20"):
        await for_each(work, range(1000), 4)
    assert work.running == 0
    assert len(work.done) < 40


async def test_who_is_cancelled_leaves_nothing_running() -> None:
    work = Work()
    begun = asyncio.Event()

    async def endless(item: int) -> None:
        begun.set()
        await work(item)
        await asyncio.Event().wait()

    running = asyncio.create_task(for_each(endless, range(10), 3))
    await begun.wait()
    before = asyncio.all_tasks()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert all(task.done() for task in before if task is not asyncio.current_task())


async def test_results_are_there_after_the_block() -> None:
    async def value(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async with Together() as together:
        one, two = together.start(value(1)), together.start(value(2))
    assert (one.result(), two.result()) == (1, 2)


async def test_an_error_in_the_block_ends_what_was_begun() -> None:
    async def end_with_error() -> None:
        async with Together() as together:
            tasks.append(together.start(asyncio.Event().wait()))
            raise LookupError

    tasks: list[asyncio.Task[bool]] = []
    with pytest.raises(LookupError):
        await end_with_error()
    assert tasks[0].cancelled()


async def test_only_storage_errors_are_collected() -> None:
    async def fail(error: Exception) -> None:
        raise error

    missing = NotFoundError("gone", path="a")
    assert await errors_of(fail(missing)) == [missing]
    assert await errors_of(asyncio.sleep(0)) == []
    with pytest.raises(LookupError):
        await errors_of(fail(LookupError()))
