"""The pages with which a browser is told of an error where it wanted a file."""

from __future__ import annotations

from typing import Any

from jupyter_server.base.handlers import JupyterHandler


class ErrorPages(JupyterHandler):
    """Jupyter's own pages, made also of a path that is no UTF-8, and without a secret in them."""

    @property
    def template_namespace(self) -> dict[str, Any]:
        """Jupyter writes the server's token into its pages for the scripts of its own pages."""
        return {**super().template_namespace, "token": ""}

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """The page of an error, also before it is known who asks."""
        if not hasattr(self, "_jupyter_current_user"):
            # A path that cannot be decoded is refused so early; the page would fail for want of
            # a user.
            self.current_user = self._jupyter_current_user = None
        super().write_error(status_code, **kwargs)
