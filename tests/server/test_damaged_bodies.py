"""A body that was damaged on its way here is neither shown nor saved, whatever it is wanted for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from jupyter_nbforge.testing.faults import Fault

from .api import Api, Store, notebook_model, text_model
from .files_world import Wire, asking, faulty

# What is kept in memory was compared when it came.
pytestmark = [
    pytest.mark.stores("memory"),
    pytest.mark.settings({"CacheStorage": {"max_bytes": 0}}),
]

Ask = Callable[[str], AbstractAsyncContextManager[Wire]]


@pytest.fixture
def ask(http_server_port: tuple[Any, int], jp_base_url: str, jp_auth_header: dict[str, str]) -> Ask:
    """Ask for a file on a connection of its own."""
    token = jp_auth_header["Authorization"]
    return lambda path: asking(http_server_port[1], f"{jp_base_url}files/{path}", token)


@pytest.mark.parametrize(
    ("path", "model"), [("a.ipynb", notebook_model("text")), ("a.txt", text_model("text"))]
)
async def test_a_damaged_file_is_not_opened(
    api: Api, manager: Any, path: str, model: dict[str, Any]
) -> None:
    await api.save(path, model)
    faulty(manager).faults.append(Fault("chunk", damages=True))
    answer = await api.contents("GET", path, content=1)
    assert answer.status == 503
    assert "damaged" in answer.message
    assert (await api.contents("GET", path, content=1)).status == 200


async def test_a_damaged_download_is_broken_off_before_its_end(
    api: Api, manager: Any, ask: Ask
) -> None:
    size = 3 * 2**20
    await api.save_text("a.txt", "x" * size)
    faults = faulty(manager)
    faults.faults.append(Fault("chunk", damages=True, skip=1))
    async with ask("a.txt") as wire:
        await wire.read_headers()
        body = await wire.read_to_end()
    assert (wire.status, wire.headers["content-length"]) == (200, str(size))
    assert len(body) < size
    # Of one that comes in one piece nothing has been sent yet.
    await api.save_text("b.txt", "x")
    faults.faults.append(Fault("chunk", damages=True))
    assert (await api.call("GET", "files", "b.txt")).status == 503


async def test_a_copy_that_has_to_come_by_does_not_save_what_is_damaged(
    api: Api, store: Store, manager: Any
) -> None:
    manager.register_pre_save_hook(lambda **_: None)
    await api.save_text("a.txt", "text")
    faulty(manager).faults.append(Fault("chunk", damages=True))
    answer = await api.contents("POST", "", {"copy_from": "a.txt"})
    assert answer.status == 503
    assert store.paths() == ["a.txt"]
