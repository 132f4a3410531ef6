"""What a person is told when a save is refused, because the store has something else by now."""

from __future__ import annotations

from contextlib import suppress
from datetime import timezone
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from ..storage.errors import AlreadyExistsError, NotFoundError, StorageError
from ..storage.metrics import CONFLICTS
from ..storage.paths import name_of
from ..storage.types import ObjectMeta
from .models import Model

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager


_COMPARE = "Save again to compare, reload it, or save under another name."
_REPLACE = "Upload it again to replace that, or give it another name."
_OPEN = "Open it to see it, or save under another name."


async def conflict(
    manager: NBForgeContentsManager, model: Model, path: str, error: StorageError
) -> HTTPError:
    """A failed condition as the 409 that tells the person what has happened to their file.

    It costs the request that finds out when that was. What an editor holds stays as it is: its
    next save begins with a look of its own. An upload has none, so that what it is told of is
    what it replaces if it is sent once more.
    """
    try:
        found = await _what_is_there(manager, path)
    except StorageError:
        CONFLICTS.labels("unknown").inc()
        return HTTPError(
            409,
            f"{name_of(path)} was changed or deleted in the store since it was opened here; it was"
            f" not overwritten. {_COMPARE}",
        )
    if found is None:
        manager.known.show_absent(path)
        return deleted(path)
    created = isinstance(error, AlreadyExistsError)
    CONFLICTS.labels("created" if created else "changed").inc()
    what, advice = "changed in the store since it was opened here, last", _COMPARE
    if created:
        what, advice = "created in the store", _OPEN
    if is_upload(model):
        manager.known.show(found)
        advice = _REPLACE
    return HTTPError(
        409,
        f"{name_of(path)} was {what} {_when_and_by_whom(found)}; it was not overwritten. {advice}",
    )


def deleted(path: str) -> HTTPError:
    """The 409 for a file that somebody else has deleted or moved away; told once."""
    CONFLICTS.labels("deleted").inc()
    return HTTPError(
        409,
        f"{name_of(path)} was deleted or moved in the store since it was opened here; it was not"
        " saved. Save again to bring it back, or save under another name.",
    )


async def not_restored(manager: NBForgeContentsManager, path: str) -> HTTPError:
    """The 409 for a checkpoint that would overwrite what the person has not seen."""
    CONFLICTS.labels("restore").inc()
    what = "or deleted"
    with suppress(StorageError):
        found = await _what_is_there(manager, path)
        what = "or deleted" if found is None else _when_and_by_whom(found)
    return HTTPError(
        409,
        f"{name_of(path)} was changed {what} in the store since it was opened here, so the"
        " checkpoint was not restored. Reload it first.",
    )


def _when_and_by_whom(meta: ObjectMeta) -> str:
    """To the second and in UTC, as the server does not know where the person is."""
    moment = meta.last_modified.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"at {moment} by {meta.saved_by}" if meta.saved_by else f"at {moment}"


async def _what_is_there(manager: NBForgeContentsManager, path: str) -> ObjectMeta | None:
    """By what was looked up a moment ago, or by one request."""
    recalled = manager.storage.recall(path)
    if recalled is not None and (not recalled or recalled.content_hash is not None):
        return recalled or None
    try:
        found: ObjectMeta = await manager.storage.head(path)
    except NotFoundError:
        return None
    return found


def is_upload(model: Model) -> bool:
    """JupyterLab sends uploads as base64, whole or in chunks; an editor sends text."""
    return model.get("chunk") is not None or model.get("format") == "base64"
