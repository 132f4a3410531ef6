"""Puts into the reference pages what the software says of itself, when the site is built.

A page has a comment such as ``<!-- generated: options -->``, which a forge does not show; the
site has the text in its place.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any

from sphinx.application import Sphinx
from tornado.web import RequestHandler
from traitlets import HasTraits, TraitType

import jupyter_nbforge
from jupyter_nbforge.cli import parser
from jupyter_nbforge.contents.files import FilesHandler
from jupyter_nbforge.handlers import ROUTES

_MARK = re.compile(r"<!-- generated: (\w+) -->")
_NOT_FOR_USERS = "jupyter_nbforge.testing"
_METHODS = ("get", "head", "post", "put", "patch", "delete")
_ARGUMENT = re.compile(r"\(\?P<(\w+)>(?:[^()]|\([^()]*(?:\([^()]*\)[^()]*)*\))*\)")


def configurable_classes() -> list[type[HasTraits]]:
    """The classes of ours that can be configured: those that no other class of ours extends."""
    classes: set[type[HasTraits]] = set()
    for module in pkgutil.walk_packages(jupyter_nbforge.__path__, "jupyter_nbforge."):
        if not module.name.startswith(_NOT_FOR_USERS) and not module.name.endswith("__main__"):
            found = vars(importlib.import_module(module.name)).values()
            types = [value for value in found if isinstance(value, type)]
            classes |= {cls for cls in types if issubclass(cls, HasTraits) and _is_ours(cls)}
    extended = {base for cls in classes for base in cls.__mro__[1:]}
    leaves = [cls for cls in classes - extended if own_options(cls)]
    return sorted(leaves, key=lambda cls: (cls.__module__.split(".")[1:-1], cls.__name__))


def _is_ours(cls: type | None) -> bool:
    return cls is not None and cls.__module__.partition(".")[0] == "jupyter_nbforge"


def own_options(cls: type[HasTraits]) -> dict[str, TraitType[Any, Any]]:
    """The options of a class by name, without those that Jupyter's own class has already."""
    traits = cls.class_traits(config=True)
    return {name: trait for name, trait in sorted(traits.items()) if _is_ours(trait.this_class)}


def options() -> Iterator[str]:
    for cls in configurable_classes():
        yield f"## {cls.__name__}\n"
        yield _first_paragraph(cls) + "\n"
        for name, trait in own_options(cls).items():
            yield f"### `{name}`\n"
            yield f"{trait.info().capitalize()}; default `{trait.default_value_repr()}`.\n"
            yield _plain(trait.help) + "\n"


def _first_paragraph(documented: Any) -> str:
    text = (documented.__doc__ or "").strip().split("\n\n")[0]
    return " ".join(text.split())


def _plain(text: str) -> str:
    """Text that Markdown is to leave as it is."""
    return re.sub(r"([*<\\])", r"\\\1", " ".join(text.split()))


def command() -> Iterator[str]:
    top = parser()
    yield f"```text\n{top.format_help()}```\n"
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                yield f"## `{name}`\n\n```text\n{sub.format_help()}```\n"


def routes() -> Iterator[str]:
    for pattern, handler in [*ROUTES, ("/files/(?P<path>.*)", FilesHandler)]:
        if _is_ours(handler):
            path = _ARGUMENT.sub(r"/<\1>", pattern).replace("//", "/")
            yield f"## `{path}`\n"
            yield _whole(handler) + "\n"
            yield from _methods(handler)


def _whole(documented: Any) -> str:
    return (documented.__doc__ or "").strip().replace("\n    ", "\n").replace("``", "`")


def _methods(handler: type[RequestHandler]) -> Iterator[str]:
    for name in _METHODS:
        method = getattr(handler, name)
        if method.__module__.startswith("jupyter_nbforge"):
            yield f"- `{name.upper()}`: {' '.join(_whole(method).split())}"
    yield ""


_GENERATED: dict[str, Callable[[], Iterator[str]]] = {
    "options": options,
    "command": command,
    "routes": routes,
}


def _fill_in(app: Sphinx, page: str, source: list[str]) -> None:
    del app, page
    source[0] = _MARK.sub(lambda found: "\n".join(_GENERATED[found[1]]()), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
