"""Random operations have the answers, and leave the files, of Jupyter's own manager."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import Sequence
from .pair import Pair

STEPS = 25
SEQUENCES = {"memory": 50, "file": 12, "moto": 4, "gcs": 6, "azure": 4}
"""How many are run over each store, at the usual scale.

For S3 it is moto: SeaweedFS goes on listing folders that were emptied, for some minutes.
"""


@pytest.mark.timeout(0)
@pytest.mark.parametrize("place", SEQUENCES, indirect=True)
def test_random_operations_are_answered_as_jupyters_own_manager_answers_them(
    pair: Pair, run: Callable[[Any], Any], scale: int
) -> None:
    first = 0 if os.environ.get("CI") else secrets.randbelow(10**6)
    for number in range(first, first + scale):
        try:
            _run_sequences(pair, run, number)
        except AssertionError as error:
            raise AssertionError(f"seed {number}: {error}") from error


def _run_sequences(pair: Pair, run: Callable[[Any], Any], number: int) -> None:
    @seed(number)
    class Bound(Sequence):
        def __init__(self) -> None:
            super().__init__(pair, run)

    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=SEQUENCES[pair.ours.place.name],
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
