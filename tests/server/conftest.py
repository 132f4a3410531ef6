"""A Jupyter server with our manager on a store of each kind, and a client for both of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from traitlets.config import Config

from tests.upstream.clouds import CLOUDS, Cloud, cloud_on, start_server
from tests.upstream.other_client import MemoryClient

from .api import Api, Store

DEFAULT_STORES = ("memory", *CLOUDS)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "stores(*names): the stores to run over")
    config.addinivalue_line("markers", "settings(dict): configuration of the server")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "store" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("stores")
        names = marker.args if marker else DEFAULT_STORES
        metafunc.parametrize("store", names, indirect=True)


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cloud]]:
    """A function from the name of a local server, started once, to a container on it."""
    made: dict[str, Cloud] = {}
    with ExitStack() as stack:

        def cloud(name: str) -> Cloud:
            if name not in made:
                folder = tmp_path_factory.mktemp(name)
                server = stack.enter_context(start_server(name, folder / "server"))
                made[name] = cloud_on(server, f"server-{uuid.uuid4().hex[:8]}", folder)
                stack.callback(made[name].client().close)
            return made[name]

        yield cloud


@pytest.fixture
def store(
    request: pytest.FixtureRequest,
    clouds: Callable[[str], Cloud],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Store]:
    """A fresh root in the store that the test is run over; nothing outside it may change."""
    area = f"t-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        if request.param == "memory":
            memory = MemoryClient()
            stack.enter_context(memory.shared())
            settings = {"NBForgeContentsManager": {"storage_url": f"memory://{area}/root"}}
            made = Store("memory", memory, area, settings)
        else:
            cloud = clouds(request.param)
            for name, value in cloud.environ.items():
                monkeypatch.setenv(name, value)
            url = f"{cloud.url}/{area}/root"
            settings = {"NBForgeContentsManager": {"storage_url": url}, **_plain(cloud.options)}
            made = Store(request.param, cloud.client(), area, settings)
        outside = f"{area}/witness.txt"
        made.client.write(outside, b"outside")
        yield made
        beside = [
            path for path in made.client.paths(f"{area}/") if not path.startswith(made.prefix)
        ]
        assert beside == [outside], "something was written outside the root"
        assert made.client.read(outside) == b"outside"


def _plain(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(values) for name, values in options.items()}


@pytest.fixture
def jp_server_config(request: pytest.FixtureRequest, store: Store) -> Config:
    """Our manager on `store`, with the test's own `settings` on top."""
    config = Config(store.settings)
    # The look at the start is a listing of the root, which would be remembered for two seconds.
    config.NBForgeContentsManager.check_at_start = False
    config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
    config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
    for marker in request.node.iter_markers("settings"):
        config.merge(Config(marker.args[0]))
    return config


@pytest.fixture
def api(jp_fetch: Callable[..., Any]) -> Api:
    """The contents API of the server."""
    return Api(jp_fetch)


@pytest.fixture
def manager(jp_serverapp: Any) -> Any:
    """The server's contents manager."""
    return jp_serverapp.contents_manager
