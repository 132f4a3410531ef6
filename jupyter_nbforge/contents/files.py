"""The `/files/` handler: an object's bytes, streamed, as Jupyter's own handler serves a file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from tornado import web
from tornado.iostream import StreamClosedError

from ..storage.errors import (
    NotFoundError,
    NotModifiedError,
    PreconditionError,
    StorageError,
    UnavailableError,
)
from ..storage.paths import name_of
from ..storage.types import ByteRange, ObjectMeta, ObjectReader, Version
from ..storage.values import content_disposition
from .downloads import PROBE_SIZE, link_to, served_type, tells_type
from .errors import http_error
from .models import api_path
from .pages import ErrorPages
from .ranges import Suffix, content_range, stop_of, wanted_range
from .streams import beginning, read_ahead
from .validators import Conditions, etag_of, last_modified_of

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager


@dataclass(frozen=True, slots=True)
class _Plan:
    """What to ask the store for: all or a part, of any version (None) or of one."""

    byte_range: ByteRange | None = None
    if_match: Version | None = None


class FilesHandler(ErrorPages):
    """GET and HEAD of one object; whole or one range, with validators, in bounded memory."""

    auth_resource = "contents"

    @property
    def content_security_policy(self) -> str:
        # HTML and SVG may run scripts, but in an origin of their own, never the server's.
        return str(super().content_security_policy) + "; sandbox allow-scripts"

    def compute_etag(self) -> None:
        """The object's own validator is sent; tornado's would need the whole body."""
        return

    def initialize(self) -> None:
        self._client_left = False
        self._give_up: Callable[[], object] | None = None
        self._conditions = Conditions.of(self.request.headers)
        self._wanted = wanted_range(self.request.headers.get("Range"))

    @property
    def _manager(self) -> NBForgeContentsManager:
        # Asked for at each request: another extension may have put its own in the settings.
        return cast("NBForgeContentsManager", self.settings["contents_manager"])

    @web.authenticated
    @authorized
    async def head(self, path: str) -> None:
        """The headers of `get` without the body; a Range header has no meaning here."""
        self.check_xsrf_cookie()
        await self._serve(path, self._describe)

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """Serve an object; as an attachment if the argument `download` is given."""
        self.check_xsrf_cookie()
        await self._serve(path, self._send)

    def on_connection_close(self) -> None:
        """The client went away: nothing is read for it any more."""
        self._client_left = True
        if self._give_up is not None:
            self._give_up()
        super().on_connection_close()

    async def _serve(self, path: str, answer: Callable[[str], Coroutine[None, None, None]]) -> None:
        path = api_path(path)
        manager = self._manager
        if not path or (not manager.allow_hidden and await ensure_async(manager.is_hidden(path))):
            self.log.info("Refusing to serve hidden file, via 404 Error")
            raise web.HTTPError(404)
        try:
            await self._while_connected(answer(path))
        except NotModifiedError:
            self._settle(HTTPStatus.NOT_MODIFIED, self._conditions.cached)
        except NotFoundError:
            raise web.HTTPError(404, f"file or directory {path!r} does not exist") from None
        except StorageError as error:
            if not self._headers_written:
                raise http_error(error) from error
            self._break_off(error)

    async def _while_connected(self, work: Coroutine[None, None, None]) -> None:
        """Do the work, and give it up when the client goes away."""
        task = asyncio.create_task(work)
        self._give_up = task.cancel
        try:
            await task
        except StreamClosedError:
            self.log.debug("The client left before it had everything.")
        except asyncio.CancelledError:
            if not self._client_left:
                raise
            self.log.debug("The client left before it had everything.")

    async def _describe(self, path: str) -> None:
        """Answer HEAD; the type of a name that tells none is seen from the first bytes."""
        storage = self._manager.storage
        first = b""
        if tells_type(path):
            meta = await storage.head(path)
        else:
            async with storage.get(path, byte_range=ByteRange(0, PROBE_SIZE)) as reader:
                meta, first = reader.meta, await reader.read()
        if not self._is_settled(meta):
            self._set_headers(meta, first)
            self.set_header("Content-Length", str(meta.size))

    async def _send(self, path: str) -> None:
        """Answer GET; once more from the start if the object is replaced before it begins."""
        try:
            await self._send_version(path)
        except PreconditionError:
            if self._headers_written:
                raise
            if self._conditions.if_range is not None:
                self._wanted = None  # the version of which a part is wanted has gone
            try:
                await self._send_version(path)
            except PreconditionError as error:
                if self._headers_written:
                    raise
                raise UnavailableError(f"{path!r} is being changed; try again.") from error

    async def _send_version(self, path: str) -> None:
        plan = await self._plan(path)
        if plan is None:
            return
        async with self._manager.storage.get(
            path,
            byte_range=plan.byte_range,
            if_match=plan.if_match,
            if_none_match=self._conditions.cached,
        ) as reader:
            meta = reader.meta
            if self._is_settled(meta):
                return
            if plan.byte_range is not None and plan.byte_range.start >= meta.size:
                self._refuse_range(meta)
            elif not await self._redirect(meta):
                await self._pass_on(reader, plan.byte_range)

    async def _plan(self, path: str) -> _Plan | None:
        """What to read; None: the request has its answer. It looks first only where it must."""
        wanted, conditions = self._wanted, self._conditions
        by_date = wanted is not None and conditions.if_range_date is not None
        if not (by_date or conditions.any_is_known or isinstance(wanted, Suffix)):
            version = conditions.if_range_version
            if wanted is None or (conditions.if_range is not None and version is None):
                return _Plan()
            return _Plan(wanted, version)
        meta = await self._manager.storage.head(path)
        if self._is_settled(meta):
            return None
        if wanted is None or not conditions.allow_part(meta, datetime.now(timezone.utc)):
            return _Plan()
        byte_range = wanted.of(meta.size) if isinstance(wanted, Suffix) else wanted
        if byte_range is None:
            self._refuse_range(meta)
            return None
        return _Plan(byte_range, meta.version)

    async def _pass_on(self, reader: ObjectReader, byte_range: ByteRange | None) -> None:
        meta = reader.meta
        async with aclosing(read_ahead(reader.chunks)) as chunks:
            first = await beginning(chunks, 1 if tells_type(meta.path) else PROBE_SIZE)
            self._set_headers(meta, first)
            length = meta.size
            if byte_range is not None:
                length = stop_of(byte_range, meta.size) - byte_range.start
                self.set_status(HTTPStatus.PARTIAL_CONTENT)
                self.set_header("Content-Range", content_range(byte_range, meta.size))
            self.set_header("Content-Length", str(length))
            if first:
                await self._write(first)
            async for chunk in chunks:
                await self._write(chunk)

    async def _write(self, chunk: bytes) -> None:
        self.write(chunk)
        await cast("Awaitable[None]", self.flush())

    async def _redirect(self, meta: ObjectMeta) -> bool:
        """Send the browser to the store for a large file, if that is configured and can be."""
        headers = self.request.headers
        # A script or an element of a page that fetches a file may not follow elsewhere.
        if "Range" in headers or headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
            return False
        url = await link_to(self._manager, meta, attachment=self._is_attachment(meta.path))
        if url is None:
            return False
        self.set_status(HTTPStatus.FOUND)
        self.set_header("Location", url)
        # Whoever has the URL needs no login: no cache may keep it.
        self.set_header("Cache-Control", "no-store")
        return True

    def _is_settled(self, meta: ObjectMeta) -> bool:
        """Answer 304 or 412 if the request's conditions demand it."""
        status = self._conditions.status(meta)
        if status is not None:
            self._settle(status, meta.version)
        return status is not None

    def _settle(self, status: HTTPStatus, version: Version | None) -> None:
        self.set_status(status)
        self._set_caching()
        if version is not None:
            self.set_header("Etag", etag_of(version))

    def _refuse_range(self, meta: ObjectMeta) -> None:
        self.set_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
        self.set_header("Content-Range", f"bytes */{meta.size}")

    def _set_headers(self, meta: ObjectMeta, first: bytes) -> None:
        self._set_caching()
        self.set_header("Etag", etag_of(meta.version))
        self.set_header("Last-Modified", last_modified_of(meta))
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("Content-Type", served_type(meta.path, first))
        if self._is_attachment(meta.path):
            self.set_header("Content-Disposition", content_disposition(name_of(meta.path)))

    def _set_caching(self) -> None:
        # A browser may keep it, but asks each time whether it is still the same.
        self.set_header("Cache-Control", "private, no-cache")

    def _is_attachment(self, path: str) -> bool:
        # A browser has no use for a notebook but to save it: as Jupyter's handler of local files.
        return path.endswith(".ipynb") or bool(self.get_argument("download", None))

    def _break_off(self, error: StorageError) -> None:
        """The body has begun and cannot go on: end the connection, so that it is seen as short."""
        self.log.error("Sending was broken off: %s", error.message)
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.close()
