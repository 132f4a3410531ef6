"""Real servers for the tests: one of each for a session (and for each xdist worker).

A server that cannot be started is a failure of every test that needs it, never a skip.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.servers import LocalServer, MotoServer, SeaweedServer

_NUMBERS = itertools.count(1)

_IGNORED: dict[type[LocalServer], dict[str, Any]] = {
    MotoServer: {},
    SeaweedServer: {"ordered_listing": False},
}
"""What a server does not honour and no probe finds out: SeaweedFS lists in tree order."""


class MakeS3(Protocol):
    """Makes an `S3Storage` with a bucket of its own."""

    def __call__(
        self, server: LocalServer, *, versioned: bool = False, **options: Any
    ) -> S3Storage: ...


@pytest.fixture(scope="session")
def moto_server() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with SeaweedServer(tmp_path_factory.mktemp("seaweed"), keep=False) as server:
        yield server


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[FakeGCSServer]:
    with FakeGCSServer() as server:
        yield server


@pytest.fixture(scope="session")
def azurite_server() -> Iterator[AzuriteServer]:
    with AzuriteServer() as server:
        yield server


@pytest.fixture(scope="session")
def make_s3() -> MakeS3:
    """A factory of storages with a fresh bucket; `options` are traits, over the usual ones.

    Whoever makes one closes it, on the event loop that used it.
    """

    def make(server: LocalServer, *, versioned: bool = False, **options: Any) -> S3Storage:
        bucket = f"test-{next(_NUMBERS)}"
        server.create_bucket(bucket, versioned=versioned)
        usual = {
            "bucket": bucket,
            "endpoint_url": server.endpoint_url,
            "region_name": server.region,
            "access_key_id": server.access_key,
            "secret_access_key": server.secret_key,
            **_IGNORED[type(server)],
        }
        return S3Storage(**{**usual, **options})

    return make


@pytest.fixture(autouse=True)
def _no_aws_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests see none of the credentials and settings of whoever runs them."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class MakeGCS(Protocol):
    """Makes a `GCSStorage` with a bucket of its own."""

    def __call__(self, *, versioned: bool = False, **options: Any) -> GCSStorage: ...


@pytest.fixture(scope="session")
def gcs_account(gcs_server: FakeGCSServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key file of the service account that the server knows."""
    file = tmp_path_factory.mktemp("gcs") / "account.json"
    file.write_text(json.dumps(gcs_server.service_account_info))
    return file


@pytest.fixture(scope="session")
def make_gcs(gcs_server: FakeGCSServer, gcs_account: Path) -> MakeGCS:
    """A factory of storages with a fresh bucket; `options` are traits, over the usual ones.

    Whoever makes one closes it.
    """

    def make(*, versioned: bool = False, **options: Any) -> GCSStorage:
        bucket = f"test-{next(_NUMBERS)}"
        gcs_server.create_bucket(bucket, versioned=versioned)
        usual = {
            "bucket": bucket,
            "endpoint_url": gcs_server.endpoint_url,
            "credentials_file": str(gcs_account),
        }
        return GCSStorage(**{**usual, **options})

    return make


@pytest.fixture(autouse=True)
def _no_google_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The tests see none of the credentials and settings of whoever runs them."""
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


class MakeAzure(Protocol):
    """Makes an `AzureStorage` with a container of its own."""

    def __call__(self, server: AzuriteServer, **options: Any) -> AzureStorage: ...


@pytest.fixture(scope="session")
def make_azure() -> MakeAzure:
    """A factory of storages with a fresh container; `options` are traits, over the usual ones.

    Whoever makes one closes it, on the event loop that used it.
    """

    def make(server: AzuriteServer, **options: Any) -> AzureStorage:
        container = f"test-{next(_NUMBERS)}"
        server.create_container(container)
        usual = {
            "container": container,
            "account_url": server.endpoint_url,
            "account_key": server.account_key,
        }
        return AzureStorage(**{**usual, **options})

    return make


@pytest.fixture(autouse=True)
def _no_azure_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests see none of the credentials and settings of whoever runs them."""
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
