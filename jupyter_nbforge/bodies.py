"""JSON bodies of requests: an object, or a 400 that says so.

Jupyter's own handler for contents takes any JSON, asks it for keys, and fails with a stack
trace on a list, on a type that is none, and on bytes that are not UTF-8.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.services.contents.handlers import (
    ContentsHandler,
    TrustNotebooksHandler,
    default_handlers,
)
from tornado import web

from .contents.pages import ErrorPages


class JSONObjectHandler(APIHandler):
    """A handler whose bodies are JSON objects or nothing."""

    def get_json_body(self) -> dict[str, Any] | None:
        """The body; None for an empty one and for ``null``."""
        if not self.request.body:
            return None
        try:
            # Nested too deeply is a RecursionError.
            body = json.loads(self.request.body.decode("utf-8"))
        except UnicodeDecodeError:
            raise web.HTTPError(400, "The body must be a JSON object in UTF-8.") from None
        except (ValueError, RecursionError):
            raise web.HTTPError(400, "Invalid JSON in body of request") from None
        if body is not None and not isinstance(body, dict):
            raise web.HTTPError(400, "The body must be a JSON object.")
        return body


class ModelHandler(JSONObjectHandler, ContentsHandler):
    """Jupyter's own handler for contents, given nothing but what can be a model."""

    def get_json_body(self) -> dict[str, Any] | None:
        """The model; None for an empty body and for ``null``."""
        model = super().get_json_body()
        kind = None if model is None else model.get("type")
        if not isinstance(kind, str | None):
            raise web.HTTPError(400, "The type must be 'file', 'notebook' or 'directory'.")
        return model


class TrustHandler(ErrorPages, TrustNotebooksHandler):
    """Jupyter's own handler for trust, with our pages of errors."""


def contents_routes() -> list[tuple[str, type[web.RequestHandler]]]:
    """Jupyter's routes for contents in their order, with our handlers among them.

    The routes of an extension are asked before the server's own.
    """
    ours = {ContentsHandler: ModelHandler, TrustNotebooksHandler: TrustHandler}
    return [
        (pattern, ours.get(handler, handler))
        for pattern, handler in default_handlers
        if pattern.startswith("/api/contents")
    ]
