"""Random operations on stores that fail in every way: nothing is lost, nothing is half written."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable
from random import SystemRandom

import pytest

from jupyter_nbforge.testing.fault_proxy import KINDS
from jupyter_nbforge.testing.random_faults import CHANCES
from tests.upstream.clouds import CLOUDS, Cloud

from .actor import Actor
from .model import Tally
from .world import world_on

OPERATIONS = 50

_log = logging.getLogger(__name__)


@pytest.mark.parametrize("name", ["memory", *CLOUDS])
async def test_whatever_fails_every_object_is_old_or_new_and_none_is_lost(
    name: str, clouds: Callable[[str], Cloud], scale: int
) -> None:
    injected: Counter[str] = Counter()
    total = Tally()
    for number in range(scale):
        seed = number if os.environ.get("CI") else SystemRandom().randrange(2**32)
        tally, faults = await _round(name, clouds, seed)
        injected += faults
        total += tally
    kinds = KINDS if name == "seaweedfs" else CHANCES
    _log.info("%s: %s; %d faults: %s", name, total, injected.total(), dict(injected))
    assert injected.total() > 2 * scale
    assert scale < 20 or set(kinds) == injected.keys()


async def _round(
    name: str, clouds: Callable[[str], Cloud], seed: int
) -> tuple[Tally, Counter[str]]:
    async with world_on(name, clouds, seed) as world:
        actor = Actor(world, seed)
        try:
            while actor.model.tally.operations.total() < OPERATIONS:
                await actor.step()
            actor.model.compare_all()
        except AssertionError as error:
            raise AssertionError(f"on {name} with the seed {seed}: {error}") from error
        return actor.model.tally, world.injected
