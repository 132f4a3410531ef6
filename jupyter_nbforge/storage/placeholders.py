"""Placeholders in storage URLs, prefixes and folder names, filled from the environment.

What they stand for is mostly a name that somebody else has chosen: of a user, a group. Such a
name goes in as it is, as one part of one path segment, or not at all. So two names never
give the same folder, and none leads out of its place.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import ConfigurationError

GROUPS_VARIABLE = "NBFORGE_GROUPS"
"""The environment variable with the names of the user's groups, as a list in JSON."""

_GROUP_VARIABLE = "NBFORGE_GROUP"
_HUB_VARIABLES = {
    "username": "JUPYTERHUB_USER",
    "servername": "JUPYTERHUB_SERVER_NAME",
    "group": _GROUP_VARIABLE,
}
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_ESCAPED = "escaped_"
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")
_MAX_BYTES = 255
"""Of one name in a path, on every file system; none of them may shorten it."""

_INVISIBLE = ("Cf", "Zl", "Zp")
_CONTROL = ("Cc", "Cs")

Spec = TypeVar("Spec")


@dataclass(frozen=True, slots=True)
class Filled(Generic[Spec]):
    """One entry of a mapping from folders to storages, for one group or for none."""

    folder: str
    """Its placeholders are filled."""

    spec: Spec
    """As it was given: with `environ` `create_storage_service` fills the placeholders in it."""

    environ: Mapping[str, str]


def fill_placeholders(text: str, environ: Mapping[str, str]) -> str:
    """`text` with each ``{placeholder}`` replaced from the environment.

    ``{username}`` and ``{servername}`` are those that JupyterHub tells its servers (on the
    unnamed default server there is no servername), ``{group}`` is that of an entry of
    `for_each_group`, ``{NAME}`` is the variable of that name. ``{escaped_username}`` and so on
    are the same in lower-case letters, digits and hyphens alone, see `escaped`. A value that
    is missing, that could lead out of its place in a path, or that a store or a disk might take
    for another one, is a `ConfigurationError`: never a folder that users share. So are
    two names of the Hub within one segment of a path, which another pair could spell as well.
    """
    if set(_PLACEHOLDER.sub("", text)) & set("{}"):
        raise ConfigurationError(
            f"{text!r} has a brace that belongs to no placeholder; write {{username}}, for example."
        )
    for segment in text.split("/"):
        _check_segment(segment, text)
    return _PLACEHOLDER.sub(lambda found: _value_of(found[1], text, environ), text)


def escaped(name: str) -> str:
    """`name` in lower-case letters, digits and hyphens; two names are never the same.

    Each other byte of its UTF-8 is a hyphen and two hexadecimal digits, the hyphen's too: as
    JupyterHub's own escaping of names for volumes. `UnicodeEncodeError` if it is no text.
    """
    return "".join(chr(byte) if byte in _PLAIN else f"-{byte:02x}" for byte in name.encode())


def for_each_group(storages: Mapping[str, Spec], environ: Mapping[str, str]) -> list[Filled[Spec]]:
    """The storages of a mapping from folders to storage URLs (or dicts with a ``url``).

    One with ``{group}`` in its folder and its URL becomes one for each group of
    `GROUPS_VARIABLE`: none where there is no group. `ConfigurationError` where only one of
    the two has it, or two folders become the same.
    """
    found: list[Filled[Spec]] = []
    for folder, spec in storages.items():
        _check_both(folder, _url_of(spec))
        for own in _environments(folder, environ):
            found.append(Filled(fill_placeholders(folder, own), spec, own))
    folders = [entry.folder.strip("/") for entry in found]
    for folder in folders:
        if folders.count(folder) > 1:
            raise ConfigurationError(
                f"Two storages belong into the folder {folder!r}; give one of them another."
            )
    return found


def groups_of(environ: Mapping[str, str]) -> list[str]:
    """The groups of the user, each once, in alphabetical order; `ConfigurationError`."""
    text = environ.get(GROUPS_VARIABLE) or "[]"
    try:
        groups = json.loads(text)
    except ValueError:
        groups = None
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise ConfigurationError(
            f"The environment variable {GROUPS_VARIABLE!r} is no list of names in JSON; set it in"
            ' jupyterhub_config.py, to ["physics", "biology"] for example.'
        )
    return sorted(set(groups))


