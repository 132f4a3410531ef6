"""What the page of differences says below its first table: each sentence is shown by a test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from . import operations as ops
from .operations import Operation
from .pair import Pair
from .payloads import BASE64
from .test_differences import PAGE

Run = Callable[[Any], Any]

NAMES = (
    "On Azure, names that the store would change (a trailing dot, a backslash) are refused with"
    " a 400."
)
CONTROL = "A name with a control character is refused everywhere."
COPY = "A folder copied into itself is copied once."
UPLOAD = (
    "Nothing of a chunked upload is to be seen before its last chunk; Jupyter's own manager shows"
    " what has come."
)
TRASH = "There is no trash: what is deleted is gone."

in_memory = pytest.mark.parametrize("place", ["memory"], indirect=True)


def test_the_page_says_below_its_table_what_is_shown_here_and_no_more() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("\n## What is not compared")[0]
    paragraph = text.rpartition("|\n\n")[2]
    assert " ".join(paragraph.split()) == " ".join((NAMES, CONTROL, COPY, UPLOAD, TRASH))


@pytest.mark.parametrize("place", ["azure"], indirect=True)
@pytest.mark.parametrize("name", ["dot.", "a\\b.txt"])
def test_names_that_azure_would_change_are_refused(pair: Pair, run: Run, name: str) -> None:
    run(pair.restart())
    assert run(pair.ours.call(ops.save(name, "one"))).status == 400


@pytest.mark.parametrize("place", ["file", "moto", "gcs", "azure"], indirect=True)
def test_a_name_with_a_control_character_is_refused(pair: Pair, run: Run) -> None:
    run(pair.restart())
    assert run(pair.ours.call(ops.save("a\x07.txt", "one"))).status == 400


@in_memory
def test_a_folder_copied_into_itself_is_copied_once(pair: Pair, run: Run) -> None:
    run(pair.restart())
    assert run(pair.ours.call(ops.save("d/a.txt", "one"))).status == 201
    copied = run(pair.ours.call(ops.copy("d", "d")))
    assert copied.status == 201
    listed = run(pair.ours.call(ops.get(copied.json["path"]))).json["content"]
    names = [entry["name"] for entry in listed]
    assert copied.json["path"].startswith("d/")
    assert names == ["a.txt"]


@in_memory
def test_only_jupyters_own_manager_shows_an_upload_before_its_last_chunk(
    pair: Pair, run: Run
) -> None:
    run(pair.restart())
    for side, status in ((pair.ours, 404), (pair.reference, 200)):
        run(side.call(ops.chunk("a.bin", 1, BASE64[1])))
        assert run(side.call(ops.get("a.bin"))).status == status


@in_memory
def test_what_is_deleted_is_gone(pair: Pair, run: Run) -> None:
    run(pair.restart())
    run(pair.ours.call(ops.save("a.txt", "one")))
    assert run(pair.ours.call(Operation("DELETE", "a.txt"))).status == 204
    assert pair.ours.place.client is not None
    assert pair.ours.place.client.paths() == []
