"""Preconditions of the local Cloud Storage server: each rule that real clients rely on."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Iterable

import pytest

from jupyter_nbforge.testing.gcs_server import FakeGCSServer

from .gcs_http import Answer, Bucket, fresh_bucket

WRITERS = 20
ROUNDS = "abcde"
"""Names of objects to race for. In the first round the connections are new, hence few meet."""


async def statuses(requests: Iterable[Awaitable[Answer]]) -> Counter[int]:
    """How often each status came, of requests that were all under way at once."""
    return Counter(answer.status for answer in await asyncio.gather(*requests))


async def test_put_if_generation_match_0_creates_once(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        assert (await bucket.put("a", b"1", ifGenerationMatch=0)).status == 200
        refused = await bucket.put("a", b"2", ifGenerationMatch=0)
        assert (refused.status, refused.reason) == (412, "conditionNotMet")
        assert (await bucket.read("a")).body == b"1"


async def test_put_if_generation_match_refuses_another(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        first = await bucket.generation("a")
        assert (await bucket.put("a", b"2", ifGenerationMatch=first)).status == 200
        assert (await bucket.put("a", b"3", ifGenerationMatch=first)).status == 412
        assert (await bucket.read("a")).body == b"2"


async def test_put_if_generation_match_refuses_a_missing_object(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        assert (await bucket.put("a", ifGenerationMatch=7)).status == 412
        assert await bucket.names() == []


async def test_a_condition_that_is_no_number_is_an_error(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        assert (await bucket.put("a", ifGenerationMatch="x")).status == 400


@pytest.mark.parametrize("media", [False, True], ids=["metadata", "data"])
async def test_get_if_generation_match_refuses_another(
    gcs_server: FakeGCSServer, media: bool
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        get = bucket.read if media else bucket.head
        assert (await get("a", ifGenerationMatch=generation)).status == 200
        refused = await get("a", ifGenerationMatch=generation + 1)
        assert (refused.status, refused.reason) == (412, "conditionNotMet")
        assert (await get("b", ifGenerationMatch=generation)).status == 404


@pytest.mark.parametrize("media", [False, True], ids=["metadata", "data"])
async def test_get_if_generation_not_match_says_not_modified(
    gcs_server: FakeGCSServer, media: bool
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        get = bucket.read if media else bucket.head
        assert (await get("a", ifGenerationNotMatch=generation + 1)).status == 200
        same = await get("a", ifGenerationNotMatch=generation)
        assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_xml_get_if_generation_match_refuses_another(
    gcs_server: FakeGCSServer, method: str
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        for wanted, status in ((generation, 200), (generation + 1, 412)):
            headers = {"x-goog-if-generation-match": str(wanted)}
            answer = await bucket.send(method, bucket.xml_path("a"), headers=headers)
            assert answer.status == status
            assert (b"<Code>PreconditionFailed<" in answer.body) is (
                status == 412 and method == "GET"
            )


async def test_xml_get_honours_entity_tags(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a")
        path = bucket.xml_path("a")
        etag = (await bucket.send("GET", path)).headers["etag"]
        for header, value, status in (
            ("If-Match", etag, 200),
            ("If-Match", '"other"', 412),
            ("If-None-Match", '"other"', 200),
            ("If-None-Match", f'"other", {etag}', 304),
            ("If-None-Match", "*", 304),
        ):
            assert (await bucket.send("GET", path, headers={header: value})).status == status


async def test_delete_if_generation_match_refuses_another(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        refused = await bucket.delete("a", ifGenerationMatch=generation + 1)
        assert (refused.status, refused.reason) == (412, "conditionNotMet")
        assert await bucket.names() == ["a"]
        assert (await bucket.delete("a", ifGenerationMatch=generation)).status == 204
        gone = await bucket.delete("a", ifGenerationMatch=generation)
        assert (gone.status, gone.reason) == (404, "notFound")


async def test_delete_of_another_generation_spares_the_live_one(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        assert (await bucket.delete("a", generation=generation + 1)).status == 404
        assert await bucket.names() == ["a"]
        assert (await bucket.delete("a", generation=generation)).status == 204


async def test_xml_delete_honours_its_condition(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a/b c")
        path = bucket.xml_path("a/b c")
        other = {"x-goog-if-generation-match": str(generation + 1)}
        refused = await bucket.send("DELETE", path, headers=other)
        assert refused.status == 412
        assert b"<Code>PreconditionFailed<" in refused.body
        assert (await bucket.send("DELETE", path)).status == 204
        assert b"<Code>NoSuchKey<" in (await bucket.send("DELETE", path)).body


async def test_patch_if_generation_match_refuses_another(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")
        body = json.dumps({"metadata": {"k": "v"}}).encode()
        path = bucket.path("a")
        refused = await bucket.send(
            "PATCH", path, body, query={"ifGenerationMatch": generation + 1}
        )
        assert refused.status == 412
        assert "metadata" not in (await bucket.head("a")).json
        done = await bucket.send("PATCH", path, body, query={"ifGenerationMatch": generation})
        assert done.status == 200
        assert (await bucket.head("a")).json["metadata"] == {"k": "v"}


@pytest.mark.parametrize("verb", ["rewriteTo", "copyTo"])
async def test_copy_if_generation_match_guards_the_target(
    gcs_server: FakeGCSServer, verb: str
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"new")
        target = await bucket.generation("b", b"old")
        for wanted in (0, target + 1):
            refused = await bucket.copy("a", "b", verb=verb, ifGenerationMatch=wanted)
            assert refused.status == 412
        assert (await bucket.read("b")).body == b"old"
        done = await bucket.copy("a", "b", verb=verb, ifGenerationMatch=target)
        assert done.status == 200
        assert (await bucket.read("b")).body == b"new"


@pytest.mark.parametrize("verb", ["rewriteTo", "copyTo"])
async def test_copy_if_source_generation_match_guards_the_source(
    gcs_server: FakeGCSServer, verb: str
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        source = await bucket.generation("a")
        refused = await bucket.copy("a", "b", verb=verb, ifSourceGenerationMatch=source + 1)
        assert refused.status == 412
        assert await bucket.names() == ["a"]
        copied = await bucket.copy("a", "b", verb=verb, ifSourceGenerationMatch=source)
        assert copied.status == 200


async def test_a_copy_has_metadata_of_its_own(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", about={"metadata": {"mtime": "1.5"}})
        copied = await bucket.copy("a", "b")
        assert copied.json["resource"]["metadata"] == {"mtime": "1.5"}
        assert copied.json["resource"]["contentType"] == "text/x-test"
        await bucket.send("PATCH", bucket.path("b"), b'{"metadata": {"k": "v"}}')
        assert (await bucket.head("a")).json["metadata"] == {"mtime": "1.5"}


async def test_copy_of_an_old_generation_restores_it(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server, versioned=True) as bucket:
        old = await bucket.generation("a", b"old")
        await bucket.put("a", b"new")
        assert (await bucket.copy("a", "b", sourceGeneration=old)).status == 200
        assert (await bucket.read("b")).body == b"old"


async def test_compose_guards_its_target_and_its_sources(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        generation = await bucket.generation("a")

        async def compose(wanted: int, **query: int) -> int:
            source = {"name": "a", "objectPreconditions": {"ifGenerationMatch": wanted}}
            body = json.dumps({"sourceObjects": [source, {"name": "a"}]}).encode()
            path = bucket.path("b", "/compose")
            return (await bucket.send("POST", path, body, query=query)).status

        assert await compose(generation + 1) == 412
        assert await compose(generation, ifGenerationMatch=7) == 412
        assert await bucket.names() == ["a"]
        assert await compose(generation, ifGenerationMatch=0) == 200
        assert (await bucket.read("b")).body == b"datadata"


async def test_move_takes_data_and_metadata_along(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a b/é+%#?", b"1", about={"metadata": {"mtime": "1.5"}})
        moved = await bucket.move("a b/é+%#?", "c/d")
        assert moved.json["name"] == "c/d"
        assert moved.json["metadata"] == {"mtime": "1.5"}
        assert (await bucket.read("c/d")).body == b"1"
        assert await bucket.names() == ["c/d"]


async def test_move_guards_its_target_and_its_source(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        source = await bucket.generation("a")
        target = await bucket.generation("b", b"old")
        assert (await bucket.move("a", "b", ifGenerationMatch=0)).status == 412
        assert (await bucket.move("a", "c", ifSourceGenerationMatch=source + 1)).status == 412
        assert (await bucket.move("none", "c")).status == 404
        assert (await bucket.move("a", "a")).status == 400
        assert await bucket.names() == ["a", "b"]
        guards = {"ifGenerationMatch": target, "ifSourceGenerationMatch": source}
        assert (await bucket.move("a", "b", **guards)).status == 200
        assert await bucket.names() == ["b"]


async def test_of_concurrent_creates_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for name in ROUNDS:
            writes = [bucket.put(name, b"%d" % n, ifGenerationMatch=0) for n in range(WRITERS)]
            assert await statuses(writes) == {200: 1, 412: WRITERS - 1}


async def test_of_concurrent_replaces_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for name in ROUNDS:
            first = await bucket.generation(name)
            writes = [bucket.put(name, ifGenerationMatch=first) for _ in range(WRITERS)]
            assert await statuses(writes) == {200: 1, 412: WRITERS - 1}


async def test_of_concurrent_deletes_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for name in ROUNDS:
            first = await bucket.generation(name)
            deletes = [bucket.delete(name, ifGenerationMatch=first) for _ in range(WRITERS)]
            assert await statuses(deletes) == {204: 1, 404: WRITERS - 1}


async def test_of_a_delete_and_a_replace_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for name in ROUNDS:
            first = await bucket.generation(name)
            put, delete = await asyncio.gather(
                bucket.put(name, b"new", ifGenerationMatch=first),
                bucket.delete(name, ifGenerationMatch=first),
            )
            assert (put.status, delete.status) in {(200, 412), (412, 204)}
            left = await bucket.read(name)
            assert left.status == (200 if put.status == 200 else 404)


async def test_of_concurrent_moves_to_one_name_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for target in ROUNDS:
            sources = [f"{target}{number}" for number in range(WRITERS)]
            await asyncio.gather(*(bucket.put(source) for source in sources))
            moves = [bucket.move(source, target, ifGenerationMatch=0) for source in sources]
            assert await statuses(moves) == {200: 1, 412: WRITERS - 1}
        assert len(await bucket.names()) == WRITERS * len(ROUNDS)


async def test_of_concurrent_moves_of_one_object_one_wins(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for source in ROUNDS:
            await bucket.put(source)
            moves = [bucket.move(source, f"{source}{number}") for number in range(WRITERS)]
            assert await statuses(moves) == {200: 1, 404: WRITERS - 1}
        assert len(await bucket.names()) == len(ROUNDS)


async def test_moves_in_a_ring_do_not_wait_for_each_other(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await asyncio.gather(*(bucket.put(name) for name in "abc"))
        ring = [bucket.move(source, target) for source, target in ("ab", "bc", "ca") * 3]
        await asyncio.wait_for(asyncio.gather(*ring), 30)


async def test_a_conditional_read_never_gives_another_generation(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        bodies: dict[int, bytes] = {}

        async def write(number: int) -> None:
            data = b"%d" % number
            bodies[await bucket.generation("a", data)] = data

        async def read(generation: int) -> None:
            answer = await bucket.read("a", ifGenerationMatch=generation)
            assert answer.status in (200, 412)
            assert answer.status == 412 or answer.body == bodies[generation]

        await write(0)
        for number in range(1, 20):
            known = list(bodies)
            await asyncio.gather(write(number), *(read(generation) for generation in known[-5:]))


async def test_a_stalled_upload_keeps_nobody_waiting(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        assert await _written_during_a_stalled_upload(bucket) == 200


async def _written_during_a_stalled_upload(bucket: Bucket) -> int:
    """Upload one object while another upload of the same name has stopped half-way."""
    host, port = bucket.base.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"PUT /{bucket.name}/a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nhalf"
    writer.write(head.encode())
    await writer.drain()
    try:
        written = await asyncio.wait_for(bucket.put("a"), 10)
    finally:
        writer.close()
        await writer.wait_closed()
    return written.status
