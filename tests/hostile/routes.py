"""Every route that the package adds to a server, found in the server's own router."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tornado.routing import PathMatches, Rule, RuleRouter
from tornado.web import RequestHandler

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True)
class Route:
    """A pattern of paths, without the base URL, and what serves it."""

    pattern: str
    handler: type[RequestHandler]

    @property
    def methods(self) -> list[str]:
        """The methods that it serves."""
        plain = RequestHandler._unimplemented_method
        return [name for name in _METHODS if getattr(self.handler, name.lower()) is not plain]


def routes_of_ours(app: Any) -> list[Route]:
    """Those whose handler is defined in our package, in the order in which they are asked."""
    base_url = app.base_url.rstrip("/")
    return [
        Route(pattern.removeprefix(base_url).removesuffix("$"), handler)
        for pattern, handler in _all_routes(app.web_app.default_router)
        if handler.__module__.partition(".")[0] == "jupyter_nbforge"
    ]


def _all_routes(router: RuleRouter) -> Iterator[tuple[str, type[RequestHandler]]]:
    for rule in router.rules:
        yield from _routes_of(rule)


def _routes_of(rule: Rule) -> Iterator[tuple[str, type[RequestHandler]]]:
    if isinstance(rule.target, RuleRouter):
        yield from _all_routes(rule.target)
    elif isinstance(rule.matcher, PathMatches) and isinstance(rule.target, type):
        yield rule.matcher.regex.pattern, rule.target
