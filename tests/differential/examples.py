"""For each documented difference, the shortest sequence of operations that shows it."""

from __future__ import annotations

from . import operations as ops
from . import payloads
from .operations import Operation

_BINARY, _TEXT = payloads.BASE64[1], ops.save("a.txt", "one")
_NOTEBOOK = ops.save_notebook("n.ipynb", payloads.MARKDOWN)

EXAMPLES: dict[str, tuple[Operation, ...]] = {
    "hash unasked": (_TEXT,),
    "hash of a folder": (ops.get("", hash="1"),),
    "hash algorithm": (_TEXT, ops.get("a.txt", hash="1"), _TEXT, ops.get("a.txt", hash="1")),
    "folder time in a listing": (ops.save("d/a.txt", "one"), ops.get("")),
    "checkpoint id": (_TEXT, ops.make_checkpoint("a.txt"), ops.list_checkpoints("a.txt")),
    "no checkpoint of a beginning": (ops.untitled("", type="notebook"),),
    "folders on the way": (ops.save("d/a.txt", "one"),),
    "a folder moved into none": (ops.make_folder("d"), ops.rename("d", "d2/d")),
    "an error of the request is no 500": (
        ops.save_notebook("n.ipynb", "text"),
        ops.make_checkpoint("a.txt"),
    ),
    "checkpoints of nothing": (_TEXT, ops.list_checkpoints("a.txt/b.txt")),
    "a folder of empty folders": (ops.make_folder("d"), ops.make_folder("d/d"), ops.delete("d")),
    "no copy is hidden": (
        ops.save("-Copy1.rc", "one"),
        ops.make_folder("d"),
        ops.copy("-Copy1.rc", "d"),
    ),
    "trust by content": (ops.save_notebook("a.txt", payloads.CODE), ops.trust("a.txt")),
    "base64 is checked": (ops.save("a.txt", "YQ==?", format="base64"),),
    "chunks in order": (ops.chunk("a.txt", 1, _BINARY), ops.chunk("a.txt", 3, _BINARY)),
    "copies byte for byte": (
        ops.save("n.ipynb", "{not json"),
        ops.copy("n.ipynb", ""),
        ops.save_notebook("o.ipynb", payloads.OF_3),
        ops.copy("o.ipynb", ""),
    ),
    "a folder is no file": (ops.make_folder("d"), ops.download("d")),
    "entity tag": (_TEXT, ops.download("a.txt")),
    "private caching": (_TEXT, ops.download("a.txt")),
    "file name": (_NOTEBOOK, ops.download("n.ipynb")),
    "text without a type": (ops.save("c", "one"), ops.download("c")),
    "ranges": (
        _TEXT,
        ops.download("a.txt", part="bytes=0-"),
        ops.download("a.txt", part="bytes=2-1"),
    ),
}
"""By the name of the difference; all on an empty root where hidden files are allowed."""
