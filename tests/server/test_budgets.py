"""What each gesture costs in requests to the store, on a real server of each cloud."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.testing.proxy import CountingProxy
from tests.budget import NOTEBOOK, Gesture, JupyterLab, files, gestures
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
        self._now = time.monotonic()
        memory = manager.storage
        assert isinstance(memory, ShortMemoryStorage)
        # It stands still during a gesture: a slow machine lists once more each two seconds.
        memory._clock = lambda: self._now

    def __call__(self, seconds: float) -> None:
        self._now += seconds
        self._manager.checkpoints._just_made.clear()


@pytest.mark.timeout(300)
async def test_each_gesture_is_within_its_budget(
    api: Api, manager: Any, proxy: CountingProxy
) -> None:
    pass_by, over = Aging(manager), list[str]()

    async def wait(seconds: float) -> None:
        pass_by(seconds)

    for gesture in gestures(Lab(api), MANY, wait):
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


async def test_idle_costs_a_listing_every_ten_seconds_and_a_look_every_second(
    api: Api, manager: Any, proxy: CountingProxy, cloud: Cloud
) -> None:
    """The file browser, and a collaboration room that watches its document."""
    lab, pass_by = Lab(api), Aging(manager)
    await lab.open_notebook("ten/0.ipynb")
    other, prefix = cloud.client(), manager.storage.url.rpartition("/")[2]
    times = set[str]()
    for second in range(30):
        pass_by(1.0)
        proxy.take()
        model = await lab.call("GET", "ten/0.ipynb", type="notebook", content=0, hash=1)
        times.add(model["hash"])
        assert proxy.take().total() <= 1
        if second % 10 == 0:
            names = {entry["name"] for entry in (await lab.list_folder("ten"))["content"]}
            assert ("new.txt" in names) == (second > 10)
            assert proxy.take().total() == 1
        if second == 15:
            other.write(f"{prefix}/ten/0.ipynb", b'{"other": "bytes"}')
            other.write(f"{prefix}/ten/new.txt", b"new")
            seen = len(times)
        if second == 16:
            assert len(times) == seen + 1


# Of a condition on Cloud Storage's generations its emulator knows nothing in the API that reads;
# there the provider breaks the answer off.
@pytest.mark.parametrize("cloud", ["seaweedfs", "azure"], indirect=True)
async def test_an_unchanged_notebook_is_not_sent_again(
    api: Api, manager: Any, proxy: CountingProxy, cloud: Cloud
) -> None:
    lab, pass_by = Lab(api), Aging(manager)
    prefix = manager.storage.url.rpartition("/")[2]
    text = "x" * 200_000
    notebook = {**NOTEBOOK, "metadata": {"text": text}}
    cloud.client().write(f"{prefix}/large.ipynb", json.dumps(notebook).encode())
    first = await lab.open_notebook("large.ipynb")
    pass_by(16.0)
    proxy.take()
    before = proxy.bytes_down
    assert await lab.open_notebook("large.ipynb") == first
    assert proxy.bytes_down - before < len(text) / 4
    assert proxy.take().total() <= 2
