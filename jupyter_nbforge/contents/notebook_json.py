"""The JSON of large notebooks, in pieces: the same results as `json`, without its long breath.

`json.loads` and `json.dumps` hold the interpreter's lock from beginning to end, in a worker
thread too: for 45 MB the event loop would stand still for a tenth of a second and more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from json import decoder
from json.encoder import encode_basestring
from typing import Any

from nbformat.v4.nbjson import BytesEncoder

_PIECE = 2**18
"""Characters that are parsed or escaped without a pause: about a millisecond's work."""

_FIRST_TRY = 2**12
_GROWTH = 8
_BLANKS = re.compile(r"[ \t\n\r]*")

Hook = Callable[[dict[str, Any]], Any]


def loads(text: str, hook: Hook) -> Any:
    """As ``json.loads(text, object_hook=hook)``, its errors included."""
    if len(text) > _PIECE:
        try:
            return _Reader(text, hook).whole()
        except (ValueError, IndexError, StopIteration):
            pass  # not JSON: the library says what is wrong with it
    return json.loads(text, object_hook=hook)


class _Reader:
    """Reads containers above `_PIECE` member by member, what is smaller at once."""

    def __init__(self, text: str, hook: Hook) -> None:
        self._text = text
        self._hook = hook
        # Typed as Any: the type stubs do not know these two.
        scanner: Any = json.JSONDecoder(object_hook=hook)
        self._scan: Callable[[str, int], tuple[Any, int]] = scanner.scan_once
        strings: Any = decoder
        self._scan_string: Callable[[str, int, bool], tuple[str, int]] = strings.scanstring

    def whole(self) -> Any:
        value, end = self._value(self._skip(0))
        if self._skip(end) != len(self._text):
            raise ValueError("more than one value")
        return value

    def _skip(self, start: int) -> int:
        found = _BLANKS.match(self._text, start)
        return start if found is None else found.end()

    def _value(self, start: int) -> tuple[Any, int]:
        opening = self._text[start]
        if opening not in "{[":
            return self._scan(self._text, start)
        size = _FIRST_TRY
        while size <= _PIECE:
            try:
                # A container that is cut off is no JSON, whatever is missing of it.
                value, length = self._scan(self._text[start : start + size], 0)
            except (ValueError, StopIteration):
                size *= _GROWTH
            else:
                return value, start + length
        return self._object(start) if opening == "{" else self._array(start)

    def _object(self, start: int) -> tuple[Any, int]:
        found: dict[str, Any] = {}
        at = self._skip(start + 1)
        if self._text[at] == "}":
            return self._hook(found), at + 1
        while True:
            if self._text[at] != '"':
                raise ValueError("no key")
            key, at = self._scan_string(self._text, at + 1, True)
            at = self._expect(":", at)
            found[key], at = self._value(at)
            at = self._skip(at)
            if self._text[at] == "}":
                return self._hook(found), at + 1
            at = self._expect(",", at)

    def _array(self, start: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        at = self._skip(start + 1)
        if self._text[at] == "]":
            return found, at + 1
        while True:
            value, at = self._value(at)
            found.append(value)
            at = self._skip(at)
            if self._text[at] == "]":
                return found, at + 1
            at = self._expect(",", at)

    def _expect(self, mark: str, at: int) -> int:
        """Where the next thing begins behind `mark`."""
        at = self._skip(at)
        if self._text[at] != mark:
            raise ValueError(f"no {mark!r}")
        return self._skip(at + 1)


def dumps(value: Any) -> bytes:
    """The UTF-8 of `value` as nbformat writes a notebook: indented by one, keys in order.

    A key that is no string is a `TypeError`; what else JSON or UTF-8 cannot hold is the
    error of the library for it.
    """
    writer = _Writer()
    writer.write(value, "\n")
    return writer.data()


class _Writer:
    """Collects pieces of text, and encodes them a block at a time."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._size = 0
        self._blocks: list[bytes] = []
        self._scalar = BytesEncoder(ensure_ascii=False).encode

    def data(self) -> bytes:
        self._encode()
        return b"".join(self._blocks)

    def _put(self, piece: str) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _PIECE:
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
        if len(text) <= _PIECE:
            self._put(encode_basestring(text))
            return
        self._put('"')
        for start in range(0, len(text), _PIECE):
            self._put(encode_basestring(text[start : start + _PIECE])[1:-1])
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
        for item in value:
            self._put(before + inner)
            self.write(item, inner)
            before = ","
        self._put(newline + "]")
