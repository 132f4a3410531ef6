"""The proxy itself: which request is what, and in which order its rules are checked."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import unquote
from weakref import WeakValueDictionary

from aiohttp import ClientResponse, web

from ..proxy import CHUNK_SIZE, passed_headers
from .backend import Backend
from .rules import (
    Conditions,
    Refusal,
    Resource,
    Upload,
    check_etag,
    condition_failed,
    invalid,
    no_such_object,
    parse_related,
)
from .sessions import Sessions
from .signatures import Signed, Signers

TOKEN_PATH = "/oauth2/token"

_BUCKET = r"/storage/v1/b/(?P<bucket>[^/]+)"
_OBJECT = rf"{_BUCKET}/o/(?P<name>[^/]+)"
_OTHER = r"b/(?P<target_bucket>[^/]+)/o/(?P<target>[^/]+)"
_OWN_PATHS = r"(?!storage/|upload/|download/|batch/|_internal/|oauth2/)"

Handler = Callable[[web.Request, dict[str, str]], Awaitable[web.StreamResponse]]


class PreconditionProxy:
    """Answers every request, most of them with what `backend` answers."""

    def __init__(self, backend: Backend, signers: Signers) -> None:
        self._backend = backend
        self._signers = signers
        self._sessions = Sessions(self._store)
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._routes: list[tuple[str, re.Pattern[str], Handler]] = [
            (methods, re.compile(f"{pattern}$"), handler)
            for methods, pattern, handler in (
                ("POST", TOKEN_PATH, self._token),
                ("POST PUT DELETE", f"/upload{_BUCKET}/o", self._upload),
                ("GET HEAD", f"/download{_OBJECT}", self._read),
                ("GET HEAD", _OBJECT, self._read),
                ("PATCH PUT", _OBJECT, self._change),
                ("DELETE", _OBJECT, self._delete),
                ("POST", f"{_OBJECT}/(?:rewriteTo|copyTo)/{_OTHER}", self._copy),
                ("POST", f"{_OBJECT}/moveTo/o/(?P<target>[^/]+)", self._move),
                ("POST", f"{_OBJECT}/compose", self._compose),
                ("GET HEAD", f"/{_OWN_PATHS}(?P<bucket>[^/]+)/(?P<name>.+)", self._read_xml),
                ("PUT", f"/{_OWN_PATHS}(?P<bucket>[^/]+)/(?P<name>.+)", self._put_xml),
                ("DELETE", f"/{_OWN_PATHS}(?P<bucket>[^/]+)/(?P<name>.+)", self._delete_xml),
            )
        ]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path, _, query = request.raw_path.partition("?")
        is_xml = re.match(f"/{_OWN_PATHS}[^/]", path) is not None
        try:
            self._signers.check(Signed(request.method, path, query, request.headers))
            for methods, pattern, handler in self._routes:
                match = pattern.match(path)
                if match is not None and request.method in methods.split():
                    parts = {key: unquote(value) for key, value in match.groupdict().items()}
                    return await handler(request, parts)
            return await self._pass_on(request)
        except Refusal as refusal:
            return _refused(refusal, is_xml=is_xml)

    async def _pass_on(
        self, request: web.Request, *, body: bytes | None = None
    ) -> web.StreamResponse:
        async with self._backend.open(request, body=body) as answer:
            if answer.content_type == "application/json" and request.method != "HEAD":
                text = await answer.read()
                return _json_response(request, text, self._backend.url, answer.status)
            return await _stream(request, answer, passed_headers(answer.headers))

    async def _read(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        conditions = Conditions.of_query(request.query)
        async with self._backend.open(request) as answer:
            if answer.status == 404:
                raise await self._backend.missing(parts["bucket"])
            generation = answer.headers.get("X-Goog-Generation")
            if generation is not None:
                conditions.check(generation)
                return await _stream(request, answer, _with_length(answer))
            text = await answer.read()
            if answer.status == 200:
                conditions.check(json.loads(text)["generation"])
            return _json_response(request, text, self._backend.url, answer.status)

    async def _read_xml(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        conditions = Conditions.of_headers(request.headers)
        async with self._backend.open(request) as answer:
            if answer.status == 404:
                raise await self._backend.missing(parts["bucket"])
            conditions.check(answer.headers.get("X-Goog-Generation", "0"))
            check_etag(request.headers, answer.headers.get("ETag", ""))
            if answer.status == 416:
                raise Refusal(416, "requestedRangeNotSatisfiable", "InvalidRange", "Out of range.")
            headers = dict(_with_length(answer))
            for name in ("Content-Type", "Content-Disposition"):
                override = request.query.get(f"response-{name.lower()}")
                if override is not None:
                    headers[name] = override
            return await _stream(request, answer, [*headers.items()])

    async def _delete(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        conditions = Conditions.of_query(request.query)
        return await self._remove(parts, conditions, request.query.get("generation"))

    async def _delete_xml(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        conditions = Conditions.of_headers(request.headers)
        return await self._remove(parts, conditions, request.query.get("generation"))

    async def _remove(
        self, parts: Mapping[str, str], conditions: Conditions, generation: str | None
    ) -> web.Response:
        bucket, name = parts["bucket"], parts["name"]
        async with self._locked((bucket, name)):
            found = await self._backend.get(bucket, name)
            # fake-gcs-server would delete the live one, whichever generation is meant.
            if generation not in (None, found["generation"]):
                raise no_such_object()
            conditions.check(found["generation"])
            await self._backend.delete(bucket, name)
        return web.Response(status=204)

    async def _change(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        conditions = Conditions.of_query(request.query)
        body = await request.read()
        async with self._locked((parts["bucket"], parts["name"])):
            found = await self._backend.get(parts["bucket"], parts["name"])
            conditions.check(found["generation"])
            return await self._pass_on(request, body=body)

    async def _copy(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        target = (parts["target_bucket"], parts["target"])
        body = await request.read()
        copied = await self._copied(request, parts, target, json.loads(body or b"{}"))
        answer = copied if "/rewriteTo/" in request.raw_path else copied["resource"]
        return _json_response(request, json.dumps(answer).encode(), self._backend.url)

    async def _move(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        target = (parts["bucket"], parts["target"])
        if parts["name"] == parts["target"]:
            raise invalid("An object cannot be moved to its own name.")
        copied = await self._copied(request, parts, target, {}, move=True)
        text = json.dumps(copied["resource"]).encode()
        return _json_response(request, text, self._backend.url)

    async def _copied(
        self,
        request: web.Request,
        parts: Mapping[str, str],
        target: tuple[str, str],
        properties: Mapping[str, Any],
        *,
        move: bool = False,
    ) -> Resource:
        """The answer to a rewrite; with `move` the source is gone in the same moment."""
        source = (parts["bucket"], parts["name"])
        generation = request.query.get("sourceGeneration")
        async with self._locked(source, target):
            found = await self._backend.get(*source, generation)
            Conditions.of_query(request.query, "Source").check(found["generation"])
            await self._check(*target, Conditions.of_query(request.query))
            copied = await self._backend.copy(
                found, target, properties=properties, generation=generation
            )
            if move:
                await self._backend.delete(*source)
        return copied

    async def _compose(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        bucket, name = parts["bucket"], parts["name"]
        body = await request.read()
        sources = json.loads(body).get("sourceObjects", [])
        keys = [(bucket, source["name"]) for source in sources]
        async with self._locked((bucket, name), *keys):
            for source in sources:
                found = await self._backend.get(bucket, source["name"])
                wanted = Conditions.of_query(source.get("objectPreconditions", {}))
                wanted.check(found["generation"])
            await self._check(bucket, name, Conditions.of_query(request.query))
            return await self._pass_on(request, body=body)

    async def _upload(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        bucket, query = parts["bucket"], request.query
        body = await request.read()
        number = query.get("upload_id")
        if number is not None:
            return await self._continue(request, number, body)
        kind = query.get("uploadType")
        data = body
        properties: Resource = {"contentType": request.headers.get("Content-Type")}
        if kind == "multipart":
            properties, data = parse_related(request.headers.get("Content-Type", ""), body)
        elif kind == "resumable":
            properties = json.loads(body or b"{}")
            properties.setdefault("contentType", request.headers.get("X-Upload-Content-Type"))
        name = query.get("name") or properties.get("name")
        if not name:
            raise invalid("The object has no name.")
        upload = Upload(bucket, name, _known(properties), Conditions.of_query(query))
        if kind == "resumable":
            return await self._begin(request, upload)
        text = json.dumps(await self._store(upload, data)).encode()
        return _json_response(request, text, self._backend.url)

    async def _begin(self, request: web.Request, upload: Upload) -> web.Response:
        await self._check(upload.bucket, upload.name, upload.conditions)
        path = request.raw_path.partition("?")[0]
        query = f"uploadType=resumable&upload_id={self._sessions.begin(upload)}"
        return web.Response(headers={"Location": f"http://{request.host}{path}?{query}"})

    async def _continue(self, request: web.Request, number: str, body: bytes) -> web.Response:
        if request.method == "DELETE":
            self._sessions.cancel(number)
            return web.Response(status=499)
        reached = await self._sessions.add(number, request.headers.get("Content-Range"), body)
        if isinstance(reached, int):
            headers = {"Range": f"bytes=0-{reached - 1}"} if reached else {}
            return web.Response(status=308, headers=headers)
        return _json_response(request, json.dumps(reached).encode(), self._backend.url)

    async def _put_xml(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        prefix = "x-goog-meta-"
        headers = {name.lower(): value for name, value in request.headers.items()}
        metadata = {
            name.removeprefix(prefix): value
            for name, value in headers.items()
            if name.startswith(prefix)
        }
        properties = {
            "contentType": headers.get("content-type"),
            "contentDisposition": headers.get("content-disposition"),
            "cacheControl": headers.get("cache-control"),
            "md5Hash": headers.get("content-md5"),
            "metadata": metadata,
        }
        conditions = Conditions.of_headers(request.headers)
        upload = Upload(parts["bucket"], parts["name"], _known(properties), conditions)
        stored = await self._store(upload, await request.read())
        hashes = f"crc32c={stored['crc32c']},md5={stored['md5Hash']}"
        about = {"ETag": f'"{stored["etag"]}"', "x-goog-generation": stored["generation"]}
        about |= {"x-goog-hash": hashes, "x-goog-stored-content-length": stored["size"]}
        return web.Response(headers=about)

    async def _token(self, request: web.Request, parts: dict[str, str]) -> web.StreamResponse:
        form = await request.post()
        if not self._signers.accept(str(form.get("assertion", ""))):
            refused = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
            return web.json_response(refused, status=400)
        granted = {"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"}
        return web.json_response(granted)

    async def _store(self, upload: Upload, data: bytes) -> Resource:
        """Write the object if its conditions hold, in one step."""
        upload.check_hashes(data)
        async with self._locked((upload.bucket, upload.name)):
            await self._check(upload.bucket, upload.name, upload.conditions)
            return await self._backend.store(upload, data)

    async def _check(self, bucket: str, name: str, conditions: Conditions) -> None:
        """`Refusal` unless what is at this place meets the conditions."""
        if conditions:
            found = await self._backend.find(bucket, name)
            conditions.check("0" if found is None else found["generation"])

    @asynccontextmanager
    async def _locked(self, *keys: tuple[str, str]) -> AsyncIterator[None]:
        """Nothing else is written to these objects meanwhile."""
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                lock = self._locks.get(key)
                if lock is None:
                    lock = self._locks[key] = asyncio.Lock()
                await stack.enter_async_context(lock)
            yield


def _known(properties: Mapping[str, Any]) -> Resource:
    return {name: value for name, value in properties.items() if value is not None}


def _with_length(answer: ClientResponse) -> list[tuple[str, str]]:
    """The headers of a read, and the one about its whole length that is missing."""
    headers = passed_headers(answer.headers)
    length = answer.headers.get("Content-Length", "0")
    if answer.status == 206:
        length = answer.headers["Content-Range"].rpartition("/")[2]
    return [*headers, ("x-goog-stored-content-length", length)]


async def _stream(
    request: web.Request, answer: ClientResponse, headers: list[tuple[str, str]]
) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers=headers)
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in answer.content.iter_chunked(CHUNK_SIZE):
            await response.write(chunk)
    await response.write_eof()
    return response


def _json_response(
    request: web.Request, text: bytes, backend_url: str, status: int = 200
) -> web.Response:
    """An answer of fake-gcs-server whose links lead to where the client came from."""
    body = text.replace(backend_url.encode(), f"http://{request.host}".encode())
    return web.Response(status=status, body=body, content_type="application/json", charset="utf-8")


def _refused(refusal: Refusal, *, is_xml: bool) -> web.Response:
    if refusal.status == condition_failed(304).status:
        return web.Response(status=304)
    body = refusal.as_xml() if is_xml else refusal.as_json()
    kind = "application/xml" if is_xml else "application/json"
    return web.Response(status=refusal.status, body=body, content_type=kind, charset="utf-8")
