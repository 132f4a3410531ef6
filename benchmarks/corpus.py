"""The notebooks and files that the gestures are made with; the same bytes in each run."""

from __future__ import annotations

import base64
import json
import random
from dataclasses import dataclass
from functools import cache
from typing import Any

import nbformat
from nbformat import v4

MIB = 2**20
_EDIT = "edit-0000000000000000"
"""Stands in each notebook once, and is replaced by something else at each save."""

NOTEBOOKS = {"0.1 MB": 100_000, "4 MB": 4_000_000, "45 MB": 45_000_000, "20,000 cells": 0}
"""Sizes in bytes; 0: given by the number of cells."""

_MANY_CELLS = 20_000


@dataclass(frozen=True, slots=True)
class NotebookBytes:
    """A notebook as it lies in the store, and the body of a request that saves it."""

    stored: bytes
    body: bytes

    def edited(self, number: int) -> NotebookBytes:
        """The same, changed in one place."""
        old, new = _EDIT.encode(), edit_mark(number).encode()
        return NotebookBytes(self.stored.replace(old, new, 1), self.body.replace(old, new, 1))


def edit_mark(number: int) -> str:
    """What stands in the notebook that was edited with this number."""
    return f"edit-{number:016}"


@cache
def notebook(name: str) -> NotebookBytes:
    """One of `NOTEBOOKS`, or of so many cells: ``"2000 cells"``."""
    size = NOTEBOOKS.get(name, 0)
    content = document(_drawn(size) if size else _many(_count(name)))
    # Writing strips what the cells of a notebook that was run here have: that they are trusted.
    stored = v4.writes(nbformat.from_dict(content)).encode() + b"\n"
    model = {"type": "notebook", "format": "json", "content": content}
    # As JavaScript writes it.
    body = json.dumps(model, ensure_ascii=False, separators=(",", ":")).encode()
    return NotebookBytes(stored, body)


def _count(name: str) -> int:
    return int(name.split()[0].replace(",", ""))


def document(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """A notebook of the newest format."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {
        "cells": cells,
        "metadata": {"benchmark": _EDIT, "kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _drawn(size: int) -> list[dict[str, Any]]:
    """Cells with pictures, which are most of the size, and tables."""
    source = random.Random(size)
    cells: list[dict[str, Any]] = []
    picture = min(1_200_000, size // 2)
    left = size
    while left > 0:
        data = source.randbytes(min(picture, left) * 3 // 4)
        text = _table(source, 40)
        cells.append(_cell(len(cells), base64.b64encode(data).decode(), text))
        left -= len(data) * 4 // 3 + len(text)
    return cells


def _many(count: int) -> list[dict[str, Any]]:
    source = random.Random(count)
    return [_cell(number, None, _table(source, 3)) for number in range(count)]


def _table(source: random.Random, lines: int) -> str:
    return "\n".join(
        f"{line:6} " + " ".join(f"{source.gauss(0, 1):10.6f}" for _ in range(8))
        for line in range(lines)
    )


def _cell(number: int, picture: str | None, text: str) -> dict[str, Any]:
    outputs: list[dict[str, Any]] = [{"name": "stdout", "output_type": "stream", "text": text}]
    if picture is not None:
        data = {"image/png": picture, "text/plain": "<Figure size 640x480 with 1 Axes>"}
        outputs.append({"data": data, "metadata": {}, "output_type": "display_data"})
    return {
        "cell_type": "code",
        "execution_count": number + 1,
        "id": f"cell-{number:08}",
        "metadata": {"trusted": True},
        "outputs": outputs,
        "source": f"frame = measure({number})\nframe.plot()\nprint(frame)",
    }


class Chunks:
    """The bodies of the requests that upload a file of so many MiB, as JupyterLab sends them."""

    def __init__(self, mib: int) -> None:
        self.mib = mib
        piece = base64.b64encode(random.Random(mib).randbytes(MIB)).decode()
        self._rest = piece[16:].encode()

    def body(self, number: int) -> bytes:
        """Chunk `number` of 1 to `mib`; they differ in their first bytes."""
        chunk = -1 if number == self.mib else number
        start = base64.b64encode(f"{number:012}".encode())
        head = b'{"type":"file","format":"base64","chunk":%d,"content":"' % chunk
        return b"".join((head, start, self._rest, b'"}'))


def file_bytes(mib: int) -> bytes:
    """A file to download."""
    return random.Random(mib).randbytes(MIB) * mib
