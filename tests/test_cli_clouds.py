"""What a person reads who starts with a wrong account, container, key or permission."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer, SigningKey, service_account_info
from tests.storage.stub import Answer, Request, answer, stub_server

from .test_cli import refusal

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="  # base64 of something that must not be shown

Refusals = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration and no credentials but those of the test, and no wait for a machine's."""
    for name in ("config", "data"):
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "azure"))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)


@pytest.fixture(scope="module")
def azurite() -> Iterator[AzuriteServer]:
    with AzuriteServer() as server:
        server.create_container("present")
        yield server


@pytest.fixture(scope="module")
def gcs() -> Iterator[FakeGCSServer]:
    with FakeGCSServer() as server:
        server.create_bucket("present")
        yield server


@contextmanager
def stub(reply: Answer) -> Iterator[str]:
    """The URL of a server that answers with `reply`, beside the loop of the command."""
    ready, done = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        async with stub_server(reply) as url:
            found.append(url)
            ready.set()
            await asyncio.to_thread(done.wait, 60)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join()


def _says(line: str, *parts: str) -> None:
    """One sentence for a person: with these words, without a secret."""
    for part in parts:
        assert part.lower() in line.lower(), line
    assert SECRET not in line
    assert "Traceback" not in line


def _azure(server: AzuriteServer, **options: str) -> list[str]:
    usual = {"account_url": server.endpoint_url, "account_key": server.account_key}
    given = {name: value for name, value in {**usual, **options}.items() if value}
    return [f"--AzureStorage.{name}={value}" for name, value in given.items()]


def test_a_wrong_container(capsys: Refusals, azurite: AzuriteServer) -> None:
    line = refusal(capsys, "lab", "az://absent", *_azure(azurite))
    _says(line, "container 'absent' does not exist", azurite.endpoint_url)
    assert azurite.account_key not in line


def test_a_wrong_account_key(capsys: Refusals, azurite: AzuriteServer) -> None:
    line = refusal(capsys, "lab", "az://present", *_azure(azurite, account_key=SECRET))
    _says(line, "does not accept", "account key")


def test_an_account_key_that_is_none(capsys: Refusals, azurite: AzuriteServer) -> None:
    line = refusal(capsys, "lab", "az://present", *_azure(azurite, account_key=SECRET + "!"))
    _says(line, "AzureStorage.account_key")


def test_a_wrong_account(capsys: Refusals, azurite: AzuriteServer) -> None:
    url = azurite.endpoint_url.replace(azurite.account_name, "otheraccount")
    line = refusal(capsys, "lab", "az://present", *_azure(azurite, account_url=url))
    _says(line, "account")


def test_an_account_that_nobody_has(capsys: Refusals) -> None:
    options = ("--AzureStorage.account_name=nosuchaccount", f"--AzureStorage.account_key={SECRET}")
    url = "--AzureStorage.account_url=https://nosuchaccount.invalid"
    line = refusal(capsys, "lab", "az://con", *options, url, "--RetryStorage.max_attempts=1")
    _says(line, "nosuchaccount.invalid", "cannot be reached")


def test_no_account(capsys: Refusals) -> None:
    _says(refusal(capsys, "lab", "az://container"), "AzureStorage.account_name")


@pytest.mark.parametrize("hours", [-1, 1])
def test_an_expired_sas_and_one_that_may_not_list(
    capsys: Refusals, azurite: AzuriteServer, hours: int
) -> None:
    sas = generate_container_sas(
        azurite.account_name,
        "present",
        account_key=azurite.account_key,
        permission=ContainerSasPermissions(read=True, list=hours < 0),
        expiry=datetime.now(timezone.utc) + timedelta(hours=hours),
    )
    options = _azure(azurite, account_key="", sas_token=sas)
    line = refusal(capsys, "lab", "az://present", *options)
    _says(line, *(("SAS",) if hours < 0 else ("permission",)))
    assert sas not in line
    assert "sig=" not in line


def _denied_by_azure(request: Request, number: int) -> bytes:
    code = "AuthorizationPermissionMismatch"
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>-</Message></Error>"
    return answer(403, body.encode(), content_type="application/xml", x_ms_error_code=code)


def test_a_missing_role_on_azure(capsys: Refusals) -> None:
    with stub(_denied_by_azure) as url:
        options = (
            f"--AzureStorage.account_url={url}/account",
            f"--AzureStorage.account_key={SECRET}",
        )
        line = refusal(capsys, "lab", "az://container", *options)
    _says(line, "Storage Blob Data Contributor")


def test_a_wrong_bucket_on_google(capsys: Refusals, gcs: FakeGCSServer) -> None:
    options = (f"--GCSStorage.endpoint_url={gcs.endpoint_url}", "--GCSStorage.anonymous=True")
    line = refusal(capsys, "lab", "gs://absent", *options)
    _says(line, "bucket 'absent' does not exist", gcs.endpoint_url)


@pytest.mark.parametrize("text", ["", "{}", '{"type": "service_account"}', "not json"])
def test_a_key_file_that_is_none(capsys: Refusals, tmp_path: Path, text: str) -> None:
    (tmp_path / "key.json").write_text(text)
    line = refusal(
        capsys, "lab", "gs://bucket", f"--GCSStorage.credentials_file={tmp_path / 'key.json'}"
    )
    _says(line, "credentials_file")


def test_a_key_that_the_account_does_not_have(
    capsys: Refusals, tmp_path: Path, gcs: FakeGCSServer
) -> None:
    def refuse(request: Request, number: int) -> bytes:
        body = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
        return answer(400, json.dumps(body).encode(), content_type="application/json")

    with stub(refuse) as url:
        info = {**service_account_info(SigningKey.generate()), "token_uri": f"{url}/token"}
        (tmp_path / "key.json").write_text(json.dumps(info))
        options = (
            f"--GCSStorage.credentials_file={tmp_path / 'key.json'}",
            f"--GCSStorage.endpoint_url={gcs.endpoint_url}",
        )
        line = refusal(capsys, "lab", "gs://present", *options)
    _says(line, "credentials")
    assert "PRIVATE KEY" not in line


def test_no_credentials_on_google(capsys: Refusals) -> None:
    _says(refusal(capsys, "lab", "gs://bucket"), "GOOGLE_APPLICATION_CREDENTIALS")


def _denied_by_google(request: Request, number: int) -> bytes:
    reason = {"domain": "global", "reason": "forbidden", "message": "-"}
    body = {"error": {"code": 403, "message": "-", "errors": [reason]}}
    return answer(403, json.dumps(body).encode(), content_type="application/json")


def test_a_missing_role_on_google(capsys: Refusals) -> None:
    with stub(_denied_by_google) as url:
        options = (f"--GCSStorage.endpoint_url={url}", "--GCSStorage.anonymous=True")
        line = refusal(capsys, "lab", "gs://bucket", *options)
    _says(line, "permission", "'bucket'")


def test_a_wrong_endpoint(capsys: Refusals) -> None:
    quick = "--RetryStorage.max_attempts=1"
    line = refusal(
        capsys,
        *("lab", "gs://bucket", "--GCSStorage.anonymous=True", quick),
        "--GCSStorage.endpoint_url=http://127.0.0.1:9",
    )
    _says(line, "http://127.0.0.1:9", "cannot be reached")
    line = refusal(
        capsys,
        *("lab", "az://container", f"--AzureStorage.account_key={SECRET}", quick),
        "--AzureStorage.account_url=http://127.0.0.1:9/account",
    )
    _says(line, "http://127.0.0.1:9", "cannot be reached")
