"""What a request to an object store is for, in the words of the storage interface."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from aiohttp import web

Protocol = Literal["s3", "gcs", "azure"]


def operation_of(request: web.BaseRequest, protocol: Protocol = "s3") -> str:
    """LIST, HEAD, GET, PUT, COPY, MOVE, DELETE, CREATE UPLOAD, PART, COMPLETE, ABORT, BATCH ...

    What has no such word keeps a name of its own store, or its method.
    """
    return _TABLES[protocol](request)


def _s3(request: web.BaseRequest) -> str:
    query, method = request.query, request.method
    if method == "GET" and request.path.strip("/").count("/") == 0:
        return "LIST"
    if method == "PUT" and "x-amz-copy-source" in request.headers:
        return "COPY"
    if method == "POST" and "delete" in query:
        return "DELETE"
    if "uploads" in query:
        return "CREATE UPLOAD"
    if "uploadId" in query:
        return {"PUT": "PART", "POST": "COMPLETE", "DELETE": "ABORT"}.get(method, method)
    return method


_GCS_JSON = re.compile(
    r"(?P<prefix>/upload|/download)?/storage/v1/b(?:/[^/]+(?:/o(?P<object>/[^/]+)?)?)?"
    r"(?:/(?P<verb>rewriteTo|copyTo|moveTo|compose)\b.*)?$"
)
_GCS_VERBS = {"rewriteTo": "COPY", "copyTo": "COPY", "moveTo": "MOVE", "compose": "COMPOSE"}


def _gcs(request: web.BaseRequest) -> str:
    path = request.raw_path.partition("?")[0]
    if path.startswith("/batch/"):
        return "BATCH"
    match = _GCS_JSON.match(path)
    if match is None:
        # The XML API is S3's in all that is of interest here.
        return "TOKEN" if path == "/oauth2/token" else _s3(request)
    if match["prefix"] == "/upload":
        return _gcs_upload(request)
    if match["verb"] is not None:
        return _GCS_VERBS[match["verb"]]
    if match["object"] is None:
        return "LIST" if path.endswith("/o") else "BUCKET"
    if request.method == "GET" and request.query.get("alt") != "media":
        return "HEAD"
    return request.method


def _gcs_upload(request: web.BaseRequest) -> str:
    if "upload_id" not in request.query:
        return "CREATE UPLOAD" if request.query.get("uploadType") == "resumable" else "PUT"
    if request.method == "DELETE":
        return "ABORT"
    # bytes 0-99/* and bytes 0-99/300 are parts, bytes 200-299/300 and bytes */300 the last.
    content_range = request.headers.get("Content-Range", "").removeprefix("bytes ")
    sent, _, total = content_range.partition("/")
    if content_range == "*/*":
        return "STATUS"
    last = sent.rpartition("-")[2]
    unfinished = total == "*" or (last.isdigit() and total.isdigit() and int(last) + 1 < int(total))
    return "PART" if unfinished else "COMPLETE"


_AZURE_COMPONENTS = {
    "list": "LIST",
    "batch": "BATCH",
    "block": "PART",
    "userdelegationkey": "DELEGATION KEY",
}


def _azure(request: web.BaseRequest) -> str:
    component, method = request.query.get("comp"), request.method
    if component == "blocklist":
        return "COMPLETE" if method == "PUT" else "LIST PARTS"
    if component is not None:
        return _AZURE_COMPONENTS.get(component, component.upper())
    if request.query.get("restype") == "container":
        return "CONTAINER"
    if method == "PUT" and "x-ms-copy-source" in request.headers:
        return "COPY"
    return method


_TABLES: dict[Protocol, Callable[[web.BaseRequest], str]] = {
    "s3": _s3,
    "gcs": _gcs,
    "azure": _azure,
}
