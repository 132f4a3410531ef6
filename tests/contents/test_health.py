"""Whether the store answers: known from people's work, or asked for, seldom and once."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge.contents.health import HealthBoard, StoreHealth
from jupyter_nbforge.storage import UnavailableError, create_storage_service
from jupyter_nbforge.storage.wrappers import LimitStorage, MetricsStorage, MountedStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage
from tests.figures import Figures

INTERVAL = 30.0


class World:
    """A whole stack on a store that fails as told, its health, and a clock that is turned."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timeout: float = 5.0) -> None:
        self.now = 1000.0
        # The short memory has a clock of its own, on which no time passes here.
        forgetful = Config({"ShortMemoryStorage": {"seconds": 0.0}})
        self.storage = create_storage_service("memory://health", config=forgetful)
        layer: Any = self.storage
        while not isinstance(layer, LimitStorage):
            layer = layer.inner
        self.faulty = FaultyStorage(layer.inner)
        layer.inner = self.counting = CountingStorage(self.faulty)
        self.health = StoreHealth(
            self.storage, interval=INTERVAL, timeout=timeout, clock=lambda: self.now
        )
        # The moment of an answer is on the same clock.
        monkeypatch.setattr("jupyter_nbforge.storage.wrappers.metrics.time", self)

    def monotonic(self) -> float:
        return self.now

    def fail(self, times: int | None = None) -> None:
        self.faulty.faults.append(
            Fault(
                "list_pages",
                error=lambda: UnavailableError("It is out.", retryable=True),
                times=times,
            )
        )

    @property
    def asked(self) -> int:
        return self.counting.counts["list_pages"]


async def until(gate: asyncio.Event) -> None:
    await gate.wait()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_a_store_that_answers_is_up_and_asked_once_in_an_interval(world: World) -> None:
    first = await world.health.look()
    assert (first.up, first.message, world.asked) == (True, "", 1)
    world.now += INTERVAL - 1
    assert (await world.health.look()).age == INTERVAL - 1
    assert world.asked == 1
    world.now += 1
    assert (await world.health.look()).age == 0
    assert world.asked == 2


async def test_work_of_people_is_proof_enough(world: World) -> None:
    for _ in range(5):
        world.now += INTERVAL - 1
        await world.storage.put("a", b"1")
        world.now += 2
        found = await world.health.look()
        assert (found.up, found.age) == (True, 2)
    assert world.asked == 0


async def test_a_store_that_is_down_is_asked_once_in_an_interval_and_not_tried_again(
    world: World,
) -> None:
    world.fail()
    for waited in range(int(INTERVAL)):
        found = await world.health.look()
        assert (found.up, found.message, found.ask_again) == (
            False,
            "It is out.",
            INTERVAL - waited,
        )
        world.now += 1
    assert world.asked == 1
    await world.health.look()
    assert world.asked == 2


async def test_all_who_ask_at_once_share_one_question(world: World) -> None:
    gate = asyncio.Event()
    world.faulty.faults.append(Fault("list_pages", hook=partial(until, gate)))
    looks = [asyncio.create_task(world.health.look()) for _ in range(20)]
    await asyncio.sleep(0)
    looks[0].cancel()
    gate.set()
    found = await asyncio.gather(*looks, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(health.up for health in found[1:] if not isinstance(health, BaseException))
    assert world.asked == 1


async def test_a_store_that_is_silent_is_down_after_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, timeout=0.01)
    world.faulty.faults.append(Fault("list_pages", hook=partial(until, asyncio.Event())))
    found = await world.health.look()
    assert not found.up
    assert found.message == "The storage did not answer within 0.01 seconds."


async def test_since_is_when_it_changed_and_stays(world: World) -> None:
    world.fail(times=1)
    down = await world.health.look()
    world.now += 1
    assert (await world.health.look()).since == down.since
    await world.storage.put("a", b"1")
    up = await world.health.look()
    assert up.up
    assert up.since >= down.since
    world.now += 5
    assert (await world.health.look()).since == up.since


async def test_a_question_that_is_under_way_ends_with_the_server(world: World) -> None:
    world.faulty.faults.append(Fault("list_pages", hook=partial(until, asyncio.Event())))
    look = asyncio.create_task(world.health.look())
    await asyncio.sleep(0)
    await world.health.aclose()
    with pytest.raises(asyncio.CancelledError):
        await look
    await world.health.aclose()


async def test_each_mount_has_a_health_of_its_own() -> None:
    down = FaultyStorage(create_storage_service("memory://down"))
    down.faults.append(Fault("list_pages", error=lambda: UnavailableError("Out."), times=None))
    tree = MountedStorage({"": create_storage_service("memory://root"), "shared": down})
    board = HealthBoard(MetricsStorage(tree), interval=INTERVAL, timeout=5.0)
    found = await board.look()
    assert {folder: health.up for folder, health in found.items()} == {"": True, "shared": False}
    await board.aclose()


async def test_one_mount_that_is_down_makes_the_figure_of_its_provider_0() -> None:
    down = FaultyStorage(create_storage_service("memory://down"))
    down.faults.append(Fault("list_pages", error=lambda: UnavailableError("Out."), times=None))
    up = create_storage_service("memory://up")
    tree = MountedStorage({"": create_storage_service("memory://root"), "a": down, "b": up})
    board = HealthBoard(tree, interval=INTERVAL, timeout=5.0)
    await board.look()
    assert Figures.now().value("nbforge_storage_up", provider="memory") == 0
    await board.aclose()


async def test_a_look_at_the_root_asks_no_mount() -> None:
    counting = CountingStorage(create_storage_service("memory://asked"))
    tree = MountedStorage({"": create_storage_service("memory://root"), "shared": counting})
    board = HealthBoard(tree, interval=INTERVAL, timeout=5.0)
    assert (await board.look_at_root()).up
    assert not counting.counts
    await board.aclose()
