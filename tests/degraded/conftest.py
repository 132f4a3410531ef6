"""A Jupyter server whose store lies behind a proxy that can let it fail."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from traitlets.config import Config

from tests.server.api import Store
from tests.server.conftest import api, manager
from tests.upstream.clouds import CLOUDS, Cloud, cloud_at, cloud_on, start_server

from .proxy import DegradedProxy

__all__ = ["api", "manager"]
"""Fixtures that are the same here."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "settings(dict): configuration of the server")
    config.addinivalue_line("markers", "starts_down: the store is down when the server starts")


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cloud]]:
    """A function from the name of a local server, started once, to a container on it."""
    made: dict[str, Cloud] = {}
    with ExitStack() as stack:

        def cloud(name: str) -> Cloud:
            if name not in made:
                folder = tmp_path_factory.mktemp(name)
                server = stack.enter_context(start_server(name, folder / "server"))
                made[name] = cloud_on(server, f"degraded-{uuid.uuid4().hex[:8]}", folder)
                stack.callback(made[name].client().close)
            return made[name]

        yield cloud


@pytest.fixture(params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest,
    clouds: Callable[[str], Cloud],
    monkeypatch: pytest.MonkeyPatch,
) -> Cloud:
    made = clouds(request.param)
    for name, value in made.environ.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def proxy(cloud: Cloud, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[DegradedProxy]:
    """What is between our server and the store."""
    between = DegradedProxy(cloud.endpoint, cloud.protocol)
    jp_asyncio_loop.run_until_complete(between.__aenter__())
    yield between
    between.release()
    jp_asyncio_loop.run_until_complete(between.__aexit__(None, None, None))


@pytest.fixture
def store(cloud: Cloud, proxy: DegradedProxy) -> Store:
    """A fresh root, as another program sees it, past the proxy."""
    behind = cloud_at(cloud, proxy.endpoint_url)
    area = f"d-{uuid.uuid4().hex[:12]}"
    settings: dict[str, Any] = {name: dict(traits) for name, traits in behind.options.items()}
    if cloud.protocol == "s3":
        # Said here, else the server would first find it out by writes.
        kinds = ("put", "copy", "delete", "delete_many")
        settings["S3Storage"] |= {f"conditional_{kind}": True for kind in kinds}
    settings["NBForgeContentsManager"] = {"storage_url": f"{behind.url}/{area}/root"}
    return Store(cloud.name, cloud.client(), area, settings)


@pytest.fixture
def jp_server_config(
    request: pytest.FixtureRequest,
    store: Store,
    proxy: DegradedProxy,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Config:
    """Our manager on `store`, impatient, with the test's own `settings` on top."""
    if request.node.get_closest_marker("starts_down"):
        jp_asyncio_loop.run_until_complete(proxy.close_endpoint())
    config = Config(store.settings)
    config.NBForgeContentsManager.check_at_start = False
    config.NBForgeContentsManager.always_delete_dir = True
    config.RetryStorage = Config(max_attempts=2, wait_initial=0.01, wait_max=0.01)
    config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
    config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
    for marker in request.node.iter_markers("settings"):
        config.merge(Config(marker.args[0]))
    return config
