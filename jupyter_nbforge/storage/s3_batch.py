"""Deleting many objects with one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import NotFoundError
from .refusals import Call
from .s3_client import S3Connection
from .s3_errors import refusal
from .types import IfMatch, Version

BATCH_SIZE = 1000
"""Objects that one DeleteObjects request may name."""


async def delete_batch(
    connection: S3Connection, batch: Sequence[str], versions: Mapping[str, Version]
) -> None:
    """Delete `batch`, those in `versions` only at that version; then raise the first error."""
    keys: list[Any] = [
        {"Key": path, "ETag": versions[path]} if path in versions else {"Key": path}
        for path in batch
    ]
    client = await connection.client()
    with connection.call(None, write=True):
        answer = await client.delete_objects(
            Bucket=connection.bucket, Delete={"Objects": keys, "Quiet": True}
        )
    for entry in answer.get("Errors", ()):
        path = entry.get("Key", "")
        condition = IfMatch(versions[path]) if path in versions else None
        call = Call(connection.bucket, connection.endpoint, path, condition, write=True)
        error = refusal(entry.get("Code", ""), call)
        if not isinstance(error, NotFoundError):
            raise error
