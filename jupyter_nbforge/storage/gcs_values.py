"""Values on their way to Cloud Storage and back: parts of requests, parts of answers."""

from __future__ import annotations

import json
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import quote

from .errors import NotSupportedError, PreconditionError
from .metadata import MTIME, format_mtime, parse_hash, parse_mtime, parse_saver
from .threads import check_call
from .types import (
    ByteRange,
    ContentHash,
    IfMatch,
    LinkOptions,
    ListPage,
    ObjectMeta,
    Version,
    WriteCondition,
)
from .values import content_disposition

_DEFAULT_CONTENT_TYPE = "application/octet-stream"
_PIECE = 64 * 2**10
"""Bytes of a body that are sent before the next look whether anybody still waits."""

_META_HEADER = "x-goog-meta-"
_LAST_GENERATION = 2**63 - 1

_KEPT_PROPERTIES = (
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "customTime",
    "metadata",
)
"""What a copy takes along by itself, and has to be told as soon as it is told anything."""

RESOURCE_FIELDS = "name,size,generation,updated,contentType,md5Hash,crc32c,metadata"
"""What is asked for of an object."""


def properties_of(content_type: str | None, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """What is kept with a new object.

    A content type is always sent, as stores choose different ones for none, and a time, as
    the store's own changes with a copy.
    """
    kept = dict(metadata or {})
    if parse_mtime(kept.get(MTIME)) is None:
        kept[MTIME] = format_mtime(datetime.now(timezone.utc))
    return {"contentType": content_type or _DEFAULT_CONTENT_TYPE, "metadata": kept}


def kept_properties(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Of an object, what a copy takes along."""
    return {name: resource[name] for name in _KEPT_PROPERTIES if name in resource}


def conditions_of(path: str, condition: WriteCondition | None, infix: str = "") -> dict[str, str]:
    """The parameters of a write condition; `infix` "Source" for one on the source of a copy.

    `PreconditionError` where no object can have that version.
    """
    if condition is None:
        return {}
    name = f"if{infix}GenerationMatch"
    if not isinstance(condition, IfMatch):
        return {name: "0"}
    return {name: expected_generation(path, condition.version)}


def expected_generation(path: str, version: Version) -> str:
    """The generation that an object must have; `PreconditionError` if none can have it."""
    generation = generation_of(version)
    if generation is None:
        raise PreconditionError(f"{path!r} was changed meanwhile.", path=path)
    return generation


def generation_of(version: Version) -> str | None:
    """The generation that a version is; None for one that no object has (0 means none)."""
    if not (version.isascii() and version.isdigit() and len(version) < 20):
        return None
    return version if 0 < int(version) <= _LAST_GENERATION else None


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of a request and what kind it is."""

    content: bytes | Pieces
    content_type: str = "application/json"

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Payload:
        return cls(json.dumps(value).encode())


@dataclass(frozen=True, slots=True)
class Pieces:
    """Bytes that are sent without being joined or copied, and can be sent again.

    Before each piece is looked whether anybody still waits for the call: if not,
    `AbandonedError`, and the store sees a request that breaks off.
    """

    parts: tuple[bytes | memoryview, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __iter__(self) -> Iterator[memoryview]:
        for part in self.parts:
            view = memoryview(part)
            for start in range(0, len(view), _PIECE):
                check_call()
                yield view[start : start + _PIECE]


def payload(path: str, data: bytes, properties: Mapping[str, Any]) -> Payload:
    """The body of a multipart upload, with a checksum. To be made in a thread.

    https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects
    """
    boundary = secrets.token_hex(16)
    described = {**properties, "name": path, **checksum_of(data)}
    frame = f"--{boundary}\r\nContent-Type: "
    head = f"{frame}application/json; charset=UTF-8\r\n\r\n{json.dumps(described)}\r\n"
    head += f"{frame}{header_type(properties)}\r\n\r\n"
    pieces = Pieces((head.encode(), data, f"\r\n--{boundary}--\r\n".encode()))
    return Payload(pieces, f"multipart/related; boundary={boundary}")


def header_type(properties: Mapping[str, Any]) -> str:
    """The content type as a header has it, which counts less than the one in `properties`.

    Nothing that it says may end the line.
    """
    content_type = str(properties["contentType"])
    plain = content_type.isascii() and content_type.isprintable()
    return content_type if plain else _DEFAULT_CONTENT_TYPE


def checksum_of(data: bytes) -> dict[str, str]:
    """The property with which the store checks what it got."""
    checksum = new_checksum()
    if checksum is None:
        return {}
    checksum.update(data)
    return {"crc32c": b64encode(checksum.digest()).decode()}


class Checksum(Protocol):
    """A CRC32C that is being computed."""

    def update(self, chunk: bytes) -> None: ...

    def digest(self) -> bytes: ...


def new_checksum() -> Checksum | None:
    """A CRC32C; None where there is only the implementation in Python: minutes for 50 MB."""
    import google_crc32c

    if google_crc32c.implementation == "python":
        return None
    make: Callable[[], Checksum] = google_crc32c.Checksum
    return make()


def object_meta(path: str, resource: Mapping[str, Any]) -> ObjectMeta:
    """What the store says of an object; without `mtime` it has the store's time.

    That is cut to seconds: the XML API, which answers a read, tells no more.
    """
    metadata: Mapping[str, str] = resource.get("metadata") or {}
    return ObjectMeta(
        path=path,
        size=int(resource["size"]),
        last_modified=parse_mtime(metadata.get(MTIME)) or _time_of(resource["updated"]),
        version=Version(str(resource["generation"])),
        content_type=resource.get("contentType") or None,
        content_hash=parse_hash(metadata) or _hash_of(resource),
        saved_by=parse_saver(metadata),
    )


def _time_of(text: str) -> datetime:
    """A time of the JSON API (RFC 3339 in UTC) to the second."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=timezone.utc)


def _hash_of(resource: Mapping[str, Any]) -> ContentHash | None:
    """The MD5, which a composed object has not, else the CRC32C.

    https://cloud.google.com/storage/docs/hashes-etags
    """
    for algorithm, name in (("md5", "md5Hash"), ("crc32c", "crc32c")):
        if resource.get(name):
            return ContentHash(algorithm, b64decode(resource[name]).hex())
    return None


def resource_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the headers of a read say of the whole object, as the JSON API would.

    https://cloud.google.com/storage/docs/xml-api/reference-headers
    """
    named = {name.lower(): value for name, value in headers.items()}
    hashes = dict(_pairs(named.get("x-goog-hash", "")))
    modified = parsedate_to_datetime(named["last-modified"]).astimezone(timezone.utc)
    return {
        "size": _whole_size(named),
        "generation": named["x-goog-generation"],
        "updated": modified.isoformat(),
        "contentType": named.get("content-type"),
        "md5Hash": hashes.get("md5"),
        "crc32c": hashes.get("crc32c"),
        "metadata": {
            name.removeprefix(_META_HEADER): value
            for name, value in named.items()
            if name.startswith(_META_HEADER)
        },
    }


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split(","):
        name, _, value = pair.strip().partition("=")
        yield name, value


def _whole_size(headers: Mapping[str, str]) -> str:
    if "content-range" in headers:
        return headers["content-range"].rpartition("/")[2]
    return headers.get("x-goog-stored-content-length") or headers["content-length"]


def check_range(
    path: str, byte_range: ByteRange | None, status: int, resource: Mapping[str, Any]
) -> None:
    """`NotSupportedError` if an answer is more than the range that was asked for."""
    size = int(resource["size"])
    if byte_range is None or status == 206:
        return
    if byte_range.start or (byte_range.stop or size) < size:
        raise NotSupportedError("The store does not send ranges of an object.", path=path)


def list_page(answer: Mapping[str, Any]) -> ListPage:
    """One answer of a listing."""
    objects = (object_meta(item["name"], item) for item in answer.get("items", ()))
    return ListPage(tuple(objects), tuple(answer.get("prefixes", ())))


def link_parameters(options: LinkOptions) -> dict[str, str]:
    """What is bound into a signed URL, as the SDK names it."""
    content_type, filename = options.get("content_type"), options.get("filename")
    if options.get("method") == "PUT":
        return {"content_type": content_type} if content_type else {}
    found = {
        "response_type": content_type,
        "response_disposition": filename and content_disposition(filename),
    }
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Places:
    """Where things of one bucket are, below the endpoint.

    https://cloud.google.com/storage/docs/request-endpoints
    """

    bucket: str

    @property
    def objects(self) -> str:
        return f"/storage/v1/b/{quote(self.bucket, safe='')}/o"

    @property
    def uploads(self) -> str:
        return f"/upload{self.objects}"

    def object(self, path: str) -> str:
        return f"{self.objects}/{quote(path, safe='')}"

    def rewrite(self, source: str, target: str) -> str:
        bucket = quote(self.bucket, safe="")
        return f"{self.object(source)}/rewriteTo/b/{bucket}/o/{quote(target, safe='')}"

    def move(self, source: str, target: str) -> str:
        return f"{self.object(source)}/moveTo/o/{quote(target, safe='')}"

    def media(self, path: str) -> str:
        """In the XML API: its answer to a read, and no other, has the metadata too."""
        return f"/{quote(self.bucket, safe='')}/{quote(path, safe='/')}"
