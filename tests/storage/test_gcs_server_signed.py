"""Signed addresses and tokens of the local Cloud Storage server, made by Google's library."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request
from google.cloud.storage import Client
from google.oauth2.service_account import Credentials

from jupyter_nbforge.testing.gcs_server import FakeGCSServer, SigningKey, service_account_info
from jupyter_nbforge.testing.proxy import CountingProxy

from .gcs_http import Bucket, fresh_bucket

ODD = "a b/é+%#?.bin"


def signed(bucket: Bucket, name: str, info: dict[str, str], **options: Any) -> str:
    """A signed address of the object, which holds for a minute."""
    credentials = Credentials.from_service_account_info(info)
    client = Client(project="nbforge", credentials=credentials)
    try:
        blob = client.bucket(bucket.name).blob(name)
        usual = {"version": "v4", "expiration": timedelta(minutes=1)}
        usual["api_access_endpoint"] = bucket.base
        return str(blob.generate_signed_url(**{**usual, **options}))
    finally:
        client.close()


async def test_a_signed_address_reads_the_object(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put(ODD, b"data")
        answer = await bucket.send("GET", signed(bucket, ODD, gcs_server.service_account_info))
        assert (answer.status, answer.body) == (200, b"data")


async def test_a_signed_address_names_the_type_and_the_disposition(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put(ODD, b"data")
        disposition = "attachment; filename*=UTF-8''%C3%A9.bin"
        address = signed(
            bucket,
            ODD,
            gcs_server.service_account_info,
            response_type="text/plain",
            response_disposition=disposition,
        )
        answer = await bucket.send("GET", address)
        assert answer.headers["content-type"] == "text/plain"
        assert answer.headers["content-disposition"] == disposition


async def test_a_signed_address_writes_the_object_with_the_signed_type(
    gcs_server: FakeGCSServer,
) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        info = gcs_server.service_account_info
        address = signed(bucket, ODD, info, method="PUT", content_type="text/q")
        other = await bucket.send("PUT", address, b"data", headers={"Content-Type": "text/other"})
        assert other.status == 403
        written = await bucket.send("PUT", address, b"data", headers={"Content-Type": "text/q"})
        assert written.status == 200
        assert (await bucket.head(ODD)).json["contentType"] == "text/q"


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_signature_is_for_one_method(gcs_server: FakeGCSServer, method: str) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"data")
        address = signed(bucket, "a", gcs_server.service_account_info)
        refused = await bucket.send(method, address, b"more")
        assert refused.status == 403
        assert b"<Code>SignatureDoesNotMatch<" in refused.body
        assert (await bucket.read("a")).body == b"data"


async def test_a_tampered_address_is_refused(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"data")
        await bucket.put("b", b"data")
        address = signed(bucket, "a", gcs_server.service_account_info)
        changes = {"/a?": "/b?", "X-Goog-Expires=60": "X-Goog-Expires=600"}
        changes |= {"X-Goog-Signature=": "X-Goog-Signature=00"}
        for old, new in changes.items():
            assert old in address
            assert (await bucket.send("GET", address.replace(old, new))).status == 403
        extended = f"{address}&response-content-type=text/html"
        assert (await bucket.send("GET", extended)).status == 403


async def test_a_malformed_address_is_refused(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"data")
        address = signed(bucket, "a", gcs_server.service_account_info)
        for old, new in (("X-Goog-Date=2", "X-Goog-Date=x"), ("X-Goog-Expires", "Expires")):
            assert (await bucket.send("GET", address.replace(old, new))).status == 400


async def test_an_address_ends_when_it_says(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"data")
        address = signed(bucket, "a", gcs_server.service_account_info, expiration=1)
        until = datetime.now(timezone.utc) + timedelta(seconds=10)
        answer = await bucket.send("GET", address)
        while answer.status == 200 and datetime.now(timezone.utc) < until:
            await asyncio.sleep(0.2)
            answer = await bucket.send("GET", address)
        assert answer.status == 400
        assert b"<Code>ExpiredToken<" in answer.body


async def test_an_account_that_is_not_known_signs_in_vain(gcs_server: FakeGCSServer) -> None:
    key = await asyncio.to_thread(SigningKey.generate)
    email = gcs_server.service_account_info["client_email"]
    async with fresh_bucket(gcs_server) as bucket:
        await bucket.put("a", b"data")
        for info in (service_account_info(key), service_account_info(key, email)):
            assert (await bucket.send("GET", signed(bucket, "a", info))).status == 403


async def test_a_signature_is_good_behind_the_counting_proxy(gcs_server: FakeGCSServer) -> None:
    async with (
        CountingProxy(gcs_server.endpoint_url, "gcs") as proxy,
        fresh_bucket(gcs_server, base=proxy.endpoint_url) as bucket,
    ):
        await bucket.put(ODD, b"data")
        proxy.take()
        answer = await bucket.send("GET", signed(bucket, ODD, gcs_server.service_account_info))
        assert answer.body == b"data"
        assert proxy.take() == {"GET": 1}


def fetch_token(info: dict[str, str]) -> str:
    """A token from the endpoint that `info` names."""
    scopes = ["https://www.googleapis.com/auth/devstorage.read_write"]
    credentials = Credentials.from_service_account_info(info, scopes=scopes)
    with Request().session as session:
        credentials.refresh(Request(session))
    return str(credentials.token)


def test_the_servers_account_gets_a_token(gcs_server: FakeGCSServer) -> None:
    assert fetch_token(gcs_server.service_account_info)


def test_an_account_that_is_not_known_gets_no_token(gcs_server: FakeGCSServer) -> None:
    info = service_account_info(SigningKey.generate())
    info["token_uri"] = gcs_server.service_account_info["token_uri"]
    with pytest.raises(RefreshError):
        fetch_token(info)
