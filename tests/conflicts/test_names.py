"""Names that many servers want at the same moment: each gets one of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge import NBForgeContentsManager
from tests.upstream.clouds import CLOUDS, Cloud

from .servers import Servers

SERVERS = {"seaweedfs": 50, "gcs": 20, "azure": 20}
"""How many there are; on all of them fifty with a larger scale."""

AT_ONCE = 4
FOLDERS_ARE_CONDITIONAL = ("gcs", "azure")
"""SeaweedFS makes a real directory of a folder's marker: of two who do so at once both succeed."""

Model = dict[str, Any]
Ask = Callable[[NBForgeContentsManager], Awaitable[Model]]


@pytest.fixture(params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest,
    clouds: Callable[[str], Cloud],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Cloud:
    """A store of each kind, with the credentials in the environment of this process."""
    cloud = clouds(request.param)
    for name, value in cloud.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    return cloud


@pytest.fixture
def fifty(
    request: pytest.FixtureRequest,
    cloud: Cloud,
    scale: int,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Iterator[list[NBForgeContentsManager]]:
    """The managers of so many servers, each with clients of its own, on one prefix."""
    url = {"storage_url": f"{cloud.url}/{getattr(request, 'param', 'fifty')}"}
    # Each server has signatures of its own.
    own = {"NBForgeContentsManager": url, "NotebookNotary": {"db_file": ":memory:"}}
    config = Config({**cloud.options, **own})
    count = min(50, SERVERS[cloud.name] * scale)
    managers = [NBForgeContentsManager(config=config) for _ in range(count)]
    yield managers
    for manager in managers:
        jp_asyncio_loop.run_until_complete(manager.aclose())
        manager.notary.store.close()


async def names_of(managers: list[NBForgeContentsManager], ask: Ask) -> list[str]:
    """The names that all get when they ask at the same moment; no two may be the same."""
    models = await asyncio.gather(*(ask(manager) for manager in managers))
    names = [model["path"] for model in models]
    assert len(set(names)) == len(managers)
    return names


async def test_fifty_servers_that_ask_at_once_get_fifty_notebooks_copies_and_folders(
    fifty: list[NBForgeContentsManager], cloud: Cloud
) -> None:
    client = cloud.client()

    def objects() -> set[str]:
        found = (path.removeprefix("fifty/") for path in client.paths("fifty/"))
        return {path for path in found if not path.startswith(".nbforge/")}

    notebooks = await names_of(fifty, lambda manager: manager.new_untitled(type="notebook"))
    assert objects() == set(notebooks)
    await fifty[0].save({"type": "file", "format": "text", "content": "original"}, "a.txt")
    copies = await names_of(fifty, lambda manager: manager.copy("a.txt"))
    assert objects() == {*notebooks, "a.txt", *copies}
    assert {client.read(f"fifty/{path}") for path in copies} == {b"original"}
    if cloud.name in FOLDERS_ARE_CONDITIONAL:
        folders = await names_of(fifty, lambda manager: manager.new_untitled(type="directory"))
        assert objects() == {*notebooks, "a.txt", *copies, *(f"{path}/" for path in folders)}


@pytest.mark.parametrize("fifty", ["folders"], indirect=True)
async def test_what_fifty_servers_save_in_folders_that_they_made_at_once_is_all_there(
    fifty: list[NBForgeContentsManager], cloud: Cloud
) -> None:
    """On SeaweedFS too, where two of them may be given one folder."""
    ask = [manager.new_untitled(type="directory", path="") for manager in fifty]
    folders = [model["path"] for model in await asyncio.gather(*ask)]
    texts = {f"{folder}/{number}.txt": f"of {number}" for number, folder in enumerate(folders)}
    await asyncio.gather(
        *(
            manager.save({"type": "file", "format": "text", "content": text}, path)
            for manager, (path, text) in zip(fifty, texts.items(), strict=True)
        )
    )
    client = cloud.client()
    assert {path: client.read(f"folders/{path}") for path in texts} == {
        path: text.encode() for path, text in texts.items()
    }
    found = {path.removeprefix("folders/") for path in client.paths("folders/")}
    assert {path.partition("/")[0] for path in found} == set(folders)
    # Who asks afterwards gets a new one on every store.
    later = await fifty[0].new_untitled(type="directory", path="")
    assert later["path"] not in folders


def test_servers_that_make_files_at_once_never_give_one_name_twice(servers: Servers) -> None:
    folder = "new-files"
    with servers.connect(0) as connection:
        connection.model("PUT", folder, {"type": "directory"})

    def make(number: int) -> str:
        with servers.connect(number % len(servers.processes)) as connection:
            return str(connection.model("POST", folder, {"type": "notebook"})["path"])

    clients = AT_ONCE * len(servers.processes)
    with ThreadPoolExecutor(clients) as pool:
        names = list(pool.map(make, range(clients)))
    assert len(set(names)) == clients
    assert set(servers.paths(f"{folder}/")) - {f"{folder}/"} == set(names)
