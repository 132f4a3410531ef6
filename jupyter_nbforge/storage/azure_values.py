"""Values on their way to Azure and back: arguments of requests, parts of answers."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from .azure_errors import GarbledAnswerError
from .errors import NotSupportedError, StorageError
from .metadata import MTIME, format_mtime, parse_hash, parse_mtime, parse_saver
from .paths import DELIMITER, FOLDER_CONTENT_TYPE
from .types import (
    ByteRange,
    ContentHash,
    IfMatch,
    LinkOptions,
    ObjectMeta,
    Version,
    WriteCondition,
)
from .values import content_disposition

_LARGE = 2**20
"""Bytes from which a checksum is worth a thread."""

_DEFAULT_CONTENT_TYPE = "application/octet-stream"

_IS_FOLDER = "hdi_isfolder"
"""Metadata that marks a blob as a directory, for all tools that know directories on Azure.

https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues#blob-storage-apis
"""

_METADATA_HEADER = "x-ms-meta-"


def headers_of(
    path: str, content_type: str | None, metadata: Mapping[str, str] | None
) -> dict[str, Any]:
    """What is kept with a new object.

    A time is always sent, as a listing and a copy of what has none show another one. The
    marker of a folder is told as such whoever makes it.
    """
    kept = dict(metadata or {})
    if parse_mtime(kept.get(MTIME)) is None:
        kept[MTIME] = format_mtime(datetime.now(timezone.utc))
    if path.endswith(DELIMITER):
        kept[_IS_FOLDER] = "true"
        content_type = content_type or FOLDER_CONTENT_TYPE
    if not all(value.isascii() and value.isprintable() for value in kept.values()):
        # Azure would take the header for another one than was signed, and say "not allowed".
        raise StorageError(f"The metadata of {path!r} is not printable ASCII.", path=path)
    return {"content_type": content_type or _DEFAULT_CONTENT_TYPE, "metadata": kept}


def content_arguments(headers: Mapping[str, Any]) -> dict[str, Any]:
    """`headers` as arguments of the SDK's calls that make a blob.

    An MD5 among them is that of the whole; the store keeps it unchecked.
    """
    from azure.storage.blob import ContentSettings

    names = ("content_encoding", "content_language", "content_disposition", "cache_control")
    kept = {name: headers[name] for name in names if headers.get(name)}
    if headers.get("content_md5"):
        kept["content_md5"] = bytearray(b64decode(headers["content_md5"]))
    settings = ContentSettings(content_type=headers["content_type"], **kept)
    return {"content_settings": settings, "metadata": dict(headers["metadata"])}


def storage_arguments(options: Mapping[str, str]) -> dict[str, Any]:
    """The options of a write as arguments of the SDK's calls."""
    from azure.storage.blob import StandardBlobTier

    found: dict[str, Any] = dict(options)
    if "standard_blob_tier" in found:
        found["standard_blob_tier"] = StandardBlobTier(found["standard_blob_tier"])
    return found


def request_headers(conditions: Mapping[str, str]) -> dict[str, str]:
    """The headers of a read for the conditions ``if_match`` and ``if_none_match``."""
    names = {"if_match": "If-Match", "if_none_match": "If-None-Match"}
    return {names[name]: value for name, value in conditions.items()}


def match_arguments(condition: WriteCondition | None) -> dict[str, Any]:
    """The SDK's arguments for a write condition."""
    from azure.core import MatchConditions

    if condition is None:
        return {}
    if isinstance(condition, IfMatch):
        return {"etag": condition.version, "match_condition": MatchConditions.IfNotModified}
    return {"match_condition": MatchConditions.IfMissing}


def source_match_arguments(version: Version | None) -> dict[str, Any]:
    """The SDK's arguments for the version that a source must have."""
    from azure.core import MatchConditions

    if version is None:
        return {}
    condition = MatchConditions.IfNotModified
    return {"source_etag": version, "source_match_condition": condition}


