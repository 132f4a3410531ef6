"""Two Jupyter servers in this process: Jupyter's own manager on a disk, and ours on a store."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from nbformat.corpus import words
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from traitlets.config import Config

from tests.server.conftest import clouds
from tests.upstream.clouds import Cloud
from tests.upstream.other_client import MemoryClient

from .pair import Counts, Pair
from .servers import Ours, Place, Reference

__all__ = ["clouds"]

Run = Callable[[Awaitable[Any]], Any]

_TOTALS = pytest.StashKey[dict[str, Counts]]()


@pytest.fixture
def place(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Place]:
    """The store of our server: ``memory``, ``file`` or one of the clouds."""
    name = request.param
    if name == "memory":
        client = MemoryClient()
        with client.shared():
            yield Place(name, "memory:/", {}, client)
    elif name == "file":
        (tmp_path / "disk").mkdir()
        yield Place(name, f"file://{tmp_path}/disk", {}, None)
    else:
        cloud: Cloud = request.getfixturevalue("clouds")(name)
        for variable, value in cloud.environ.items():
            monkeypatch.setenv(variable, value)
        yield Place(name, cloud.url, cloud.options, cloud.client())


@pytest.fixture
def run(jp_asyncio_loop: Any) -> Run:
    """Runs a coroutine on the loop of the two servers."""
    return jp_asyncio_loop.run_until_complete  # type: ignore[no-any-return] # a fixture of pytest-jupyter, untyped


@pytest.fixture
def pair(
    place: Place,
    run: Run,
    jp_configurable_serverapp: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> Iterator[Pair]:
    """The two servers in step."""
    # Ids that nbformat makes up must be the same on both sides, or nothing else could be.
    made_up = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex="0" * 32))
    monkeypatch.setattr(words, "uuid", made_up)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "reference").mkdir()
    with ExitStack() as stack:
        theirs = _reference_config()
        app, port = stack.enter_context(
            _serving(jp_configurable_serverapp, run, config=theirs, root_dir=tmp_path / "reference")
        )
        reference = Reference(app, port)
        ServerApp.clear_instance()
        app, port = stack.enter_context(
            _serving(jp_configurable_serverapp, run, config=_our_config(place))
        )
        ours = Ours(app, port, place)
        made = Pair(reference, ours)
        yield made
        run(ours.aclose())
        ours.close()
        reference.close()
        run(reference.app._cleanup())
        pytestconfig.stash.setdefault(_TOTALS, {})[place.name] = made.counts


def _reference_config() -> Config:
    config = Config()
    config.ServerApp.contents_manager_class = (
        "jupyter_server.services.contents.largefilemanager.AsyncLargeFileManager"
    )
    config.ServerApp.jpserver_extensions = {"jupyter_server_terminals": False}
    return config


def _our_config(place: Place) -> Config:
    config = Config({name: dict(traits) for name, traits in place.options.items()})
    config.NBForgeContentsManager.storage_url = f"{place.url}/"
    config.NBForgeContentsManager.check_at_start = False
    # Jupyter's own manager keeps one.
    config.NBForgeCheckpoints.max_checkpoints = 1
    config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
    config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
    return config


@contextmanager
def _serving(make: Callable[..., Any], run: Run, **arguments: Any) -> Iterator[tuple[Any, int]]:
    """A server that answers at a port of its own."""
    app = make(**arguments)
    app.log.setLevel(logging.CRITICAL)
    socket, port = bind_unused_port()

    async def start() -> HTTPServer:
        server = HTTPServer(app.web_app)
        server.add_socket(socket)
        return server

    server = run(start())
    yield app, port
    server.stop()
    run(server.close_all_connections())


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line per store: how much was compared there."""
    for name, counts in config.stash.get(_TOTALS, {}).items():
        terminalreporter.write_line(
            f"differential over {name}: {counts.sequences} sequences,"
            f" {counts.operations} operations ({counts.succeeded} succeeded),"
            f" {sum(counts.differences.values())} documented differences"
        )
