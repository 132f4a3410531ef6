"""Long texts and bytes, put together and taken apart without a long breath.

What copies tens of megabytes in one call holds the interpreter's lock all that time, in a
worker thread too, and the event loop stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PIECE = 2**18
"""Characters or bytes that are worked on without a pause: about a millisecond's work."""


_DROPPED = 2**13


def joined(parts: Iterable[str]) -> str:
    """As ``"".join(parts)``."""
    text = ""
    for part in _gathered(parts):
        # A local name that nothing else refers to: the text grows where it is.
        text += part
    return text


def _gathered(parts: Iterable[str]) -> Iterator[str]:
    """The same text in parts of about a piece: each time that a text grows it may be moved."""
    waiting: list[str] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= PIECE:
            yield "".join(waiting)
            waiting.clear()
            size = 0
    yield "".join(waiting)


def of(text: str) -> Iterator[str]:
    """The text in pieces."""
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def lines_of(text: str) -> list[str]:
    """As ``text.splitlines(True)``."""
    if len(text) <= PIECE:
        return text.splitlines(True)
    lines: list[str] = []
    start = 0
    while start < len(text):
        stop = _line_end(text, start + PIECE)
        lines += text[start:stop].splitlines(True)
        start = stop
    return lines


def _line_end(text: str, start: int) -> int:
    """Where the first line ends that `start` is in; of a very long one, that the text ends."""
    for at in range(start, len(text), PIECE):
        found = (text.find(mark, at, at + PIECE) for mark in "\r\n")
        stops = [stop for stop in found if stop >= 0]
        if stops:
            stop = min(stops)
            return stop + (2 if text.startswith("\r\n", stop) else 1)
    return len(text)


def drop(lines: list[str]) -> None:
    """Empty a list bit by bit: to free a million strings takes its time too."""
    while lines:
        del lines[-_DROPPED:]
