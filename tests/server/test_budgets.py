"""What each gesture costs in requests to the store, on a real server of each cloud."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.testing.proxy import CountingProxy
from tests.budget import Gesture, JupyterLab, files, gestures
from tests.upstream.clouds import CLOUDS, Cloud, cloud_at

from .api import Api

MANY = 1100


@pytest.fixture(params=CLOUDS)
def cloud(request: pytest.FixtureRequest, clouds: Callable[[str], Cloud]) -> Cloud:
    return clouds(request.param)


@pytest.fixture
def proxy(cloud: Cloud, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[CountingProxy]:
    """What counts the requests, between our server and the store."""
    counting = CountingProxy(cloud.endpoint, protocol=cloud.protocol)
    jp_asyncio_loop.run_until_complete(counting.__aenter__())
    yield counting
    jp_asyncio_loop.run_until_complete(counting.__aexit__(None, None, None))


@pytest.fixture
def jp_server_config(cloud: Cloud, proxy: CountingProxy, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name, value in cloud.environ.items():
        monkeypatch.setenv(name, value)
    prefix = f"budget-{uuid.uuid4().hex[:8]}"
    other = cloud.client()
    for path, data in files(MANY).items():
        other.write(f"{prefix}/{path}", data)
    behind = cloud_at(cloud, proxy.endpoint_url)
    config = Config(behind.options)
    config.NBForgeContentsManager.storage_url = f"{behind.url}/{prefix}"
    config.NBForgeContentsManager.check_at_start = False
    config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
    config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
    return config


class Lab(JupyterLab):
    """JupyterLab's calls to the server of the test."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def call(self, method: str, path: str, body: Any = None, **query: str | int) -> Any:
        answer = await self._api.contents(method, path, body, **query)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return answer.json if answer.body else None

    async def download(self, path: str) -> None:
        answer = await self._api.call("GET", "files", path)
        assert answer.status == 200


class Aging:
    """Makes the manager's short memory older than it is."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager
        self._ahead = 0.0
        memory = manager.storage
        assert isinstance(memory, ShortMemoryStorage)
        memory._clock = lambda: time.monotonic() + self._ahead

    def __call__(self, seconds: float) -> None:
        self._ahead += seconds
        self._manager.checkpoints._just_made.clear()


@pytest.mark.timeout(300)
async def test_each_gesture_is_within_its_budget(
    api: Api, manager: Any, proxy: CountingProxy
) -> None:
    pass_by, over = Aging(manager), list[str]()
    for gesture in gestures(Lab(api), MANY):
        if gesture.before is not None:
            await gesture.before()
        pass_by(gesture.pause)
        proxy.take()
        await gesture.make()
        over += _over(gesture, proxy)
    assert over == []


def _over(gesture: Gesture, proxy: CountingProxy) -> list[str]:
    seen = proxy.take()
    seen.pop("TOKEN", 0)  # once an hour, whatever is done
    which = ", ".join(f"{count} {name}" for name, count in sorted(seen.items()))
    too_many = gesture.binding and seen.total() > gesture.budget
    return [f"{gesture.name}: {which}"] if too_many else []
