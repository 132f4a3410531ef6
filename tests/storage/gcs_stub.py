"""Cloud Storage that answers what a test says, for what no real server can be made to do."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jupyter_nbforge.storage.gcs import GCSStorage

from .stub import Answer, Request, answer, stub_server

GENERATION = "1700000000000001"
BODY_HEADERS = {
    "x_goog_generation": GENERATION,
    "x_goog_stored_content_length": "8",
    "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT",
    "content_type": "text/plain",
}
"""Of the answer to a read of eight bytes."""


def refusal(status: int, reason: str, **headers: str) -> bytes:
    """The JSON API's answer with an error."""
    detail = {"domain": "global", "reason": reason, "message": "text that may change"}
    error = {"code": status, "message": "text that may change", "errors": [detail]}
    body = json.dumps({"error": error}).encode()
    return answer(status, body, content_type="application/json", **headers)


def xml_refusal(status: int, code: str) -> bytes:
    """The XML API's answer with an error."""
    body = f"<Error><Code>{code}</Code><Message>text that may change</Message></Error>"
    return answer(status, body.encode(), content_type="application/xml")


def found(value: Any, **headers: str) -> bytes:
    """An answer of the JSON API."""
    return answer(200, json.dumps(value).encode(), content_type="application/json", **headers)


def resource(name: str = "a", **more: Any) -> dict[str, Any]:
    """An object as the JSON API describes it."""
    return {
        "kind": "storage#object",
        "name": name,
        "size": "8",
        "generation": GENERATION,
        "updated": "2024-01-01T00:00:00.123Z",
        "contentType": "text/plain",
        **more,
    }


def query(request: Request) -> dict[str, str]:
    """The parameters of a request."""
    return dict(parse_qsl(urlsplit(request.target).query))


def place(request: Request) -> str:
    """Method and path of a request, without what all of them begin with."""
    path = urlsplit(request.target).path
    return f"{request.method} {unquote(re.sub('/storage/v1/b/[^/]+', '', path))}"


def gcs_at(endpoint: str, **options: Any) -> GCSStorage:
    """A storage at `endpoint`, with some bucket and no account."""
    usual: dict[str, Any] = {"bucket": "bucket", "endpoint_url": endpoint}
    if not options.keys() & {"credentials_file", "user_project", "signing_account"}:
        usual["anonymous"] = True
    return GCSStorage(**{**usual, **options})


@asynccontextmanager
async def stub_gcs(
    reply: Answer,
    *,
    hang_up: bool = False,
    requests: list[Request] | None = None,
    **options: Any,
) -> AsyncIterator[GCSStorage]:
    """A storage at a `stub_server`."""
    async with (
        stub_server(reply, hang_up=hang_up, requests=requests) as endpoint,
        aclosing(gcs_at(endpoint, **options)) as storage,
    ):
        yield storage
