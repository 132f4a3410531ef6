"""Cloud Storage by plain HTTP: what a client library would hide is seen."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import ClientSession
from yarl import URL

from jupyter_nbforge.testing.gcs_server import FakeGCSServer

_NUMBERS = itertools.count(1)
_BOUNDARY = "the-boundary"


@dataclass(frozen=True)
class Answer:
    """A whole answer; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> Any:
        """What the JSON API calls its error."""
        return self.json["error"]["errors"][0]["reason"]


class Bucket:
    """One bucket; every method is one request. Keywords that are not named go into the query."""

    def __init__(self, session: ClientSession, base: str, name: str) -> None:
        self._session = session
        self.base = base
        self.name = name

    async def send(
        self,
        method: str,
        path: str,
        data: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> Answer:
        """`path` is sent as it is, after the server's address if it has none."""
        url = path if "://" in path else f"{self.base}{path}"
        if query:
            pairs = (f"{name}={quote(str(value), safe='')}" for name, value in query.items())
            url += ("&" if "?" in url else "?") + "&".join(pairs)
        async with self._session.request(
            method,
            URL(url, encoded=True),
            data=data or None,
            headers=headers,
            allow_redirects=False,
        ) as answer:
            lower = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, lower, await answer.read())

    def path(self, name: str, more: str = "") -> str:
        """An object in the JSON API."""
        return f"/storage/v1/b/{self.name}/o/{quote(name, safe='')}{more}"

    def xml_path(self, name: str) -> str:
        return f"/{self.name}/{quote(name)}"

    async def put(
        self, name: str, data: bytes = b"data", *, about: Any = None, **query: str | int
    ) -> Answer:
        """A multipart upload; `about` are properties of the object."""
        described = json.dumps({"name": name, "contentType": "text/x-test", **(about or {})})
        head = f"--{_BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{described}\r\n"
        head += f"--{_BOUNDARY}\r\nContent-Type: text/x-test\r\n\r\n"
        body = head.encode() + data + f"\r\n--{_BOUNDARY}--".encode()
        headers = {"Content-Type": f"multipart/related; boundary={_BOUNDARY}"}
        path = f"/upload/storage/v1/b/{self.name}/o"
        return await self.send(
            "POST", path, body, headers=headers, query={**query, "uploadType": "multipart"}
        )

    async def head(self, name: str, **query: str | int) -> Answer:
        return await self.send("GET", self.path(name), query=query)

    async def read(self, name: str, **query: str | int) -> Answer:
        return await self.send("GET", self.path(name), query={**query, "alt": "media"})

    async def delete(self, name: str, **query: str | int) -> Answer:
        return await self.send("DELETE", self.path(name), query=query)

    async def copy(
        self, source: str, target: str, *, verb: str = "rewriteTo", **query: str | int
    ) -> Answer:
        more = f"/{verb}/b/{self.name}/o/{quote(target, safe='')}"
        return await self.send("POST", self.path(source, more), query=query)

    async def move(self, source: str, target: str, **query: str | int) -> Answer:
        more = f"/moveTo/o/{quote(target, safe='')}"
        return await self.send("POST", self.path(source, more), query=query)

    async def begin(self, name: str, *, about: Any = None, **query: str | int) -> Answer:
        """Begin a resumable upload."""
        body = json.dumps({"name": name, **(about or {})}).encode()
        path = f"/upload/storage/v1/b/{self.name}/o"
        return await self.send("POST", path, body, query={**query, "uploadType": "resumable"})

    async def add(self, address: str, content_range: str, data: bytes = b"") -> Answer:
        """A part of a resumable upload."""
        headers = {"Content-Range": f"bytes {content_range}"}
        return await self.send("PUT", address, data, headers=headers)

    async def generation(self, name: str, data: bytes = b"data") -> int:
        """Write the object; returns its generation."""
        written = await self.put(name, data)
        assert written.status == 200
        return int(written.json["generation"])

    async def names(self) -> list[str]:
        listed = await self.send("GET", f"/storage/v1/b/{self.name}/o")
        return [item["name"] for item in listed.json.get("items", [])]


@asynccontextmanager
async def fresh_bucket(
    server: FakeGCSServer, *, versioned: bool = False, base: str | None = None
) -> AsyncIterator[Bucket]:
    """A bucket of its own; `base` is the address to use instead of the server's."""
    name = f"rules-{next(_NUMBERS)}"
    server.create_bucket(name, versioned=versioned)
    async with ClientSession() as session:
        yield Bucket(session, base or server.endpoint_url, name)
