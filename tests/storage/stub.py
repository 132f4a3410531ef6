"""A server that answers what a test says, for what no real server can be made to do."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from jupyter_nbforge.storage.s3 import S3Storage

KEYS = {"access_key_id": "KEYKEYKEY", "secret_access_key": "SECRETSECRET"}


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


Answer: TypeAlias = Callable[[Request, int], bytes]
"""The raw answer to a request, the n-th (from 1) of its connection; empty: hang up."""


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A raw HTTP answer."""
    named = {"content_length": str(len(body)), **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([f"HTTP/1.1 {status} -", *lines, "", ""]).encode() + body


def refusal(status: int, code: str, *, extra: str = "", **headers: str) -> bytes:
    """S3's answer with an error code."""
    body = f"<Error><Code>{code}</Code><Message>text that may change</Message>{extra}</Error>"
    return answer(status, body.encode(), content_type="application/xml", **headers)


@asynccontextmanager
async def stub_server(
    reply: Answer,
    *,
    hang_up: bool = False,
    requests: list[Request] | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """The URL of a server that answers with `reply`, and hangs up after it if told."""

    serving: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            while (request := await _request(reader)) is not None:
                number += 1
                if requests is not None:
                    requests.append(request)
                data = reply(request, number)
                writer.write(data)
                await writer.drain()
                if hang_up or not data:
                    break
        finally:
            writer.close()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        scheme = "http" if tls is None else "https"
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        # What the client has closed is seen by the server a moment later.
        if serving:
            await asyncio.wait(serving, timeout=5)


@asynccontextmanager
async def stub_s3(
    reply: Answer,
    *,
    hang_up: bool = False,
    requests: list[Request] | None = None,
    **options: Any,
) -> AsyncIterator[S3Storage]:
    """A storage at a `stub_server`."""
    async with (
        stub_server(reply, hang_up=hang_up, requests=requests) as endpoint,
        aclosing(s3_at(endpoint, **options)) as storage,
    ):
        yield storage


def s3_at(endpoint: str, **options: Any) -> S3Storage:
    """A storage at `endpoint`, with some bucket and some keys; it does not probe."""
    told = {f"conditional_{kind}": True for kind in ("put", "copy", "delete")}
    usual = {"bucket": "bucket", "endpoint_url": endpoint, **KEYS, **told}
    return S3Storage(**{**usual, **options})


async def _request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    first, *lines = head.strip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(": ", 1) for line in lines)
    headers = {name.lower(): value for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)
