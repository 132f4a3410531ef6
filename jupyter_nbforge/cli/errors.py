"""What goes wrong before there is a server, as sentences for the terminal."""

from __future__ import annotations

from importlib.util import find_spec


class CommandError(Exception):
    """The command cannot go on; the message is one sentence that says what to do."""


def require(module: str, name: str, extra: str) -> None:
    """`CommandError` with the pip command unless `module` can be imported."""
    if find_spec(module) is None:
        raise CommandError(f"{name} is not installed: pip install {extra}")
