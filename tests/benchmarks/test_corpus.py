"""What the gestures are made with is what JupyterLab would send, and what Jupyter would store."""

from __future__ import annotations

import base64
import json

import nbformat
import pytest

from benchmarks.corpus import MIB, Chunks, edit_mark, notebook
from jupyter_nbforge.contents.notebooks import encode_notebook


@pytest.mark.parametrize("name", ["0.1 MB", "200 cells"])
def test_a_notebook_is_valid_and_stored_as_it_is_saved(name: str) -> None:
    made = notebook(name)
    model = json.loads(made.body)
    encoded = encode_notebook("a.ipynb", model["content"])
    assert encoded.validation.plain
    assert encoded.data == made.stored
    assert nbformat.reads(made.stored.decode(), as_version=4).cells


def test_a_notebook_has_the_size_of_its_name() -> None:
    assert 95_000 < len(notebook("0.1 MB").stored) < 115_000
    assert len(json.loads(notebook("200 cells").stored)["cells"]) == 200


def test_an_edit_changes_the_notebook_and_not_its_size() -> None:
    made, edited = notebook("0.1 MB"), notebook("0.1 MB").edited(7)
    for before, after in ((made.stored, edited.stored), (made.body, edited.body)):
        assert len(before) == len(after)
        assert after.count(edit_mark(7).encode()) == 1
        assert edit_mark(7).encode() not in before


def test_chunks_are_numbered_and_the_last_is_known_as_such() -> None:
    chunks = Chunks(3)
    models = [json.loads(chunks.body(number)) for number in (1, 2, 3)]
    assert [model["chunk"] for model in models] == [1, 2, -1]
    pieces = [base64.b64decode(model["content"], validate=True) for model in models]
    assert [len(piece) for piece in pieces] == [MIB] * 3
    assert len(set(pieces)) == 3
