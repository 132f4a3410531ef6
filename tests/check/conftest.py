"""The command in this process, on real servers; what it says, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from jupyter_nbforge.cli import main
from jupyter_nbforge.testing.processes import ServerProcess
from tests.upstream.clouds import Cloud, cloud_on, start_server
from tests.upstream.other_client import share_sdk_data

T = TypeVar("T")

PREFIX = "people/ada"
_HOME = os.environ.get("HOME", "")


@dataclass(frozen=True)
class Checked:
    """What one run has said: its exit status, and its output as JSON or as lines."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def storage(self) -> dict[str, Any]:
        """The part about the one storage."""
        (found,) = self.document["storages"]
        return dict(found)

    def step(self, name: str) -> dict[str, Any]:
        (found,) = [step for step in self.storage["steps"] if step["name"] == name]
        return dict(found)

    @property
    def results(self) -> dict[str, str]:
        """By the name of each step."""
        return {step["name"]: step["result"] for step in self.storage["steps"]}

    @property
    def bad(self) -> set[str]:
        """The names of the steps that failed."""
        return {name for name, result in self.results.items() if result == "failed"}


Check = Callable[..., Checked]


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the command with these arguments, and ``--json`` unless `plain`."""

    def run(*arguments: str, plain: bool = False) -> Checked:
        capsys.readouterr()
        code = main(["check", *arguments, *([] if plain else ["--json"])])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        return Checked(code, printed.out, printed.err)

    return run


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration and no credentials but those of the test, and no wait for a machine's."""
    share_sdk_data(monkeypatch)
    for name in ("config", "data"):
        monkeypatch.setenv(f"JUPYTER_{name.upper()}_DIR", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path / "azure"))


def secrets_of(cloud: Cloud) -> list[str]:
    """What must stand in no output."""
    secret = cloud.credentials.get("secret" if cloud.protocol == "s3" else "key")
    return [secret] if secret else []


Clouds = Callable[[str], Cloud]


@pytest.fixture(scope="session")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clouds]:
    """A bucket ``check`` on a server of that name, which is started once."""
    known: dict[str, Cloud] = {}
    with ExitStack() as stack:

        def cloud(name: str) -> Cloud:
            if name not in known:
                folder = tmp_path_factory.mktemp(name)
                server: ServerProcess = start_server(name, folder / "server")
                with pytest.MonkeyPatch.context() as patch:
                    # Where Azurite is kept between runs.
                    patch.setenv("HOME", _HOME)
                    stack.enter_context(server)
                known[name] = cloud_on(server, "check-bucket", folder)
                known[name].client().paths()
            return known[name]

        yield cloud


def options(traits: Mapping[str, Mapping[str, Any]], **more: Any) -> list[str]:
    """Traits by class as arguments; `more` goes to the first class."""
    first = next(iter(traits))
    merged = {name: {**own, **(more if name == first else {})} for name, own in traits.items()}
    return [
        f"--{name}.{trait}={value}" for name, own in merged.items() for trait, value in own.items()
    ]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The arguments for a prefix of a cloud, whose credentials go into the environment."""

    def arguments(cloud: Cloud, prefix: str = PREFIX, **more: Any) -> list[str]:
        for name, value in cloud.environ.items():
            monkeypatch.setenv(name, value)
        return [f"{cloud.url}/{prefix}".rstrip("/"), *options(cloud.options, **more)]

    return arguments


@contextmanager
def beside(server: AbstractAsyncContextManager[T]) -> Iterator[T]:
    """An asynchronous server on a loop of its own, beside that of the command."""
    ready, done = threading.Event(), threading.Event()
    found: list[T] = []

    async def serve() -> None:
        async with server as started:
            found.append(started)
            ready.set()
            await asyncio.to_thread(done.wait, 60)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0]
    finally:
        done.set()
        thread.join()
