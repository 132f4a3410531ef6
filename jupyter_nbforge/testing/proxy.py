"""A proxy before a real object store that tells what was asked of it, request by request.

It passes everything on unchanged, the Host header too, so that signatures stay valid and a
server that makes links of it leads its clients back here. A delay may be put before each
request, as a distant store has one. The bytes of bodies are counted too, and connections.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import unquote

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDictProxy
from typing_extensions import Self
from yarl import URL

from .operations import Protocol, operation_of

_HOP_BY_HOP = frozenset(
    {"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
CHUNK_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: `operation` in the words of the storage interface, and the object's path."""

    operation: str
    path: str


@dataclass(frozen=True, slots=True)
class Passed:
    """Of a request, what the store gets to see."""

    headers: Sequence[tuple[str, str]]
    body: Any = None


@dataclass(slots=True)
class Connections:
    """How many connections clients have made: `total`, the `most` at once, and `now`."""

    total: int = 0
    most: int = 0
    now: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def count(self, more: int) -> None:
        """One more, or one less."""
        self.now += more
        self.total += max(more, 0)
        self.most = max(self.most, self.now)
        self.changed.set()

    async def none_left(self) -> None:
        """Wait until the last one has been closed."""
        while self.now:
            self.changed.clear()
            await self.changed.wait()


class _CountedServer(web.Server):
    counted: Connections

    def connection_made(self, *args: Any) -> None:
        self.counted.count(1)
        super().connection_made(*args)

    def connection_lost(self, *args: Any) -> None:
        self.counted.count(-1)
        super().connection_lost(*args)


class CountingProxy:
    """An async context manager; `endpoint_url` is what clients are given, `seen` what they sent.

    `target` is the address that they would be given otherwise, a path of its own included.
    `bytes_up` and `bytes_down` are those of all bodies to the store and from it.
    `connections` tells of those of clients, in all, at the most and now.
    """

    handler_cancellation = False
    """Whether a request ends with its client; else the store hears all of it."""

    def __init__(self, target: str, protocol: Protocol = "s3", *, delay: float = 0.0) -> None:
        self.seen: list[Seen] = []
        self.delay = delay
        self.endpoint_url = ""
        self.protocol = protocol
        self.bytes_up = 0
        self.bytes_down = 0
        self.connections = Connections()
        self._target = URL(target)

    async def __aenter__(self) -> Self:
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
        )
        server = _CountedServer(
            self._pass_on, access_log=None, handler_cancellation=self.handler_cancellation
        )
        server.counted = self.connections
        self._runner = web.ServerRunner(server)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.endpoint_url = f"http://{host}:{port}{self._target.raw_path.rstrip('/')}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def take(self) -> Counter[str]:
        """How often each operation was asked for since the last call."""
        counts = Counter(seen.operation for seen in self.seen)
        self.seen.clear()
        return counts

    async def _pass_on(self, request: web.BaseRequest) -> web.StreamResponse:
        self.seen.append(Seen(operation_of(request, self.protocol), unquote(request.path)))
        self.bytes_up += request.content_length or 0
        if request.headers.get("Expect", "").lower() == "100-continue" and request.transport:
            # botocore asks before each write. A server without an application leaves the answer
            # to its handler, and without one aiohttp's clients wait for ever.
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self.delay:
            await asyncio.sleep(self.delay)
        return await self._forward(request)

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        passed = await self._passed(request, self._target_of(request))
        if isinstance(passed, web.StreamResponse):
            return passed
        async with self._ask(request, passed) as answer:
            response = web.StreamResponse(
                status=answer.status, headers=passed_headers(answer.headers)
            )
            await response.prepare(request)
            if request.method != "HEAD":
                async for chunk in answer.content.iter_chunked(CHUNK_SIZE):
                    self.bytes_down += len(chunk)
                    await response.write(chunk)
            await response.write_eof()
            return response

    def _target_of(self, request: web.BaseRequest) -> URL:
        # The path goes on as it came, byte for byte: the signature is over just that.
        return URL(f"{self._target.origin()}{request.raw_path}", encoded=True)

    def _ask(
        self, request: web.BaseRequest, passed: Passed
    ) -> AbstractAsyncContextManager[ClientResponse]:
        """The store's answer to `request`, of which `passed` goes on."""
        return self._session.request(
            request.method,
            self._target_of(request),
            headers=passed.headers,
            data=passed.body,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type", "Accept-Encoding"),
        )

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        """What goes on to `target`, or an answer in the store's stead."""
        body = request.content if request.can_read_body else None
        return Passed(passed_headers(request.headers), body)


def passed_headers(headers: CIMultiDictProxy[str]) -> list[tuple[str, str]]:
    """Those that are about the message, not about the connection that it came by."""
    return [(name, value) for name, value in headers.items() if name.lower() not in _HOP_BY_HOP]
