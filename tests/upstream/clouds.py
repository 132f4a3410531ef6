"""The real servers that tests run over: their processes, their clients, our settings."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.operations import Protocol
from jupyter_nbforge.testing.processes import ServerProcess
from jupyter_nbforge.testing.servers import LocalServer, MotoServer, SeaweedServer

from .other_client import AzureClient, GCSClient, OtherClient, S3Client

CLOUDS = ("seaweedfs", "gcs", "azure")
"""One server for each cloud."""

VARIABLE = "NBFORGE_TEST_CLOUD"
"""The environment variable in which a child process finds its `Cloud`."""


@dataclass(frozen=True)
class Cloud:
    """A bucket or container on a running server, and how to get at it."""

    name: str
    url: str
    """The storage URL without a prefix."""

    endpoint: str
    credentials: Mapping[str, str]
    """What the other client needs."""

    options: Mapping[str, Mapping[str, Any]]
    """Traits by class, without credentials."""

    environ: Mapping[str, str] = field(default_factory=dict)
    """The environment in which a server of ours finds its credentials."""

    @property
    def protocol(self) -> Protocol:
        """What is spoken there."""
        protocols: dict[str, Protocol] = {"gcs": "gcs", "azure": "azure"}
        return protocols.get(self.name, "s3")

    @property
    def container(self) -> str:
        """The name of the bucket or container."""
        return urlsplit(self.url).netloc

    def client(self) -> OtherClient:
        """Another program on the same store; makes the container if it is missing."""
        return _client(self.name, self.container, self.endpoint, tuple(self.credentials.items()))

    def emptied(self) -> Cloud:
        """The same with a container of its own, where the server slows down as one fills.

        fake-gcs-server looks through all objects of a bucket at each request.
        """
        if self.name != "gcs":
            return self
        return replace(self, url=f"gs://t-{uuid.uuid4().hex[:12]}")

    def dump(self) -> dict[str, str]:
        """The environment by which a child process gets this very thing, credentials included."""
        return {VARIABLE: json.dumps(asdict(self)), **self.environ}

    @classmethod
    def load(cls, environ: Mapping[str, str]) -> Cloud:
        """What `dump` gave."""
        return cls(**json.loads(environ[VARIABLE]))


def start_server(name: str, folder: Path) -> ServerProcess:
    """A server that is not started yet; what it keeps, it keeps in `folder`."""
    if name == "gcs":
        return FakeGCSServer()
    if name == "azure":
        return AzuriteServer()
    return SeaweedServer(folder, keep=False) if name == "seaweedfs" else MotoServer()


def cloud_on(server: ServerProcess, container: str, folder: Path) -> Cloud:
    """The container on a started server, made by the first client; keys may go into `folder`."""
    if isinstance(server, FakeGCSServer):
        return _gcs(server, container, folder)
    if isinstance(server, AzuriteServer):
        return _azure(server, container)
    assert isinstance(server, LocalServer)
    return _s3(server, container)


def cloud_at(cloud: Cloud, endpoint: str) -> Cloud:
    """The same at another address, a proxy's."""
    options = {
        name: {
            trait: endpoint if value == cloud.endpoint else value for trait, value in traits.items()
        }
        for name, traits in cloud.options.items()
    }
    return replace(cloud, endpoint=endpoint, options=options)


def _s3(server: LocalServer, container: str) -> Cloud:
    endpoint = server.endpoint_url
    options: dict[str, Any] = {"endpoint_url": endpoint, "region_name": server.region}
    moto = isinstance(server, MotoServer)
    if not moto:
        options["ordered_listing"] = False
    keys = {"key": server.access_key, "secret": server.secret_key}
    environ = {"AWS_ACCESS_KEY_ID": keys["key"], "AWS_SECRET_ACCESS_KEY": keys["secret"]}
    name = "moto" if moto else "seaweedfs"
    return Cloud(name, f"s3://{container}", endpoint, keys, {"S3Storage": options}, environ)


def _gcs(server: FakeGCSServer, container: str, folder: Path) -> Cloud:
    endpoint = server.endpoint_url
    key_file = folder / "service-account.json"
    key_file.write_text(json.dumps(server.service_account_info))
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(key_file)}
    options = {"GCSStorage": {"endpoint_url": endpoint}}
    return Cloud("gcs", f"gs://{container}", endpoint, {}, options, environ)


def _azure(server: AzuriteServer, container: str) -> Cloud:
    endpoint = server.endpoint_url
    credentials = {"account": server.account_name, "key": server.account_key}
    options = {"AzureStorage": {"account_url": endpoint}}
    environ = {"AZURE_STORAGE_KEY": server.account_key}
    return Cloud("azure", f"az://{container}", endpoint, credentials, options, environ)


@cache
def _client(
    name: str, container: str, endpoint: str, credentials: tuple[tuple[str, str], ...]
) -> OtherClient:
    """One for the whole run: to make one costs more than most tests."""
    known = dict(credentials)
    if name == "gcs":
        return GCSClient(container, endpoint=endpoint)
    if name == "azure":
        return AzureClient(container, endpoint=endpoint, **known)
    return S3Client(container, endpoint=endpoint, **known)
