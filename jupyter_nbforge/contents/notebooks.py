"""Bytes to content and back. All of it is work for a worker thread, never the event loop."""

from __future__ import annotations

import binascii
import codecs
import string
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import nbformat
import pybase64
from nbformat import NotebookNode
from nbformat.v4.rwbase import rejoin_lines, split_lines, strip_transient
from tornado.web import HTTPError

from ..storage.metadata import stamp
from . import json_reading, json_writing, long_texts, pieces
from .collector import collector_paused
from .validation import PLAIN, Validation, check

_BASE64 = (string.ascii_letters + string.digits + "+/").encode()
_BLANKS = string.whitespace.encode()
_NO_BASE64 = "a character that is not of the base64 alphabet"
_BASE64_PIECE = 2**18
_PLAIN_PIECE = 57 * 2**12
"""Bytes that are a whole number of the lines that base64 is written in."""
_CURRENT = 4
_MANY_CELLS = 200
_STRANGE_SHAPE = (AttributeError, LookupError, RecursionError, TypeError, ValueError)
BAD_FORMAT = "Must specify format of file contents as 'text' or 'base64'"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A model's content as it is stored; `notebook` and `validation` for notebooks only."""

    data: bytes
    metadata: dict[str, str]
    notebook: Any = None
    validation: Validation = PLAIN

    @classmethod
    def of(cls, data: bytes) -> Encoded:
        """Bytes that are stored as they are."""
        return cls(data, stamp(data))


def decode_notebook(path: str, data: bytes, *, is_plain: bool = False) -> tuple[Any, Validation]:
    """The notebook in the current format, and what its validation found; unreadable: 400.

    With `is_plain` (these very bytes were found to be plainly valid) it is not validated.
    """
    try:
        with collector_paused() if len(data) > pieces.PIECE else nullcontext():
            notebook = _read_current(data)
            if notebook is not None:
                return notebook, PLAIN if is_plain else check(notebook)
        found: dict[str, Any] = {}
        text = str(data, "utf-8")
        notebook = nbformat.reads(text, as_version=4, capture_validation_error=found)
    except UnicodeDecodeError:
        raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from None
    # nbformat promises no type: beside its own NotJSONError, a document of a strange shape
    # ends in whatever its conversion stumbles over. The file is left as it is.
    except Exception as error:
        raise HTTPError(400, f"Unreadable Notebook: {path} {error!r}"[:500]) from error
    return notebook, Validation(found)


def _read_current(data: bytes) -> Any:
    """What nbformat reads from a notebook of format 4; None: leave it to nbformat itself."""
    try:
        document = json_reading.loads(data, NotebookNode)
        if not isinstance(document, dict) or not _is_current(document.get("nbformat")):
            return None
        long_texts.join(document)
        return strip_transient(rejoin_lines(document))
    except _STRANGE_SHAPE:
        return None  # nbformat then says what is wrong, in its own words


def _is_current(version: Any) -> bool:
    return type(version) is int and version == _CURRENT  # 4.0 is not, to nbformat


def encode_notebook(path: str, content: Any) -> Encoded:
    """The notebook as bytes, in its own format version; content of a wrong shape: 400."""
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise HTTPError(400, f"What was sent for {path} is no notebook: it has no nbformat.")
    try:
        encoded = _write_current(content)
        if encoded is not None:
            return encoded
        found: dict[str, Any] = {}
        notebook = nbformat.from_dict(content)
        text: str = nbformat.writes(
            notebook, version=nbformat.NO_CONVERT, capture_validation_error=found
        )
        data = (text if text.endswith("\n") else text + "\n").encode("utf-8")
    except Exception as error:  # as in decode_notebook: nothing is written, the editor keeps it
        raise HTTPError(400, f"Unusable notebook for {path}: {error!r}"[:500]) from error
    return Encoded(data, stamp(data), notebook, Validation(found))


def _write_current(content: dict[str, Any]) -> Encoded | None:
    """A notebook of format 4 as nbformat writes it; None: leave it to nbformat itself."""
    if not _is_current(content["nbformat"]):
        return None
    try:
        with collector_paused() if len(content["cells"]) > _MANY_CELLS else nullcontext():
            notebook = _shallow_copy(content)
            validation = check(notebook)
            on_disk = _shallow_copy(notebook)
            with long_texts.split(on_disk):
                data = json_writing.dumps(strip_transient(split_lines(on_disk)))
    except _STRANGE_SHAPE:
        return None  # nbformat then says what is wrong, in its own words
    return Encoded(data, stamp(data), notebook, validation)


