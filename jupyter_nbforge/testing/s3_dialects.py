"""A real S3 server made weaker: as stores are that know fewer conditions than Amazon's.

What a test wants the store not to know is taken out of the request, which is then signed anew,
or answered in its stead.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeAlias
from urllib.parse import unquote

from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from .operations import operation_of
from .proxy import CountingProxy, Passed, passed_headers
from .servers import LocalServer

CONDITIONS = (
    "PUT If-None-Match",
    "PUT If-Match",
    "COMPLETE If-None-Match",
    "COMPLETE If-Match",
    "COPY If-None-Match",
    "COPY If-Match",
    "COPY x-amz-copy-source-if-match",
    "PART x-amz-copy-source-if-match",
    "DELETE If-Match",
    "BATCH ETag",
)
"""Each condition of a write: the operation and the header, or what in the body states it."""

_HEADERS = ("If-Match", "If-None-Match", "x-amz-copy-source-if-match")
_ETAG = re.compile(rb"<ETag>(.*?)</ETag>")
_QUOTES = (b"&quot;", b"&#34;", b'"')
_CODES = {400: "InvalidArgument", 403: "AccessDenied", 501: "NotImplemented"}

Intercept: TypeAlias = Callable[[str, str], Awaitable[web.StreamResponse | None]]
"""Is given the operation and the path; may wait, and may answer in the store's stead."""


def s3_error(status: int, code: str | None = None) -> web.Response:
    """S3's answer of that HTTP status."""
    code = code or _CODES[status]
    body = f"<Error><Code>{code}</Code><Message>by the proxy</Message></Error>"
    return web.Response(status=status, body=body.encode(), content_type="application/xml")


class WeakerS3(CountingProxy):
    """In front of `server`: it ignores or refuses some of `CONDITIONS`.

    `refused` are answered with an HTTP status each. With `bare_etags` the store takes an ETag
    with quotes for another one.
    """

    def __init__(
        self,
        server: LocalServer,
        *,
        ignored: Collection[str] = (),
        refused: Mapping[str, int] | None = None,
        bare_etags: bool = False,
        intercept: Intercept | None = None,
    ) -> None:
        super().__init__(server.endpoint_url)
        self.ignored = ignored
        self.refused = refused or {}
        self.bare_etags = bare_etags
        self.intercept = intercept
        unknown = {*ignored, *self.refused} - {*CONDITIONS}
        if unknown:
            raise ValueError(f"no conditions: {unknown}")
        self._server = server

    async def _passed(self, request: web.BaseRequest, target: URL) -> Passed | web.StreamResponse:
        operation = operation_of(request)
        if operation == "DELETE" and request.method == "POST":
            operation = "BATCH"
        if self.intercept is not None:
            answer = await self.intercept(operation, unquote(request.path))
            if answer is not None:
                return answer
        headers = CIMultiDict(passed_headers(request.headers))
        stated = [name for name in _HEADERS if name in headers and operation != "GET"]
        body = await request.read() if operation == "BATCH" else b""
        if not stated and not _ETAG.search(body):
            if operation == "BATCH":
                return Passed(list(headers.items()), body)
            return await super()._passed(request, target)
        body = body or await request.read()
        conditions = [f"{operation} {name}" for name in stated] or ["BATCH ETag"]
        for condition in conditions:
            if condition in self.refused:
                return s3_error(self.refused[condition])
        for condition, name in zip(conditions, stated, strict=False):
            if not self._state(headers, condition, name):
                return s3_error(412, "PreconditionFailed")
        if operation == "BATCH":
            body = self._batch(body)
        return Passed(self._signed(request.method, target, headers, body), body)

    def _state(self, headers: CIMultiDict[str], condition: str, name: str) -> bool:
        """Leave the header out, or put it as the server behind wants it; False: it cannot hold."""
        if condition in self.ignored:
            del headers[name]
        elif self.bare_etags and name != "If-None-Match":
            if '"' in headers[name]:
                return False
            headers[name] = f'"{headers[name]}"'
        return True

    def _batch(self, body: bytes) -> bytes:
        if "BATCH ETag" in self.ignored:
            return _ETAG.sub(b"", body)
        return _ETAG.sub(_spelled, body) if self.bare_etags else body

    def _signed(
        self, method: str, url: URL, headers: CIMultiDict[str], body: bytes
    ) -> list[tuple[str, str]]:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        for name in ("Authorization", "X-Amz-Date", "X-Amz-Content-SHA256", "Host"):
            headers.popall(name, None)
        if method == "POST" and body:
            # The checksum that came with it may be of another body.
            for name in [name for name in headers if "checksum" in name.lower()]:
                headers.popall(name, None)
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body).digest()).decode()
            headers["Content-Length"] = str(len(body))
        credentials = Credentials(self._server.access_key, self._server.secret_key)
        signed: Any = AWSRequest(method=method, url=str(url), data=body, headers=dict(headers))
        S3SigV4Auth(credentials, "s3", self._server.region).add_auth(signed)
        return list(signed.headers.items())


def _spelled(match: re.Match[bytes]) -> bytes:
    """An ETag with quotes becomes another one, one without gets them."""
    if any(quote in match[1] for quote in _QUOTES):
        return b'<ETag>"00000000000000000000000000000001"</ETag>'
    return b'<ETag>"' + match[1] + b'"</ETag>'
