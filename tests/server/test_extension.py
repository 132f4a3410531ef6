"""What the extension does at the start and at the end of a server, and on the way."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from traitlets import TraitError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge import extension as extension_module
from jupyter_nbforge.extension import NBForgeExtension
from jupyter_nbforge.storage.errors import (
    ConfigurationError,
    PermissionDeniedError,
    StorageError,
    StorageTimeoutError,
    UnauthenticatedError,
    UnavailableError,
)
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .api import Api, Store

pytestmark = pytest.mark.stores("memory")


@pytest.fixture
def extension(jp_serverapp: ServerApp) -> NBForgeExtension:
    """The extension as the server has loaded it."""
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyter_nbforge"]
    assert isinstance(app, NBForgeExtension)
    return app


@pytest.fixture
def faults(manager: NBForgeContentsManager) -> FaultyStorage:
    """The manager's storage, which does as told."""
    manager.storage = faulty = FaultyStorage(manager.storage)
    return faulty


@pytest.fixture
def exits(jp_serverapp: ServerApp, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which the server was told to end."""
    asked: list[int] = []
    monkeypatch.setattr(jp_serverapp, "exit", asked.append)
    return asked


@pytest.mark.parametrize("kind", [ConfigurationError, PermissionDeniedError, UnauthenticatedError])
async def test_a_storage_that_cannot_be_used_ends_the_server_with_one_sentence(
    extension: NBForgeExtension,
    faults: FaultyStorage,
    exits: list[int],
    caplog: pytest.LogCaptureFixture,
    kind: type[StorageError],
) -> None:
    faults.faults.append(Fault("list_pages", error=lambda: kind("Change this.")))
    extension.log.propagate = True
    await extension._check_storage()
    assert exits == [1]
    assert "Change this." in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("kind", [UnavailableError, StorageTimeoutError])
async def test_a_storage_that_does_not_answer_yet_does_not_end_the_server(
    extension: NBForgeExtension, faults: FaultyStorage, exits: list[int], kind: type[StorageError]
) -> None:
    faults.faults.append(Fault("list_pages", error=lambda: kind("Not yet.")))
    await extension._check_storage()
    assert exits == []


async def test_the_look_at_the_start_is_not_what_the_file_browser_is_shown(
    extension: NBForgeExtension, exits: list[int], api: Api, store: Store
) -> None:
    await extension._check_storage()
    store.put("a.txt", "a")
    assert await api.names() == ["a.txt"]


async def test_stopping_the_extension_closes_the_storage_and_drops_uploads(
    extension: NBForgeExtension, manager: NBForgeContentsManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []

    async def close() -> None:
        closed.append(True)

    await manager.save({"type": "file", "format": "text", "content": "x", "chunk": 1}, "f.bin")
    monkeypatch.setattr(manager.storage, "aclose", close)
    await extension.stop_extension()
    assert closed == [True]
    assert not manager.uploads.is_running("f.bin")


async def test_a_store_that_is_down_is_a_503_that_says_when_to_come_back(
    api: Api, faults: FaultyStorage
) -> None:
    faults.fail("list_pages", times=None)
    answer = await api.contents("GET", "")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "try again" in answer.message


async def test_other_requests_are_answered_while_a_listing_takes_two_seconds(
    api: Api, faults: FaultyStorage
) -> None:
    faults.faults.append(Fault("list_pages", delay=2.0))
    listing = asyncio.ensure_future(api.contents("GET", ""))
    answered = 0
    while not listing.done():
        assert (await api.call("GET", "api", "status")).status == 200
        answered += not listing.done()
        await asyncio.sleep(0.05)
    assert (await listing).status == 200
    assert answered > 1


@pytest.mark.settings({"NBForgeContentsManager": {"root_dir": "/inner/folder"}})
async def test_root_dir_is_a_folder_of_the_storage_that_nothing_leaves(
    api: Api, store: Store
) -> None:
    store.put("inner/folder/a.txt", "a")
    store.put("inner/other.txt", "o")
    assert await api.names() == ["a.txt"]
    await api.save_text("b.txt", "b")
    assert store.get("inner/folder/b.txt") == b"b"
    assert (await api.contents("GET", "../other.txt")).status == 404


@pytest.mark.parametrize("name", ["alice", "../bob", ""])
def test_root_dir_is_never_a_folder_named_like_its_placeholder(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All users would share it."""
    monkeypatch.setenv("JUPYTERHUB_USER", name)
    manager = partial(
        NBForgeContentsManager, storage_url="memory://b", root_dir="/users/{username}"
    )
    if name == "alice":
        assert manager().storage.url_of("") == "memory://b/users/alice"
    else:
        with pytest.raises(TraitError, match="JUPYTERHUB_USER"):
            manager()


def test_a_preferred_dir_is_looked_up_in_the_storage(
    jp_configurable_serverapp: Any, store: Store
) -> None:
    store.put("here/a.txt", "a")
    config = {**store.settings}
    config["NBForgeContentsManager"] = {
        **config["NBForgeContentsManager"],
        "preferred_dir": "here",
    }
    config["ServerApp"] = {
        "contents_manager_class": "jupyter_nbforge.NBForgeContentsManager",
        "jpserver_extensions": {"jupyter_nbforge": True},
    }
    app = jp_configurable_serverapp(config=config)
    assert app.contents_manager.preferred_dir == "here"
    # By these two Notebook 7 knows in which folder it is to begin.
    assert os.path.relpath(app.preferred_dir, app.web_app.settings["server_root_dir"]) == "here"


async def test_stale_uploads_are_looked_for_by_a_running_server(
    extension: NBForgeExtension,
    manager: NBForgeContentsManager,
    faults: FaultyStorage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked = asyncio.Event()

    async def look() -> None:
        looked.set()

    faults.faults.append(Fault("abort_stale_uploads", hook=look, times=None))
    monkeypatch.setattr(extension_module, "_FIRST_SWEEP", 0.0)
    extension._begin_background(manager)
    await asyncio.wait_for(looked.wait(), 10)
    sweeping, _ = extension._background
    await extension.stop_extension()
    with pytest.raises(asyncio.CancelledError):
        await sweeping


async def test_a_store_that_does_not_show_its_uploads_fails_nothing(
    manager: NBForgeContentsManager, faults: FaultyStorage, caplog: pytest.LogCaptureFixture
) -> None:
    manager.log.propagate = True
    faults.faults.append(
        Fault("abort_stale_uploads", error=lambda: PermissionDeniedError("Not allowed."))
    )
    await manager.abort_stale_uploads()
    assert "Not allowed." in caplog.text


async def test_stale_uploads_are_not_looked_for_where_that_is_off(
    manager: NBForgeContentsManager, faults: FaultyStorage
) -> None:
    manager.stale_upload_hours = 0.0
    faults.faults.append(Fault("abort_stale_uploads", error=lambda: PermissionDeniedError("x")))
    await manager.abort_stale_uploads()
    assert faults.faults[0].befallen == 0
