"""The counting proxy: it names what is asked of each of the three stores, and changes nothing."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import ClientSession, ClientTimeout
from aiohttp.test_utils import make_mocked_request
from azure.storage.blob import BlobServiceClient

from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.operations import Protocol, operation_of
from jupyter_nbforge.testing.proxy import CountingProxy
from jupyter_nbforge.testing.servers import MotoServer

from .conftest import MakeS3
from .gcs_http import fresh_bucket

J = "/storage/v1/b/bucket"
U = f"/upload{J}/o?uploadType=resumable"

S3 = [
    ("GET", "/bucket?list-type=2&prefix=a%2F", "LIST"),
    ("GET", "/bucket/a/b", "GET"),
    ("HEAD", "/bucket/a/b", "HEAD"),
    ("PUT", "/bucket/a/b", "PUT"),
    ("PUT", "/bucket/a/b", "COPY", "x-amz-copy-source", "/bucket/c"),
    ("DELETE", "/bucket/a/b", "DELETE"),
    ("POST", "/bucket?delete", "DELETE"),
    ("POST", "/bucket/a?uploads", "CREATE UPLOAD"),
    ("PUT", "/bucket/a?partNumber=1&uploadId=x", "PART"),
    ("POST", "/bucket/a?uploadId=x", "COMPLETE"),
    ("DELETE", "/bucket/a?uploadId=x", "ABORT"),
]
GCS = [
    ("GET", f"{J}/o?prefix=a%2F", "LIST"),
    ("GET", f"{J}/o/a%2Fb", "HEAD"),
    ("GET", f"{J}/o/rewriteTo", "HEAD"),
    ("GET", f"{J}/o/a%2Fb?alt=media", "GET"),
    ("GET", f"/download{J}/o/a%2Fb?alt=media", "GET"),
    ("GET", "/bucket/a/b", "GET"),
    ("HEAD", "/bucket/a/b", "HEAD"),
    ("PUT", "/bucket/a/b", "PUT"),
    ("POST", f"/upload{J}/o?uploadType=multipart", "PUT"),
    ("POST", f"/upload{J}/o?uploadType=media&name=a", "PUT"),
    ("PATCH", f"{J}/o/a%2Fb", "PATCH"),
    ("POST", f"{J}/o/a/rewriteTo/b/bucket/o/c", "COPY"),
    ("POST", f"{J}/o/a/copyTo/b/bucket/o/c", "COPY"),
    ("POST", f"{J}/o/a/moveTo/o/c", "MOVE"),
    ("POST", f"{J}/o/a/compose", "COMPOSE"),
    ("DELETE", f"{J}/o/a%2Fb", "DELETE"),
    ("POST", U, "CREATE UPLOAD"),
    ("PUT", f"{U}&upload_id=x", "PART", "Content-Range", "bytes 0-99/*"),
    ("PUT", f"{U}&upload_id=x", "PART", "Content-Range", "bytes 0-99/300"),
    ("PUT", f"{U}&upload_id=x", "COMPLETE", "Content-Range", "bytes 200-299/300"),
    ("PUT", f"{U}&upload_id=x", "COMPLETE", "Content-Range", "bytes */300"),
    ("PUT", f"{U}&upload_id=x", "COMPLETE"),
    ("PUT", f"{U}&upload_id=x", "STATUS", "Content-Range", "bytes */*"),
    ("DELETE", f"{U}&upload_id=x", "ABORT"),
    ("POST", "/bucket/a?uploads", "CREATE UPLOAD"),
    ("POST", "/batch/storage/v1", "BATCH"),
    ("POST", "/oauth2/token", "TOKEN"),
    ("GET", J, "BUCKET"),
]
AZURE = [
    ("GET", "/account/container?restype=container&comp=list&prefix=a%2F", "LIST"),
    ("GET", "/account/container/a/b", "GET"),
    ("HEAD", "/account/container/a/b", "HEAD"),
    ("PUT", "/account/container/a/b", "PUT"),
    ("PUT", "/account/container/a/b", "COPY", "x-ms-copy-source", "https://other/blob"),
    ("DELETE", "/account/container/a/b", "DELETE"),
    ("POST", "/account/container?restype=container&comp=batch", "BATCH"),
    ("PUT", "/account/container/a?comp=block&blockid=x", "PART"),
    ("PUT", "/account/container/a?comp=blocklist", "COMPLETE"),
    ("GET", "/account/container/a?comp=blocklist", "LIST PARTS"),
    ("PUT", "/account/container/a?comp=metadata", "METADATA"),
    ("GET", "/account/container?restype=container", "CONTAINER"),
    ("POST", "/account?restype=service&comp=userdelegationkey", "DELEGATION KEY"),
]


@pytest.mark.parametrize(
    ("protocol", "request_"),
    [
        *(("s3", request) for request in S3),
        *(("gcs", request) for request in GCS),
        *(("azure", request) for request in AZURE),
    ],
    ids=str,
)
def test_a_request_is_named_by_what_it_does(
    protocol: Protocol, request_: tuple[str, str, str] | tuple[str, str, str, str, str]
) -> None:
    method, path, operation, *header = request_
    headers = {header[0]: header[1]} if header else {}
    assert operation_of(make_mocked_request(method, path, headers), protocol) == operation


async def test_s3_signatures_are_good_behind_it(moto_server: MotoServer, make_s3: MakeS3) -> None:
    async with CountingProxy(moto_server.endpoint_url) as proxy:
        storage = make_s3(moto_server, endpoint_url=proxy.endpoint_url)
        try:
            await storage.put("a b/é+%#?.bin", b"data")
            await storage.head("a b/é+%#?.bin")
        finally:
            await storage.aclose()
        assert [seen.path.split("/", 2)[2] for seen in proxy.seen] == ["a b/é+%#?.bin"] * 2
        assert proxy.take() == {"PUT": 1, "HEAD": 1}
        assert proxy.take() == {}


async def test_bytes_of_bodies_are_counted_each_way(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with CountingProxy(moto_server.endpoint_url) as proxy:
        storage = make_s3(moto_server, endpoint_url=proxy.endpoint_url)
        try:
            await storage.put("counted", b"x" * 300_000)
            assert (proxy.bytes_up, proxy.bytes_down) == (300_000, 0)
            async with storage.get("counted") as reader:
                assert len(await reader.read()) == 300_000
            await storage.head("counted")
        finally:
            await storage.aclose()
        assert (proxy.bytes_up, proxy.bytes_down) == (300_000, 300_000)


async def test_a_client_that_asks_before_it_sends_is_told_to_go_on(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    storage = make_s3(moto_server)
    async with (
        CountingProxy(moto_server.endpoint_url) as proxy,
        ClientSession(proxy.endpoint_url, timeout=ClientTimeout(total=20)) as client,
        client.put(f"/{storage.bucket}/asked", data=b"data", expect100=True) as answer,
    ):
        assert answer.status == 200
    await storage.aclose()


async def test_azure_signatures_are_good_behind_it(azurite_server: AzuriteServer) -> None:
    name = "a b/é+%#?.bin"
    credential = {
        "account_name": azurite_server.account_name,
        "account_key": azurite_server.account_key,
    }

    def use(address: str) -> bytes:
        with BlobServiceClient(address, credential=credential) as client:
            blob = client.get_blob_client("counted", name)
            blob.upload_blob(b"data", overwrite=True)
            return blob.download_blob().readall()

    azurite_server.create_container("counted")
    async with CountingProxy(azurite_server.endpoint_url, "azure") as proxy:
        assert proxy.endpoint_url.endswith(f"/{azurite_server.account_name}")
        assert await asyncio.to_thread(use, proxy.endpoint_url) == b"data"
        assert proxy.seen[0].path.endswith(f"/counted/{name}")
        assert proxy.take() == {"PUT": 1, "GET": 1}


async def test_a_resumable_upload_stays_on_it(gcs_server: FakeGCSServer) -> None:
    async with (
        CountingProxy(gcs_server.endpoint_url, "gcs") as proxy,
        fresh_bucket(gcs_server, base=proxy.endpoint_url) as bucket,
    ):
        address = (await bucket.begin("a")).headers["location"]
        await bucket.add(address, "0-262143/*", b"x" * 262144)
        await bucket.add(address, "262144-262147/262148", b"data")
        await bucket.head("a")
        assert proxy.take() == {"CREATE UPLOAD": 1, "PART": 1, "COMPLETE": 1, "HEAD": 1}
