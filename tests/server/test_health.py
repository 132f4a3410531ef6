"""The health route: what it answers, whom it tells what, and what it asks of the store."""

from __future__ import annotations

from typing import Any

import pytest

from jupyter_nbforge.storage.errors import ConfigurationError, StorageError, UnavailableError
from jupyter_nbforge.testing.faults import Fault, FaultyStorage
from tests.figures import Figures

from .api import Answer, Api, Store
from .files_world import limit_of

pytestmark = pytest.mark.stores("memory")

OPEN = {"NBForgeContentsManager": {"health_without_login": True}}


@pytest.fixture
def faults(manager: Any) -> FaultyStorage:
    """The store of the server, which does as told."""
    limit = limit_of(manager)
    limit.inner = faulty = FaultyStorage(limit.inner)
    return faulty


async def health(api: Api, **headers: str) -> Answer:
    return await api.call("GET", "jupyter_nbforge", "health", headers=headers)


async def test_a_store_that_answers_is_a_200(api: Api, store: Store) -> None:
    answer = await health(api)
    assert answer.status == 200
    assert set(answer.json) == {"state", "since", "age", "mounts"}
    assert (answer.json["state"], answer.json["mounts"]) == ("up", {})
    assert answer.headers["Cache-Control"] == "no-store"
    assert Figures.now().value("nbforge_storage_up", provider="memory") == 1


@pytest.mark.parametrize("kind", [UnavailableError, ConfigurationError])
async def test_a_store_that_does_not_is_a_503_that_says_when_to_ask_again(
    api: Api, faults: FaultyStorage, kind: type[StorageError]
) -> None:
    faults.faults.append(Fault("list_pages", error=lambda: kind("It is out."), times=None))
    answer = await health(api)
    assert answer.status == 503
    assert answer.json["state"] == "down"
    assert answer.json["message"] == "It is out."
    assert 0 < int(answer.headers["Retry-After"]) <= 30
    assert Figures.now().value("nbforge_storage_up", provider="memory") == 0
    faults.faults.clear()
    await api.save_text("a.txt", "saved")
    assert (await health(api)).status == 200


async def test_a_stranger_is_told_nothing(api: Api, store: Store) -> None:
    assert (await health(api, Authorization="")).status == 403


@pytest.mark.settings(OPEN)
async def test_a_stranger_is_told_the_bare_state_where_the_administrator_says_so(
    api: Api, faults: FaultyStorage
) -> None:
    answer = await health(api, Authorization="")
    assert (answer.status, answer.json) == (200, {"state": "up"})
    assert "since" in (await health(api)).json


@pytest.mark.settings(OPEN)
async def test_a_stranger_learns_no_reason(api: Api, faults: FaultyStorage) -> None:
    faults.faults.append(Fault("list_pages", error=lambda: UnavailableError("secret"), times=None))
    answer = await health(api, Authorization="")
    assert (answer.status, answer.json) == (503, {"state": "down"})
    assert b"secret" not in answer.body


@pytest.mark.settings({**OPEN, "ServerApp": {"allow_unauthenticated_access": False}})
async def test_it_stays_so_where_all_other_routes_are_closed_to_strangers(
    api: Api, store: Store
) -> None:
    assert (await health(api, Authorization="")).json == {"state": "up"}
