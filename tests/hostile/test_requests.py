"""Whatever is asked: never a crash, nothing outside the root, no secret told, nothing lost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .raw_http import Request
from .strategies import requests
from .world import AMBIGUOUS, SEED, World

ON_MEMORY = 300
ON_S3 = 40
"""Runs of up to eight requests each, at scale 1."""


def fuzzed(world: World, rounds: int, seed: Mapping[str, bytes]) -> None:
    """Send runs of requests; what breaks a rule is an `AssertionError` that shows the shortest."""

    @settings(
        max_examples=rounds,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(st.lists(requests, min_size=1, max_size=8))
    def run(sent: list[Request]) -> None:
        world.begin(seed)
        for request in sent:
            world.send(request)
        assert world.answers(), "the server does not answer any more"

    run()


@pytest.mark.timeout(0)
@pytest.mark.stores("memory")
def test_no_request_crashes_the_server_escapes_tells_a_secret_or_loses_a_file(
    world: World, scale: int
) -> None:
    fuzzed(world, ON_MEMORY * scale, SEED | AMBIGUOUS)
    world.tell()


@pytest.mark.timeout(0)
@pytest.mark.stores("seaweedfs")
def test_no_request_does_on_a_real_store_either(world: World, scale: int) -> None:
    fuzzed(world, ON_S3 * scale, SEED)
    world.tell()
