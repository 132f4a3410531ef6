"""Real stores, and what stands in front of one: another region, another time, TLS."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote

from aiohttp import web
from typing_extensions import Self
from yarl import URL

from jupyter_nbforge.testing.proxy import CountingProxy, Passed
from jupyter_nbforge.testing.s3_dialects import s3_error


class OtherRegion(CountingProxy):
    """As Amazon S3 answers for a bucket of `region` to what is signed for another one.

    With `redirects` by HTTP 301, else by 400; a HEAD has no body, so the header alone tells.
    Unless it is `told`, no answer names the region.
    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    """

    def __init__(
        self, target: str, region: str, *, redirects: bool = False, told: bool = True
    ) -> None:
        super().__init__(target)
        self.region = region
        self.told = told
        self.redirects = redirects

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        signed = request.headers.get("Authorization", "") or request.query_string
        if f"/{self.region}/s3/" in unquote(signed):
            if request.method == "HEAD" and request.path.count("/") == 1:
                # Of the bucket: the server behind would name a region of its own.
                return web.Response(headers={"x-amz-bucket-region": self.region})
            return await super()._passed(request, target)
        status = 301 if self.redirects else 400
        headers = {"x-amz-bucket-region": self.region} if self.told else {}
        if request.method == "HEAD":
            return web.Response(status=status, headers=headers)
        code = "PermanentRedirect" if self.redirects else "AuthorizationHeaderMalformed"
        where = "" if self.redirects or not self.told else f"<Region>{self.region}</Region>"
        body = f"<Error><Code>{code}</Code><Message>by the proxy</Message>{where}</Error>"
        return web.Response(
            status=status, text=body, content_type="application/xml", headers=headers
        )


class Expired(CountingProxy):
    """As Amazon S3 answers to a temporary key that is too old."""

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(status=400)
        return s3_error(400, "ExpiredToken")


class OtherClock(CountingProxy):
    """Its clock is `ahead` of ours, by its Date."""

    def __init__(self, target: str, ahead: timedelta) -> None:
        super().__init__(target)
        self.ahead = ahead

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "HEAD" and request.path == "/":
            moment = datetime.now(timezone.utc) + self.ahead
            return web.Response(headers={"Date": format_datetime(moment, usegmt=True)})
        return await super()._forward(request)


class TLSFront:
    """Speaks TLS with the certificate, and passes what it is told on to `target`, as it is."""

    def __init__(self, target: str, certificate: tuple[Path, Path]) -> None:
        self._target = URL(target)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(*certificate)
        self._tasks: set[asyncio.Task[None]] = set()
        self.endpoint_url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        port = self._server.sockets[0].getsockname()[1]
        self.endpoint_url = f"https://127.0.0.1:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        host, port = self._target.host, self._target.port
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            for one in (writer, inner_writer):
                one.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
