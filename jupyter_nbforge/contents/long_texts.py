"""The long texts of a notebook: what nbformat does with each of them in one breath.

All of this is done before nbformat's own functions see the notebook, only to texts and
lists of lines that are longer than a piece, and only where nbformat would do the same; it
finds nothing left to do there. What is of a strange shape is left to nbformat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from . import pieces

_Place = tuple[dict[str, Any], str]


def join(notebook: Any) -> None:
    """Make one text of each long list of lines, as `nbformat.v4.rwbase.rejoin_lines`."""
    for holder, key in _places(notebook):
        value = holder[key]
        # What is JSON by its MIME type stays as it is.
        if _are_long_lines(value) and not key.endswith("json"):
            holder[key] = pieces.joined(value)
            pieces.drop(value)


@contextmanager
def split(notebook: Any) -> Iterator[None]:
    """While inside, long texts are lists of lines, as `nbformat.v4.rwbase.split_lines` makes
    them. Afterwards these lists are empty.
    """
    made: list[list[str]] = []
    for holder, key in _places(notebook):
        value = holder[key]
        if _is_long(value) and (key in ("source", "text") or key.startswith("text/")):
            made.append(pieces.lines_of(value))
            holder[key] = made[-1]
    yield
    for lines in made:
        pieces.drop(lines)


def taken_apart(notebook: Any) -> AbstractContextManager[None]:
    """While inside, each long text is a list of its pieces, of which nbformat makes the same
    digest: it goes through a list as through a text that is encoded at once.
    """
    return _replaced(notebook, lambda text: list(pieces.of(text)))


def shortened(notebook: Any) -> AbstractContextManager[None]:
    """While inside, each long text is its beginning: what tells that a notebook is invalid
    quotes all that is invalid, again and again.
    """
    return _replaced(notebook, lambda text: text[: pieces.PIECE])


@contextmanager
def _replaced(notebook: Any, change: Callable[[str], Any]) -> Iterator[None]:
    changed: list[tuple[dict[str, Any], str, str]] = []
    try:
        with suppress(AttributeError, LookupError, TypeError):  # of a strange shape
            for holder, key in _places(notebook):
                value = holder[key]
                if _is_long(value):
                    changed.append((holder, key, value))
                    holder[key] = change(value)
        yield
    finally:
        for holder, key, value in changed:
            holder[key] = value


def _is_long(value: Any) -> bool:
    return isinstance(value, str) and len(value) > pieces.PIECE


def _are_long_lines(value: Any) -> bool:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        return False
    return sum(map(len, value)) > pieces.PIECE


def _places(notebook: Any) -> Iterator[_Place]:
    """Where nbformat joins and splits: the source, attachments and outputs of cells."""
    for cell in notebook.get("cells", ()):
        if "source" in cell:
            yield cell, "source"
        for bundle in _values(cell, "attachments"):
            yield from _keys(bundle)
        if cell.get("cell_type") == "code":
            for output in cell.get("outputs", ()):
                yield from _places_in(output)


def _places_in(output: Any) -> Iterator[_Place]:
    kind = output.get("output_type")
    if kind in ("execute_result", "display_data"):
        yield from _keys(output.get("data"))
    elif kind == "stream" and "text" in output:
        yield output, "text"


def _values(cell: Any, key: str) -> Any:
    value = cell.get(key)
    return value.values() if isinstance(value, dict) else ()


def _keys(bundle: Any) -> Iterator[_Place]:
    if isinstance(bundle, dict):
        for key in bundle:
            if "/" in key:  # else no MIME type, and "text" or "source" would be mistaken here
                yield bundle, key
