"""Values on their way to S3 and back: parameters of requests, parts of answers."""

from __future__ import annotations

import asyncio
import io
import zlib
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .errors import NotSupportedError
from .metadata import MTIME, format_mtime, parse_hash, parse_mtime, parse_saver
from .paths import invalid_reason
from .types import ByteRange, ContentHash, LinkOptions, ObjectMeta, Version
from .values import content_disposition

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_LARGE = 2**20
"""Bytes from which a checksum is worth a thread."""

_DEFAULT_CONTENT_TYPE = "application/octet-stream"


def headers_of(content_type: str | None, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """What is kept with a new object.

    A content type is always sent, as stores choose different ones for none, and a time,
    as the answer to a write has none.
    """
    kept = dict(metadata or {})
    if parse_mtime(kept.get(MTIME)) is None:
        kept[MTIME] = format_mtime(datetime.now(timezone.utc))
    return {"ContentType": content_type or _DEFAULT_CONTENT_TYPE, "Metadata": kept}


class _Body(io.BytesIO):
    """Bytes as the file that botocore would make of them.

    aiohttp takes the length of the buffer, for which `BytesIO` would copy it all first: at
    45 MB that holds the event loop for 30 to 80 ms.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._data = data

    def getbuffer(self) -> memoryview:
        return memoryview(self._data)


async def payload(client: S3Client, data: bytes) -> dict[str, Any]:
    """The request parameters that carry `data`, with its CRC32.

    botocore would compute the checksum on the event loop, and over https send it in a
    trailer, behind a chunked body that several stores do not take.
    """
    if not wants_checksums(client):
        return {"Body": _Body(data)}
    large = len(data) > _LARGE
    checksum = await asyncio.to_thread(zlib.crc32, data) if large else zlib.crc32(data)
    return {"Body": _Body(data), "ChecksumCRC32": b64encode(checksum.to_bytes(4, "big")).decode()}


def wants_checksums(client: S3Client) -> bool:
    """False where AWS_REQUEST_CHECKSUM_CALCULATION says when_required, for an older store."""
    setting: str = client.meta.config.request_checksum_calculation  # type: ignore[attr-defined]
    return setting == "when_supported"


def whole_size(path: str, byte_range: ByteRange | None, answer: Mapping[str, Any]) -> int:
    """The size of the object of which `answer` is the range; `NotSupportedError` if it is not."""
    length: int = answer["ContentLength"]
    if "ContentRange" in answer:
        return int(answer["ContentRange"].rpartition("/")[2])
    if byte_range is not None and (byte_range.start or (byte_range.stop or length) < length):
        raise NotSupportedError("The store does not send ranges of an object.", path=path)
    return length


def version_of(etag: str) -> Version:
    """The ETag with quotes: SeaweedFS leaves them away in the answer to a copy."""
    return Version(etag if etag.endswith('"') else f'"{etag}"')


def object_meta(path: str, size: int, answer: Mapping[str, Any]) -> ObjectMeta:
    """What an answer with an object's headers says; without `mtime` it has LastModified."""
    metadata: Mapping[str, str] = answer.get("Metadata", {})
    return ObjectMeta(
        path=path,
        size=size,
        last_modified=parse_mtime(metadata.get(MTIME))
        or answer["LastModified"].astimezone(timezone.utc),
        version=version_of(answer["ETag"]),
        content_type=answer.get("ContentType") or None,
        content_hash=parse_hash(metadata) or _md5(answer),
        saved_by=parse_saver(metadata),
    )


def _md5(answer: Mapping[str, Any]) -> ContentHash | None:
    """The ETag where it is the MD5 of the bytes: not after parts, KMS or a customer's key.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """
    if answer.get("ServerSideEncryption", "AES256") != "AES256" or "SSECustomerAlgorithm" in answer:
        return None
    etag = str(answer["ETag"]).strip('"')
    hexadecimal = len(etag) == 32 and not set(etag) - set("0123456789abcdef")
    return ContentHash("md5", etag) if hexadecimal else None


def link_parameters(options: LinkOptions) -> dict[str, str]:
    """The request parameters that are bound into a presigned URL."""
    content_type, filename = options.get("content_type"), options.get("filename")
    if options.get("method") == "PUT":
        return {"ContentType": content_type} if content_type else {}
    found = {
        "ResponseContentType": content_type,
        "ResponseContentDisposition": filename and content_disposition(filename),
    }
    return {name: value for name, value in found.items() if value}


def fits_xml(path: str) -> bool:
    """Whether a valid path can be written into the body of a request as it is."""
    return invalid_reason(path) is None and not {"\ufffe", "\uffff"} & set(path)
