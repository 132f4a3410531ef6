"""What killed processes leave: uploads in parts, billed until they are aborted, and probes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from .base import BaseStorageService
from .errors import NotFoundError
from .paths import name_of
from .s3_client import S3Connection
from .s3_probe import PROBE_PREFIX
from .types import ObjectMeta

_PROBE = re.compile(re.escape(PROBE_PREFIX) + "[0-9a-f]{16}", re.ASCII)
_PROBE_SIZE = 16
_REMEMBERED = 1000


class LeftProbes:
    """Hidden objects of probes that have come up in listings; to look for them would cost more."""

    def __init__(self) -> None:
        self._seen: dict[str, datetime] = {}

    def note(self, meta: ObjectMeta) -> None:
        """Remember the object if it is one."""
        if PROBE_PREFIX not in meta.path or len(self._seen) >= _REMEMBERED:
            return
        if _PROBE.fullmatch(name_of(meta.path)) and meta.size <= _PROBE_SIZE:
            self._seen[meta.path] = meta.last_modified

    async def delete(self, storage: BaseStorageService, prefix: str, older_than: float) -> None:
        """Delete those below `prefix` that no probe can still need."""
        limit = datetime.now(timezone.utc) - timedelta(seconds=older_than)
        for path, moment in list(self._seen.items()):
            if path.startswith(prefix) and moment <= limit:
                await storage.delete(path)
                del self._seen[path]


async def abort_stale(connection: S3Connection, prefix: str, older_than: float) -> int:
    """As `BaseStorageService.abort_stale_uploads`."""
    limit = datetime.now(timezone.utc) - timedelta(seconds=older_than)
    stale = [
        upload
        async for upload in _uploads(connection, prefix)
        if upload["Initiated"] <= limit and await _newest_part(connection, upload, limit) <= limit
    ]
    client = await connection.client()
    for upload in stale:
        # Its own program may end it at this moment.
        with suppress(NotFoundError), connection.call(upload["Key"], write=True):
            await client.abort_multipart_upload(**_target(connection, upload))
    return len(stale)


def _target(connection: S3Connection, upload: Mapping[str, Any]) -> dict[str, Any]:
    return {"Bucket": connection.bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}


async def _uploads(connection: S3Connection, prefix: str) -> AsyncIterator[Mapping[str, Any]]:
    client = await connection.client()
    request: dict[str, Any] = {"Bucket": connection.bucket, "Prefix": prefix}
    while True:
        with connection.call(prefix or None):
            answer: Mapping[str, Any] = await client.list_multipart_uploads(**request)
        for upload in answer.get("Uploads", ()):
            # A store may list what only begins alike.
            if upload["Key"].startswith(prefix):
                yield upload
        if not answer.get("IsTruncated") or not answer.get("NextKeyMarker"):
            return
        request["KeyMarker"] = answer["NextKeyMarker"]
        request["UploadIdMarker"] = answer.get("NextUploadIdMarker", "")


async def _newest_part(
    connection: S3Connection, upload: Mapping[str, Any], limit: datetime
) -> datetime:
    """When a part was last sent, or some moment after `limit`; without parts, the beginning."""
    client = await connection.client()
    newest: datetime = upload["Initiated"]
    request: dict[str, Any] = _target(connection, upload)
    while True:
        try:
            with connection.call(upload["Key"]):
                answer: Mapping[str, Any] = await client.list_parts(**request)
        except NotFoundError:
            return datetime.max.replace(tzinfo=timezone.utc)  # it has just ended
        newest = max([newest, *(part["LastModified"] for part in answer.get("Parts", ()))])
        if newest > limit or not answer.get("IsTruncated"):
            return newest
        request["PartNumberMarker"] = answer["NextPartNumberMarker"]
