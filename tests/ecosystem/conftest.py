"""A bucket on a real server of a cloud, and Jupyter processes on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.browser.server import JupyterProcess
from tests.upstream.clouds import Cloud, cloud_on, start_server

PREFIX = "people/some one"


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """In place of pytest-jupyter's: here servers are processes."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """In place of pytest-jupyter's: here servers are processes."""


@pytest.fixture(scope="package")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("seaweedfs")
    with start_server("seaweedfs", folder / "server") as server:
        cloud = cloud_on(server, "ecosystem", folder)
        yield cloud
        cloud.client().close()


def jupyter_server(
    cloud: Cloud, home: Path, *more: str, environ: Mapping[str, str]
) -> JupyterProcess:
    """``jupyter server`` on the bucket; credentials only as `environ` has them."""
    options = [
        f"--{name}.{trait}={value}"
        for name, traits in cloud.options.items()
        for trait, value in traits.items()
    ]
    arguments = (
        "server",
        "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
        f"--NBForgeContentsManager.storage_url={cloud.url}/{PREFIX}",
        *options,
        *more,
    )
    return JupyterProcess(arguments, home, environ)
