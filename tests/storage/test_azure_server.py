"""The local Azure Blob server: it starts, answers, ends, and knows keys and tokens."""

from __future__ import annotations

import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobSasPermissions, BlobServiceClient, generate_blob_sas

from jupyter_nbforge.testing import azure_server as module
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.processes import ServerError, free_port

from .test_servers import wait_until_gone


@pytest.fixture(scope="module")
def oauth_server() -> Iterator[AzuriteServer]:
    with AzuriteServer(oauth=True) as server:
        server.create_container("container")
        yield server


class Identity:
    """A credential of the SDK that gives the server's own tokens."""

    def __init__(self, server: AzuriteServer, **claims: Any) -> None:
        self._server = server
        self._claims = claims

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        until = int(datetime.now(timezone.utc).timestamp()) + 3600
        return AccessToken(self._server.token(**self._claims), until)


def service(server: AzuriteServer, credential: Any) -> BlobServiceClient:
    verify = True if server.certificate is None else str(server.certificate)
    return BlobServiceClient(
        server.endpoint_url, credential=credential, connection_verify=verify, retry_total=0
    )


def test_a_container_can_be_made_twice_and_takes_blobs(azurite_server: AzuriteServer) -> None:
    azurite_server.create_container("made-twice")
    azurite_server.create_container("made-twice")
    with BlobServiceClient.from_connection_string(azurite_server.connection_string) as client:
        blob = client.get_blob_client("made-twice", "a b/é+%#?.bin")
        blob.upload_blob(b"data")
        assert blob.download_blob().readall() == b"data"


def test_a_container_name_that_is_refused_is_an_error(azurite_server: AzuriteServer) -> None:
    with pytest.raises(ServerError, match="400 to container x"):
        azurite_server.create_container("x")


def test_a_wrong_key_is_refused(azurite_server: AzuriteServer) -> None:
    credential = {"account_name": azurite_server.account_name, "account_key": "d3Jvbmc="}
    with (
        service(azurite_server, credential) as client,
        pytest.raises(HttpResponseError) as caught,
    ):
        client.create_container("container")
    assert caught.value.status_code == 403


def test_stopping_ends_the_process() -> None:
    server = AzuriteServer()
    server.stop()
    with server:
        assert server._process is not None
        pid = server._process.pid
    wait_until_gone(pid)
    server.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(server.endpoint_url, timeout=10)


def test_a_port_lost_to_another_is_not_the_end(
    monkeypatch: pytest.MonkeyPatch, azurite_server: AzuriteServer
) -> None:
    taken = int(azurite_server.endpoint_url.split(":")[2].partition("/")[0])
    ports = iter([taken, free_port()])
    monkeypatch.setattr(module, "free_port", lambda: next(ports))
    with AzuriteServer() as server:
        assert server.endpoint_url != azurite_server.endpoint_url


def test_it_runs_where_there_is_no_node_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with AzuriteServer() as server:
        server.create_container("container")


def test_a_bearer_token_is_taken(oauth_server: AzuriteServer) -> None:
    with service(oauth_server, Identity(oauth_server)) as client:
        blob = client.get_blob_client("container", "token")
        blob.upload_blob(b"data")
        assert blob.download_blob().readall() == b"data"


@pytest.mark.parametrize("claims", [{"expires_in": -60}, {"aud": "https://other.example"}], ids=str)
def test_a_bad_token_is_refused(oauth_server: AzuriteServer, claims: dict[str, Any]) -> None:
    with (
        service(oauth_server, Identity(oauth_server, **claims)) as client,
        pytest.raises(ClientAuthenticationError) as caught,
    ):
        client.get_blob_client("container", "token").upload_blob(b"data", overwrite=True)
    assert caught.value.status_code == 403


def test_a_user_delegation_key_signs_addresses(oauth_server: AzuriteServer) -> None:
    now = datetime.now(timezone.utc)
    until = now + timedelta(minutes=5)
    with service(oauth_server, Identity(oauth_server)) as client:
        blob = client.get_blob_client("container", "delegated")
        blob.upload_blob(b"data", overwrite=True)
        signature = generate_blob_sas(
            oauth_server.account_name,
            "container",
            "delegated",
            user_delegation_key=client.get_user_delegation_key(now - timedelta(minutes=5), until),
            permission=BlobSasPermissions(read=True),
            expiry=until,
        )
    context = ssl.create_default_context(cafile=oauth_server.certificate)
    with urllib.request.urlopen(f"{blob.url}?{signature}", timeout=10, context=context) as answer:
        assert answer.read() == b"data"
    tampered = f"{blob.url}?{signature.replace('sp=r', 'sp=rw')}"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(tampered, timeout=10, context=context)
    with caught.value:
        assert caught.value.code == 403


def test_its_certificate_is_gone_with_it() -> None:
    with AzuriteServer(oauth=True) as server:
        certificate = server.certificate
        assert certificate is not None
        assert certificate.is_file()
    assert server.certificate is None
    assert not certificate.parent.exists()
