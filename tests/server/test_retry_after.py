"""How long a store asks to wait is told to the client, by whichever handler answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from jupyter_nbforge.contents.errors import RETRY_AFTER, retry_after
from jupyter_nbforge.storage.errors import StorageError, StorageTimeoutError
from jupyter_nbforge.testing.faults import Fault, unavailable

from .api import Answer, Api, Store, text_model
from .files_world import faulty

pytestmark = [
    pytest.mark.stores("memory"),
    pytest.mark.settings({"RetryStorage": {"max_attempts": 1}, "CacheStorage": {"max_bytes": 0}}),
]

REQUESTS: dict[str, tuple[str, ...]] = {
    "content": ("GET", "api", "contents", "a.txt"),
    "listing": ("GET", "api", "contents", ""),
    "save": ("PUT", "api", "contents", "b.txt"),
    "rename": ("PATCH", "api", "contents", "a.txt"),
    "delete": ("DELETE", "api", "contents", "a.txt"),
    "checkpoint": ("POST", "api", "contents", "a.txt", "checkpoints"),
    "file": ("GET", "files", "a.txt"),
    "part of a file": ("GET", "files", "a.txt"),
    "headers of a file": ("HEAD", "files", "a.txt"),
    "link": ("GET", "jupyter_nbforge", "links", "a.txt"),
}
BODIES: dict[str, Any] = {"save": text_model("b"), "rename": {"path": "b.txt"}}


async def ask(api: Api, manager: Any, name: str, error: Callable[[], StorageError]) -> Answer:
    """The answer to a request of that name, when whatever the store is asked fails."""
    faulty(manager).faults.append(Fault("*", error=error, times=None))
    headers = {"Range": "bytes=-1"} if name == "part of a file" else {}
    return await api.call(*REQUESTS[name], body=BODIES.get(name), headers=headers)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_client_is_asked_to_wait_as_long_as_the_store_asks(
    api: Api, store: Store, manager: Any, name: str
) -> None:
    store.put("a.txt", b"1")
    answer = await ask(api, manager, name, partial(unavailable, retry_after=16.2))
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "17")


@pytest.mark.parametrize("name", ["content", "file", "link"])
async def test_a_client_is_asked_to_wait_even_where_the_store_does_not_say_how_long(
    api: Api, store: Store, manager: Any, name: str
) -> None:
    store.put("a.txt", b"1")
    answer = await ask(api, manager, name, unavailable)
    assert (answer.status, answer.headers.get("Retry-After")) == (503, f"{RETRY_AFTER:.0f}")


async def test_who_was_not_told_to_come_back_gets_no_retry_after(
    api: Api, store: Store, manager: Any
) -> None:
    store.put("a.txt", b"1")
    answer = await ask(api, manager, "content", lambda: StorageTimeoutError("No.", retry_after=3))
    assert answer.status == 504
    assert "Retry-After" not in answer.headers


@pytest.mark.timeout(10)
def test_an_error_in_its_own_history_does_not_stop_the_server() -> None:
    first, second = unavailable(), ValueError()
    first.__context__, second.__context__ = second, first
    assert retry_after(first) == RETRY_AFTER
