"""The table of differences: each is really there, each is in the docs, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from . import operations as ops
from . import payloads
from .differences import DIFFERENCES, NORMALISED
from .examples import EXAMPLES
from .pair import Pair

PAGE = Path(__file__).parents[2] / "docs" / "differences.md"


def rows() -> list[str]:
    """The rows of the two tables of the page, as the data says them."""
    lines = [f"| {one.when} | {one.what} | {one.why} |" for one in DIFFERENCES]
    return [*lines, *(f"| {what} | {why} |" for what, why in NORMALISED)]


def test_the_page_has_every_difference_and_no_other() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    heads = ("| when ", "| what ", "| --- ")
    assert [line for line in lines if line.startswith("| ") and not line.startswith(heads)] == (
        rows()
    )


def test_every_difference_has_an_example() -> None:
    assert list(EXAMPLES) == [one.name for one in DIFFERENCES]


@pytest.mark.parametrize("place", ["file", "moto", "gcs", "azure"], indirect=True)
def test_every_difference_is_seen_in_its_example(pair: Pair, run: Callable[[Any], Any]) -> None:
    for name, operations in EXAMPLES.items():
        pair.counts.differences.clear()
        run(pair.restart(allow_hidden=True))
        for operation in operations:
            run(pair.step(operation))
        pair.finish()
        if name == "hash algorithm" and pair.ours.place.name != "file":
            assert not pair.counts.differences[name], "a cloud keeps our hash with the object"
        else:
            assert pair.counts.differences[name], f"{name} is not seen in {operations}"


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_what_is_no_documented_difference_is_an_error(
    pair: Pair, run: Callable[[Any], Any]
) -> None:
    run(pair.restart())
    run(pair.step(ops.save_notebook("n.ipynb", payloads.MARKDOWN)))
    (pair.reference.root / "n.ipynb").write_text("{}")
    with pytest.raises(AssertionError, match="undocumented differences"):
        run(pair.step(ops.get("n.ipynb")))
