"""Deleting many objects with one request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .errors import NotFoundError, StorageError
from .refusals import Call
from .s3_client import S3Connection
from .s3_errors import refusal
from .types import IfMatch, Version

BATCH_SIZE = 1000
"""Objects that one DeleteObjects request may name."""


async def delete_batch(
    connection: S3Connection, batch: Sequence[str], etags: Mapping[str, str]
) -> None:
    """Delete `batch`, those in `etags` only at that ETag; then raise the first error."""
    _, errors = await send_batch(connection, batch, etags)
    for error in errors.values():
        if not isinstance(error, NotFoundError):
            raise error


async def send_batch(
    connection: S3Connection,
    batch: Sequence[str],
    etags: Mapping[str, str],
    *,
    quiet: bool = True,
) -> tuple[Mapping[str, Any], dict[str, StorageError]]:
    """As `delete_batch`; the answer (`quiet`: without what was deleted) and the errors by path."""
    keys: list[Any] = [
        {"Key": path, "ETag": etags[path]} if path in etags else {"Key": path} for path in batch
    ]
    client = await connection.client()
    with connection.call(None, write=True):
        answer = await client.delete_objects(
            Bucket=connection.bucket, Delete={"Objects": keys, "Quiet": quiet}
        )
    errors = {}
    for entry in answer.get("Errors", ()):
        path = entry.get("Key", "")
        condition = IfMatch(Version(etags[path])) if path in etags else None
        call = Call(connection.bucket, connection.endpoint, path, condition, write=True)
        errors[path] = refusal(entry.get("Code", ""), call)
    return answer, errors
