"""A deployment that environment variables describe alone, as `docs/configuration.md` says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge import create_storage_service
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
from jupyter_nbforge.testing.servers import MotoServer

from .browser.server import JupyterProcess
from .upstream.clouds import cloud_on

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"

_KEY = "c2VjcmV0"
_CONNECTION = f"AccountName=team;AccountKey={_KEY};EndpointSuffix=core.windows.net"
_GOOGLE = {"STORAGE_PROVIDER": "gcs", "GCS_BUCKET": "bucket"}
_AZURE = {"STORAGE_PROVIDER": "azure", "AZURE_CONTAINER": "box", "AZURE_STORAGE_ACCOUNT": "team"}
_AMAZON = {"STORAGE_PROVIDER": "s3", "S3_BUCKET": "bucket"}

VARIABLES: dict[str, tuple[Mapping[str, str], str, str]] = {
    "S3_BUCKET": ({"STORAGE_PROVIDER": "s3"}, "mine", "bucket"),
    "S3_PREFIX": (_AMAZON, "a/b", "prefix"),
    "S3_ENDPOINT_URL": (_AMAZON, "http://127.0.0.1:9", "endpoint_url"),
    "S3_REGION": (_AMAZON, "eu-west-1", "region_name"),
    "GCS_BUCKET": ({"STORAGE_PROVIDER": "gcs"}, "mine", "bucket"),
    "GCS_PREFIX": (_GOOGLE, "a/b", "prefix"),
    "GCS_ENDPOINT_URL": (_GOOGLE, "http://127.0.0.1:9", "endpoint_url"),
    "GCS_PROJECT": (_GOOGLE, "project", "project"),
    "AZURE_CONTAINER": (
        {"STORAGE_PROVIDER": "azure", "AZURE_STORAGE_ACCOUNT": "team"},
        "mine",
        "container",
    ),
    "AZURE_PREFIX": (_AZURE, "a/b", "prefix"),
    "AZURE_STORAGE_ACCOUNT": (
        {"STORAGE_PROVIDER": "azure", "AZURE_CONTAINER": "box"},
        "team",
        "account_name",
    ),
    "AZURE_STORAGE_ACCOUNT_URL": (_AZURE, "https://team.example.org", "account_url"),
    "AZURE_STORAGE_CONNECTION_STRING": (_AZURE, _CONNECTION, "connection_string"),
    "AZURE_STORAGE_KEY": (_AZURE, _KEY, "account_key"),
    "AZURE_STORAGE_SAS_TOKEN": (_AZURE, "sv=2024&sig=abc", "sas_token"),
    "LOCAL_ROOT": ({"STORAGE_PROVIDER": "file"}, "/tmp", "root"),
}
"""Each variable with the others that it needs, a value, and the option that it stands for."""

ELSEWHERE = {"STORAGE_PROVIDER", "JUPYTERHUB_USER", "JUPYTERHUB_SERVER_NAME"}
"""Variables whose tests are those of the factory."""


def _table() -> str:
    section = PAGE.read_text().partition("\n## Environment variables\n")[2]
    return section.partition("\nThe SDKs")[0]


def test_every_variable_on_the_page_is_tested_here() -> None:
    rows = re.findall(r"^\| (`.*?) \|", _table(), re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == set(VARIABLES) | ELSEWHERE


@pytest.mark.parametrize("name", VARIABLES)
def test_a_variable_stands_for_its_option(name: str) -> None:
    others, value, option = VARIABLES[name]
    found: Any = create_storage_service(environ={**others, name: value})
    values = []
    while found is not None:
        if option in found.trait_names():
            values.append(getattr(found, option))
        found = getattr(found, "inner", None)
    assert values == [value]


@pytest.mark.parametrize("provider", ["s3", "gcs", "gs", "azure", "az", "file", "memory"])
def test_every_provider_can_be_named(provider: str) -> None:
    environ = {**_AMAZON, **_GOOGLE, **_AZURE, "LOCAL_ROOT": "/tmp", "STORAGE_PROVIDER": provider}
    storage = create_storage_service(environ=environ)
    scheme = {"gcs": "gs", "azure": "az"}.get(provider, provider)
    assert storage.url.startswith(f"{scheme}://")


def test_a_connection_string_leaves_the_other_variables_out() -> None:
    more = {"AZURE_STORAGE_ACCOUNT_URL": "https://other.example.org", "AZURE_STORAGE_KEY": "bm8="}
    environ = {**_AZURE, **more, "AZURE_STORAGE_CONNECTION_STRING": _CONNECTION}
    provider: Any = create_storage_service(environ=environ, wrap=False)
    assert (provider.account_name, provider.account_url, provider.account_key) == ("", "", "")


def test_the_configuration_wins_over_the_environment() -> None:
    config = Config({"GCSStorage": {"bucket": "configured"}})
    assert create_storage_service(environ=_GOOGLE, config=config).url == "gs://configured"


@pytest.fixture(scope="module")
def deployments(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[str], dict[str, str]]]:
    """A function from a provider to the environment of a deployment on a server of its own."""
    started: list[Any] = []
    servers = {"s3": MotoServer, "gcs": FakeGCSServer, "azure": AzuriteServer}

    def deploy(provider: str) -> dict[str, str]:
        server = servers[provider]()
        server.start()
        started.append(server)
        cloud = cloud_on(server, "notebooks", tmp_path_factory.mktemp(provider))
        cloud.client().write("people/ada/there.txt", b"yes")
        cloud.client().write("people/bob/other.txt", b"no")
        return _DEPLOYMENTS[provider](server, cloud.environ)

    yield deploy
    for server in started:
        server.stop()


def _amazon(server: Any, credentials: Mapping[str, str]) -> dict[str, str]:
    where = {"S3_ENDPOINT_URL": server.endpoint_url, "S3_REGION": server.region}
    return {"S3_BUCKET": "notebooks", "S3_PREFIX": "people/{username}", **where, **credentials}


def _google(server: Any, credentials: Mapping[str, str]) -> dict[str, str]:
    where = {"GCS_ENDPOINT_URL": server.endpoint_url}
    return {"GCS_BUCKET": "notebooks", "GCS_PREFIX": "people/{username}", **where, **credentials}


def _azure(server: Any, credentials: Mapping[str, str]) -> dict[str, str]:
    where = {"AZURE_STORAGE_CONNECTION_STRING": server.connection_string}
    return {"AZURE_CONTAINER": "notebooks", "AZURE_PREFIX": "people/{username}", **where}


_DEPLOYMENTS = {"s3": _amazon, "gcs": _google, "azure": _azure}


@pytest.mark.parametrize("provider", _DEPLOYMENTS)
def test_lab_starts_on_what_the_environment_describes(
    deployments: Callable[[str], dict[str, str]], provider: str, tmp_path: Path
) -> None:
    described = {"STORAGE_PROVIDER": provider, "JUPYTERHUB_USER": "ada", **deployments(provider)}
    with JupyterProcess(("nbforge", "lab"), tmp_path, described) as lab:
        assert lab.request("api/contents/there.txt")["content"] == "yes"
        names = [entry["name"] for entry in lab.request("api/contents")["content"]]
        assert names == ["there.txt"]
        log = lab.log
    for name, value in described.items():
        if "KEY" in name or "CONNECTION" in name:
            assert value not in log
