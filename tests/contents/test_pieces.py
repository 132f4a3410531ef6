"""What is long is taken apart and put together as if it were done at once."""

from __future__ import annotations

import base64
import binascii
import copy
import gc
import json
from collections.abc import Callable
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nbformat import NotebookNode
from nbformat.sign import MemorySignatureStore, NotebookNotary
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from nbformat.v4.rwbase import rejoin_lines, split_lines
from tornado.web import HTTPError

from jupyter_nbforge.contents import (
    collector,
    json_reading,
    json_writing,
    long_texts,
    notebooks,
    pieces,
)
from jupyter_nbforge.contents.collector import collector_paused
from jupyter_nbforge.contents.notebooks import decode_content, decode_file, decode_notebook

LINES = st.text(st.sampled_from("ab é😀\r\n\x0b\x1c\x85\u2028"), max_size=120)
MARKS = st.sampled_from('ab"\\\n{}[],: éя😀\u2028\ud83d\ude00')
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-999, 999), st.text(MARKS, max_size=30)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=9), st.dictionaries(st.text(MARKS, max_size=9), inner, max_size=9)
    ),
    max_leaves=60,
)
SEPARATORS = st.sampled_from([None, (",", ":"), (" , ", " : ")])
INDENTS = st.sampled_from([None, 0, 1, 2])


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 16)
    monkeypatch.setattr(json_reading, "_FIRST_TRY", 4)
    monkeypatch.setattr(json_reading, "_GROWTH", 2)
    monkeypatch.setattr(json_writing, "_AT_ONCE", 2)
    monkeypatch.setattr(notebooks, "_BASE64_PIECE", 8)
    monkeypatch.setattr(notebooks, "_PLAIN_PIECE", 57)


in_pieces = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def outcome(act: Callable[[], Any]) -> tuple[Any, ...]:
    """What comes of it, or the error."""
    try:
        return "done", act()
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


def loaded(data: bytes) -> tuple[Any, ...]:
    """What the library makes of it."""
    return outcome(lambda: json.loads(str(data, "utf-8"), object_hook=NotebookNode))


@in_pieces
@given(LINES)
def test_a_text_has_the_lines_that_it_has_at_once(text: str) -> None:
    assert pieces.lines_of(text) == text.splitlines(True)


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n", "\r\r\n", "\n\r"])
@pytest.mark.parametrize("shift", range(17))
def test_no_end_of_a_line_is_torn_apart(end: str, shift: int) -> None:
    text = "x" * shift + f"yyyyyyyyyyyyy{end}" * 9
    assert pieces.lines_of(text) == text.splitlines(True)


@in_pieces
@given(st.lists(st.text(max_size=30), max_size=9))
def test_parts_are_one_text(parts: list[str]) -> None:
    assert pieces.joined(parts) == "".join(parts)


@in_pieces
@given(VALUES, st.booleans(), INDENTS, SEPARATORS)
def test_json_of_any_layout_is_read_as_at_once(
    value: Any, ascii_only: bool, indent: int | None, separators: tuple[str, str] | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent, separators=separators)
    data = text.encode("utf-8", "replace")
    assert outcome(lambda: json_reading.loads(data, NotebookNode)) == loaded(data)


@in_pieces
@given(
    VALUES, st.integers(0, 10_000), st.sampled_from([b"", *map(bytes, zip(b'{}[]",:\\ 1\n\xff'))])
)
def test_broken_json_is_refused_in_the_words_of_the_library(
    value: Any, where: int, mark: bytes
) -> None:
    text = json.dumps(value, indent=1).encode()
    where %= len(text)
    data = text[:where] + mark + text[where + 1 :]
    assert outcome(lambda: json_reading.loads(data, NotebookNode)) == loaded(data)


@pytest.mark.parametrize(
    "unit", [r"\ud83d\ude00", r"\n", r"\"", r"\\", r"\u0434", r"\ud83d", r"\ude00", "😀", "a😀\\n"]
)
@pytest.mark.parametrize("shift", range(13))
def test_no_character_of_a_long_string_is_torn_apart(unit: str, shift: int) -> None:
    data = ('"' + "x" * shift + unit * 20 + '"').encode()
    assert outcome(lambda: json_reading.loads(data, dict)) == loaded(data)


@pytest.mark.parametrize("value", [[[1, 2] * 20] * 20, [{"a": 1, "b": [2] * 20}] * 20])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_members_are_read_together_only_within_their_container(
    value: Any, separators: tuple[str, str]
) -> None:
    data = json.dumps(value, separators=separators).encode()
    assert json_reading._Reader(data, dict).whole() == value


@pytest.mark.parametrize("shift", range(9))
def test_a_number_is_read_to_its_end(shift: int) -> None:
    data = (" " * shift + "[12345678, -0.1234567, 1.5e-10, [123456789, 1234567890]]").encode()
    assert json_reading._Reader(data, dict).whole() == json.loads(data)


