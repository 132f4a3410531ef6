"""A server that answers what a test says, for what no real server can be made to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Stub:
    """Where the server is, and what came in."""

    url: str = ""
    requests: list[Request] = field(default_factory=list)


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
async def stub_server(reply: Answer, *, hang_up: bool = False) -> AsyncIterator[Stub]:
    """A server on this event loop that answers with `reply`, and hangs up after it if told."""
    stub = Stub()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = 0
        try:
            while (request := await _request(reader)) is not None:
                number += 1
                stub.requests.append(request)
                data = reply(request, number)
                if not data:
                    break
                writer.write(data)
                await writer.drain()
                if hang_up:
                    break
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        stub.url = "http://127.0.0.1:{}".format(server.sockets[0].getsockname()[1])
        yield stub


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
