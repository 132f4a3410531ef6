"""Listings of a container, page by page, and the directories that stand in them as blobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from .azure_client import AzureConnection
from .azure_errors import GarbledAnswerError
from .azure_values import is_directory, md5_of, version_of
from .metadata import parse_hash, parse_saver
from .paths import DELIMITER
from .types import ListPage, ObjectMeta
from .values import folded_at

_PIECE = 2**16


@dataclass(slots=True)
class _Answer:
    """One answer of List Blobs: its entries, and the marker that asks for the next."""

    objects: list[ObjectMeta] = field(default_factory=list)
    directories: list[ObjectMeta] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    next_marker: str = ""

    def position(self) -> str:
        """The name that the listing has come to."""
        names = [meta.path for meta in self.objects]
        names += [meta.path.removesuffix(DELIMITER) for meta in self.directories]
        return max((*self.prefixes, *names), key=_utf16, default="")


class AzureListing:
    """The listings of one container.

    A blob ``folder`` with the metadata of a directory, as a hierarchical namespace and other
    tools have it, is shown as the folder that it stands for: as a prefix, or as its marker
    ``folder/``, each at its place in the order and once, whatever else says the same.
    """

    def __init__(self, connection: AzureConnection) -> None:
        self._connection = connection

    async def pages(
        self, prefix: str, delimiter: str | None, start_after: str | None, page_size: int
    ) -> AsyncIterator[ListPage]:
        """As `BaseStorageService.list_pages`, the directory of `prefix` itself left out.

        Azure has no StartAfter in this version: what comes before is asked for and left out.
        """
        folder = folded_at(prefix, delimiter, start_after)
        if folder is not None and await self._goes_on(folder, start_after, page_size):
            yield ListPage(prefixes=(folder,))
        merger = _Merger(delimiter)
        marker = ""
        while True:
            answer = await self._list(prefix, delimiter, marker, page_size)
            yield _after(merger.page(answer), start_after, folder)
            marker = answer.next_marker
            if not marker:
                return

    async def _goes_on(self, folder: str, start_after: str | None, page_size: int) -> bool:
        """Whether a folder holds anything after `start_after`."""
        async for page in self.pages(folder, None, start_after, page_size):
            if page.objects:
                return True
        return False

    async def _list(
        self, prefix: str, delimiter: str | None, marker: str, page_size: int
    ) -> _Answer:
        query = {
            "restype": "container",
            "comp": "list",
            "include": "metadata",
            "maxresults": str(page_size),
            "prefix": quote(prefix, safe=""),
            "delimiter": quote(delimiter or "", safe=""),
            "marker": quote(marker, safe=""),
        }
        given = {name: value for name, value in query.items() if value}
        client = await self._connection.client()
        with self._connection.call(prefix or None):
            response = await client.send("GET", client.container.url, {}, given)
            body: bytes = await response.internal_response.read()
            return await asyncio.to_thread(_parse, body)


class _Merger:
    """Puts every entry at its place in the order of bytes, and gives it once.

    A blob ``folder`` that is a directory is listed long before ``folder/``. And Azure says
    nothing of its order but "alphabetical": Azurite's is that of UTF-16, in which an emoji
    comes before some letters. Entries wait until nothing can come any more that is before them.
    Where a hierarchical namespace has an order of its own, all are given, but not in order.
    """

    def __init__(self, delimiter: str | None) -> None:
        self._as_prefixes = delimiter == DELIMITER
        self._waiting: dict[str, ObjectMeta | None] = {}
        self._directories: set[str] = set()
        self._given: set[str] = set()

    def page(self, answer: _Answer) -> ListPage:
        """The page of those entries of `answer`, and of answers before, whose place is here."""
        for meta in answer.directories:
            self._waiting[meta.path] = None if self._as_prefixes else meta
            self._directories.add(meta.path)
        # Over a directory that says the same.
        self._waiting.update((meta.path, meta) for meta in answer.objects)
        self._waiting.update((path, None) for path in answer.prefixes)
        position = answer.position() if answer.next_marker else None
        due = sorted(path for path in self._waiting if _is_due(path, position))
        entries = [(path, self._waiting.pop(path)) for path in due]
        entries = [entry for entry in entries if entry[0] not in self._given]
        self._given.update(self._directories.intersection(due))
        return ListPage(
            tuple(meta for _, meta in entries if meta is not None),
            tuple(path for path, meta in entries if meta is None),
        )


def _is_due(path: str, position: str | None) -> bool:
    """Whether nothing before `path` can come after `position` (None: the end)."""
    if position is None:
        return True
    beyond = next((at for at, found in enumerate(path) if found > "\uffff"), None)
    return path <= position if beyond is None else not position.startswith(path[:beyond])


def _utf16(name: str) -> bytes:
    return name.encode("utf-16-be", "surrogatepass")


def _after(page: ListPage, start_after: str | None, folder: str | None) -> ListPage:
    """What of `page` comes after `start_after`, `folder` left out, which was looked at before."""
    if start_after is None:
        return page
    return ListPage(
        tuple(meta for meta in page.objects if meta.path > start_after),
        tuple(found for found in page.prefixes if found > start_after and found != folder),
    )


def _parse(body: bytes) -> _Answer:
    """An answer of List Blobs; `GarbledAnswerError` if it is none."""
    parser = ElementTree.XMLParser()  # noqa: S314  the store is trusted with more than this
    try:
        for start in range(0, len(body), _PIECE):
            # In pieces, between which other threads get their turn.
            parser.feed(body[start : start + _PIECE])
        root = parser.close()
        if root.tag != "EnumerationResults":
            raise GarbledAnswerError(root.tag)
        answer = _Answer(next_marker=root.findtext("NextMarker") or "")
        for element in root.iterfind("Blobs/*"):
            _add(answer, element)
    except (ElementTree.ParseError, KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError from error
    return answer


def _add(answer: _Answer, element: ElementTree.Element) -> None:
    name = element.find("Name")
    path = "" if name is None else name.text or ""
    if name is not None and name.get("Encoded") == "true":
        # XML has no way to write some characters.
        path = unquote(path)
    if element.tag == "BlobPrefix":
        answer.prefixes.append(path)
        return
    properties = {found.tag: found.text or "" for found in element.iterfind("Properties/*")}
    metadata = {found.tag.lower(): found.text or "" for found in element.iterfind("Metadata/*")}
    directory = is_directory(path, metadata, properties.get("ResourceType"))
    meta = ObjectMeta(
        path=path + DELIMITER if directory else path,
        size=0 if directory else int(properties["Content-Length"]),
        last_modified=parsedate_to_datetime(properties["Last-Modified"]).astimezone(timezone.utc),
        version=version_of(properties["Etag"]),
        content_type=properties.get("Content-Type") or None,
        content_hash=parse_hash(metadata) or md5_of(properties.get("Content-MD5")),
        saved_by=parse_saver(metadata),
    )
    (answer.directories if directory else answer.objects).append(meta)
