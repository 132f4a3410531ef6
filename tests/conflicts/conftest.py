"""A store of each cloud, two or three Jupyter servers on it, and the sum of all rounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.upstream.clouds import CLOUDS, Cloud, cloud_on, start_server

from .ledger import Verdict
from .servers import Servers, servers_on

_VERDICTS = pytest.StashKey[dict[str, Verdict]]()
_SERVERS = {"seaweedfs": 3}


@pytest.fixture(scope="package")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cloud]]:
    """A function from the name of a local server, started once, to a bucket on it."""
    made: dict[str, Cloud] = {}
    with ExitStack() as stack:

        def cloud(name: str) -> Cloud:
            if name not in made:
                folder = tmp_path_factory.mktemp(name)
                server = stack.enter_context(start_server(name, folder / "server"))
                made[name] = cloud_on(server, "conflicts", folder)
                stack.callback(made[name].client().close)
            return made[name]

        yield cloud


@pytest.fixture(scope="package", params=CLOUDS)
def servers(
    request: pytest.FixtureRequest,
    clouds: Callable[[str], Cloud],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Servers]:
    """Real server processes on one prefix of each cloud in turn."""
    name = request.param
    folder = tmp_path_factory.mktemp("servers")
    with servers_on(clouds(name), "someone/", _SERVERS.get(name, 2), folder) as running:
        yield running


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[str, Verdict], None]:
    """Keeps what rounds have come to, for the end of the run."""
    verdicts = request.config.stash.setdefault(_VERDICTS, {})

    def keep(title: str, verdict: Verdict) -> None:
        verdicts[title] = verdict

    return keep


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """One line for each store: rounds run, lost updates, false dialogs."""
    for title, verdict in config.stash.get(_VERDICTS, {}).items():
        terminalreporter.write_line(f"conflicts on {title}: {verdict}")
