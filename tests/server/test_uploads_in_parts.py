"""Uploads of several parts, on each store: one object, with one time and one hash, or nothing."""

from __future__ import annotations

import random
from base64 import b64encode
from typing import Any

import pytest

from .api import Answer, Api, Store

MIB = 2**20
DATA = random.Random(3).randbytes(11 * MIB + 321)

pytestmark = pytest.mark.settings(
    {
        "NBForgeContentsManager": {"upload_part_size_mb": 5},
        "ShortMemoryStorage": {"seconds": 0.0},
    }
)


async def send(api: Api, path: str, chunk: int, data: bytes) -> Answer:
    content = b64encode(data).decode()
    model = {"type": "file", "format": "base64", "content": content, "chunk": chunk}
    return await api.contents("PUT", path, model)


async def send_all(api: Api, path: str, data: bytes) -> Answer:
    pieces = [data[start : start + 2 * MIB] for start in range(0, len(data), 2 * MIB)]
    for number, piece in enumerate(pieces[:-1], 1):
        answer = await send(api, path, number, piece)
        assert answer.status in (200, 201), answer.body
    return await send(api, path, -1, pieces[-1])


async def test_its_time_and_its_hash_are_the_same_in_the_answer_and_ever_after(
    api: Api, store: Store
) -> None:
    saved = (await send_all(api, "big.bin", DATA)).json
    assert store.get("big.bin") == DATA
    for _ in range(2):
        found = await api.get("big.bin", content=0, hash=1)
        for key in ("last_modified", "size", "hash", "hash_algorithm"):
            assert found[key] == saved[key], key
        assert found["hash"]


async def test_what_somebody_else_puts_there_meanwhile_is_not_overwritten(
    api: Api, store: Store, manager: Any
) -> None:
    for number in (1, 2, 3):
        await send(api, "big.bin", number, DATA[: 3 * MIB])
    assert store.get("big.bin") is None
    store.put("big.bin", b"theirs")
    answer = await send(api, "big.bin", -1, b"last")
    assert answer.status == 409
    assert "big.bin" in answer.message
    assert store.get("big.bin") == b"theirs"
    await manager.uploads.aclose()
    assert await manager.storage.abort_stale_uploads("", -60) == 0


async def test_a_file_is_replaced_with_the_last_chunk_and_is_the_old_one_until_then(
    api: Api, store: Store
) -> None:
    await api.save_text("big.bin", "before")
    pieces = [DATA[: 6 * MIB], DATA[6 * MIB :]]
    await send(api, "big.bin", 1, pieces[0])
    assert store.get("big.bin") == b"before"
    assert (await send(api, "big.bin", -1, pieces[1])).status == 200
    assert store.get("big.bin") == DATA


async def test_a_last_chunk_whose_answer_was_lost_can_be_sent_again(api: Api, store: Store) -> None:
    await send_all(api, "big.bin", DATA)
    last = DATA[10 * MIB :]
    assert (await send(api, "big.bin", -1, last)).status == 200
    assert store.get("big.bin") == DATA


async def test_another_last_chunk_is_appended_to_a_large_file_as_jupyter_does(
    api: Api, store: Store
) -> None:
    await send_all(api, "big.bin", DATA)
    assert (await send(api, "big.bin", -1, b"more")).status == 200
    assert store.get("big.bin") == DATA + b"more"


async def test_a_server_that_stops_leaves_nothing_of_an_upload(
    api: Api, store: Store, manager: Any
) -> None:
    await send(api, "big.bin", 1, DATA)
    await manager.aclose()
    assert await manager.storage.abort_stale_uploads("", -60) == 0
    assert store.get("big.bin") is None
