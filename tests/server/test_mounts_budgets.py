"""What each gesture costs in a mount, and what a mount that is wrong or down costs the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_nbforge.extension import NBForgeExtension
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.testing.proxy import CountingProxy
from tests.budget import Gesture, JupyterLab, files, gestures
from tests.upstream.clouds import Cloud, cloud_at

from .api import Api, text_model
from .mounts_world import Mounts, make_mounts
from .test_budgets import Lab, _over

FEW = 12
CLOUDY = ("", "gcs", "azure")


@pytest.fixture
def mounts(
    clouds: Callable[[str], Cloud], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Mounts:
    return make_mounts(clouds, tmp_path / "disk", monkeypatch)


@pytest.fixture
def proxies(
    mounts: Mounts, jp_asyncio_loop: asyncio.AbstractEventLoop
) -> Iterator[dict[str, CountingProxy]]:
    """What counts the requests to each cloud, by the folder of its mount."""
    made: dict[str, CountingProxy] = {}
    for folder in CLOUDY:
        cloud = mounts.clouds[folder]
        made[folder] = CountingProxy(cloud.endpoint, protocol=cloud.protocol)
        jp_asyncio_loop.run_until_complete(made[folder].__aenter__())
    yield made
    for proxy in made.values():
        jp_asyncio_loop.run_until_complete(proxy.__aexit__(None, None, None))


@pytest.fixture
def jp_server_config(mounts: Mounts, proxies: dict[str, CountingProxy]) -> Config:
    config = mounts.config()
    table = config.NBForgeContentsManager.mounts
    for folder, proxy in proxies.items():
        (behind,) = cloud_at(mounts.clouds[folder], proxy.endpoint_url).options.values()
        table[folder] = {**table[folder], **behind}
    # One of a bucket that nobody has made.
    table["wrong"] = {**table["gcs"], "url": "gs://nobody-has-made-this"}
    return config


class MountLab(JupyterLab):
    """JupyterLab's calls, all of them for paths within one mount."""

    def __init__(self, lab: Lab, folder: str) -> None:
        self._lab = lab
        self._folder = folder

    def _below(self, path: str) -> str:
        return f"{self._folder}/{path}".strip("/")

    async def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        if body and "path" in body:
            body = {**body, "path": self._below(body["path"])}
        return await self._lab.call(method, self._below(path), body, **query)

    async def download(self, path: str) -> None:
        await self._lab.download(self._below(path))


def _in_a_mount(lab: JupyterLab) -> list[Gesture]:
    """All gestures but those that take long and say nothing more here."""
    left_out = ("upload of 64", "upload of 24", "idle")
    return [one for one in gestures(lab, FEW) if not one.name.startswith(left_out)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("folder", CLOUDY)
async def test_each_gesture_in_a_mount_is_within_its_budget_and_asks_no_other(
    api: Api, manager: Any, mounts: Mounts, proxies: dict[str, CountingProxy], folder: str
) -> None:
    now = time.monotonic()
    for part in manager.storage.parts().values():
        if isinstance(part, ShortMemoryStorage):
            part._clock = lambda: now
    for path, data in files(FEW).items():
        mounts.write(folder, path, data)
    over = list[str]()
    for gesture in _in_a_mount(MountLab(Lab(api), folder)):
        if gesture.before is not None:
            await gesture.before()
        now += gesture.pause
        manager.checkpoints._just_made.clear()
        for proxy in proxies.values():
            proxy.take()
        await gesture.make()
        over += _over(gesture, proxies[folder])
        asked = {name: proxy.take().total() for name, proxy in proxies.items() if name != folder}
        assert not any(asked.values()), (gesture.name, asked)
    assert over == []


@pytest.fixture
def extension(jp_serverapp: ServerApp) -> NBForgeExtension:
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyter_nbforge"]
    assert isinstance(app, NBForgeExtension)
    return app


@pytest.fixture
def exits(jp_serverapp: ServerApp, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    asked: list[int] = []
    monkeypatch.setattr(jp_serverapp, "exit", asked.append)
    return asked


async def test_a_wrong_mount_is_told_at_start_and_when_it_is_opened_and_ends_nothing(
    api: Api, extension: NBForgeExtension, exits: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    extension.log.propagate = True
    await extension._check_storage()
    assert exits == []
    (error,) = {record.getMessage() for record in caplog.records if record.levelname == "ERROR"}
    assert "The storage of the folder 'wrong' cannot be used: The bucket" in error
    for folder in ("gcs", "azure", "disk", "ro"):
        assert f"The storage of the folder {folder!r} answers" in caplog.text
    assert "wrong" in await api.names()
    opened = await api.contents("GET", "wrong")
    assert opened.status == 500
    assert opened.message.endswith("This is about the folder 'wrong'.")
    assert "does not exist" in opened.message
    await api.save("gcs/a.txt", text_model("the others go on"))


async def test_all_mounts_are_looked_at_together_when_the_server_starts(
    extension: NBForgeExtension, exits: list[int], proxies: dict[str, CountingProxy]
) -> None:
    """Each asks only after every other has been asked."""
    arrived: set[str] = set()
    everybody = asyncio.Event()

    def waiting(folder: str) -> Callable[..., Any]:
        async def wait(*_: object) -> None:
            arrived.add(folder)
            if arrived == set(CLOUDY):
                everybody.set()
            await everybody.wait()

        return wait

    manager = extension._manager
    assert manager is not None
    parts = {folder: manager.storage.parts()[folder] for folder in CLOUDY}
    for folder, part in parts.items():
        _wait_before(part, part.list_pages, waiting(folder))
    await extension._check_storage()
    assert arrived == set(CLOUDY)
    assert exits == []


def _wait_before(part: Any, listing: Callable[..., Any], wait: Callable[..., Any]) -> None:
    async def list_pages(*arguments: Any, **options: Any) -> Any:
        await wait()
        async for page in listing(*arguments, **options):
            yield page

    part.list_pages = list_pages


async def test_of_the_root_alone_what_is_wrong_ends_the_server(
    extension: NBForgeExtension, exits: list[int], mounts: Mounts
) -> None:
    manager = extension._manager
    assert manager is not None
    root = manager.storage.parts()[""]
    wrong = manager.storage.parts()["wrong"]
    setattr(root, "list_pages", wrong.list_pages)  # noqa: B010 - of an instance, for mypy
    await extension._check_storage()
    assert exits == [1]
