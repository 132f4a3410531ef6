"""Notebooks in pieces: what nbformat reads and writes, to the last byte."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from tornado.web import HTTPError

from jupyter_nbforge.contents import (
    json_reading,
    json_writing,
    pieces,
    validation,
)
from jupyter_nbforge.contents.collector import collector_paused
from jupyter_nbforge.contents.notebooks import decode_notebook, encode_notebook

NUMBERS = st.one_of(
    st.integers(), st.floats(allow_nan=True, allow_infinity=True), st.just(2**70), st.just(1e16)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=20,
)


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is too large to be done at once."""
    monkeypatch.setattr(pieces, "PIECE", 16)
    monkeypatch.setattr(json_reading, "_FIRST_TRY", 4)
    monkeypatch.setattr(json_reading, "_GROWTH", 2)
    monkeypatch.setattr(json_writing, "_AT_ONCE", 2)


def same(one: Any, other: Any) -> bool:
    """Equal in value and in the types of all that is in it; NaN is equal to NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or (one != one and other != other))


in_pieces = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@in_pieces
@given(VALUES, st.sampled_from([None, 0, 1, 4]))
def test_json_is_read_in_pieces_as_at_once(value: Any, indent: int | None) -> None:
    text = json.dumps({"value": value}, indent=indent)
    expected = json.loads(text, object_hook=NotebookNode)
    assert same(json_reading.loads(text.encode(), NotebookNode), expected)


@in_pieces
@given(VALUES)
def test_json_is_written_in_pieces_as_nbformat_writes_it(value: Any) -> None:
    expected = json.dumps(
        value, indent=1, sort_keys=True, ensure_ascii=False, separators=(",", ": ")
    )
    assert json_writing.dumps(value).decode() == expected + "\n"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": [1, 2, 3, 4, 5, 6, 7, 8, 9, }',
        '{"a": 1234567890123456789, "b" 2}',
        '{"a": 1234567890123456789,}',
        '{"a": 1234567890123456789} 1',
        '{"a": "1234567890123456789',
        '["1234567890123456789", ]',
        "{a: 1234567890123456789012}",
        '\ufeff{"a": "1234567890123456789"}',
        '{"a": "12345678901234567\n89"}',
        "",
    ],
)
def test_what_is_no_json_is_refused_in_the_words_of_the_library(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as expected:
        json.loads(text)
    with pytest.raises(type(expected.value)) as found:
        json_reading.loads(text.encode(), dict)
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize(
    "text", ['{"a": 1, "a": 2, "bcdefghijklmnopqrst": 3}', "[" + "1," * 50 + "1]"]
)
def test_doubled_keys_and_long_lists_are_read_as_at_once(text: str) -> None:
    assert json_reading.loads(text.encode(), dict) == json.loads(text)


SOURCES = st.text(max_size=60)
METADATA = st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=3)
OUTPUTS = st.one_of(
    st.builds(lambda text: new_output("stream", name="stdout", text=text), SOURCES),
    st.builds(
        lambda text, value: new_output(
            "display_data", {"text/plain": text, "application/json": value, "image/png": "AAAA"}
        ),
        SOURCES,
        st.dictionaries(TEXTS, VALUES, max_size=2),
    ),
)
CELLS = st.one_of(
    st.builds(
        lambda source, metadata: new_markdown_cell(source, metadata=metadata), SOURCES, METADATA
    ),
    st.builds(
        lambda source, outputs, trusted: new_code_cell(
            source, outputs=outputs, metadata={"trusted": trusted}
        ),
        SOURCES,
        st.lists(OUTPUTS, max_size=3),
        st.booleans(),
    ),
)
NOTEBOOKS = st.builds(
    lambda cells, metadata: new_notebook(cells=cells, metadata=metadata),
    st.lists(CELLS, max_size=4),
    METADATA,
)


def written(notebook: Any) -> bytes | None:
    """What nbformat makes of it; None if that cannot be stored as UTF-8."""
    try:
        text: str = nbformat.writes(notebook)
        return (text + "\n").encode()
    except UnicodeEncodeError:
        return None


@in_pieces
@given(NOTEBOOKS)
def test_a_notebook_is_stored_and_opened_as_by_nbformat(notebook: Any) -> None:
    plain = json.loads(json.dumps(notebook))
    expected = written(nbformat.from_dict(plain))
    if expected is None:
        with pytest.raises(HTTPError):
            encode_notebook("a.ipynb", plain)
        return
    assert encode_notebook("a.ipynb", plain).data == expected
    opened, found = decode_notebook("a.ipynb", expected)
    assert same(opened, nbformat.reads(expected.decode(), as_version=4))
    assert found.error == {}


def test_to_encode_a_notebook_changes_nothing_in_it() -> None:
    cell: Any = new_code_cell("1", outputs=[new_output("display_data", {"text/plain": "a\nb"})])
    cell["attachments"] = {"a.txt": {"text/plain": "a\nb"}}
    cell["metadata"]["trusted"] = True
    content = json.loads(json.dumps(holding(cell, cell)))
    before = json.dumps(content)
    with pytest.warns(nbformat.warnings.DuplicateCellId):
        encode_notebook("a.ipynb", content)
    assert json.dumps(content) == before


WRONG_TYPES: list[Callable[[Any], dict[str, Any]]] = [
    lambda value: {**new_notebook(), "cells": value},
    lambda value: {**new_notebook(), "metadata": value},
    lambda value: holding(bad_cell(metadata=value)),
    lambda value: holding(bad_cell(outputs=value)),
    lambda value: holding(bad_cell(outputs=[{**new_output("display_data"), "data": value}])),
    lambda value: holding({**new_markdown_cell("a"), "attachments": {"a.png": value}}),
]


@pytest.mark.filterwarnings("ignore::nbformat.warnings.MissingIDFieldWarning")
@pytest.mark.parametrize("value", ["", "ab", [], {}, [["a", "b"]], {"a": "b"}, None, 1])
@pytest.mark.parametrize("make", WRONG_TYPES)
def test_what_is_of_a_wrong_type_is_stored_or_refused_as_by_nbformat(make: Any, value: Any) -> None:
    content = json.loads(json.dumps(make(value)))
    try:
        expected = written(nbformat.from_dict(content))
    except (AttributeError, TypeError):
        with pytest.raises(HTTPError):
            encode_notebook("a.ipynb", content)
    else:
        assert encode_notebook("a.ipynb", content).data == expected


def bad_cell(**changes: Any) -> dict[str, Any]:
    cell = dict(new_code_cell("1", outputs=[new_output("stream", text="1")]))
    return {**cell, **changes}


def holding(*cells: Any) -> dict[str, Any]:
    return {**new_notebook(), "cells": list(cells)}


BROKEN: list[Callable[[], Any]] = [
    lambda: holding(bad_cell(cell_type="other")),
    lambda: holding(bad_cell(source=1)),
    lambda: holding(bad_cell(extra=1)),
    lambda: holding(bad_cell(outputs=[{"output_type": "other"}])),
    lambda: holding(bad_cell(outputs=[{"output_type": "stream", "name": 1}])),
    lambda: holding(bad_cell(outputs={})),
    lambda: holding(bad_cell(id="not an id!")),
    lambda: holding(bad_cell(execution_count="1")),
    lambda: holding(bad_cell(execution_count=4.0)),
    lambda: holding(bad_cell(outputs=[{**new_output("execute_result"), "execution_count": 4.0}])),
    lambda: {**new_notebook(), "extra": 1},
    lambda: {**new_notebook(), "cells": ""},
    lambda: {**new_notebook(), "cells": {}},
    lambda: {**new_notebook(), "metadata": {"kernelspec": 1}},
    lambda: {**new_notebook(), "nbformat_minor": 99},
    lambda: {**new_notebook(), "nbformat_minor": "5"},
]


@pytest.mark.parametrize("make", BROKEN)
def test_no_notebook_is_called_plainly_valid_that_nbformat_refuses(make: Any) -> None:
    notebook = nbformat.from_dict(make())
    assert not validation.is_plainly_valid(notebook)


@in_pieces
@given(NOTEBOOKS, st.integers(0, 6))
def test_nbformat_agrees_with_what_is_called_plainly_valid(notebook: Any, minor: int) -> None:
    notebook["nbformat_minor"] = minor
    plain = validation.is_plainly_valid(notebook)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError:
        assert not plain
    else:
        assert plain or minor > 5


@pytest.mark.parametrize("ids", [("a", "a"), ("a", None)])
def test_a_notebook_whose_ids_are_repaired_is_not_plainly_valid(
    ids: tuple[str | None, ...],
) -> None:
    notebook = nbformat.from_dict(holding(*(new_markdown_cell("x") for _ in ids)))
    for cell, identity in zip(notebook.cells, ids, strict=True):
        if identity is None:
            del cell["id"]
        else:
            cell["id"] = identity
    assert not validation.is_plainly_valid(notebook)


def test_the_collector_rests_until_the_last_user_has_left() -> None:
    assert gc.isenabled()
    with collector_paused():
        with collector_paused():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
