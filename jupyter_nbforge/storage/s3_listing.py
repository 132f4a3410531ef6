"""Listings of a bucket, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from .errors import StorageError
from .s3_client import S3Connection
from .s3_pages import PAGE
from .types import ListPage
from .values import folded_at

_PAGE_SIZE = 1000
_AFTER_ALL = "\U0010ffff"


async def list_pages(
    connection: S3Connection,
    prefix: str,
    delimiter: str | None,
    start_after: str | None,
    page_size: int | None,
) -> AsyncIterator[ListPage]:
    """As `BaseStorageService.list_pages`.

    Where a listing starts inside a folder that is to be folded, stores differ: some leave
    the folder out although it goes on. So it is asked for by itself, and then skipped.
    """
    request: dict[str, Any] = {
        "Prefix": prefix,
        "MaxKeys": min(page_size or _PAGE_SIZE, _PAGE_SIZE),
    }
    if delimiter is not None:
        request["Delimiter"] = delimiter
    if start_after is not None:
        request["StartAfter"] = start_after
    folder = folded_at(prefix, delimiter, start_after)
    if folder is not None:
        rest = {"Prefix": folder, "StartAfter": start_after, "MaxKeys": 1}
        if (await _list(connection, rest))[PAGE].objects:
            yield ListPage(prefixes=(folder,))
        request["StartAfter"] = folder + _AFTER_ALL
    async for page in _pages(connection, request):
        yield replace(page, prefixes=tuple(found for found in page.prefixes if found != folder))


async def _pages(connection: S3Connection, request: dict[str, Any]) -> AsyncIterator[ListPage]:
    while True:
        answer = await _list(connection, request)
        yield answer[PAGE]
        if not answer["IsTruncated"]:
            return
        if not answer["NextContinuationToken"]:
            raise StorageError("The store cut a listing short.", path=request["Prefix"])
        request.pop("StartAfter", None)
        request["ContinuationToken"] = answer["NextContinuationToken"]


async def _list(connection: S3Connection, request: Mapping[str, Any]) -> Mapping[str, Any]:
    client = await connection.client()
    with connection.call(request["Prefix"]):
        answer: Mapping[str, Any] = await client.list_objects_v2(
            Bucket=connection.bucket, **request
        )
    if PAGE not in answer:
        raise StorageError("What the store sent is no listing.", path=request["Prefix"])
    connection.bucket_seen = True
    return answer
