"""``python -m benchmarks.notebooks``: what the time of a large notebook goes into.

For opening and for saving, the way of Jupyter's own managers (nbformat's functions) beside
ours: JSON, validation, signing, and the transfer from or to the store, by the SDK alone.
What Jupyter's handlers do for both is JSON too: the body of a save is parsed before a
contents manager sees it, and the model of an opening is written after it was let go.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary

from jupyter_nbforge.contents.notebooks import decode_notebook, encode_notebook
from jupyter_nbforge.contents.trust import mark_trusted, sign_if_trusted
from jupyter_nbforge.contents.validation import check
from jupyter_nbforge.testing.servers import SeaweedServer

from .children import Child
from .corpus import NotebookBytes, notebook
from .raw import Raw, Store

NAMES = ("45 MB", "20,000 cells")
STAGES = ("JSON", "validation", "signing", "transfer")
_REPETITIONS = 3
_BUCKET = "notebooks"
_LOG = logging.getLogger(__name__)
_LOG.setLevel(logging.ERROR)  # that a notebook is not trusted is no news here

Stages = dict[str, float]


def measure(names: list[str]) -> list[dict[str, Any]]:
    """One row for each notebook, gesture and way: the fewest seconds of each stage."""
    rows: list[dict[str, Any]] = []
    with _notary() as notary:
        for name in names:
            made = notebook(name)
            transfer = _transfer(made)
            for gesture, way, stages in (
                ("open", "nbformat", _open_plainly(made, notary)),
                ("open", "jupyter_nbforge", _open_ours(made, notary)),
                ("save", "nbformat", _save_plainly(made, notary)),
                ("save", "jupyter_nbforge", _save_ours(made, notary)),
            ):
                seconds = stages | {"transfer": transfer[gesture]}
                rows.append({"notebook": name, "gesture": gesture, "way": way, "seconds": seconds})
    return rows


def _open_plainly(made: NotebookBytes, notary: NotebookNotary) -> Stages:
    text = made.stored.decode()
    content = nbformat.reads(text, as_version=4)
    reading = _best(lambda _: nbformat.reads(text, as_version=4))
    validation = _best(lambda _: nbformat.validate(content))
    signing = _best(lambda _: notary.mark_cells(content, notary.check_signature(content)))
    answering = _best(lambda _: json.dumps(content))
    return {"JSON": reading - validation + answering, "validation": validation, "signing": signing}


def _open_ours(made: NotebookBytes, notary: NotebookNotary) -> Stages:
    content, _ = decode_notebook("a", made.stored)
    parsing = _best(lambda _: decode_notebook("a", made.stored, is_plain=True))
    validation = _best(lambda _: check(content))
    signing = _best(lambda _: asyncio.run(mark_trusted(notary, content, "a", _LOG)))
    answering = _best(lambda _: json.dumps(content))
    return {"JSON": parsing + answering, "validation": validation, "signing": signing}


def _save_plainly(made: NotebookBytes, notary: NotebookNotary) -> Stages:
    parsing = _best(lambda _: json.loads(made.body.decode()))
    model = json.loads(made.body.decode())["content"]
    converting = _best(lambda _: nbformat.from_dict(model))
    # To look whether the cells are trusted takes that from them.
    signing = _best(
        lambda content: notary.check_cells(content) and notary.sign(content),
        lambda: nbformat.from_dict(model),
    )
    content = nbformat.from_dict(model)
    validation = _best(lambda _: nbformat.validate(content))
    writing = _best(lambda _: nbformat.writes(content, version=nbformat.NO_CONVERT).encode())
    seconds = parsing + converting + writing - validation
    return {"JSON": seconds, "validation": validation, "signing": signing}


def _save_ours(made: NotebookBytes, notary: NotebookNotary) -> Stages:
    parsing = _best(lambda _: json.loads(made.body.decode()))
    model = json.loads(made.body.decode())["content"]
    encoding = _best(lambda _: encode_notebook("a", model))
    content = encode_notebook("a", model).notebook
    validation = _best(lambda _: check(content))
    signing = _best(
        lambda content: asyncio.run(sign_if_trusted(notary, content, "a", _LOG)),
        lambda: encode_notebook("a", model).notebook,
    )
    seconds = parsing + encoding - validation
    return {"JSON": seconds, "validation": validation, "signing": signing}


def _best(act: Callable[[Any], Any], make: Callable[[], Any] = lambda: None) -> float:
    """The fewest seconds that `act` took of some repetitions, each with what `make` gave it."""
    seconds: list[float] = []
    for _ in range(_REPETITIONS):
        given = make()
        begun = time.perf_counter()
        act(given)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)


@contextmanager
def _notary() -> Iterator[NotebookNotary]:
    with tempfile.TemporaryDirectory() as folder:
        notary = NotebookNotary(data_dir=folder)
        try:
            yield notary
        finally:
            notary.store.close()


def _transfer(made: NotebookBytes) -> Stages:
    """Seconds to fetch and to put the notebook's bytes, by the SDK alone."""
    with tempfile.TemporaryDirectory() as folder, SeaweedServer(Path(folder), keep=False) as weed:
        weed.create_bucket(_BUCKET)
        store = Store(weed.endpoint_url, _BUCKET, weed.access_key, weed.secret_key)
        with Child(Raw, store) as raw:
            raw.ask("write", "a", made.stored)
            raw.ask("edit", made.stored)
            return {
                gesture: min(raw.ask("perform", gesture, "a").seconds for _ in range(_REPETITIONS))
                for gesture in ("open", "save")
            }


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown: seconds and, behind them, the share of the whole."""
    lines = [
        f"| notebook | gesture | way | {' | '.join(STAGES)} | together |",
        "| --- | --- | --- |" + " ---: |" * (len(STAGES) + 1),
    ]
    for row in rows:
        seconds: Stages = row["seconds"]
        whole = sum(seconds.values())
        cells = [f"{seconds[stage]:.2f} s ({seconds[stage] / whole:.0%})" for stage in STAGES]
        start = f"| {row['notebook']} | {row['gesture']} | {row['way']} |"
        lines.append(f"{start} {' | '.join(cells)} | {whole:.2f} s |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(measure(sys.argv[1:] or list(NAMES))))
