"""Stores of each kind, and ``jupyter nbforge`` as a process."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.upstream.clouds import Cloud, cloud_on, start_server
from tests.upstream.other_client import share_sdk_data

from .command import Command


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Cloud]]:
    """A function from the name of a local server, started once, to a container on it."""
    made: dict[str, Cloud] = {}
    with ExitStack() as stack:
        share_sdk_data(stack.enter_context(pytest.MonkeyPatch.context()))

        def cloud(name: str) -> Cloud:
            if name not in made:
                folder = tmp_path_factory.mktemp(name)
                server = stack.enter_context(start_server(name, folder / "server"))
                made[name] = cloud_on(server, f"copy-{uuid.uuid4().hex[:8]}", folder)
                stack.callback(made[name].client().close)
                made[name].client().paths()
            return made[name]

        yield cloud


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command in a home of its own."""
    return Command(tmp_path / "home")
