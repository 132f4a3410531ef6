"""An Azure that answers what a test says, and what an `AzureStorage` sends to any."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from hashlib import md5
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from jupyter_nbforge.storage import azure_client
from jupyter_nbforge.storage.azure import AzureStorage

from .stub import Answer, Request, answer, stub_server

KEY = b64encode(b"SECRETSECRET").decode()
HEADERS = {"etag": '"0x1"', "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}


def refusal(status: int, code: str, **headers: str) -> bytes:
    """Azure's answer with an error code."""
    body = f"<Error><Code>{code}</Code><Message>text that may change</Message></Error>"
    named = {"content_type": "application/xml", "x_ms_error_code": code, **headers}
    return answer(status, body.encode(), **named)


def blob(data: bytes = b"", **headers: str) -> bytes:
    """Azure's answer to a GET."""
    return answer(200, data, **{**HEADERS, "content_type": "text/plain", **headers})


def created(**headers: str) -> bytes:
    """Azure's answer to a write."""
    return answer(201, b"", **{**HEADERS, **headers})


def content_md5(data: bytes) -> str:
    return b64encode(md5(data).digest()).decode()


@asynccontextmanager
async def stub_azure(
    reply: Answer,
    *,
    hang_up: bool = False,
    requests: list[Request] | None = None,
    **options: Any,
) -> AsyncIterator[AzureStorage]:
    """A storage at a `stub_server`."""
    async with (
        stub_server(reply, hang_up=hang_up, requests=requests) as endpoint,
        aclosing(azure_at(endpoint, **options)) as storage,
    ):
        yield storage


def azure_at(endpoint: str, **options: Any) -> AzureStorage:
    """A storage at `endpoint`, with some container of some account and a key."""
    usual = {
        "container": "container",
        "account_url": endpoint,
        "account_name": "account",
        "hierarchical_namespace": False,
    }
    secrets = {"account_key", "sas_token", "anonymous", "connection_string"}
    key = {} if secrets & options.keys() else {"account_key": KEY}
    return AzureStorage(**{**usual, **key, **options})


@dataclass(frozen=True, slots=True)
class Sent:
    """A request, as it is given to the HTTP library."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Without the account and the container."""
        return unquote(urlsplit(self.url).path).split("/", 3)[3]

    @property
    def query(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(urlsplit(self.url).query).items()}


def record(monkeypatch: pytest.MonkeyPatch) -> list[Sent]:
    """What all storages send from now on."""
    sent: list[Sent] = []
    request = azure_client._Session.request

    async def note(self: Any, method: str, url: str, **options: Any) -> Any:
        headers = {name.lower(): value for name, value in options["headers"].items()}
        data = options.get("data")
        sent.append(Sent(method, url, headers, data if isinstance(data, bytes) else b""))
        return await request(self, method, url, **options)

    monkeypatch.setattr(azure_client._Session, "request", note)
    return sent
