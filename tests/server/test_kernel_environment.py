"""What the kernels of a server find in their environment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import UnavailableError

from .api import Api, Store, notebook_model
from .kernels import environment_of, start_session

pytestmark = pytest.mark.stores("memory")

WITHOUT = pytest.mark.settings(
    {"NBForgeContentsManager": {"kernel_environment_without": ["EXAMPLE_SECRET*", "EXAMPLE_KEY"]}}
)
CREDENTIALS = pytest.mark.settings({"NBForgeContentsManager": {"kernel_credentials": True}})


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in the environment of the server."""
    monkeypatch.setenv("EXAMPLE_SECRET_KEY", "secret")
    monkeypatch.setenv("EXAMPLE_KEY", "secret")
    monkeypatch.setenv("EXAMPLE_KEY_ID", "no secret")


@pytest.fixture
def notebook(store: Store) -> str:
    """Made by another program."""
    store.put("some folder/a b.ipynb", json.dumps(notebook_model("text")["content"]))
    return "some folder/a b.ipynb"


async def restart(api: Api, kernel_id: str) -> None:
    answer = await api.call("POST", "api", "kernels", kernel_id, "restart", body={})
    assert answer.status == 200, answer.body


async def test_a_kernel_finds_the_urls_of_its_notebook_and_of_its_folder(
    api: Api, store: Store, jp_serverapp: Any, notebook: str
) -> None:
    session = await start_session(api, notebook)
    found = await environment_of(jp_serverapp, session["kernel"]["id"])
    root = store.settings["NBForgeContentsManager"]["storage_url"]
    assert found["NBFORGE_NOTEBOOK_URL"] == f"{root}/some folder/a b.ipynb"
    assert found["NBFORGE_FOLDER_URL"] == f"{root}/some folder"
    assert found["EXAMPLE_SECRET_KEY"] == "secret"
    assert found["JPY_SESSION_NAME"].endswith("a b.ipynb")


async def test_a_kernel_of_a_renamed_notebook_finds_its_new_url_when_it_is_restarted(
    api: Api, store: Store, jp_serverapp: Any, notebook: str
) -> None:
    session = await start_session(api, notebook)
    kernel_id = session["kernel"]["id"]
    await api.rename(notebook, "moved.ipynb")
    body = {"path": "moved.ipynb", "name": "moved.ipynb", "type": "notebook"}
    answer = await api.call("PATCH", "api", "sessions", session["id"], body=body)
    assert answer.status == 200, answer.body
    await restart(api, kernel_id)
    found = await environment_of(jp_serverapp, kernel_id)
    root = store.settings["NBForgeContentsManager"]["storage_url"]
    assert found["NBFORGE_NOTEBOOK_URL"] == f"{root}/moved.ipynb"
    assert found["NBFORGE_FOLDER_URL"] == root


async def test_a_console_without_a_file_finds_the_url_of_its_folder_alone(
    api: Api, jp_serverapp: Any, notebook: str
) -> None:
    session = await start_session(api, "some folder/console-1-0a1b")
    found = await environment_of(jp_serverapp, session["kernel"]["id"])
    assert found["NBFORGE_FOLDER_URL"].endswith("/some folder")
    assert "NBFORGE_NOTEBOOK_URL" not in found


@pytest.mark.settings({"NBForgeContentsManager": {"kernel_urls": False}})
async def test_kernels_find_no_url_where_that_is_switched_off(
    api: Api, jp_serverapp: Any, notebook: str
) -> None:
    session = await start_session(api, notebook)
    found = await environment_of(jp_serverapp, session["kernel"]["id"])
    assert [name for name in found if name.startswith("NBFORGE")] == []


@WITHOUT
async def test_what_kernels_are_not_to_inherit_is_in_no_kernel_started_or_restarted_in_any_way(
    api: Api, jp_serverapp: Any, notebook: str
) -> None:
    session = await start_session(api, notebook)
    answer = await api.call("POST", "api", "kernels", body={"name": "python3"})
    assert answer.status == 201, answer.body
    kernels = [session["kernel"]["id"], answer.json["id"]]
    body = {"path": "moved.ipynb", "name": "moved.ipynb", "type": "notebook"}
    for again in (False, True):
        if again:
            await api.call("PATCH", "api", "sessions", session["id"], body=body)
            for kernel_id in kernels:
                await restart(api, kernel_id)
        for kernel_id in kernels:
            found = await environment_of(jp_serverapp, kernel_id)
            shown = {name: found[name] for name in found if name.startswith("EXAMPLE")}
            assert shown == {"EXAMPLE_KEY_ID": "no secret"}


@CREDENTIALS
@WITHOUT
async def test_a_restarted_kernel_has_the_credentials_of_now(
    api: Api, jp_serverapp: Any, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    current = {"EXAMPLE_SECRET_KEY": "first", "EXAMPLE_KEY_ID": "of the store"}
    asked: list[tuple[str, bool]] = []

    async def tool_environment(path: str, *, credentials: bool) -> dict[str, str]:
        asked.append((path, credentials))
        return dict(current)

    monkeypatch.setattr(jp_serverapp.contents_manager.storage, "tool_environment", tool_environment)
    session = await start_session(api, notebook)
    kernel_id = session["kernel"]["id"]
    assert (await environment_of(jp_serverapp, kernel_id)).items() >= current.items()
    current["EXAMPLE_SECRET_KEY"] = "second"
    # What a rename brings is of the server's environment, not of the store.
    body = {"path": "moved.ipynb", "name": "moved.ipynb", "type": "notebook"}
    await api.call("PATCH", "api", "sessions", session["id"], body=body)
    await restart(api, kernel_id)
    assert (await environment_of(jp_serverapp, kernel_id)).items() >= current.items()
    assert asked == [("some folder", True)] * 2


@CREDENTIALS
async def test_a_kernel_starts_also_while_its_store_gives_no_credentials(
    api: Api,
    jp_serverapp: Any,
    notebook: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def tool_environment(path: str, *, credentials: bool) -> dict[str, str]:
        raise UnavailableError("The store does not answer.")

    monkeypatch.setattr(jp_serverapp.contents_manager.storage, "tool_environment", tool_environment)
    session = await start_session(api, notebook)
    found = await environment_of(jp_serverapp, session["kernel"]["id"])
    assert "NBFORGE_NOTEBOOK_URL" in found
    assert "The store does not answer." in caplog.text


async def test_credentials_are_not_asked_for_unless_they_are_configured(
    api: Api, jp_serverapp: Any, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    async def tool_environment(path: str, *, credentials: bool) -> dict[str, str]:
        asked.append(credentials)
        return {}

    monkeypatch.setattr(jp_serverapp.contents_manager.storage, "tool_environment", tool_environment)
    await start_session(api, notebook)
    assert asked == [False]
