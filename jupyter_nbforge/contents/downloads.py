"""How a file goes to a browser: under which type, and whether straight from the store."""

from __future__ import annotations

import math
import mimetypes
from typing import TYPE_CHECKING

from ..storage.errors import StorageError
from ..storage.paths import name_of
from ..storage.types import ObjectMeta
from .models import content_type_of
from .notebooks import looks_like_text

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

PROBE_SIZE = 8192
"""Bytes from which a file whose name tells nothing is taken for text or not."""

_LINK_SECONDS = 600.0
"""A browser follows at once; this leaves time to go on with a download that was paused."""

_SHOWN = ("text/", "image/", "audio/", "video/", "application/pdf", "application/json")
_CONTINUATION = bytes(range(0x80, 0xC0))


def tells_type(path: str) -> bool:
    """Whether the name of a file tells its MIME type."""
    return path.endswith(".ipynb") or mimetypes.guess_type(path) != (None, None)


def served_type(path: str, beginning: bytes) -> str:
    """The Content-Type by the name; of a name that tells none, text if it begins like text.

    `beginning` may be that of a part, in the middle of a character.
    """
    kind = content_type_of(path)
    if not tells_type(path) and _is_text(beginning[:PROBE_SIZE]):
        kind = "text/plain"
    return "text/plain; charset=UTF-8" if kind == "text/plain" else kind


def _is_text(beginning: bytes) -> bool:
    whole = beginning[:3].lstrip(_CONTINUATION) + beginning[3:]
    return bool(whole) and b"\0" not in whole and looks_like_text(whole)


async def link_to(
    manager: NBForgeContentsManager, meta: ObjectMeta, *, attachment: bool
) -> str | None:
    """A presigned URL by which the browser saves the file; None: it is to be sent from here.

    Without `attachment` a file that the browser would show comes from here: shown from the
    store's address it would have lost its sandbox.
    """
    limit, longest = manager.redirect_downloads_above_mb, manager.max_link_lifetime
    storage = manager.storage
    if not limit or meta.size <= limit * 2**20 or longest < 1:
        return None
    kind = content_type_of(meta.path)
    capabilities = storage.capabilities_at(meta.path)
    if not capabilities.presigned_urls or not (attachment or _is_saved(kind)):
        return None
    seconds = min(_LINK_SECONDS, longest, capabilities.max_link_seconds)
    try:
        url: str = await storage.get_presigned_url(
            meta.path,
            float(math.floor(seconds)),
            method="GET",
            content_type=kind,
            filename=name_of(meta.path),
        )
    except StorageError as error:
        manager.log.warning("%r is sent by the server: %s", meta.path, error.message)
        return None
    return url


def _is_saved(kind: str) -> bool:
    """Whether browsers save what has this type and do not show it."""
    return not kind.startswith(_SHOWN) and "xml" not in kind
