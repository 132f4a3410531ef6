"""Work at the same time: bounded, and none of it left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from .errors import StorageError

T = TypeVar("T")


class Together:
    """Tasks that end with the block: its end waits for all of them.

    The first error of one is raised there. Then, and where the block is left by an error or
    cancelled, what still runs is cancelled and waited for.
    """

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `work`; its result is there after the block."""
        task = asyncio.create_task(work)
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Together:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await asyncio.gather(*self._tasks)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def for_each(
    work: Callable[[T], Awaitable[object]], items: Iterable[T], at_once: int
) -> None:
    """Do `work` for each item, for `at_once` of them at a time, with no more tasks than that.

    Items are taken one by one. The first error stops all and is raised.
    """
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    async with Together() as together:
        for _ in range(at_once):
            together.start(worker())


async def errors_of(work: Awaitable[object]) -> list[StorageError]:
    """The storage error that `work` raises, if it does: for what goes on after one."""
    try:
        await work
    except StorageError as error:
        return [error]
    return []
