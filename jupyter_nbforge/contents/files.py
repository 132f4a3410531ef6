"""The `/files/` handler: an object's bytes, streamed, as Jupyter's own handler serves a file."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Awaitable
from email.utils import format_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.iostream import StreamClosedError

from ..storage.errors import NotFoundError, StorageError, UnavailableError
from ..storage.types import ByteRange, ObjectMeta
from .errors import RETRY_AFTER, http_error
from .models import api_path, content_type_of
from .notebooks import looks_like_text

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager

_PROBE_SIZE = 8192
_RANGE = re.compile(r"bytes=(?P<start>[0-9]{1,18})-(?P<last>[0-9]{0,18})")


class FilesHandler(JupyterHandler):
    """GET and HEAD of one object; whole or one range, with validators, in bounded memory."""

    auth_resource = "contents"

    @property
    def content_security_policy(self) -> str:
        # HTML and SVG may run scripts, but in an origin of their own, never the server's.
        return str(super().content_security_policy) + "; sandbox allow-scripts"

    def compute_etag(self) -> None:
        """The object's own validator is sent; tornado's would need the whole body."""
        return

    @property
    def _manager(self) -> NBForgeContentsManager:
        # Asked for at each request: another extension may have put its own in the settings.
        return cast("NBForgeContentsManager", self.settings["contents_manager"])

    @web.authenticated
    @authorized
    async def head(self, path: str) -> None:
        """The headers of `get` without the body."""
        self.check_xsrf_cookie()
        await self._serve(path, include_body=False)

    @web.authenticated
    @authorized
    async def get(self, path: str) -> None:
        """Serve an object; as an attachment if the argument `download` is given."""
        self.check_xsrf_cookie()
        await self._serve(path, include_body=True)

    async def _serve(self, path: str, *, include_body: bool) -> None:
        path = api_path(path)
        manager = self._manager
        if not path or (not manager.allow_hidden and await ensure_async(manager.is_hidden(path))):
            self.log.info("Refusing to serve hidden file, via 404 Error")
            raise web.HTTPError(404)
        try:
            if include_body:
                await self._send(path)
            else:
                meta = await manager.storage.head(path)
                self._set_headers(meta, b"")
                if not self._not_modified(meta):
                    self.set_header("Content-Length", str(meta.size))
        except NotFoundError:
            raise web.HTTPError(404, f"file or directory {path!r} does not exist") from None
        except StorageError as error:
            if self._headers_written:
                self._break_off(error)
                return
            if isinstance(error, UnavailableError):
                wait = error.retry_after if error.retry_after is not None else RETRY_AFTER
                self.set_header("Retry-After", str(max(1, round(wait))))
            raise http_error(error) from error

    async def _send(self, path: str) -> None:
        """Open the object and pass it on; its metadata comes with the read."""
        byte_range = self._requested_range()
        storage = self._manager.storage
        async with storage.get(path, byte_range=byte_range) as reader:
            chunks = reader.chunks
            first = await anext(chunks, b"")
            self._set_headers(reader.meta, first)
            if self._not_modified(reader.meta):
                return
            length = self._set_extent(reader.meta, byte_range)
            self.set_header("Content-Length", str(length))
            try:
                await self._pass_on(first)
                async for chunk in chunks:
                    await self._pass_on(chunk)
            except StreamClosedError:
                self.log.debug("The client left while %s was being sent", path)

    async def _pass_on(self, chunk: bytes) -> None:
        self.write(chunk)
        await cast("Awaitable[None]", self.flush())

    def _requested_range(self) -> ByteRange | None:
        """The single range asked for; what else a Range header may hold is ignored, as allowed."""
        match = _RANGE.fullmatch(self.request.headers.get("Range", "").strip())
        if match is None or "If-Range" in self.request.headers:
            return None
        start, last = int(match["start"]), match["last"]
        if last and int(last) < start:
            return None
        return ByteRange(start, int(last) + 1 if last else None)

    def _set_extent(self, meta: ObjectMeta, byte_range: ByteRange | None) -> int:
        """Status and headers of a partial answer; returns the length of the body."""
        if byte_range is None:
            return meta.size
        if byte_range.start >= meta.size:
            self.set_header("Content-Range", f"bytes */{meta.size}")
            self.set_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
            return 0
        stop = meta.size if byte_range.stop is None else min(byte_range.stop, meta.size)
        self.set_status(HTTPStatus.PARTIAL_CONTENT)
        self.set_header("Content-Range", f"bytes {byte_range.start}-{stop - 1}/{meta.size}")
        return stop - byte_range.start

    def _not_modified(self, meta: ObjectMeta) -> bool:
        """Answer 304 if the client's copy is this version."""
        asked = self.request.headers.get("If-None-Match", "")
        if self._etag(meta) not in [tag.strip().removeprefix("W/") for tag in asked.split(",")]:
            return False
        self.set_status(HTTPStatus.NOT_MODIFIED)
        return True

    @staticmethod
    def _etag(meta: ObjectMeta) -> str:
        return '"' + str(meta.version).strip('"') + '"'

    def _set_headers(self, meta: ObjectMeta, beginning: bytes) -> None:
        self.set_header("Etag", self._etag(meta))
        self.set_header("Last-Modified", format_datetime(meta.last_modified, usegmt=True))
        self.set_header("Accept-Ranges", "bytes")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Type", self._content_type(meta.path, beginning))
        if self.get_argument("download", None):
            self.set_attachment_header(meta.path.rpartition("/")[2])

    @staticmethod
    def _content_type(path: str, beginning: bytes) -> str:
        """By the name; of an unknown name, text if it begins like text."""
        kind = content_type_of(path)
        unknown = mimetypes.guess_type(path) == (None, None) and not path.endswith(".ipynb")
        if unknown and beginning and looks_like_text(beginning[:_PROBE_SIZE]):
            kind = "text/plain"
        return "text/plain; charset=UTF-8" if kind == "text/plain" else kind

    def _break_off(self, error: StorageError) -> None:
        """The body has begun and cannot go on: end the connection, so that it is seen as short."""
        self.log.error("Sending was broken off: %s", error.message)
        connection = self.request.connection
        if connection is not None:
            stream = getattr(connection, "stream", None)
            if stream is not None:
                stream.close()
