"""Reading the JSON of large notebooks, in pieces: the same results as `json.loads`.

`json.loads` holds the interpreter's lock from beginning to end, in a worker thread too:
for 45 MB the event loop would stand still for a tenth of a second and more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json import decoder
from typing import Any

from . import pieces

Hook = Callable[[dict[str, Any]], dict[str, Any]]

_FIRST_TRY = 2**12
_GROWTH = 8
_DEEPEST = 32
"""Levels that are taken apart. Nobody makes notebooks of which deeper ones are large."""

_LONGEST_SEPARATOR = 256
_LONGEST_ESCAPE = len(r"\ud83d\ude00")
_BLANKS = re.compile(rb"[ \t\n\r]*")
_CUT_OFF = (ValueError, StopIteration)
_FAILURES = (*_CUT_OFF, IndexError, RecursionError)


def loads(data: bytes, hook: Hook) -> Any:
    """As ``json.loads(str(data, "utf-8"), object_hook=hook)``, its errors included."""
    if len(data) > pieces.PIECE:
        try:
            return _Reader(data, hook).whole()
        except _FAILURES:
            pass  # no JSON, or too deep: the library says what is wrong with it, if anything
    return json.loads(str(data, "utf-8"), object_hook=hook)


@dataclass(slots=True)
class _Stride:
    """How many bytes of a container are tried at once, and from where on.

    It grows with each success and shrinks with each failure, so that nothing is read in
    vain more than a few times.
    """

    size: int
    start: int = 0

    def grow(self) -> None:
        self.size = min(self.size * _GROWTH, pieces.PIECE)

    def shrink(self, at: int) -> None:
        if self.size > _FIRST_TRY:
            self.size //= _GROWTH
        else:
            self.start = at + self.size


class _Reader:
    """Takes apart what is larger than a piece, and leaves what is smaller to the library.

    Places are counted in bytes. What is not as expected is one of `_FAILURES`.
    """

    def __init__(self, data: bytes, hook: Hook) -> None:
        self._data = data
        self._hook = hook
        self._depth = 0
        # Typed as Any: the type stubs do not know these two.
        scanner: Any = json.JSONDecoder(object_hook=hook)
        self._scan: Callable[[str, int], tuple[Any, int]] = scanner.scan_once
        strings: Any = decoder
        self._scan_string: Callable[[str, int, bool], tuple[str, int]] = strings.scanstring

    def whole(self) -> Any:
        value, end = self._value(self._skip(0))
        if self._skip(end) != len(self._data):
            raise ValueError("more than one value")
        return value

    def _skip(self, start: int) -> int:
        """Where the next thing begins."""
        while True:
            stop = start + pieces.PIECE
            found = _BLANKS.match(self._data, start, stop)
            end = start if found is None else found.end()
            if end < stop:
                return end
            start = end

    def _text(self, start: int, stop: int) -> str:
        """From one byte to the other or, if that is within a character, to its beginning."""
        stop = min(stop, len(self._data))
        while stop < len(self._data) and self._data[stop] & 0xC0 == 0x80:
            stop -= 1
        return self._data[start:stop].decode("utf-8")

    def _value(self, start: int) -> tuple[Any, int]:
        opening = self._data[start]
        if opening == ord('"'):
            return self._string(start + 1)
        size = _FIRST_TRY
        while size <= pieces.PIECE:
            text = self._text(start, start + size)
            is_all = start + size >= len(self._data)
            try:
                value, length = self._scan(text, 0)
            except _CUT_OFF:
                if is_all:
                    raise
            else:
                # A number that ends with the text, or just before "e-", may go on behind it.
                if is_all or length + 2 < len(text) or opening in b"{[":
                    return value, start + _size(text, length)
            size *= _GROWTH
        return self._container(start, opening)

    def _container(self, start: int, opening: int) -> tuple[Any, int]:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("too deep")
        found: tuple[Any, int]
        if opening == ord("{"):
            found = self._object(start)
        elif opening == ord("["):
            found = self._array(start)
        else:
            raise ValueError("too long for what it is")
        self._depth -= 1
        return found

    def _object(self, start: int) -> tuple[Any, int]:
        found: dict[str, Any] = {}
        stride = _Stride(pieces.PIECE)
        at = self._skip(start + 1)
        if self._data[at] == ord("}"):
            return self._hook(found), at + 1
        while True:
            if self._data[at] != ord('"'):
                raise ValueError("no key")
            key, at = self._string(at + 1)
            found[key], end = self._value(self._expect(":", at))
            at = self._skip(end)
            if self._data[at] == ord("}"):
                return self._hook(found), at + 1
            at = self._expect(",", at)
            more, at = self._several(at, self._data[end : at + 1], stride, "{", "}")
            found.update(more or ())

    def _array(self, start: int) -> tuple[list[Any], int]:
        found: list[Any] = []
        stride = _Stride(pieces.PIECE)
        at = self._skip(start + 1)
        if self._data[at] == ord("]"):
            return found, at + 1
        while True:
            value, end = self._value(at)
            found.append(value)
            at = self._skip(end)
            if self._data[at] == ord("]"):
                return found, at + 1
            at = self._expect(",", at)
            more, at = self._several(at, self._data[end : at + 1], stride, "[", "]")
            found += more or ()

    def _expect(self, mark: str, at: int) -> int:
        """Where the next thing begins behind `mark`."""
        at = self._skip(at)
        if self._data[at] != ord(mark):
            raise ValueError(f"no {mark!r}")
        return self._skip(at + 1)

    def _several(
        self, at: int, separator: bytes, stride: _Stride, opening: str, closing: str
    ) -> tuple[Any, int]:
        """The next members of a container at once, if it can be, and where the rest begins.

        `separator` is what stands between two members, with the first byte of the second. Where
        it stands again the text is cut; in brackets that is JSON only if the cut is between
        two members of this very container.
        """
        if at < stride.start or len(separator) > _LONGEST_SEPARATOR:
            return None, at
        stop = self._data.rfind(separator, at, at + stride.size)
        if stop > at:
            text = opening + self._text(at, stop) + closing
            try:
                members, length = self._scan(text, 0)
            except _CUT_OFF:
                length = 0
            if length == len(text):
                stride.grow()
                return members, stop + len(separator) - 1
        stride.shrink(at)
        return None, at

    def _string(self, start: int) -> tuple[str, int]:
        """A string, from the first character in it."""
        parts: list[str] = []
        size = _FIRST_TRY
        while True:
            text = self._text(start, start + size)
            try:
                part, length = self._scan_string(text, 0, True)
            except ValueError:
                if start + size >= len(self._data):
                    raise
            else:
                parts.append(part)
                return pieces.joined(parts), start + _size(text, length)
            if size * _GROWTH <= pieces.PIECE:
                size *= _GROWTH
            else:
                part, length = self._part(text)
                parts.append(part)
                start += _size(text, length)

    def _part(self, text: str) -> tuple[str, int]:
        """What `text`, in which a string does not end, holds of it, and how much of it that is.

        It is cut where neither an escape nor a pair of them is torn apart.
        """
        for cut in range(len(text), max(len(text) - _LONGEST_ESCAPE, 0), -1):
            try:
                part, _ = self._scan_string(text[:cut] + '"', 0, True)
            except ValueError:
                continue
            if not "\ud800" <= part[-1:] <= "\udbff":
                return part, cut
        raise ValueError("no string")


def _size(text: str, length: int) -> int:
    """How many bytes so many characters of it have."""
    return length if text.isascii() else len(text[:length].encode("utf-8"))
