"""The answers with which each store refuses a request: its status, its code, its format."""

from __future__ import annotations

import json
from typing import Literal

from aiohttp import web

from .operations import Protocol

Refusal = Literal["slow_down", "throttled", "broken", "expired"]

_CODES: dict[Protocol, dict[Refusal, tuple[int, str]]] = {
    "s3": {
        "slow_down": (503, "SlowDown"),
        "throttled": (429, "TooManyRequests"),
        "broken": (500, "InternalError"),
        "expired": (400, "ExpiredToken"),
    },
    "gcs": {
        "slow_down": (503, "backendError"),
        "throttled": (429, "rateLimitExceeded"),
        "broken": (500, "internalError"),
        "expired": (401, "authError"),
    },
    "azure": {
        "slow_down": (503, "ServerBusy"),
        "throttled": (429, "TooManyRequests"),
        "broken": (500, "InternalError"),
        "expired": (401, "InvalidAuthenticationInfo"),
    },
}


def refused(
    protocol: Protocol, refusal: Refusal, *, retry_after: int | None = None
) -> web.Response:
    """The answer of that store; with a Retry-After header if one is given."""
    status, code = _CODES[protocol][refusal]
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    text = "made by the fault proxy"
    if protocol == "gcs":
        detail = {"domain": "global", "reason": code, "message": text}
        body = json.dumps({"error": {"code": status, "message": text, "errors": [detail]}})
        return web.Response(
            status=status, text=body, headers=headers, content_type="application/json"
        )
    if protocol == "azure":
        headers["x-ms-error-code"] = code
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{text}</Message></Error>"
    return web.Response(status=status, text=body, headers=headers, content_type="application/xml")
