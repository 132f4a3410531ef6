"""Twice as much of something hostile is at most about twice the work: nothing grows by squares."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest
from nbformat import NotebookNode
from tornado.web import HTTPError

from jupyter_nbforge.contents import json_reading, pieces
from jupyter_nbforge.contents.models import api_path, is_hidden_path
from jupyter_nbforge.contents.notebooks import decode_content, decode_notebook
from jupyter_nbforge.contents.ranges import wanted_range
from jupyter_nbforge.contents.validators import Conditions
from jupyter_nbforge.storage.paths import invalid_reason
from jupyter_nbforge.storage.types import ObjectMeta, Version

from .raw_http import Request
from .world import SEED, World

SMALL = 2**16
"""Bytes that a header may have at most, and more than enough to tell lines from squares."""
PIECES = 2 * pieces.PIECE
"""Bytes of a document that is too large to be read at once."""

_META = ObjectMeta("a.txt", 1, datetime(2026, 1, 1, tzinfo=timezone.utc), Version('"1"'))
_CALLS = 2_000
"""What may come on top of twice the calls: the interpreter's own housekeeping."""


def calls_of(work: Callable[[], object]) -> int:
    """How many functions of Python and of C are called in this thread meanwhile."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def _base64(filling: str) -> Callable[[int], object]:
    def work(size: int) -> None:
        with suppress(HTTPError):
            decode_content("a.bin", filling * (size // len(filling)), "base64")

    return work


def _conditions(name: str, filling: str) -> Callable[[int], object]:
    def work(size: int) -> None:
        given = Conditions.of({name: filling * (size // len(filling))})
        given.status(_META)
        given.allow_part(_META, datetime.now(timezone.utc))
        assert given.cached is None or given.if_none_match

    return work


def _path(filling: str) -> Callable[[int], object]:
    def work(size: int) -> None:
        with suppress(HTTPError):
            is_hidden_path(api_path(filling * (size // len(filling)) + "a"))

    return work


WORK: dict[str, Callable[[int], object]] = {
    "base64 of blanks": _base64(" "),
    "base64 of padding": _base64("="),
    "base64 with a blank in each group": _base64("AAA A"),
    "base64 with padding in each group": _base64("AA=="),
    "base64 with letters of no alphabet": _base64("é"),
    "ranges": lambda size: wanted_range("bytes=" + "0-1," * (size // 4)),
    "blanks in a range": lambda size: wanted_range("bytes=" + " " * size + "x"),
    "digits of a range": lambda size: wanted_range("bytes=" + "9" * size + "-"),
    "tags": _conditions("If-None-Match", '"a", '),
    "quotes": _conditions("If-Match", '"'),
    "weak tags of nothing": _conditions("If-None-Match", "W/"),
    "a tag of escapes": _conditions("If-None-Match", "%41"),
    "a date of commas": _conditions("If-Modified-Since", " , "),
    "a date of comments": _conditions("If-Unmodified-Since", "("),
    "a path of dots": _path("./"),
    "a path of slashes": _path("/"),
    "a path of folders": _path("a/"),
    "a path of names": lambda size: invalid_reason("a/" * (size // 2) + "\\"),
}


@pytest.mark.parametrize("name", WORK)
def test_twice_as_much_is_no_more_than_twice_the_calls(name: str) -> None:
    work = WORK[name]
    work(SMALL)  # whatever is imported and remembered with the first call
    once, twice = (calls_of(partial(work, size)) for size in (SMALL, 2 * SMALL))
    assert twice <= 2.2 * once + _CALLS


DOCUMENTS: dict[str, Callable[[int], bytes]] = {
    "brackets": lambda size: b"[" * size,
    "braces": lambda size: b'{"":' * (size // 4),
    "levels that are closed": lambda size: b"[" * (size // 2) + b"]" * (size // 2),
    "blanks": lambda size: b" " * size,
    "blanks between members": lambda size: (
        b"[" + (b"1" + b" " * 300 + b",") * (size // 302) + b"1]"
    ),
    "one string without an end": lambda size: b'["' + b"a" * size,
    "backslashes": lambda size: b'["' + b"\\\\" * (size // 2),
    "halves of characters": lambda size: b'["' + b"\\ud83d" * (size // 6) + b'"]',
    "a number": lambda size: b"[" + b"9" * size + b"]",
    "members that look like ends": lambda size: b'["' + b'],[\\"' * (size // 5) + b'"]',
    "a separator within strings": lambda size: b'["a", "' + b', \\"' * (size // 4) + b'", "b"]',
    "strings full of what separates": lambda size: (
        b"[" + (b'["' + b",[" * 20 + b'"],') * (size // 45) + b"[]]"
    ),
    "many lists, one in the other": lambda size: (
        b"[[" * 15 + b"1," * (size // 2) + b"1" + b"]]" * 15
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_is_not_read_again_and_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = 0
    text_of = json_reading._Reader._text

    def counted(reader: json_reading._Reader, start: int, stop: int) -> str:
        nonlocal read
        text = text_of(reader, start, stop)
        read += len(text)
        return text

    monkeypatch.setattr(json_reading._Reader, "_text", counted)
    amounts = []
    for size in (PIECES, 2 * PIECES):
        read = 0
        with suppress(ValueError, RecursionError):
            json_reading.loads(DOCUMENTS[name](size), NotebookNode)
        amounts.append(read)
    # Per level that is taken apart a piece is tried in vain, in each of four sizes.
    in_vain = 32 * 2 * pieces.PIECE
    assert amounts[1] <= 2.2 * amounts[0] + in_vain
    # The smallest try may be for a member of a few bytes, and each try may fail once.
    assert amounts[1] <= 256 * 2 * PIECES + in_vain


@pytest.mark.parametrize("name", DOCUMENTS)
def test_twice_as_large_a_document_is_no_more_than_twice_the_calls(name: str) -> None:
    def work(size: int) -> None:
        with suppress(HTTPError):
            decode_notebook("n.ipynb", DOCUMENTS[name](size))

    once, twice = (calls_of(partial(work, size)) for size in (PIECES, 2 * PIECES))
    assert twice <= 2.2 * once + _CALLS


def _put(model: dict[str, Any], path: bytes = b"new.ipynb", method: str = "PUT") -> Request:
    return Request(method, b"api/contents/" + path, body=json.dumps(model).encode())


def _notebook(cells: list[Any]) -> dict[str, Any]:
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    return {"type": "notebook", "format": "json", "content": content}


_CELL = {"cell_type": "markdown", "id": "x", "metadata": {}, "source": ""}

REQUESTS: dict[str, Callable[[int], Request]] = {
    "base64 with blanks": lambda size: _put(
        {"type": "file", "format": "base64", "content": "AAA A" * (size // 5)}
    ),
    "content of no kind": lambda size: _put(
        {"type": "file", "format": "text", "content": [1] * (size // 3)}
    ),
    "a chunk of no number": lambda size: _put(
        {"type": "file", "format": "text", "content": "", "chunk": [1] * (size // 3)}
    ),
    "a path in the model": lambda size: _put({"path": "a/" * (size // 2)}, b"a.txt", "PATCH"),
    "a path of dots": lambda size: _put({"copy_from": "../" * (size // 3)}, b"", "POST"),
    "an extension": lambda size: _put({"type": "file", "ext": "." * size}, b"", "POST"),
    "keys": lambda size: _put({str(number): number for number in range(size // 16)}),
    "cells that are none": lambda size: _put(_notebook([{}] * (size // 4))),
    "cells of one id": lambda size: _put(_notebook([_CELL] * (size // 80))),
    "brackets": lambda size: Request("PUT", b"api/contents/a.txt", body=b"[" * size),
}
_ON_THE_LOOP = 10_000
"""Calls that one such request may take there: far fewer than it has members."""


@pytest.mark.stores("memory")
@pytest.mark.parametrize("name", REQUESTS)
def test_a_hostile_request_is_little_work_for_the_event_loop(world: World, name: str) -> None:
    world.begin(SEED)
    make = REQUESTS[name]
    world.exchange(make(1_000))
    sent = [make(size) for size in (PIECES, 2 * PIECES)]
    once, twice = (calls_of(partial(world.exchange, one)) for one in sent)
    assert once <= _ON_THE_LOOP
    assert twice <= 2.2 * once + _CALLS


@pytest.mark.stores("memory")
@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_notebook_is_little_work_for_the_event_loop(world: World, name: str) -> None:
    request = Request("GET", b"api/contents/n.ipynb")
    counts = []
    for size in (PIECES, 2 * PIECES):
        world.begin({"n.ipynb": DOCUMENTS[name](size)})
        counts.append(calls_of(partial(world.exchange, request)))
    assert counts[0] <= _ON_THE_LOOP
    assert counts[1] <= 2.2 * counts[0] + _CALLS
