"""Notebooks that are none, or nearly: what may lie in a store under a notebook's name."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

from .strategies import as_json, nested, values

_CODE: dict[str, Any] = {
    "cell_type": "code",
    "id": "same",
    "metadata": {"trusted": True},
    "source": ["1 +\n", "1"],
    "execution_count": 1,
    "outputs": [
        {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]},
        {
            "output_type": "display_data",
            "metadata": {},
            "data": {"text/html": "<b>x</b>", "application/json": {"a": 1}},
        },
        {"output_type": "error", "ename": "E", "evalue": "v", "traceback": ["t"]},
    ],
}
_TEXT: dict[str, Any] = {
    "cell_type": "markdown",
    "id": "same",
    "metadata": {},
    "source": "text",
    "attachments": {"a.png": {"image/png": "AAAA"}},
}
_OLD_CODE: dict[str, Any] = {
    "cell_type": "code",
    "language": "python",
    "collapsed": False,
    "prompt_number": 1,
    "input": ["1\n", "2"],
    "metadata": {},
    "outputs": [
        {"output_type": "stream", "stream": "stdout", "text": "a"},
        {"output_type": "pyout", "prompt_number": 1, "text": ["a"], "png": "AAAA"},
        {"output_type": "pyerr", "ename": "E", "evalue": "v", "traceback": ["t"]},
    ],
}
_OLD_TEXT = {"cell_type": "heading", "level": 2, "source": "title", "metadata": {}}
_SHEET = {"cells": [_OLD_CODE, _OLD_TEXT], "metadata": {}}


def _current(minor: Any) -> dict[str, Any]:
    """With two cells of one id."""
    return {
        "nbformat": 4,
        "nbformat_minor": minor,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "x"}},
        "cells": [_CODE, _TEXT],
    }


_OLD: list[dict[str, Any]] = [
    {"nbformat": 1, "cells": [{"cell_type": "code", "code": "1", "prompt_number": 1}]},
    {"nbformat": 2, "metadata": {"name": "x"}, "worksheets": [_SHEET]},
    {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": "x"}, "worksheets": [_SHEET]},
    {"nbformat": 5, "nbformat_minor": 0, "metadata": {}, "cells": []},
]

documents = st.one_of(
    st.sampled_from([0, 1, 2, 3, 4, 5, 99, -1, "5", 4.5, None, True]).map(_current),
    st.sampled_from(_OLD),
)


def _changed(document: dict[str, Any], steps: list[int], value: Any, drop: bool) -> Any:
    """A copy in which one place, found by walking down so many steps, is something else."""
    changed: Any = copy.deepcopy(document)
    at = changed
    for step in steps[:-1]:
        keys = list(at) if isinstance(at, dict) else range(len(at))
        below = at[list(keys)[step % len(keys)]]
        if not isinstance(below, dict | list) or not below:
            break
        at = below
    key: Any = (list(at) if isinstance(at, dict) else list(range(len(at))))[steps[-1] % len(at)]
    if drop:
        del at[key]
    else:
        at[key] = value
    return changed


_steps = st.lists(st.integers(0, 9), min_size=1, max_size=6)
strange = st.one_of(
    documents,
    st.builds(_changed, documents, _steps, st.one_of(values, nested), st.booleans()),
    values,
)

_ENCODINGS = ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp037"]


def _written(document: Any, encoding: str, kept: float, junk: bytes) -> bytes:
    data = as_json(document).decode().encode(encoding)
    return data[: int(len(data) * kept)] + junk


stored = st.one_of(
    st.builds(_written, strange, st.just("utf-8"), st.just(1.0), st.just(b"")),
    st.builds(
        _written,
        strange,
        st.sampled_from(_ENCODINGS),
        st.sampled_from([1.0, 1.0, 0.99, 0.5, 0.1]),
        st.sampled_from([b"", b"\n", b"\x00", b"\xff", b"{}", b"]"]),
    ),
    st.binary(max_size=30),
)
"""The bytes of an object whose name ends in ``.ipynb``."""