def _environments(folder: str, environ: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    if not _has_group(folder):
        yield environ
        return
    for group in groups_of(environ):
        yield {**environ, _GROUP_VARIABLE: group}


def _check_both(folder: str, url: str) -> None:
    if _has_group(folder) and not _has_group(url):
        raise ConfigurationError(
            f"The folder {folder!r} is one for each group, but {url!r} is the same for all;"
            " put {group} into both."
        )
    if _has_group(url) and not _has_group(folder):
        raise ConfigurationError(
            f"{url!r} is one storage for each group, but its folder {folder!r} is only one; put"
            " {group} into both."
        )


def _has_group(text: str) -> bool:
    return any(_variable_of(name)[0] == _GROUP_VARIABLE for name in _PLACEHOLDER.findall(text))


def _url_of(spec: object) -> str:
    if isinstance(spec, Mapping):
        spec = spec.get("url", "")
    return spec if isinstance(spec, str) else ""


def _variable_of(placeholder: str) -> tuple[str, bool]:
    """The environment variable that a placeholder stands for, and whether it is escaped."""
    if placeholder in _HUB_VARIABLES:
        return _HUB_VARIABLES[placeholder], False
    name = placeholder.removeprefix(_ESCAPED)
    if name != placeholder and name in _HUB_VARIABLES:
        return _HUB_VARIABLES[name], True
    return placeholder, False


def _check_segment(segment: str, text: str) -> None:
    """`a-{username}-{servername}`: a-b and c, or a and b-c? Names of the Hub stand apart."""
    named = {_variable_of(name)[0] for name in _PLACEHOLDER.findall(segment)}
    if len(named & set(_HUB_VARIABLES.values())) > 1:
        raise ConfigurationError(
            f"{text!r} has two names of JupyterHub between two slashes, where two users could"
            " come to share a folder; put a slash between them."
        )


def _value_of(placeholder: str, text: str, environ: Mapping[str, str]) -> str:
    variable, escape = _variable_of(placeholder)
    value = environ.get(variable, "")
    unfilled = f"{{{placeholder}}} in {text!r} cannot be filled in:"
    if not value and variable == _GROUP_VARIABLE:
        raise ConfigurationError(
            f"{unfilled} a group has a place in the option 'mounts' only, and a name."
        )
    if not value:
        raise ConfigurationError(
            f"{unfilled} the environment variable {variable!r} is not set. Set it, or take the"
            " placeholder out."
        )
    reason = None
    if escape:
        try:
            value = escaped(value)
        except UnicodeEncodeError:
            reason = "is no text"
    reason = reason or _unsafe_reason(value)
    if reason is not None:
        raise ConfigurationError(
            f"{unfilled} the value of the environment variable {variable!r} {reason}, and could"
            f" lead to another user's files.{_advice(placeholder, variable, escape)}"
        )
    return value


def _advice(placeholder: str, variable: str, escape: bool) -> str:
    if escape or variable not in _HUB_VARIABLES.values() or placeholder not in _HUB_VARIABLES:
        return ""
    return f" {{{_ESCAPED}{placeholder}}} takes names of every kind."


def _unsafe_reason(value: str) -> str | None:
    """Why a name cannot stand in a path as it is; else None."""
    categories = {unicodedata.category(character) for character in value}
    # What some program might fold counts as it is and folded: a full-width slash, an ellipsis.
    folded = unicodedata.normalize("NFKC", value)
    both = value + "\n" + folded
    if categories & set(_CONTROL):
        return "has a control character"
    if "/" in both or "\\" in both:
        return "has a slash"
    if ".." in both or folded == ".":
        return "has dots that stand for another folder"
    if categories & set(_INVISIBLE):
        return "has an invisible character"
    if unicodedata.normalize("NFC", value) != value:
        return "has a letter and its accent apart, which some disks take for one character"
    if value != value.strip() or value.endswith("."):
        return "begins or ends with a blank, or ends with a dot, which some stores drop"
    if value.startswith("."):
        return "begins with a dot, as hidden folders do"
    if len(value.encode()) > _MAX_BYTES:
        return f"is longer than {_MAX_BYTES} bytes"
    return None
