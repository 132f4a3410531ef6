"""Reads of the local Cloud Storage server: headers, errors, links."""

from __future__ import annotations

import pytest

from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.proxy import CountingProxy

from .gcs_http import fresh_bucket

ODD = "a b/é+%#?.bin"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_xml_read_tells_all_about_the_object(gcs_server: FakeGCSServer, method: str) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        written = (await bucket.put(ODD, b"0123456789", about={"metadata": {"mtime": "1.5"}})).json
        answer = await bucket.send(method, bucket.xml_path(ODD))
        assert answer.status == 200
        assert answer.body == (b"0123456789" if method == "GET" else b"")
        assert answer.headers["content-length"] == "10"
        assert answer.headers["content-type"] == "text/x-test"
        assert answer.headers["x-goog-generation"] == written["generation"]
        assert answer.headers["x-goog-meta-mtime"] == "1.5"
        assert answer.headers["x-goog-stored-content-length"] == "10"
        assert f"crc32c={written['crc32c']}" in answer.headers["x-goog-hash"]
        assert f"md5={written['md5Hash']}" in answer.headers["x-goog-hash"]


async def test_xml_read_of_a_range_knows_the_whole_length(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put(ODD, b"0123456789")
        part = await bucket.send("GET", bucket.xml_path(ODD), headers={"Range": "bytes=2-4"})
        assert (part.status, part.body) == (206, b"234")
        assert part.headers["content-range"] == "bytes 2-4/10"
        assert part.headers["x-goog-stored-content-length"] == "10"


async def test_xml_read_past_the_end_is_refused(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"0123456789")
        beyond = await bucket.send("GET", bucket.xml_path("a"), headers={"Range": "bytes=20-"})
        assert beyond.status == 416
        assert b"<Code>InvalidRange<" in beyond.body


async def test_xml_errors_tell_a_missing_object_from_a_missing_bucket(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        no_object = await bucket.send("GET", bucket.xml_path("none"))
        no_bucket = await bucket.send("GET", "/no-such-bucket/none")
        assert (no_object.status, no_bucket.status) == (404, 404)
        assert b"<Code>NoSuchKey<" in no_object.body
        assert b"<Code>NoSuchBucket<" in no_bucket.body
        assert (await bucket.send("HEAD", bucket.xml_path("none"))).status == 404


async def test_json_errors_have_the_documented_reason(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        for answer in (await bucket.head("none"), await bucket.read("none")):
            assert (answer.status, answer.reason) == (404, "notFound")


async def test_the_xml_api_writes_objects(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        headers = {"Content-Type": "text/q", "x-goog-meta-mtime": "2"}
        path = bucket.xml_path(ODD)
        written = await bucket.send("PUT", path, b"data", headers=headers)
        about = (await bucket.head(ODD)).json
        assert written.headers["x-goog-generation"] == about["generation"]
        assert (about["contentType"], about["metadata"]) == ("text/q", {"mtime": "2"})
        once = {"x-goog-if-generation-match": "0"}
        assert (await bucket.send("PUT", path, b"more", headers=once)).status == 412


async def test_links_lead_to_where_the_client_came_from(gcs_server: FakeGCSServer) -> None:
    async with (
        CountingProxy(gcs_server.endpoint_url, "gcs") as proxy,
        fresh_bucket(gcs_server, base=proxy.endpoint_url) as bucket,
    ):
        written = await bucket.put("a", b"data")
        assert written.json["mediaLink"].startswith(f"{proxy.endpoint_url}/")
        assert (await bucket.send("GET", written.json["mediaLink"])).body == b"data"
        begun = await bucket.begin("b")
        assert begun.headers["location"].startswith(f"{proxy.endpoint_url}/")
