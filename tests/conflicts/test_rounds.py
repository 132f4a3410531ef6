"""No lost update and no false dialog, between real servers that share a store."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.upstream.clouds import Cloud

from .ledger import Verdict
from .rounds import play
from .servers import WITHOUT_CONDITIONS, Servers, servers_on

ROUNDS = 6
UNCONDITIONAL_ROUNDS = 3

Note = Callable[[str, Verdict], None]

pytestmark = pytest.mark.timeout(1800)  # with a large scale


def first_seed() -> int:
    """Another one for each run; always the same in CI."""
    return 1 if os.environ.get("CI") else random.randrange(10**9)


def run(servers: Servers, rounds: int) -> Verdict:
    seed = first_seed()
    sum_ = Verdict()
    for number in range(rounds):
        sum_.add(play(servers, seed + number))
    return sum_


def test_no_update_is_lost_and_nobody_is_asked_without_a_reason(
    servers: Servers, scale: int, note: Note
) -> None:
    verdict = run(servers, ROUNDS * scale)
    note(f"{servers.cloud.name}, {len(servers.processes)} servers", verdict)
    assert not verdict.lost
    assert not verdict.false
    assert not verdict.wrong
    assert verdict.counts["refusals"] + verdict.counts["dialogs"] > 0, "nobody met anybody"


def test_without_conditions_the_same_rounds_find_lost_updates(
    clouds: Callable[[str], Cloud], tmp_path: Path, scale: int, note: Note
) -> None:
    cloud = clouds("seaweedfs")
    with servers_on(cloud, "unconditional/", 2, tmp_path, WITHOUT_CONDITIONS) as servers:
        verdict = run(servers, UNCONDITIONAL_ROUNDS * scale)
    note(f"{cloud.name} without conditions, 2 servers", verdict)
    assert verdict.lost
    assert not verdict.counts["refusals"]
