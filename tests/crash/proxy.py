"""A proxy before a store that has a server killed at a request to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import ClientConnectionResetError, web
from yarl import URL

from jupyter_nbforge.testing.operations import operation_of
from jupyter_nbforge.testing.proxy import CountingProxy, Passed, passed_headers

READS = frozenset({"LIST", "HEAD", "GET"})

Moment = Literal["before", "within", "after"]
"""Before the store sees the request; when it has half of the body; when it has done it all, but
nobody has heard its answer."""


@dataclass(frozen=True, slots=True)
class Point:
    """A moment of the write of that number (from 0) since the proxy was armed."""

    number: int
    moment: Moment


class KillingProxy(CountingProxy):
    """Kills at one request that writes; `writes` are the operations since it was armed."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.writes: list[str] = []
        self._kill: Callable[[], None] | None = None
        self._point: Point | None = None
        self._passing = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def arm(self, kill: Callable[[], None] | None, point: Point | None) -> None:
        """From now on count writes anew, and call `kill` at `point`; None: never."""
        self.writes.clear()
        self._kill, self._point = kill, point

    @property
    def killed(self) -> bool:
        """Whether the point was reached."""
        return self._point is not None and self._kill is None

    async def settled(self) -> None:
        """Wait until the store has answered all that has reached it."""
        await self._idle.wait()

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        self._passing += 1
        self._idle.clear()
        try:
            return await super()._pass_on(request)
        except ClientConnectionResetError:
            return web.Response()  # who asked was killed meanwhile
        finally:
            self._passing -= 1
            if not self._passing:
                self._idle.set()

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        moment, passed = self._moment(request), await super()._passed(request, target)
        if moment is None or isinstance(passed, web.StreamResponse):
            return passed
        if moment == "within":
            await self._send_half(request)
        elif moment == "after":
            async with self._session.request(
                request.method, target, headers=passed.headers, data=passed.body
            ) as answer:
                await answer.read()
        kill, self._kill = self._kill, None
        assert kill is not None
        kill()
        return web.Response(status=503)  # there is nobody to read it

    def _moment(self, request: web.BaseRequest) -> Moment | None:
        operation = operation_of(request)
        if operation in READS:
            return None
        number = len(self.writes)
        self.writes.append(operation)
        if self._kill is None or self._point is None or self._point.number != number:
            return None
        return self._point.moment

    async def _send_half(self, request: web.BaseRequest) -> None:
        """Send the head and half of the body, and hang up; nothing where there is no body."""
        if not request.content_length:
            return
        body = await request.content.readexactly(request.content_length // 2)
        _, writer = await asyncio.open_connection(self._target.host, self._target.port)
        head = [f"{request.method} {request.raw_path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in passed_headers(request.headers)]
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
