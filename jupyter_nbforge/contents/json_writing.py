"""Writing the JSON of large notebooks, in pieces: the bytes that nbformat would write.

`json.dumps` makes one text of it all and holds the interpreter's lock for each of its long
strings; what is many small things it writes one by one, in Python.
"""

from __future__ import annotations

from collections.abc import Collection
from json.encoder import encode_basestring
from typing import Any

from nbformat.v4.nbjson import BytesEncoder

from . import pieces

_AT_ONCE = 512
"""Members of a container that are written at once."""

_SCALARS = {str, int, float, bool, type(None)}


def dumps(value: Any) -> bytes:
    """The UTF-8 of `value` as nbformat writes a notebook: indented by one, keys in order, one
    newline at its end.

    A key that is no string is a `TypeError`; what else JSON or UTF-8 cannot hold is the
    error of the library for it.
    """
    writer = _Writer()
    writer.write(value, "\n")
    return writer.data()


def _are_small_scalars(values: Collection[Any]) -> bool:
    types = set(map(type, values))
    if not types <= _SCALARS:
        return False
    return str not in types or _size(values) <= pieces.PIECE


def _size(values: Collection[Any]) -> int:
    return sum(len(value) for value in values if type(value) is str)


class _Writer:
    """Collects pieces of text, and encodes them a block at a time."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self._blocks: list[bytes] = []
        self._scalar = BytesEncoder(ensure_ascii=False).encode
        self._encoders: dict[str, BytesEncoder] = {}

    def data(self) -> bytes:
        self._put("\n")
        self._encode()
        return b"".join(self._blocks)

    def _put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > pieces.PIECE:
            self._encode()

    def _encode(self) -> None:
        self._blocks.append("".join(self._pieces).encode("utf-8"))
        self._pieces.clear()
        self._size = 0

    def write(self, value: Any, newline: str) -> None:
        """Append a value; `newline` ends a line and begins the next one at its depth."""
        if isinstance(value, str):
            self._string(value)
        elif isinstance(value, dict):
            self._object(value, newline)
        elif isinstance(value, list | tuple):
            self._array(value, newline)
        else:
            self._put(self._scalar(value))

    def _string(self, text: str) -> None:
        if len(text) <= pieces.PIECE:
            self._put(encode_basestring(text))
            return
        self._put('"')
        for piece in pieces.of(text):
            self._put(encode_basestring(piece)[1:-1])
        self._put('"')

    def _object(self, value: dict[str, Any], newline: str) -> None:
        if not value:
            self._put("{}")
            return
        inner, before = newline + " ", "{"
        for key in sorted(value):
            if not isinstance(key, str):
                raise TypeError(f"a key that is no string: {key!r}")
            self._put(f"{before}{inner}{encode_basestring(key)}: ")
            self.write(value[key], inner)
            before = ","
        self._put(newline + "}")

    def _array(self, value: list[Any] | tuple[Any, ...], newline: str) -> None:
        if not value:
            self._put("[]")
            return
        inner, before = newline + " ", "["
        for start in range(0, len(value), _AT_ONCE):
            some = value[start : start + _AT_ONCE]
            if _are_small_scalars(some):
                self._put(before + inner + self._encoder(inner).encode(some)[1:-1])
                before = ","
                continue
            for item in some:
                self._put(before + inner)
                self.write(item, inner)
                before = ","
        self._put(newline + "]")

    def _encoder(self, inner: str) -> BytesEncoder:
        """Writes what is flat without a pause; `inner` is the newline between its members."""
        if inner not in self._encoders:
            separators = ("," + inner, ": ")
            self._encoders[inner] = BytesEncoder(ensure_ascii=False, separators=separators)
        return self._encoders[inner]
