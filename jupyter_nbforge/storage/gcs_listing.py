"""Listings of a bucket, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from .gcs_client import Answer, GCSConnection
from .gcs_errors import About
from .gcs_values import RESOURCE_FIELDS, list_page
from .types import ListPage
from .values import folded_at

_PAGE_SIZE = 1000
_FIELDS = f"kind,nextPageToken,prefixes,items({RESOURCE_FIELDS})"


async def list_pages(
    connection: GCSConnection,
    prefix: str,
    delimiter: str | None,
    start_after: str | None,
    page_size: int | None,
    glob: str | None = None,
) -> AsyncIterator[ListPage]:
    """As `BaseStorageService.list_pages`; with `glob` only what matches it, where that is known.

    Where a listing starts inside a folder that is to be folded, stores may differ: so the
    folder is asked for by itself, and then skipped.
    """
    request = _request(prefix, delimiter, start_after, page_size)
    folder = folded_at(prefix, delimiter, start_after)
    if folder is not None:
        if await _goes_on(connection, request, folder, start_after):
            yield ListPage(prefixes=(folder,))
        request["startOffset"] = folder[:-1] + chr(ord(folder[-1]) + 1)
    async for page in _pages(connection, request):
        yield ListPage(
            tuple(meta for meta in page.objects if meta.path != start_after),
            tuple(name for name in page.prefixes if name != folder),
        )


def _request(
    prefix: str, delimiter: str | None, start_after: str | None, page_size: int | None
) -> dict[str, str]:
    request = {
        "prefix": prefix,
        "maxResults": str(min(page_size or _PAGE_SIZE, _PAGE_SIZE)),
        "fields": _FIELDS,
    }
    if delimiter is not None:
        request["delimiter"] = delimiter
    if start_after:
        request["startOffset"] = start_after
    return request


async def _goes_on(
    connection: GCSConnection, request: Mapping[str, str], folder: str, start_after: str | None
) -> bool:
    """Whether a folder holds anything after `start_after`."""
    # Two, for one may be `start_after` itself: the offset is part of a listing.
    rest = {**request, "prefix": folder, "maxResults": "2"}
    del rest["delimiter"]
    found, _ = await _list(connection, rest)
    return any(meta.path != start_after for meta in found.objects)


async def _pages(connection: GCSConnection, request: dict[str, str]) -> AsyncIterator[ListPage]:
    while True:
        page, token = await _list(connection, request)
        yield page
        if not token:
            return
        request["pageToken"] = token


async def _list(
    connection: GCSConnection, request: Mapping[str, str]
) -> tuple[ListPage, str | None]:
    """One page and the token of the next."""

    def parse(answer: Answer) -> tuple[ListPage, str | None]:
        found = answer.json()
        if found["kind"] != "storage#objects":
            raise ValueError(f"no listing: {found['kind']}")
        return list_page(found), found.get("nextPageToken")

    with connection.call(request["prefix"]):
        return await connection.send(
            "GET", connection.places.objects, parse, parameters=request, about=About.BUCKET
        )