def test_lists_and_objects_are_read_many_members_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pieces, "PIECE", 128)
    value = [[number] * 2 for number in range(50)]
    data = json.dumps([value, {f"k{number}": number for number in range(50)}]).encode()
    reader = json_reading._Reader(data, dict)
    calls: list[str] = []
    scan = reader._scan

    def counted(text: str, start: int) -> tuple[Any, int]:
        calls.append(text)
        return scan(text, start)

    reader._scan = counted
    assert reader.whole() == json.loads(data)
    assert len(calls) < 150, "each member alone would be tried more than twice"


@pytest.mark.parametrize("data", [b"[" * 100_000, b"[" * 500 + b"]" * 500, b'{"a":' * 40 + b"1"])
def test_what_is_nested_too_deeply_is_left_to_the_library(data: bytes) -> None:
    found, expected = outcome(lambda: json_reading.loads(data, dict)), loaded(data)
    assert found == expected


def noted(*texts: str) -> Any:
    """A notebook in which each text is at each place."""
    return nbformat.from_dict(new_notebook(cells=[cell for text in texts for cell in cells(text)]))


def cells(text: str) -> tuple[Any, Any]:
    """A cell of each kind."""
    bundle = {"text/html": text, "image/png": text, "application/json": [text]}
    bundle |= {"source": text, "text": text}  # no MIME types, and no text of nbformat's
    outputs = [
        new_output("stream", text=text),
        new_output("display_data", bundle),
        new_output("error", ename="a", evalue=text, traceback=[text]),
    ]
    attachments = {"a.txt": {"text/plain": text}}
    return (
        {**new_markdown_cell(text), "attachments": attachments},
        new_code_cell(text, outputs=outputs),
    )


@in_pieces
@given(LINES)
def test_the_long_texts_of_a_notebook_are_split_and_joined_as_by_nbformat(text: str) -> None:
    notebook = noted(text)
    expected = split_lines(copy.deepcopy(notebook))
    ours = copy.deepcopy(notebook)
    with long_texts.split(ours):
        assert split_lines(copy.deepcopy(ours)) == expected
    long_texts.join(expected)
    assert rejoin_lines(expected) == notebook


def test_nbformat_finds_no_long_text_to_split_or_join() -> None:
    text = "some words\n" * 5
    notebook = noted(text)
    expected = split_lines(copy.deepcopy(notebook))
    with long_texts.split(notebook):
        assert notebook == expected
    long_texts.join(expected)
    assert rejoin_lines(copy.deepcopy(expected)) == expected


@in_pieces
@given(LINES)
def test_the_digest_over_pieces_is_that_over_the_whole(text: str) -> None:
    notebook = noted(text, text * 9)
    notary = NotebookNotary(secret=b"s", data_dir="", store_factory=MemorySignatureStore)
    expected = notary.compute_signature(notebook)
    before = copy.deepcopy(notebook)
    with long_texts.taken_apart(notebook):
        assert notary.compute_signature(notebook) == expected
    assert notebook == before


@in_pieces
@given(st.text(st.sampled_from("AZaz09+/= \n\t!é"), max_size=40), st.integers(1, 12))
def test_base64_is_decoded_in_pieces_as_at_once(text: str, size: int) -> None:
    def at_once() -> bytes:
        packed = "".join(text.split()).rstrip("=")
        if set(packed) & set("=!é"):
            raise ValueError
        return binascii.a2b_base64(text)

    kind, expected = outcome(at_once)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebooks, "_BASE64_PIECE", size)
        if kind == "done":
            assert decode_content("f", text, "base64") == expected
        else:
            with pytest.raises(HTTPError) as refused:
                decode_content("f", text, "base64")
            assert refused.value.status_code == 400


@in_pieces
@given(st.one_of(st.binary(max_size=200), LINES.map(str.encode)))
def test_a_file_is_shown_in_pieces_as_at_once(data: bytes) -> None:
    assert decode_file("f", data, "base64") == (base64.encodebytes(data).decode(), "base64")
    kind, text = outcome(lambda: data.decode())
    if kind == "done":
        assert decode_file("f", data, None) == (text, "text")
        assert decode_content("f", text, "text") == data
    else:
        with pytest.raises(HTTPError):
            decode_file("f", data, "text")


@pytest.mark.parametrize("version", [4.0, "4", None])
def test_a_format_that_is_no_whole_number_is_refused_as_by_nbformat(version: Any) -> None:
    document = {**new_notebook(), "nbformat": version}
    with pytest.raises(HTTPError):
        decode_notebook("a.ipynb", json.dumps(document).encode())


def test_what_came_in_a_pause_is_not_searched_as_young() -> None:
    with collector_paused():
        made: list[Any] = [[]]
    assert not any(one is made for one in gc.get_objects(generation=0))
    assert any(one is made for one in gc.get_objects(generation=2))


def test_what_somebody_else_froze_stays_frozen() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with collector_paused():
            pass
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()


def test_a_pause_that_lasts_is_not_made_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = collector_paused(), collector_paused()
    first.__enter__()
    monkeypatch.setattr(collector, "LONGEST", -1.0)
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()
