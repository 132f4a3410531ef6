"""fake-gcs-server as the proxy sees it: a store without conditions."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any
from urllib.parse import quote

from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector, web
from yarl import URL

from ..proxy import passed_headers
from .rules import Refusal, Resource, Upload, invalid, no_such_bucket, no_such_object


class Backend:
    """The server at `url`; to be made on a running event loop, and closed there."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = ClientSession(
            connector=TCPConnector(limit=0),
            timeout=ClientTimeout(total=None),
            auto_decompress=False,
        )

    async def aclose(self) -> None:
        await self._session.close()

    def open(
        self, request: web.Request, *, body: bytes | None = None
    ) -> AbstractAsyncContextManager[ClientResponse]:
        """Pass a request on, with the path just as it came; `body` replaces its body."""
        # fake-gcs-server serves the XML API only under the name that it was started with.
        headers = [
            (name, value)
            for name, value in passed_headers(request.headers)
            if name.lower() not in ("host", "content-length", "expect")
        ]
        data: Any = body
        if body is None and request.can_read_body:
            data = request.content
        return self._session.request(
            request.method,
            URL(f"{self.url}{request.raw_path}", encoded=True),
            headers=headers,
            data=data,
            allow_redirects=False,
            skip_auto_headers=("User-Agent", "Accept", "Content-Type", "Accept-Encoding"),
        )

    async def find(self, bucket: str, name: str, generation: str | None = None) -> Resource | None:
        """The object, or that generation of it; None: there is none."""
        query = "" if generation is None else f"?generation={quote(generation)}"
        async with self._session.get(_url(self.url, bucket, name, query)) as answer:
            if answer.status == 404:
                return None
            return await _json(answer)

    async def get(self, bucket: str, name: str, generation: str | None = None) -> Resource:
        """As `find`; `Refusal` if there is none."""
        found = await self.find(bucket, name, generation)
        if found is None:
            raise await self.missing(bucket)
        return found

    async def missing(self, bucket: str) -> Refusal:
        """What it means that an object of this bucket was not found."""
        async with self._session.get(_url(self.url, bucket)) as answer:
            return no_such_bucket() if answer.status == 404 else no_such_object()

    async def store(self, upload: Upload, data: bytes) -> Resource:
        """Write the object, whatever is there."""
        boundary = secrets.token_hex(16)
        described = {**upload.properties, "name": upload.name}
        media_type = described.setdefault("contentType", "application/octet-stream")
        frame = f"--{boundary}\r\nContent-Type: "
        head = f"{frame}application/json\r\n\r\n{json.dumps(described)}\r\n"
        head += f"{frame}{media_type}\r\n\r\n"
        body = b"".join([head.encode(), data, f"\r\n--{boundary}--\r\n".encode()])
        url = f"{self.url}/upload/storage/v1/b/{quote(upload.bucket, safe='')}/o"
        headers = {"Content-Type": f"multipart/related; boundary={boundary}"}
        query = {"uploadType": "multipart"}
        async with self._session.post(url, params=query, headers=headers, data=body) as answer:
            if answer.status == 404:
                raise no_such_bucket()
            return await _json(answer)

    async def delete(self, bucket: str, name: str) -> None:
        async with self._session.delete(_url(self.url, bucket, name)) as answer:
            await _json(answer)

    async def copy(
        self,
        source: Resource,
        target: tuple[str, str],
        *,
        properties: Mapping[str, Any] | None = None,
        generation: str | None = None,
    ) -> Resource:
        """Copy by rewriting; returns the answer to that. `properties`: of the new object."""
        # Without metadata of its own a copy would share those of the source: a later change
        # of the one would be a change of both.
        described = properties or {"metadata": source.get("metadata", {})}
        bucket, name = (quote(part, safe="") for part in target)
        url = _url(self.url, source["bucket"], source["name"], f"/rewriteTo/b/{bucket}/o/{name}")
        if generation is not None:
            url = url.update_query(sourceGeneration=generation)
        async with self._session.post(url, json=described) as answer:
            if answer.status == 404:
                raise no_such_bucket()
            return await _json(answer)


def _url(base: str, bucket: str, name: str | None = None, more: str = "") -> URL:
    path = f"/storage/v1/b/{quote(bucket, safe='')}"
    if name is not None:
        path += f"/o/{quote(name, safe='')}"
    return URL(f"{base}{path}{more}", encoded=True)


async def _json(answer: ClientResponse) -> Resource:
    body = await answer.read()
    if answer.status >= 300:
        raise invalid(f"fake-gcs-server answered {answer.status}: {body.decode(errors='replace')}")
    return dict(json.loads(body or b"{}") or {})
