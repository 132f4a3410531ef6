"""Processes of the benchmark itself, each with a job of its own, asked one thing at a time."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from multiprocessing.connection import Connection
from typing import Any

from typing_extensions import Self

Service = AbstractAsyncContextManager[Any]
"""What a child runs: its public coroutine methods are what can be asked."""


class ChildError(RuntimeError):
    """A question that could not be answered; the message is that of the child's error."""


class Child:
    """A process that runs the service which `make` gives; it ends with this process.

    `make` and its `arguments`, what is asked and what is answered have to be picklable.
    """

    def __init__(self, make: Callable[..., Service], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._process = context.Process(target=_main, args=(there, make, arguments), daemon=True)
        self._process.start()
        there.close()
        self._receive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._here.close()
        self._process.join()

    @property
    def pid(self) -> int:
        """Of the child."""
        pid = self._process.pid
        assert pid is not None
        return pid

    def ask(self, method: str, *arguments: Any) -> Any:
        """What the service's method returns; `ChildError`."""
        self._here.send((method, arguments))
        return self._receive()

    def _receive(self) -> Any:
        try:
            answer, error = self._here.recv()
        except EOFError:
            raise ChildError("A process of the benchmark has ended.") from None
        if error is not None:
            raise ChildError(error)
        return answer


def _main(connection: Connection, make: Callable[..., Service], arguments: tuple[Any, ...]) -> None:
    asyncio.run(_serve(connection, make, arguments))


async def _serve(
    connection: Connection, make: Callable[..., Service], arguments: tuple[Any, ...]
) -> None:
    async with make(*arguments) as service:
        connection.send((None, None))
        while True:
            try:
                method, given = await asyncio.to_thread(connection.recv)
            except EOFError:
                return
            try:
                answer = await getattr(service, method)(*given)
            except Exception as error:  # noqa: BLE001 - whatever it is, the asker raises it
                connection.send((None, f"{type(error).__name__}: {error}"))
            else:
                connection.send((answer, None))
