"""Uploads in parts that nobody goes on with: what they take is billed until they are aborted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

from .errors import NotFoundError
from .s3_client import S3Connection


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
