"""Presigned URLs of GCSStorage: who signs them, and who cannot."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from contextlib import aclosing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from jupyter_nbforge.storage import errors, gcs_links
from jupyter_nbforge.storage.gcs import GCSStorage

from .conftest import MakeGCS
from .gcs_stub import found, gcs_at, refusal
from .stub import Request, stub_server

SIGNER = "signer@project.iam.gserviceaccount.com"


def fetch(url: str, data: bytes | None = None, **headers: str) -> bytes:
    method = "GET" if data is None else "PUT"
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        return bytes(response.read())


def parameters(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


async def test_a_link_reads_and_writes_without_credentials(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        await storage.put("a b+%#?\u00e9", b"data")
        url = await storage.get_presigned_url("a b+%#?\u00e9", 60)
        assert url.startswith(f"{storage.endpoint_url}/{storage.bucket}/a%20b")
        assert await asyncio.to_thread(fetch, url) == b"data"
        url = await storage.get_presigned_url("new", 60.5, method="PUT")
        assert parameters(url)["X-Goog-Expires"] == "61"
        await asyncio.to_thread(fetch, url, b"written")
        async with storage.get("new") as reader:
            assert await reader.read() == b"written"


async def test_a_link_is_for_one_method_one_key_and_one_type(make_gcs: MakeGCS) -> None:
    async with aclosing(make_gcs()) as storage:
        await storage.put("a", b"data")
        await storage.put("b", b"secret")
        url = await storage.get_presigned_url("a")
        typed = await storage.get_presigned_url("c", method="PUT", content_type="text/x")
        for address, data, headers in (
            (url.replace("/a?", "/b?"), None, {}),
            (url, b"written", {}),
            (typed, b"written", {"Content-Type": "text/y"}),
        ):
            with pytest.raises(urllib.error.HTTPError) as caught:
                await asyncio.to_thread(fetch, address, data, **headers)
            with caught.value:
                assert caught.value.code == 403


async def test_a_link_is_made_without_a_request_to_the_store(gcs_account: Path) -> None:
    requests: list[Request] = []
    async with (
        stub_server(lambda request, number: b"", requests=requests) as endpoint,
        aclosing(gcs_at(endpoint, credentials_file=str(gcs_account))) as storage,
    ):
        url = await storage.get_presigned_url("a", method="PUT", content_type="text/plain")
    assert parameters(url)["X-Goog-SignedHeaders"] == "content-type;host"
    assert requests == []


@pytest.mark.parametrize("expires_in", [0, -1, 7 * 24 * 3600 + 1])
async def test_a_link_lives_at_most_seven_days(expires_in: float, gcs_account: Path) -> None:
    storage = GCSStorage(bucket="bucket", credentials_file=str(gcs_account))
    async with aclosing(storage):
        with pytest.raises(errors.NotSupportedError):
            await storage.get_presigned_url("a", expires_in)


async def test_nobody_signs_without_credentials() -> None:
    async with aclosing(GCSStorage(bucket="bucket", anonymous=True)) as storage:
        with pytest.raises(errors.NotSupportedError):
            await storage.get_presigned_url("a")


class Google:
    """What tokens, an account and signatures are asked of; `refused` is its answer to the last."""

    def __init__(self, tmp_path: Path) -> None:
        self.refused: bytes | None = None
        self.requests: list[Request] = []
        self.token_file = tmp_path / "token"
        self.token_file.write_text("the pod's own token")
        self.file = tmp_path / "external.json"

    def reply(self, request: Request, number: int) -> bytes:
        if request.target.startswith("/sts"):
            return found({"access_token": "federated", "expires_in": 3600, "token_type": "Bearer"})
        if request.target.endswith(":generateAccessToken"):
            granted = {"accessToken": "impersonated", "expireTime": "2099-01-01T00:00:00Z"}
            return found(granted)
        if self.refused is not None:
            return self.refused
        return found({"keyId": "1", "signedBlob": b64encode(b"signature").decode()})

    def write(self, endpoint: str, *, account: str | None) -> str:
        """The file of an external account, which stands for `account` or for nobody."""
        external: dict[str, Any] = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/"
            "providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{endpoint}/sts",
            "credential_source": {"file": str(self.token_file)},
        }
        if account is not None:
            url = f"{endpoint}/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
            external["service_account_impersonation_url"] = url
        self.file.write_text(json.dumps(external))
        return str(self.file)

    @property
    def signed(self) -> list[Request]:
        return [request for request in self.requests if request.target.endswith(":signBlob")]


@pytest.fixture
def google(tmp_path: Path) -> Google:
    return Google(tmp_path)


async def link(
    google: Google, monkeypatch: pytest.MonkeyPatch, *, account: str | None = None, **options: Any
) -> str:
    """A link of a storage whose credentials are those of a workload."""
    async with stub_server(google.reply, requests=google.requests) as endpoint:
        monkeypatch.setattr(gcs_links, "IAM_ENDPOINT", endpoint)
        file = google.write(endpoint, account=account)
        async with aclosing(GCSStorage(bucket="bucket", credentials_file=file, **options)) as made:
            return await made.get_presigned_url("a", 60)


async def test_google_signs_for_a_workload_with_an_account(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await link(google, monkeypatch, account=SIGNER)
    assert parameters(url)["X-Goog-Signature"] == b"signature".hex()
    assert parameters(url)["X-Goog-Credential"].startswith(f"{SIGNER}/")
    assert url.startswith("https://storage.googleapis.com/bucket/a?")
    (signed,) = google.signed
    assert signed.target == f"/v1/projects/-/serviceAccounts/{SIGNER}:signBlob"
    assert signed.headers["authorization"] == "Bearer impersonated"
    text = b64decode(json.loads(signed.body)["payload"]).decode()
    assert text.startswith("GOOG4-RSA-SHA256\n")
    # Signing needs another scope than storage does.
    granted = [request for request in google.requests if "generateAccessToken" in request.target]
    assert "cloud-platform" in str(json.loads(granted[-1].body)["scope"])


async def test_google_signs_for_the_account_that_is_configured(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await link(google, monkeypatch, signing_account=SIGNER)
    assert parameters(url)["X-Goog-Credential"].startswith(f"{SIGNER}/")
    assert google.signed[0].headers["authorization"] == "Bearer federated"


async def test_a_configured_account_signs_instead_of_a_key_at_hand(
    google: Google, monkeypatch: pytest.MonkeyPatch, make_gcs: MakeGCS
) -> None:
    async with (
        stub_server(google.reply, requests=google.requests) as endpoint,
        aclosing(make_gcs(signing_account=SIGNER)) as storage,
    ):
        monkeypatch.setattr(gcs_links, "IAM_ENDPOINT", endpoint)
        url = await storage.get_presigned_url("a")
    assert parameters(url)["X-Goog-Signature"] == b"signature".hex()
    assert google.signed[0].headers["authorization"] == "Bearer a-token"


async def test_a_workload_without_account_cannot_sign(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.NotSupportedError, match="signing_account"):
        await link(google, monkeypatch)


async def test_a_person_cannot_sign(tmp_path: Path) -> None:
    person = {
        "type": "authorized_user",
        "client_id": "id",
        "client_secret": "SECRETSECRET",
        "refresh_token": "SECRETSECRET",
    }

    file = tmp_path / "person.json"
    file.write_text(json.dumps(person))
    async with aclosing(GCSStorage(bucket="bucket", credentials_file=str(file))) as storage:
        with pytest.raises(errors.NotSupportedError, match="signing_account") as caught:
            await storage.get_presigned_url("a")
    assert "SECRETSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (403, errors.PermissionDeniedError, False),
        (404, errors.PermissionDeniedError, False),
        (429, errors.UnavailableError, True),
        (503, errors.UnavailableError, True),
    ],
)
async def test_a_refused_signature_says_what_is_missing(
    status: int,
    expected: type[errors.StorageError],
    retryable: bool,
    google: Google,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    google.refused = refusal(status, "forbidden" if status < 429 else "")
    with pytest.raises(errors.StorageError) as caught:
        await link(google, monkeypatch, account=SIGNER)
    assert type(caught.value) is expected
    assert caught.value.retryable is retryable
    assert ("Token Creator" in caught.value.message) is not retryable
    assert len(google.signed) == 1


async def test_a_signature_that_is_none_is_an_error(
    google: Google, monkeypatch: pytest.MonkeyPatch
) -> None:
    google.refused = found({"unexpected": "answer"})
    with pytest.raises(errors.UnavailableError):
        await link(google, monkeypatch, account=SIGNER)
