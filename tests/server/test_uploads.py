"""Chunked uploads as JupyterLab sends them: whole with the last chunk, never before."""

from __future__ import annotations

import asyncio
import random
from base64 import b64encode
from typing import Any

import pytest

from .api import Answer, Api, Store


async def _send(api: Api, path: str, chunk: int, content: Any, kind: str = "base64") -> Answer:
    if kind == "base64":
        content = b64encode(content).decode()
    name = path.rpartition("/")[2]
    model = {"type": "file", "format": kind, "content": content, "name": name, "path": path}
    return await api.contents("PUT", path, {**model, "chunk": chunk})


async def test_a_file_is_whole_with_the_last_chunk_and_unseen_before(
    api: Api, store: Store
) -> None:
    await api.make_folder("d")
    data = random.Random(1).randbytes(5000)
    for chunk, part in ((1, data[:2000]), (2, data[2000:4000])):
        answer = await _send(api, "d/up.bin", chunk, part)
        assert answer.status in (200, 201), answer.body
        assert (answer.json["name"], answer.json["path"]) == ("up.bin", "d/up.bin")
        assert await api.names("d") == []
        assert store.get("d/up.bin") is None
    last = await _send(api, "d/up.bin", -1, data[4000:])
    assert last.status in (200, 201), last.body
    assert last.json["size"] == 5000
    assert store.get("d/up.bin") == data
    assert await api.names("d") == ["up.bin"]
    assert store.paths() == ["d/", "d/up.bin"]


async def test_text_chunks_are_joined_too(api: Api, store: Store) -> None:
    for chunk, part in ((1, "grü"), (2, "ße "), (-1, "日本")):
        assert (await _send(api, "up.txt", chunk, part, "text")).status in (200, 201)
    assert store.get("up.txt") == "grüße 日本".encode()
    assert (await api.get("up.txt"))["content"] == "grüße 日本"


async def test_an_upload_replaces_a_file_only_with_its_last_chunk(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "before")
    await _send(api, "a.txt", 1, b"one")
    assert await api.text("a.txt") == "before"
    assert store.get("a.txt") == b"before"
    assert (await _send(api, "a.txt", -1, b"two")).status == 200
    assert store.get("a.txt") == b"onetwo"


async def test_uploads_at_the_same_time_do_not_mix(api: Api, store: Store) -> None:
    names = [f"{number}.bin" for number in range(4)]
    for chunk in (1, 2, 3, -1):
        for name in names:
            answer = await _send(api, name, chunk, f"{name}:{chunk};".encode())
            assert answer.status in (200, 201), answer.body
    for name in names:
        assert store.get(name) == f"{name}:1;{name}:2;{name}:3;{name}:-1;".encode()


async def test_uploads_sent_side_by_side_arrive_whole(api: Api, store: Store) -> None:
    async def upload(name: str) -> None:
        for chunk in (1, 2, -1):
            answer = await _send(api, name, chunk, f"{name}:{chunk};".encode() * 50_000)
            assert answer.status in (200, 201), answer.body

    names = [f"{number}.bin" for number in range(4)]
    await asyncio.gather(*map(upload, names))
    for name in names:
        parts = [f"{name}:{chunk};".encode() * 50_000 for chunk in (1, 2, -1)]
        assert store.get(name) == b"".join(parts)


async def test_a_chunk_without_a_first_is_a_400(api: Api, store: Store) -> None:
    for chunk in (2, 3, -1):
        answer = await _send(api, "stray.bin", chunk, b"x")
        assert answer.status == 400, answer.body
        assert "stray.bin" in answer.message
    assert store.paths() == []


async def test_a_chunk_that_is_missing_breaks_the_upload_off(api: Api, store: Store) -> None:
    await _send(api, "a.bin", 1, b"1")
    assert (await _send(api, "a.bin", 3, b"3")).status == 400
    assert store.paths() == []


async def test_a_chunk_sent_twice_counts_once(api: Api, store: Store) -> None:
    for chunk, part in ((1, b"1"), (2, b"2"), (2, b"2"), (-1, b"3")):
        assert (await _send(api, "a.bin", chunk, part)).status in (200, 201)
    assert store.get("a.bin") == b"123"


async def test_an_upload_that_was_begun_again_holds_the_second_attempt(
    api: Api, store: Store
) -> None:
    for chunk, part in ((1, b"one"), (2, b"lost"), (1, b"one"), (2, b"two"), (-1, b"!")):
        assert (await _send(api, "a.bin", chunk, part)).status in (200, 201)
    assert store.get("a.bin") == b"onetwo!"


@pytest.mark.parametrize(
    "model",
    [
        {"type": "notebook", "format": "json", "content": {}},
        {"type": "directory"},
        {"type": "file", "format": "json", "content": "x"},
        {"type": "file", "format": "base64", "content": "x"},
    ],
)
async def test_what_is_no_file_is_not_uploaded_in_chunks(
    api: Api, store: Store, model: dict[str, Any]
) -> None:
    answer = await api.contents("PUT", "a.bin", {**model, "chunk": 1})
    assert answer.status == 400, answer.body
    assert store.paths() == []


async def test_an_upload_into_a_hidden_or_outer_place_is_refused(api: Api, store: Store) -> None:
    assert (await _send(api, ".hidden.bin", 1, b"x")).status == 400
    assert (await _send(api, "../up.bin", 1, b"x")).status == 404
    assert store.paths() == []


async def test_an_upload_of_many_parts_arrives_byte_by_byte(api: Api, store: Store) -> None:
    mebibyte = 1024 * 1024
    data = random.Random(2).randbytes(18 * mebibyte + 12345)
    pieces = [data[start : start + mebibyte] for start in range(0, len(data), mebibyte)]
    for number, piece in enumerate(pieces, 1):
        chunk = -1 if number == len(pieces) else number
        answer = await _send(api, "big.bin", chunk, piece)
        assert answer.status in (200, 201), answer.body
    assert store.get("big.bin") == data
    assert (await api.get("big.bin", content=0))["size"] == len(data)
