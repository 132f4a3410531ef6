"""What an administrator wrote, checked: option names and option values.

Each mistake is one sentence that says what to change. The value of an option whose name
tells of a secret stands in none of them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from traitlets import HasTraits, TraitError
from traitlets.config import Config, Configurable

from .errors import ConfigurationError

_SECRET = re.compile("secret|token|key|password|credential|connection_string|sas", re.IGNORECASE)


def check_option_names(cls: type[HasTraits], names: Iterable[str]) -> None:
    """`ConfigurationError` if one of `names` is no option of `cls`, with the one that was meant."""
    known = cls.class_trait_names(config=True)
    for name in names:
        if name not in known:
            raise ConfigurationError(f"{cls.__name__} has no option {name!r}.{_hint(name, known)}")


def check_config_names(
    cls: type[Configurable], config: Config | None, parent: Configurable | None = None
) -> None:
    """`ConfigurationError` if a section ``c.<cls>`` sets what `cls` does not have.

    traitlets only warns of it, in a log that nobody reads at start. Sections nested in those
    of `parent` count too; those of base classes do not, for other classes share them.
    """
    known = cls.class_trait_names(config=True)
    for scope in _scopes(config, parent):
        section = scope.get(cls.__name__, {})
        for name, value in section.items():
            if name not in known and not isinstance(value, Config):
                raise ConfigurationError(
                    f"c.{cls.__name__}.{name} is set, but {cls.__name__} has no such option."
                    + _hint(name, known)
                )


def configured_values(
    cls: type[Configurable], config: Config | None, parent: Configurable | None = None
) -> dict[str, Any]:
    """The values that configuration gives to an instance of `cls` below `parent`, by name."""
    values: dict[str, Any] = {}
    for scope in _scopes(config, parent):
        for section in cls.section_names():
            if section in scope:
                values.update(scope[section])
    return values


def _scopes(config: Config | None, parent: Configurable | None) -> Iterator[Config]:
    """The configuration itself, then the sections of it that belong to `parent`."""
    if config is None:
        return
    yield config
    if parent is not None:
        for scope in _scopes(config, parent.parent):
            for section in type(parent).section_names():
                if section in scope:
                    yield scope[section]


def trait_sentence(cls: type[HasTraits], error: TraitError, values: Mapping[str, Any]) -> str:
    """What to tell a person of a value that a trait of `cls` refused."""
    text = str(error)
    for name, value in values.items():
        if _SECRET.search(name) and str(value):
            text = text.replace(repr(value), "(not shown)").replace(str(value), "(not shown)")
    return f"The configuration of {cls.__name__} is not valid: {text.rstrip('.')}."


def _hint(name: str, known: Iterable[str]) -> str:
    if name == "prefix":
        return " Give the prefix in the storage URL or as c.PrefixStorage.prefix."
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f" Did you mean {close[0]!r}?" if close else f" It has: {', '.join(names)}."
