"""HTTP as bytes: no client library makes well what is sent wrong on purpose."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

BASE_URL = b"/a%40b/"


@dataclass(frozen=True)
class Request:
    """One request; `target` is what follows the base URL, as it is sent."""

    method: str
    target: bytes
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def __repr__(self) -> str:
        body = "" if self.body is None else f" {self.body[:300]!r} ({len(self.body)} bytes)"
        return f"<{self.method} {self.target[:300]!r} {self.headers!r:.300}{body}>"

    def encoded(self, port: int, token: str) -> bytes:
        """The bytes on the wire."""
        lines = [
            self.method.encode() + b" " + BASE_URL + self.target + b" HTTP/1.1",
            f"Host: 127.0.0.1:{port}".encode(),
            b"Connection: close",
            *(f"{name}: {value}".encode("utf-8", "surrogatepass") for name, value in self.headers),
        ]
        if not any(name == "Authorization" for name, _ in self.headers):
            lines.append(f"Authorization: token {token}".encode())
        if self.body is not None:
            lines.append(f"Content-Length: {len(self.body)}".encode())
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.body or b"")


@dataclass(frozen=True)
class Reply:
    """An answer; status 0: the connection was closed without one."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/json")

    @cached_property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        """What a person is told; Jupyter's own 404 of a GET is text, whatever its type says."""
        try:
            return str(self.json["message"])
        except ValueError:
            return self.body.decode()

    @classmethod
    def of(cls, raw: bytes) -> Reply:
        """What was received until the server closed the connection."""
        head, _, body = raw.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split(" ")[1]) if first.startswith("HTTP/1.1 ") else 0
        pairs = (line.partition(":") for line in lines)
        return cls(status, {name.lower(): value.strip() for name, _, value in pairs}, body)


async def exchange(port: int, data: bytes) -> Reply:
    """Send a request's bytes over a connection of its own and read the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = bytearray()
    try:
        writer.write(data)
        while chunk := await reader.read(2**16):
            received += chunk
    except ConnectionError:
        pass  # the server had its answer ready before it had everything
    finally:
        writer.close()
    return Reply.of(bytes(received))
