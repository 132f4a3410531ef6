"""Damaged bodies: an error for good, for what is behind the damage has no checksum by itself."""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64encode
from contextlib import AbstractAsyncContextManager
from typing import Any

import google_crc32c
import pytest

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import UnavailableError
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.types import ByteRange
from jupyter_nbforge.storage.wrappers import RetryStorage
from jupyter_nbforge.testing.faults import Fault

from .azure_stub import stub_azure
from .gcs_stub import BODY_HEADERS, stub_gcs
from .helpers import read
from .retry_world import World
from .stub import Request, answer, stub_s3

DATA = bytes(3 * 2**20)


def encoded(checksum: int) -> str:
    return b64encode(checksum.to_bytes(4, "big")).decode()


HEADERS = {
    **BODY_HEADERS,
    "x_goog_stored_content_length": str(len(DATA)),
    "x_goog_hash": f"crc32c={encoded(google_crc32c.value(DATA))}",
    "etag": '"1"',
    "content_md5": b64encode(hashlib.md5(DATA).digest()).decode(),
    "x_ms_blob_type": "BlockBlob",
    "x_amz_checksum_crc32": encoded(zlib.crc32(DATA)),
}


def damaged(request: Request, number: int) -> bytes:
    """All of it with another first byte; a range as it is, and without a checksum of its own."""
    wanted = request.headers.get("x-ms-range") or request.headers.get("range")
    if wanted is None:
        return answer(200, b"x" + DATA[1:], **HEADERS)
    start = int(wanted.removeprefix("bytes=").split("-")[0])
    span = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    headers = {name: value for name, value in HEADERS.items() if name != "x_amz_checksum_crc32"}
    return answer(206, DATA[start:], content_range=span, **headers)


def store_of(name: str, **options: Any) -> AbstractAsyncContextManager[BaseStorageService]:
    stub: Any = {"gcs": stub_gcs, "s3": stub_s3, "azure": stub_azure}[name]
    made: AbstractAsyncContextManager[BaseStorageService] = stub(damaged, **options)
    return made


@pytest.mark.parametrize("name", ["gcs", "s3", "azure"])
async def test_a_read_does_not_go_on_behind_a_damage(name: str) -> None:
    requests: list[Request] = []
    async with store_of(name, requests=requests) as storage:
        with pytest.raises(UnavailableError, match="damaged"):
            await read(RetryStorage(storage, wait_initial=0.01), "a")
    assert len(requests) == 1


PIECES = b"0123456789"


async def test_bytes_that_do_not_fit_the_hash_of_their_save_are_never_given_whole() -> None:
    world = World()
    await world.store.put("a", PIECES, metadata=stamp(PIECES))
    world.faulty.faults.append(Fault("chunk", damages=True, skip=1))
    given: list[bytes] = []

    async def take() -> None:
        async with world.storage.get("a") as reader:
            async for chunk in reader.chunks:
                given.append(chunk)

    with pytest.raises(UnavailableError, match="damaged"):
        await take()
    assert sum(map(len, given)) < len(PIECES)
    assert await read(world.storage, "a") == PIECES


async def test_a_body_put_together_from_two_reads_is_compared_whole() -> None:
    world = World()
    await world.store.put("a", PIECES, metadata=stamp(PIECES))
    world.faulty.faults += [Fault("chunk", damages=True), Fault("chunk", skip=1)]
    with pytest.raises(UnavailableError, match="damaged"):
        await read(world.storage, "a")


async def test_what_another_tool_wrote_and_left_the_old_hash_with_is_read_as_it_is() -> None:
    world = World()
    await world.store.put("a", PIECES, metadata=stamp(b"what was there before"))
    assert await read(world.storage, "a") == PIECES
    # Once for the bytes, once to see whether they come just so again.
    assert world.counting.counts == {"get": 2}


async def test_a_part_and_what_has_no_hash_are_not_compared() -> None:
    world = World()
    await world.store.put("a", PIECES, metadata=stamp(b"another"))
    await world.store.put("b", PIECES)
    assert await read(world.storage, "a", byte_range=ByteRange(2, 4)) == PIECES[2:4]
    assert await read(world.storage, "b") == PIECES
    assert world.counting.counts == {"get": 2}
