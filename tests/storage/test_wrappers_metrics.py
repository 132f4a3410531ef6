"""The figures of a storage: what is counted, once each, under which labels."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    BaseStorageService,
    IfAbsent,
    NotFoundError,
    StorageError,
    UnavailableError,
    create_storage_service,
)
from jupyter_nbforge.storage import metrics as metrics_module
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import (
    AttemptMetricsStorage,
    CacheStorage,
    LimitStorage,
    MetricsStorage,
    RetryStorage,
    ShortMemoryStorage,
)
from jupyter_nbforge.testing.faults import Fault, FaultyStorage
from tests.figures import Figures

from .helpers import listing, put_all, read

PATH = "secret-folder/secret-name.ipynb"


class World:
    """A store that fails as told, with figures of attempts and of operations."""

    def __init__(self, **retry: Any) -> None:
        self.faulty = FaultyStorage(MemoryStorage())
        attempts = AttemptMetricsStorage(self.faulty)
        self.storage = MetricsStorage(RetryStorage(attempts, wait_initial=0, wait_max=0, **retry))
        self._before = Figures.now()

    def fail(self, operation: str, times: int) -> None:
        self.faulty.faults.append(
            Fault(operation, error=lambda: UnavailableError("down", retryable=True), times=times)
        )

    def grown(self, name: str, **labels: str) -> float:
        return Figures.now().since(self._before, f"nbforge_storage_{name}", **labels)


@pytest.fixture
def world() -> World:
    return World()


async def test_an_operation_is_counted_once_with_its_outcome_and_its_time(world: World) -> None:
    await world.storage.put("a", b"1")
    with pytest.raises(NotFoundError):
        await world.storage.head("missing")
    with pytest.raises(StorageError):
        await world.storage.put("a", b"2", condition=IfAbsent())
    assert world.grown("operations_total", operation="put", outcome="ok") == 1
    assert world.grown("operations_total", operation="put", outcome="AlreadyExistsError") == 1
    assert world.grown("operations_total", operation="head", outcome="NotFoundError") == 1
    assert world.grown("operations_total") == 3
    assert world.grown("operation_seconds_count", provider="memory", operation="put") == 2


async def test_an_operation_that_is_tried_again_is_one_with_several_attempts(world: World) -> None:
    await world.storage.put("a", b"1")
    world.fail("head", 2)
    await world.storage.head("a")
    assert world.grown("operations_total", operation="head") == 1
    assert world.grown("attempts_total", operation="head", outcome="ok") == 1
    assert world.grown("attempts_total", operation="head", outcome="UnavailableError") == 2
    assert world.grown("retries_total", operation="head", cause="UnavailableError") == 2
    assert world.grown("attempt_seconds_count", operation="head") == 3


async def test_a_failure_for_which_the_budget_has_no_retry_is_counted() -> None:
    world = World(retry_budget=0)
    world.fail("head", 1)
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert world.grown("retries_refused_total", provider="memory") == 1
    assert world.grown("retries_total") == 0


async def test_each_page_of_a_listing_is_an_attempt_and_the_listing_one_operation(
    world: World,
) -> None:
    await put_all(world.faulty, ["f/a", "f/b", "f/c"])
    await listing(world.storage.list_pages("f/", page_size=2))
    assert world.grown("operations_total", operation="list_pages") == 1
    assert world.grown("attempts_total", operation="list_pages") == 2
    await listing(world.storage.list_pages("nothing/"))
    assert world.grown("attempts_total", operation="list_pages") == 3
    world.fail("list_pages", 1)
    await listing(world.storage.list_pages("f/"))
    assert world.grown("attempts_total", operation="list_pages") == 5


async def test_bytes_are_those_that_went_to_and_from_the_store(world: World) -> None:
    await world.storage.put("a", b"12345")
    world.fail("put", 1)
    await world.storage.put("b", b"123")
    async with await world.storage.create_multipart_upload("c") as upload:
        await upload.upload_part(1, b"1234567")
        await upload.complete()
    assert world.grown("written_bytes_total", provider="memory") == 5 + 2 * 3 + 7
    await read(world.storage, "a")
    assert world.grown("read_bytes_total", provider="memory") == 5


async def test_a_read_is_open_until_it_is_closed(world: World) -> None:
    await world.storage.put("a", b"1")
    async with world.storage.get("a"):
        assert world.grown("open_reads", provider="memory") == 1
    assert world.grown("open_reads") == 0
    with pytest.raises(NotFoundError):
        await read(world.storage, "missing")
    assert world.grown("open_reads") == 0


async def test_a_cancelled_operation_is_told_as_such(world: World) -> None:
    began = asyncio.Event()

    async def hang() -> None:
        began.set()
        await asyncio.Event().wait()

    world.faulty.faults.append(Fault("head", hook=hang))
    task = asyncio.create_task(world.storage.head("a"))
    await began.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert world.grown("operations_total", operation="head", outcome="cancelled") == 1


async def test_an_answer_is_one_that_only_the_store_can_give(world: World) -> None:
    assert not world.storage.last_answer
    world.fail("head", 5)
    with pytest.raises(UnavailableError):
        await world.storage.head("a")
    assert not world.storage.last_answer
    with pytest.raises(StorageError):
        await world.storage.get_presigned_url("a")
    with pytest.raises(NotFoundError):
        await world.storage.head("a")
    assert world.storage.last_answer


async def test_a_cache_tells_what_was_fetched_confirmed_and_shared(world: World) -> None:
    cache = CacheStorage(world.storage)
    await cache.put("a", b"1")
    await read(cache, "a")
    await read(cache, "a")
    world.faulty.faults.append(Fault("get", hook=lambda: asyncio.sleep(0)))
    await asyncio.gather(read(cache, "a"), read(cache, "a"))
    assert world.grown("cache_reads_total", provider="memory", result="fetched") == 1
    assert world.grown("cache_reads_total", provider="memory", result="confirmed") == 2
    assert world.grown("cache_reads_total", provider="memory", result="shared") == 1


async def test_the_short_memory_tells_what_it_answered(world: World) -> None:
    memory = ShortMemoryStorage(world.storage)
    await memory.put("f/a", b"1")
    await memory.head("f/a")
    with pytest.raises(NotFoundError):
        await memory.head("f/b")
    for _ in range(2):
        await listing(memory.list_pages("f/"))
    memory.recall("f/a")

    def answered(question: str, result: str) -> float:
        return world.grown("short_memory_questions_total", question=question, result=result)

    assert (answered("head", "remembered"), answered("head", "asked")) == (1, 1)
    assert (answered("list_pages", "remembered"), answered("list_pages", "asked")) == (1, 1)
    assert answered("recall", "remembered") == 1


async def everything(storage: BaseStorageService) -> None:
    """Each operation once, with a path that nobody may see."""
    await storage.put(PATH, b"1")
    await storage.head(PATH)
    await read(storage, PATH)
    await listing(storage.list_pages("secret-folder/"))
    await storage.copy(PATH, "secret-copy")
    await storage.move(await storage.head(PATH), "secret-target")
    async with await storage.create_multipart_upload("secret-upload") as upload:
        await upload.upload_part(1, b"1")
        await upload.complete()
    await storage.delete("secret-copy")
    await storage.delete_many(["secret-target", "secret-upload"])
    await storage.abort_stale_uploads("secret", 60.0)
    for call in (storage.head("secret"), storage.get_presigned_url("secret")):
        with pytest.raises(StorageError):
            await call


async def test_no_label_tells_of_a_path_or_a_bucket() -> None:
    await everything(create_storage_service("memory://secret-bucket/secret-prefix"))
    labels = Figures.now().labels
    assert set(labels) <= {
        *("provider", "operation", "outcome", "method", "cause"),
        *("result", "question", "kind", "le"),
    }
    assert not [value for values in labels.values() for value in values if "secret" in value]


async def test_two_stacks_of_one_process_share_their_figures() -> None:
    first, second = (create_storage_service(f"memory://{name}") for name in ("one", "two"))
    before = Figures.now()
    await first.put("a", b"1")
    await second.put("a", b"1")
    name = "nbforge_storage_operations_total"
    assert Figures.now().since(before, name, provider="memory", operation="put") == 2


def test_loaded_again_the_module_goes_on_with_the_figures_that_are_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    operations = metrics_module.OPERATIONS
    assert importlib.reload(metrics_module).OPERATIONS is operations
    monkeypatch.delitem(sys.modules, metrics_module.__name__)
    again = importlib.import_module(metrics_module.__name__)
    assert again is not metrics_module
    assert again.OPERATIONS is operations
    assert again.UPLOADS is metrics_module.UPLOADS


@pytest.mark.parametrize("layer", [MetricsStorage, AttemptMetricsStorage])
async def test_the_figures_ask_the_store_nothing(
    layer: Callable[[BaseStorageService], BaseStorageService],
) -> None:
    class Asked(MemoryStorage):
        count = 0

        async def head(self, path: str) -> Any:
            self.count += 1
            return await super().head(path)

    store = Asked()
    storage = layer(LimitStorage(store))
    await storage.put("a", b"1")
    await storage.head("a")
    assert store.count == 1


async def test_an_error_of_no_known_kind_is_neither_ok_nor_an_answer(world: World) -> None:
    world.faulty.faults.append(Fault("head", error=lambda: RuntimeError("a defect"), times=1))
    with pytest.raises(RuntimeError):
        await world.storage.head(PATH)
    assert world.grown("operations_total", operation="head", outcome="unexpected") == 1
    assert world.grown("attempts_total", operation="head", outcome="unexpected") == 1
    assert world.grown("operations_total", operation="head", outcome="ok") == 0
    assert world.storage.last_answer is None
