"""Values that providers have in common on their way to a store and back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from urllib.parse import quote, urlsplit

from cachetools import LRUCache

from .errors import NotSupportedError
from .types import ByteRange, Capabilities, LinkOptions, ListPage, ObjectMeta, Version

_REMEMBERED_SIZES = 10_000
_CHUNK_SIZE = 1024 * 1024


_unlogged: ContextVar[bool] = ContextVar("jupyter_nbforge_unlogged", default=False)


@contextmanager
def unlogged(*names: str) -> Iterator[None]:
    """Keep what these loggers of an SDK say within out of every log, here and in no other task.

    At DEBUG they tell the signature of a presigned URL.
    """
    for name in names:
        # The same filter once more is not added again.
        logging.getLogger(name).addFilter(_may_be_logged)
    token = _unlogged.set(True)
    try:
        yield
    finally:
        _unlogged.reset(token)


def _may_be_logged(record: logging.LogRecord) -> bool:
    return not _unlogged.get()


class KnownSizes:
    """The sizes of the versions seen last: the answer to a copy has no size."""

    def __init__(self) -> None:
        self._sizes: LRUCache[str, tuple[Version, int]] = LRUCache(_REMEMBERED_SIZES)

    def note(self, meta: ObjectMeta) -> None:
        """Remember the size of this version."""
        self._sizes[meta.path] = (meta.version, meta.size)

    def version_of(self, path: str) -> Version | None:
        """The version of `path` that was seen last; None if none was."""
        return self._sizes.get(path, (None, 0))[0]

    def size_of(self, path: str, *versions: Version | None) -> int | None:
        """The size of `path`, if what was seen last is one of `versions`; else None."""
        version, size = self._sizes.get(path, (None, 0))
        return size if version is not None and version in versions else None


def is_endpoint(text: str) -> bool:
    """Whether it is the URL of a server: http(s), a host, no credentials, query or fragment."""
    try:
        url = urlsplit(text)
        url.port  # noqa: B018  a port that is no number raises here
    except ValueError:
        return False
    plain = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in ("http", "https") and bool(url.hostname) and plain


def is_installed(module: str) -> bool:
    """Whether a module can be imported: it is looked for only, the import waits for its use."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def folded_at(prefix: str, delimiter: str | None, start_after: str | None) -> str | None:
    """The folder of a listing of `prefix` that `start_after` lies in; None if in none."""
    if not delimiter or start_after is None or not start_after.startswith(prefix):
        return None
    name, found, _ = start_after[len(prefix) :].partition(delimiter)
    return prefix + name + found if found else None


def range_header(byte_range: ByteRange) -> str:
    """The value of a Range header (RFC 9110, section 14.2)."""
    last = "" if byte_range.stop is None else byte_range.stop - 1
    return f"bytes={byte_range.start}-{last}"


async def no_chunks() -> AsyncIterator[bytes]:
    """The body of a range beyond the end."""
    nothing: tuple[bytes, ...] = ()
    for chunk in nothing:
        yield chunk


async def chunks_of(data: bytes) -> AsyncIterator[bytes]:
    """The body of a read whose bytes are there already; no chunk if there are none."""
    for start in range(0, len(data), _CHUNK_SIZE):
        yield data[start : start + _CHUNK_SIZE]


def fold(objects: Iterable[ObjectMeta], prefix: str, delimiter: str | None) -> tuple[ListPage, str]:
    """What `objects` are as a page of `list_pages`, and where the next page starts.

    For a store that lists in order and knows of no delimiter: `objects` are the next ones
    that start with `prefix`. The second value is the least path that can come after them
    and is not folded already; "" if there are no objects.
    """
    kept: list[ObjectMeta] = []
    prefixes: list[str] = []
    following = ""
    for meta in objects:
        if prefixes and meta.path.startswith(prefixes[-1]):
            continue
        name, found, _ = meta.path[len(prefix) :].partition(delimiter or "/")
        if found and delimiter is not None:
            prefixes.append(prefix + name + found)
            following = prefix + name + found[:-1] + chr(ord(found[-1]) + 1)
        else:
            kept.append(meta)
            following = meta.path + "\0"
    return ListPage(tuple(kept), tuple(prefixes)), following


def content_disposition(filename: str) -> str:
    """The header that makes a download of that name (RFC 6266), in any script."""
    fallback = "".join(
        character if character.isascii() and character.isprintable() else "_"
        for character in filename
    )
    escaped = fallback.replace("\\", "\\\\").replace('"', '\\"')
    # quote leaves alone only what the grammar of an extended value (RFC 8187) allows.
    return f"attachment; filename=\"{escaped}\"; filename*=utf-8''{quote(filename, safe='')}"


def check_link(
    path: str, expires_in: float, options: LinkOptions, capabilities: Capabilities
) -> None:
    """`NotSupportedError` if a presigned URL cannot be had for so long or with these options."""
    days = capabilities.max_link_seconds / 86400
    if not 0 < expires_in <= capabilities.max_link_seconds:
        raise NotSupportedError(f"A presigned URL lives at most {days:g} days.", path=path)
    if options.get("method") != "PUT":
        return
    if options.get("filename"):
        raise NotSupportedError("A link for writing has no name for a download.", path=path)
    if options.get("content_type") and not capabilities.presigned_content_type:
        raise NotSupportedError("This store's links for writing bind no content type.", path=path)
