"""What is saved: texts, bytes and notebooks, good ones and such as no client should send."""

from __future__ import annotations

import base64
from typing import Any

TEXTS = ("", "one", "two\n", "grüße 日本\r\n", "x" * 3000, '{"nbformat": 4}', "{not json")

BYTES = (b"", b"\xff\x00", b"plain", bytes(range(256)) * 5)
BASE64 = tuple(base64.b64encode(data).decode() for data in BYTES)
WRAPPED = base64.encodebytes(BYTES[-1]).decode()


def _cell(kind: str, source: str, **more: Any) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": source, **more}


def _code(source: str, *outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return _cell("code", source, execution_count=None, outputs=list(outputs), **more)


def _notebook(*cells: dict[str, Any], minor: int = 5) -> dict[str, Any]:
    return {"cells": list(cells), "metadata": {}, "nbformat": 4, "nbformat_minor": minor}


_HTML = {"output_type": "display_data", "metadata": {}, "data": {"text/html": "<script>1</script>"}}
_STREAM = {"output_type": "stream", "name": "stdout", "text": "1\n2\n"}

EMPTY = _notebook()
MARKDOWN = _notebook(_cell("markdown", "# one\nand more", id="one"))
CODE = _notebook(_code("print(1)", _STREAM, id="two"), _code("", id="three"))
UNTRUSTED = _notebook(_code("draw()", _HTML, id="four"))
OF_4_4 = _notebook(_cell("raw", "old"), _code("1", _STREAM), minor=4)
WITHOUT_ID = _notebook(_cell("markdown", "no id"))
UNKNOWN_KIND = _notebook(_cell("strange", "?", id="five"))
WITHOUT_SOURCE = _notebook({"cell_type": "markdown", "metadata": {}, "id": "six"})
OF_3 = {
    "metadata": {"name": "three"},
    "nbformat": 3,
    "nbformat_minor": 0,
    "worksheets": [{"metadata": {}, "cells": [_cell("markdown", "older")]}],
}

NOTEBOOKS: tuple[dict[str, Any], ...] = (EMPTY, MARKDOWN, CODE, UNTRUSTED, OF_4_4)
"""Notebooks as clients send them."""

ODD_NOTEBOOKS: tuple[Any, ...] = (
    *(WITHOUT_ID, UNKNOWN_KIND, WITHOUT_SOURCE, OF_3),
    *(
        "",
        "text",
        [],
        {},
        None,
        {"nbformat": 4},
        {**EMPTY, "nbformat": "4"},
        {**EMPTY, "cells": {}},
    ),
)
"""What else may come as a notebook."""

ODD_MODELS: tuple[Any, ...] = (
    None,
    {},
    {"type": "file"},
    {"type": "notebook"},
    {"content": "one", "format": "text"},
    {"type": None, "content": "one", "format": "text"},
    {"type": "strange", "content": "one", "format": "text"},
    {"type": "file", "content": "one"},
    {"type": "file", "content": "one", "format": "json"},
    {"type": "file", "content": None, "format": "text"},
    {"type": "file", "content": 1, "format": "text"},
    {"type": "file", "content": {"a": 1}, "format": "base64"},
    {"type": "file", "content": "\ud800", "format": "text"},
    {"type": "file", "content": "abc", "format": "base64"},
    {"type": "file", "content": "YQ==?", "format": "base64"},
    {"type": "file", "content": "é", "format": "base64"},
    {"type": "notebook", "content": MARKDOWN},
    {"type": "directory", "content": "one"},
    {"type": "directory", "format": "json", "content": []},
    {"type": "directory", "content": "one", "format": "text", "chunk": 1},
    {"type": "notebook", "content": MARKDOWN, "format": "json", "chunk": 1},
    {"copy_from": "a.txt"},
)
"""Bodies of a save that say too little, too much, or something else."""
