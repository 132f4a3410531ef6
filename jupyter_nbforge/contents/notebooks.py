"""Bytes to content and back. All of it is work for a worker thread, never the event loop."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

import nbformat
from tornado.web import HTTPError

from ..storage.metadata import stamp

_BASE64 = re.compile(r"[A-Za-z0-9+/\s]*(?:=[=\s]*)?", re.ASCII)
BAD_FORMAT = "Must specify format of file contents as 'text' or 'base64'"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A model's content as it is stored; `notebook` and `validation` for notebooks only.

    `validation` holds the error under ``ValidationError``, as nbformat leaves it there.
    """

    data: bytes
    metadata: dict[str, str]
    notebook: Any = None
    validation: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> Encoded:
        """Bytes that are stored as they are."""
        return cls(data, stamp(data))


def decode_notebook(path: str, data: bytes) -> tuple[Any, dict[str, Any]]:
    """The notebook in the current format, and what its validation found; unreadable: 400."""
    validation: dict[str, Any] = {}
    try:
        text = data.decode("utf-8")
        notebook = nbformat.reads(text, as_version=4, capture_validation_error=validation)
    except UnicodeDecodeError:
        raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from None
    # nbformat promises no type: beside its own NotJSONError, a document of a strange shape
    # ends in whatever its conversion stumbles over. The file is left as it is.
    except Exception as error:
        raise HTTPError(400, f"Unreadable Notebook: {path} {error!r}"[:500]) from error
    return notebook, validation


def encode_notebook(path: str, content: Any) -> Encoded:
    """The notebook as bytes, in its own format version; content of a wrong shape: 400."""
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise HTTPError(400, f"What was sent for {path} is no notebook: it has no nbformat.")
    validation: dict[str, Any] = {}
    try:
        notebook = nbformat.from_dict(content)
        text: str = nbformat.writes(
            notebook, version=nbformat.NO_CONVERT, capture_validation_error=validation
        )
        data = (text if text.endswith("\n") else text + "\n").encode("utf-8")
    except Exception as error:  # as in decode_notebook: nothing is written, the editor keeps it
        raise HTTPError(400, f"Unusable notebook for {path}: {error!r}"[:500]) from error
    return Encoded(data, stamp(data), notebook, validation)


def decode_file(path: str, data: bytes, format: str | None) -> tuple[str, str]:  # noqa: A002
    """Content and format (``text`` or ``base64``) of a model; None tries text first."""
    if format != "base64":
        try:
            return data.decode("utf-8"), "text"
        except UnicodeDecodeError:
            if format == "text":
                raise HTTPError(400, f"{path} is not UTF-8 encoded", reason="bad format") from None
    return base64.encodebytes(data).decode("ascii"), "base64"


def decode_content(path: str, content: Any, format: Any) -> bytes:  # noqa: A002
    """The bytes of a file model's `content`; a wrong format or encoding is a 400."""
    if format not in ("text", "base64"):
        raise HTTPError(400, BAD_FORMAT)
    if not isinstance(content, str):
        raise HTTPError(400, f"The content of {path} is not a string.")
    try:
        if format == "text":
            return content.encode("utf-8")
        # The decoder skips what is not of its alphabet, and would store less than was sent.
        if not _BASE64.fullmatch(content):
            raise binascii.Error("a character that is not of the base64 alphabet")
        return binascii.a2b_base64(content)
    except (ValueError, binascii.Error) as error:
        raise HTTPError(400, f"Encoding error saving {path}: {error}") from error


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
