"""Chance that can be repeated: the seed is in the log, which pytest shows where a test fails."""

from __future__ import annotations

import logging
import os
from random import Random

LOG = logging.getLogger(__name__)
"""Seen too with --log-cli-level=WARNING."""


def chance(scale: int) -> Random:
    """Another one each time, but always the same for the usual run in CI."""
    usual = bool(os.environ.get("CI")) and scale == 1
    seed = 1 if usual else int.from_bytes(os.urandom(4), "big")
    seed = int(os.environ.get("NBFORGE_TEST_SEED", seed))
    LOG.warning("NBFORGE_TEST_SEED=%d", seed)
    return Random(seed)