async def content_md5(data: bytes) -> str:
    """The Content-MD5 of `data`: Azure refuses a body that has another, and keeps it."""
    if len(data) > _LARGE:
        return await asyncio.to_thread(_base64_md5, data)
    return _base64_md5(data)


def _base64_md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def answer_of(headers: Mapping[str, str]) -> dict[str, Any]:
    """What the headers of an answer to a HEAD or GET say of the whole blob.

    `GarbledAnswerError` if they are not those of a blob.
    """
    try:
        return _answer_of(headers)
    except (KeyError, TypeError, ValueError) as error:
        raise GarbledAnswerError from error


def _answer_of(headers: Mapping[str, str]) -> dict[str, Any]:
    metadata = {
        name[len(_METADATA_HEADER) :].lower(): value
        for name, value in headers.items()
        if name.lower().startswith(_METADATA_HEADER)
    }
    # With a range, Content-MD5 would be that of the range.
    whole = "Content-MD5" if "Content-Range" not in headers else "x-ms-blob-content-md5"
    return {
        "size": int(headers["Content-Length"]),
        "content_range": headers.get("Content-Range"),
        "resource_type": headers.get("x-ms-resource-type"),
        "etag": headers["ETag"],
        "last_modified": parsedate_to_datetime(headers["Last-Modified"]),
        "content_type": headers.get("Content-Type"),
        "content_encoding": headers.get("Content-Encoding"),
        "content_language": headers.get("Content-Language"),
        "content_disposition": headers.get("Content-Disposition"),
        "cache_control": headers.get("Cache-Control"),
        "content_md5": headers.get(whole),
        "metadata": metadata,
    }


def is_directory(path: str, metadata: Mapping[str, str], resource_type: str | None) -> bool:
    """Whether the blob `path` stands for the folder of its name, not for a file."""
    told = resource_type == "directory" or metadata.get(_IS_FOLDER, "").lower() == "true"
    return told and not path.endswith(DELIMITER)


def whole_size(path: str, byte_range: ByteRange | None, answer: Mapping[str, Any]) -> int:
    """The size of the object of which `answer` is the range; `NotSupportedError` if it is not."""
    length: int = answer["size"]
    if answer["content_range"]:
        return int(answer["content_range"].rpartition("/")[2])
    if byte_range is not None and (byte_range.start or (byte_range.stop or length) < length):
        raise NotSupportedError("The store does not send ranges of an object.", path=path)
    return length


def version_of(etag: str) -> Version:
    """The ETag with quotes: listings have it without."""
    return Version(etag if etag.endswith('"') else f'"{etag}"')


def object_meta(path: str, size: int, answer: Mapping[str, Any]) -> ObjectMeta:
    """What an answer with an object's properties says; without `mtime` it has the store's time."""
    metadata: Mapping[str, str] = answer.get("metadata", {})
    return ObjectMeta(
        path=path,
        size=size,
        last_modified=parse_mtime(metadata.get(MTIME))
        or answer["last_modified"].astimezone(timezone.utc),
        version=version_of(answer["etag"]),
        content_type=answer.get("content_type") or None,
        content_hash=parse_hash(metadata) or md5_of(answer.get("content_md5")),
        saved_by=parse_saver(metadata),
    )


def md5_of(encoded: str | None) -> ContentHash | None:
    """The hash that a Content-MD5 is; the store has none of what was joined from parts."""
    return ContentHash("md5", b64decode(encoded).hex()) if encoded else None


def link_parameters(options: LinkOptions) -> dict[str, str]:
    """What of a presigned URL's options is bound into its signature."""
    if options.get("method") == "PUT":
        return {}
    content_type, filename = options.get("content_type"), options.get("filename")
    found = {
        "content_type": content_type,
        "content_disposition": filename and content_disposition(filename),
    }
    return {name: value for name, value in found.items() if value}
