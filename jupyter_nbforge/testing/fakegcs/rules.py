"""What Cloud Storage refuses, and in which words: pure functions and values."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from typing import Any
from xml.sax.saxutils import escape

Resource = dict[str, Any]
"""An object as the JSON API describes it."""


class Refusal(Exception):  # noqa: N818
    """The answer is an error: `reason` names it in the JSON API, `code` in the XML API."""

    def __init__(self, status: int, reason: str, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.code = code
        self.message = message

    def as_json(self) -> bytes:
        detail = {"domain": "global", "reason": self.reason, "message": self.message}
        error = {"code": self.status, "message": self.message, "errors": [detail]}
        return json.dumps({"error": error}).encode()

    def as_xml(self) -> bytes:
        code, message = escape(self.code), escape(self.message)
        declaration = "<?xml version='1.0' encoding='UTF-8'?>"
        return (
            f"{declaration}<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
        )


def no_such_object() -> Refusal:
    return Refusal(404, "notFound", "NoSuchKey", "There is no such object.")


def no_such_bucket() -> Refusal:
    return Refusal(404, "notFound", "NoSuchBucket", "There is no such bucket.")


def invalid(message: str, code: str = "InvalidArgument") -> Refusal:
    return Refusal(400, "invalid", code, message)


def condition_failed(status: int) -> Refusal:
    """For 412 and 304; the latter has no body."""
    return Refusal(status, "conditionNotMet", "PreconditionFailed", "A precondition failed.")


@dataclass(frozen=True, slots=True)
class Conditions:
    """Generations that an object must and must not have; "0" stands for no object."""

    match: str | None = None
    not_match: str | None = None

    @classmethod
    def of_query(cls, query: Mapping[str, str], infix: str = "") -> Conditions:
        """The JSON API's parameters, `infix` "Source" for those on the source of a copy."""
        names = (f"if{infix}GenerationMatch", f"if{infix}GenerationNotMatch")
        return cls(*(_number(name, query.get(name)) for name in names))

    @classmethod
    def of_headers(cls, headers: Mapping[str, str]) -> Conditions:
        """The XML API's; it has none for "not this generation" (Request preconditions)."""
        name = "x-goog-if-generation-match"
        return cls(_number(name, headers.get(name)))

    def __bool__(self) -> bool:
        return (self.match, self.not_match) != (None, None)

    def check(self, generation: str) -> None:
        """`Refusal` unless an object of this generation meets them."""
        if self.match is not None and self.match != generation:
            raise condition_failed(412)
        if self.not_match is not None and self.not_match == generation:
            raise condition_failed(304)


def check_etag(headers: Mapping[str, str], etag: str) -> None:
    """`Refusal` unless a read with these headers may be answered with this entity tag."""
    if not _may_be(headers.get("If-Match", "*"), etag):
        raise condition_failed(412)
    if _may_be(headers.get("If-None-Match", ""), etag):
        raise condition_failed(304)


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that is about to be written; `properties` are those of the JSON API."""

    bucket: str
    name: str
    properties: Resource
    conditions: Conditions = field(default=Conditions())

    def check_hashes(self, data: bytes) -> None:
        """`Refusal` where `data` has not the MD5 or the CRC32C that the upload names."""
        md5 = self.properties.get("md5Hash")
        if md5 is not None and md5 != base64.b64encode(hashlib.md5(data).digest()).decode():
            raise invalid("The MD5 hash is not that of the data.", "BadDigest")
        crc32c = self.properties.get("crc32c")
        if crc32c is not None and crc32c != crc32c_of(data):
            raise invalid("The CRC32C is not that of the data.", "BadDigest")


def crc32c_of(data: bytes) -> str:
    """As the JSON API has it: Base64 of four bytes, the highest first."""
    from google_crc32c import value

    return base64.b64encode(int(value(data)).to_bytes(4, "big")).decode()


def parse_related(content_type: str, body: bytes) -> tuple[Resource, bytes]:
    """The properties and the data of a multipart upload; `Refusal` if it is none."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    parts = body.split(b"--" + str(boundary).encode()) if boundary else []
    if len(parts) != 4 or not parts[3].startswith(b"--"):
        raise invalid("A multipart upload has two parts.")
    described, media = (_without_headers(part) for part in parts[1:3])
    try:
        properties = json.loads(described[1] or b"{}")
    except ValueError:
        raise invalid("The first part is no JSON.") from None
    properties.setdefault("contentType", media[0] or "application/octet-stream")
    return properties, media[1]


def _without_headers(part: bytes) -> tuple[str, bytes]:
    """The content type and the body of one part, line ends of the framing removed."""
    head, _, body = part.partition(b"\r\n\r\n")
    for line in head.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-type":
            return value.strip(), body.removesuffix(b"\r\n")
    return "", body.removesuffix(b"\r\n")


def _number(name: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return str(int(value))
    except ValueError:
        raise invalid(f"{name} is no number: {value}") from None


def _may_be(listed: str, etag: str) -> bool:
    return listed.strip() == "*" or etag in (tag.strip() for tag in listed.split(","))
