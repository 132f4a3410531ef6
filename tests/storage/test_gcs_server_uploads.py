"""Uploads of the local Cloud Storage server: resumable ones, and hashes that are checked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from jupyter_nbforge.testing.gcs_server import FakeGCSServer

from .gcs_http import Bucket, fresh_bucket

UNIT = 256 * 1024


async def begun(bucket: Bucket, name: str, **query: int) -> str:
    """The address of a new resumable upload."""
    answer = await bucket.begin(name, **query)
    assert answer.status == 200
    return answer.headers["location"]


async def test_a_resumable_upload_appears_with_its_last_part(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        about = {"contentType": "text/q", "metadata": {"mtime": "1.5"}}
        address = (await bucket.begin("a/é +", about=about)).headers["location"]
        first = await bucket.add(address, f"0-{UNIT - 1}/*", b"x" * UNIT)
        assert (first.status, first.headers["range"]) == (308, f"bytes=0-{UNIT - 1}")
        assert await bucket.names() == []
        last = await bucket.add(address, f"{UNIT}-{UNIT + 2}/{UNIT + 3}", b"end")
        assert last.status == 200
        assert last.json["contentType"] == "text/q"
        assert last.json["metadata"] == {"mtime": "1.5"}
        assert (await bucket.read("a/é +")).body == b"x" * UNIT + b"end"


async def test_asking_how_far_an_upload_is_does_not_end_it(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a")
        nothing = await bucket.add(address, "*/*")
        assert nothing.status == 308
        assert "range" not in nothing.headers
        await bucket.add(address, f"0-{UNIT - 1}/*", b"x" * UNIT)
        assert (await bucket.add(address, "*/*")).headers["range"] == f"bytes=0-{UNIT - 1}"
        assert await bucket.names() == []
        assert (await bucket.add(address, f"*/{UNIT}")).status == 200
        assert (await bucket.add(address, "*/*")).status == 200


async def test_a_part_that_is_no_multiple_of_256_kib_is_kept_in_part(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a")
        part = await bucket.add(address, f"0-{UNIT + 9}/*", b"x" * (UNIT + 10))
        assert (part.status, part.headers["range"]) == (308, f"bytes=0-{UNIT - 1}")


async def test_a_repeated_part_counts_once_and_a_gap_not_at_all(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a")
        for _ in range(2):
            await bucket.add(address, f"0-{UNIT - 1}/*", b"x" * UNIT)
        gap = await bucket.add(address, f"{2 * UNIT}-{3 * UNIT - 1}/*", b"z" * UNIT)
        assert (gap.status, gap.headers["range"]) == (308, f"bytes=0-{UNIT - 1}")
        assert (await bucket.add(address, f"0-{UNIT}/{UNIT + 1}", b"y" * (UNIT + 1))).status == 200
        assert (await bucket.read("a")).body == b"y" * (UNIT + 1)


async def test_a_repeated_last_part_answers_again(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a", ifGenerationMatch=0)
        first, second = [await bucket.add(address, "0-3/4", b"data") for _ in range(2)]
        assert (first.status, second.status) == (200, 200)
        assert first.json["generation"] == second.json["generation"]


async def test_a_resumable_upload_is_refused_where_it_begins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a")
        assert (await bucket.begin("a", ifGenerationMatch=0)).status == 412


async def test_a_resumable_upload_is_refused_where_it_ends(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a", ifGenerationMatch=0)
        await bucket.put("a", b"other")
        assert (await bucket.add(address, "0-3/4", b"mine")).status == 412
        assert (await bucket.read("a")).body == b"other"


async def test_of_concurrent_resumable_creates_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for name in "abcde":
            addresses = [await begun(bucket, name, ifGenerationMatch=0) for _ in range(10)]
            parts = (bucket.add(address, "0-3/4", b"data") for address in addresses)
            found = sorted(answer.status for answer in await asyncio.gather(*parts))
            assert found == [200, *[412] * 9]


async def test_a_cancelled_upload_is_gone(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a")
        assert (await bucket.send("DELETE", address)).status == 499
        assert (await bucket.add(address, "0-3/4", b"data")).status == 404
        assert (await bucket.send("DELETE", address)).status == 404
        assert await bucket.names() == []


@pytest.mark.parametrize("content_range", ["0-9/10", "nonsense"])
async def test_a_part_that_is_not_what_it_says_is_refused(
    gcs_server: FakeGCSServer, content_range: str
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = await begun(bucket, "a")
        assert (await bucket.add(address, content_range, b"data")).status == 400


HASHES: dict[str, Any] = {
    "md5Hash": base64.b64encode(hashlib.md5(b"123456789").digest()).decode(),
    "crc32c": base64.b64encode(bytes.fromhex("e3069283")).decode(),
}
"""Of the digits; the CRC32C of these is the check value of its catalogue entry."""


@pytest.mark.parametrize("name", HASHES)
async def test_an_upload_with_a_wrong_hash_is_refused(gcs_server: FakeGCSServer, name: str) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        about = {name: HASHES[name]}
        assert (await bucket.put("a", b"12345678", about=about)).status == 400
        assert await bucket.names() == []
        assert (await bucket.put("a", b"123456789", about=about)).status == 200


async def test_a_resumable_upload_with_a_wrong_hash_is_refused(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        address = (await bucket.begin("a", about=HASHES)).headers["location"]
        assert (await bucket.add(address, "0-3/4", b"data")).status == 400
        assert await bucket.names() == []


async def test_an_upload_into_no_bucket_is_not_found(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        bucket.name = "no-such-bucket"
        assert (await bucket.put("a")).status == 404


async def test_an_upload_that_is_no_multipart_is_refused(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        path = f"/upload/storage/v1/b/{bucket.name}/o"
        answer = await bucket.send("POST", path, b"data", query={"uploadType": "multipart"})
        assert answer.status == 400