def _shallow_copy(content: dict[str, Any]) -> Any:
    """A copy of all that nbformat changes when it repairs, splits and strips a notebook."""
    notebook = _copy(content)
    dict.__setitem__(notebook, "metadata", _copy(content["metadata"]))
    dict.__setitem__(notebook, "cells", [_copy_cell(cell) for cell in _listed(content["cells"])])
    return notebook


def _copy(value: Any) -> NotebookNode:
    """A dict's copy. The constructor alone would also take ``""`` and ``[]``, and store ``{}``."""
    if not isinstance(value, dict):
        raise TypeError("not a dict")
    return NotebookNode(value)


def _listed(value: Any) -> list[Any] | tuple[Any, ...]:
    """The value itself if it is a list: what else can be iterated would be stored as one."""
    if not isinstance(value, list | tuple):
        raise TypeError("not a list")
    return value


def _copy_cell(cell: dict[str, Any]) -> NotebookNode:
    copied = _copy(cell)
    dict.__setitem__(copied, "metadata", _copy(cell["metadata"]))
    if "attachments" in cell:
        attachments = {name: _copy(bundle) for name, bundle in cell["attachments"].items()}
        dict.__setitem__(copied, "attachments", attachments)
    if "outputs" in cell:
        outputs = [_copy_output(output) for output in _listed(cell["outputs"])]
        dict.__setitem__(copied, "outputs", outputs)
    return copied


def _copy_output(output: dict[str, Any]) -> NotebookNode:
    copied = _copy(output)
    if "data" in output:
        dict.__setitem__(copied, "data", _copy(output["data"]))
    return copied


def decode_file(path: str, data: bytes, format: str | None) -> tuple[str, str]:  # noqa: A002
    """Content and format (``text`` or ``base64``) of a model; None tries text first."""
    if format != "base64":
        try:
            return _decode_text(data), "text"
        except UnicodeDecodeError:
            if format == "text":
                raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from None
    lines = (
        pybase64.encodebytes(data[start : start + _PLAIN_PIECE]).decode("ascii")
        for start in range(0, len(data), _PLAIN_PIECE)
    )
    return pieces.joined(lines), "base64"


def _decode_text(data: bytes) -> str:
    if len(data) <= pieces.PIECE:
        return str(data, "utf-8")
    decoder = codecs.getincrementaldecoder("utf-8")()
    return pieces.joined(
        decoder.decode(data[start : start + pieces.PIECE], start + pieces.PIECE >= len(data))
        for start in range(0, len(data), pieces.PIECE)
    )


def decode_content(path: str, content: Any, format: Any) -> bytes:  # noqa: A002
    """The bytes of a file model's `content`; a wrong format or encoding is a 400."""
    if format not in ("text", "base64"):
        raise HTTPError(400, BAD_FORMAT)
    if not isinstance(content, str):
        raise HTTPError(400, f"The content of {path} is not a string.")
    try:
        if format == "text":
            return b"".join(piece.encode("utf-8") for piece in pieces.of(content))
        return _plain_base64(content)
    except (ValueError, binascii.Error) as error:
        raise HTTPError(400, f"Encoding error saving {path}: {error}") from error


def _plain_base64(content: str) -> bytes:
    """The bytes of base64 text; quick for text without blanks, which is what browsers send."""
    try:
        return pybase64.b64decode(content, validate=True)
    except ValueError:
        return b"".join(_decode_base64(content))


def _decode_base64(content: str) -> Iterator[bytes]:
    """The bytes of base64 text, piece by piece; blanks may stand anywhere in it."""
    rest = b""
    for start in range(0, len(content), _BASE64_PIECE):
        stop = start + _BASE64_PIECE
        piece = _without_blanks(content[start:stop])
        last = stop >= len(content)
        if piece.translate(None, _BASE64):
            # Padding, which ends the text. What else is not of the alphabet the decoder would
            # skip, and less would be stored than was sent.
            piece, last = piece + _without_blanks(content[stop:]), True
            digits, _, padding = piece.partition(b"=")
            if digits.translate(None, _BASE64) or padding.strip(b"="):
                raise binascii.Error(_NO_BASE64)
        piece = rest + piece
        whole = len(piece) if last else len(piece) - len(piece) % 4
        yield binascii.a2b_base64(piece[:whole])
        if last:
            return
        rest = piece[whole:]


def _without_blanks(text: str) -> bytes:
    try:
        return text.encode("ascii").translate(None, _BLANKS)
    except UnicodeEncodeError:
        raise binascii.Error(_NO_BASE64) from None


def encode_file(path: str, content: Any, format: Any) -> Encoded:  # noqa: A002
    """A file model's content as it is stored."""
    return Encoded.of(decode_content(path, content, format))


def looks_like_text(beginning: bytes) -> bool:
    """Whether bytes from the start of a file are UTF-8, a character cut at the end aside."""
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True
