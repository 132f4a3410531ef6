"""REST routes of our own: links to one object for a while, and whether the store answers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth import decorator
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler, path_regex
from tornado import web

from .bodies import JSONObjectHandler, contents_routes
from .contents.errors import http_errors
from .contents.health import Health
from .contents.manager import NBForgeContentsManager
from .contents.models import api_path, content_type_of
from .storage.paths import check_path, name_of
from .storage.types import LinkOptions

Method = TypeVar("Method", bound=Callable[..., Awaitable[None]])

# Before 2.13 Jupyter Server leaves it to each method whether it asks for a login.
_open_to_all: Callable[[Method], Method] = getattr(
    decorator, "allow_unauthenticated", lambda method: method
)

_USUAL_LIFETIME = 3600.0
_MAX_NAME = 255
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MIME_TYPE = re.compile(rf"{_WORD}/{_WORD}(?: *;[ -~]*[!-~])?")


class LinksHandler(JSONObjectHandler):
    """``/jupyter_nbforge/links/<path>``: GET gives a link for reading, POST one for writing.

    The answer has ``url``, ``method``, ``headers`` (to be sent along), ``expires_in``
    (whole seconds) and ``expires_at`` (ISO 8601, UTC). A link lives for ``expires_in`` seconds as
    asked, at most the manager's `max_link_lifetime`. Errors: 400 (a value that cannot be
    meant so), 403 (switched off), 404 (no such file, or hidden), 501 (a storage without links).
    """

    auth_resource = "contents"

    @property
    def _manager(self) -> NBForgeContentsManager:
        # Asked for at each request: another extension may have put its own in the settings.
        manager = self.settings["contents_manager"]
        if not isinstance(manager, NBForgeContentsManager):
            raise web.HTTPError(501, "Links are for files that jupyter_nbforge keeps.")
        return manager

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """A link for reading. Arguments: ``expires_in``; ``download=0`` to show, not to save."""
        path = await self._checked(path)
        with http_errors():
            await self._manager.storage.head(path)
        options: LinkOptions = {"method": "GET", "content_type": content_type_of(path)}
        if self.get_argument("download", "1") != "0":
            options["filename"] = name_of(path)
        await self._answer(path, self.get_argument("expires_in", None), options)

    @web.authenticated
    @authorized
    async def post(self, path: str) -> None:
        """A link for writing, whatever is there. Body: ``expires_in`` and ``content_type``."""
        path = await self._checked(path)
        if not self._manager.upload_links:
            raise web.HTTPError(
                403, "Links for writing are switched off (NBForgeContentsManager.upload_links)."
            )
        body = self._body()
        options: LinkOptions = {"method": "PUT"}
        content_type = body.get("content_type")
        if content_type is not None:
            options["content_type"] = _checked_content_type(content_type)
        await self._answer(path, body.get("expires_in"), options)

    async def _checked(self, path: str) -> str:
        """The path as one that a link may be for."""
        manager = self._manager
        if not manager.max_link_lifetime >= 1:
            raise web.HTTPError(
                403, "Links are switched off (NBForgeContentsManager.max_link_lifetime is below 1)."
            )
        path = api_path(path)
        with http_errors():
            check_path(path)
        if not manager.allow_hidden and await ensure_async(manager.is_hidden(path)):
            raise web.HTTPError(404, f"No such file: {path}")
        with http_errors():
            if await manager.dir_exists(path):
                raise web.HTTPError(400, f"{path} is a folder; a link is for one file.")
        return path

    def _body(self) -> dict[str, Any]:
        body = self.get_json_body() or {}
        unknown = sorted(set(body) - {"expires_in", "content_type"})
        if unknown:
            raise web.HTTPError(400, f"The body has an unknown key {unknown[0]!r:.100}.")
        return body

    async def _answer(self, path: str, asked: object, options: LinkOptions) -> None:
        manager = self._manager
        seconds = _lifetime(asked, manager.max_link_lifetime)
        with http_errors():
            url = await manager.storage.get_presigned_url(path, seconds, **options)
        capabilities = manager.storage.capabilities_at(path)
        writes = options["method"] == "PUT"
        headers = dict(capabilities.presigned_put_headers) if writes else {}
        if writes and options.get("content_type"):
            headers["Content-Type"] = cast("str", options["content_type"])
        expires_at = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        # Whoever has the link needs no login: no cache may keep it.
        self.set_header("Cache-Control", "no-store")
        self.finish(
            json.dumps(
                {
                    "url": url,
                    "method": options["method"],
                    "headers": headers,
                    "expires_in": seconds,
                    "expires_at": expires_at.isoformat(timespec="seconds"),
                }
            )
        )


def _lifetime(asked: object, longest: float) -> float:
    """Whole seconds that a link is to live; 400 for what is no number or too long.

    Stores know of no others, and a part of a second more would be over the limit.
    """
    if asked is None:
        return float(math.floor(min(_USUAL_LIFETIME, longest)))
    try:
        seconds = float(asked) if isinstance(asked, str | int | float) else math.nan
    except (ValueError, OverflowError):
        seconds = math.nan
    # Also of a number that is none: every comparison with it fails.
    if isinstance(asked, bool) or not 1 <= seconds <= longest:
        raise web.HTTPError(
            400, f"expires_in must be a number of seconds, at least 1 and at most {longest:g}."
        )
    return float(math.floor(seconds))


def _checked_content_type(value: object) -> str:
    if isinstance(value, str) and len(value) <= _MAX_NAME and _MIME_TYPE.fullmatch(value):
        return value
    raise web.HTTPError(400, "content_type must be a MIME type such as 'text/csv'.")


class HealthHandler(APIHandler):
    """``/jupyter_nbforge/health``: whether the store answers; 200, or 503 with Retry-After.

    For who is logged in the answer has ``state`` (``up`` or ``down``), ``since`` (ISO 8601,
    UTC), ``age`` (seconds since the store last answered, or failed to), ``message`` if it is
    down, and ``mounts``, the same for each other storage by its folder; only the root's state
    decides about 503. With `health_without_login` everybody else is told ``state`` alone.
    """

    auth_resource = "contents"

    @_open_to_all
    async def get(self) -> None:
        """The state. The store is asked at most once in `health_interval` seconds."""
        manager = self.settings["contents_manager"]
        if not isinstance(manager, NBForgeContentsManager):
            raise web.HTTPError(501, "The files of this server are not kept by jupyter_nbforge.")
        if self.current_user or not manager.health_without_login:
            await ensure_async(self._tell_all(manager))
        else:
            self._finish(await manager.root_health(), {})

    @web.authenticated
    @authorized
    async def _tell_all(self, manager: NBForgeContentsManager) -> None:
        found = await manager.health()
        root = found.pop("")
        mounts = {folder: health.told for folder, health in found.items()}
        self._finish(root, {**root.told, "mounts": mounts})

    def _finish(self, root: Health, more: dict[str, Any]) -> None:
        # Else an older answer could speak for a store that is down by now.
        self.set_header("Cache-Control", "no-store")
        if not root.up:
            self.set_status(503)
            self.set_header("Retry-After", str(root.ask_again))
        self.finish(json.dumps({"state": root.state, **more}))


ROUTES = [
    (rf"/jupyter_nbforge/links{path_regex}", LinksHandler),
    ("/jupyter_nbforge/health", HealthHandler),
    *contents_routes(),
]
