"""A proxy before a store that is down, read-only, full or slow, until it is well again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiohttp import web
from yarl import URL

from jupyter_nbforge.testing.operations import Protocol, operation_of
from jupyter_nbforge.testing.proxy import CountingProxy, Passed

READS = frozenset({"LIST", "HEAD", "GET", "BUCKET", "CONTAINER", "TOKEN"})

Refusal = Literal["denied", "full"]

_ANSWERS: dict[tuple[Protocol, Refusal], tuple[int, str]] = {
    ("s3", "denied"): (403, "AccessDenied"),
    ("s3", "full"): (403, "QuotaExceeded"),
    ("gcs", "denied"): (403, "forbidden"),
    ("gcs", "full"): (507, "insufficientStorage"),
    ("azure", "denied"): (403, "AuthorizationPermissionMismatch"),
    ("azure", "full"): (507, "InsufficientStorage"),
}


class DegradedProxy(CountingProxy):
    """Passes everything on until it is told otherwise.

    `refusal` is the answer to all that writes. `held` are pieces of paths, requests for which
    wait until `release`; `holds` is set when one does. `down` closes the endpoint, with all
    the connections to it.
    """

    def __init__(self, target: str, protocol: Protocol) -> None:
        super().__init__(target, protocol)
        self.refusal: Refusal | None = None
        self.refused = 0
        self.held: tuple[str, ...] = ()
        self.waiting = 0
        self._changed = asyncio.Condition()
        self._free = asyncio.Event()

    async def holds(self, number: int) -> None:
        """Wait until so many requests wait."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.waiting >= number)

    def release(self) -> None:
        """Let everything go on."""
        self.held = ()
        self._free.set()

    @asynccontextmanager
    async def down(self) -> AsyncIterator[None]:
        """Meanwhile nobody listens at the address."""
        await self.close_endpoint()
        try:
            yield
        finally:
            await self.open_endpoint()

    async def close_endpoint(self) -> None:
        """Listen no more, and end all connections."""
        for site in list(self._runner.sites):
            await site.stop()
        server = self._runner.server
        assert server is not None
        await server.shutdown(0.01)  # 0 would be for ever

    async def open_endpoint(self) -> None:
        """Listen again, at the same address."""
        await web.TCPSite(self._runner, "127.0.0.1", URL(self.endpoint_url).port).start()

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        passed = await super()._passed(request, target)
        if isinstance(passed, Passed) and request.path.startswith("/upload/"):
            passed = Passed(passed.headers, await request.read())
        if self._is_held(request, passed):
            async with self._changed:
                self.waiting += 1
                self._changed.notify_all()
            await self._free.wait()
        operation = operation_of(request, self.protocol)
        if self.refusal is not None and operation not in READS:
            if isinstance(passed, Passed) and passed.body is request.content:
                await request.read()
            self.refused += 1
            return self._refuse(self.refusal)
        return passed

    def _is_held(self, request: web.BaseRequest, passed: Passed | web.StreamResponse) -> bool:
        # Cloud Storage has the name of what is written in the body.
        body = passed.body if isinstance(passed, Passed) else None
        said = request.path.encode() + (body if isinstance(body, bytes) else b"")
        return any(part.encode() in said for part in self.held)

    def _refuse(self, refusal: Refusal) -> web.Response:
        status, code = _ANSWERS[self.protocol, refusal]
        if self.protocol == "gcs":
            body = {"error": {"code": status, "errors": [{"reason": code}]}}
            return web.json_response(body, status=status)
        headers = {"x-ms-error-code": code} if self.protocol == "azure" else {}
        return web.Response(
            status=status,
            text=f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>",
            headers=headers,
            content_type="application/xml",
        )
