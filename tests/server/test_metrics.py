"""The figures as Prometheus gets them: over HTTP from Jupyter's own route, on real stores."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge.testing.proxy import CountingProxy
from tests.budget import NOTEBOOK
from tests.figures import Figures
from tests.upstream.clouds import CLOUDS, Cloud, cloud_at

from .api import Api

PROVIDERS = {"seaweedfs": "s3", "gcs": "gs", "azure": "az"}


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
    behind = cloud_at(cloud, proxy.endpoint_url)
    config = Config(behind.options)
    config.NBForgeContentsManager.storage_url = f"{behind.url}/figures-{uuid.uuid4().hex[:8]}"
    config.NBForgeContentsManager.check_at_start = False
    config.ServerApp.contents_manager_class = "jupyter_nbforge.NBForgeContentsManager"
    config.ServerApp.jpserver_extensions = {"jupyter_nbforge": True}
    return config


async def scrape(api: Api) -> Figures:
    answer = await api.call("GET", "metrics")
    assert answer.status == 200
    return Figures.of(answer.body.decode())


async def a_day(api: Api) -> None:
    """Gestures of a person, with a read of the same file twice."""
    notebook = {"type": "notebook", "format": "json", "content": NOTEBOOK}
    await api.save("work/a.ipynb", notebook)
    await api.get("work/a.ipynb", content=1)
    await api.get("work/a.ipynb", content=1)
    await api.names("work")
    await api.rename("work/a.ipynb", "work/b.ipynb")
    piece = base64.b64encode(bytes(2**20)).decode()
    for chunk in (*range(1, 18), -1):
        await api.save(
            "big.bin", {"type": "file", "format": "base64", "content": piece, "chunk": chunk}
        )
    await api.delete("work/b.ipynb")


@pytest.mark.timeout(300)
async def test_what_is_shown_is_what_the_store_was_asked(
    api: Api, manager: Any, proxy: CountingProxy, cloud: Cloud
) -> None:
    provider = PROVIDERS[cloud.name]
    before = await scrape(api)
    proxy.take()
    await a_day(api)
    seen = proxy.take()
    after = await scrape(api)
    seen.pop("TOKEN", 0)

    def grown(name: str, **labels: str) -> float:
        return after.since(before, f"nbforge_storage_{name}", provider=provider, **labels)

    assert grown("requests_total") == seen.total()
    assert grown("requests_total", operation="other") == 0
    assert grown("requests_total", operation="list_pages") >= seen["LIST"] > 0
    assert grown("attempts_total") > 0
    assert grown("operation_seconds_count") == grown("operations_total")
    assert grown("written_bytes_total") > 18 * 2**20
    assert grown("cache_reads_total", result="confirmed") >= 1
    assert grown("operations_total", outcome="UnavailableError") == 0
    assert after.value("nbforge_contents_uploads") == before.value("nbforge_contents_uploads")
    moment = after.value("nbforge_storage_last_answer_timestamp_seconds", provider=provider)
    assert moment > before.value("nbforge_storage_last_answer_timestamp_seconds", provider=provider)
