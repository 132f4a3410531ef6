"""The commands about files in a store: ``copy``, ``ls`` and ``link``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence

from .copy import run_copy
from .errors import CommandError
from .lab import read_configuration
from .link import run_link
from .ls import run_ls


def run_files(known: argparse.Namespace, passed_on: Sequence[str]) -> int:
    """Run one of them; returns its exit status. Raises `CommandError` or `StorageError`."""
    for argument in passed_on:
        if not (argument.startswith("--") and "." in argument and "=" in argument):
            raise CommandError(
                f"{argument!r} is not known; jupyter nbforge {known.command} --help lists all"
                " options."
            )
    # Each retry would be a line in the middle of the display.
    logging.getLogger("traitlets").setLevel(logging.ERROR)
    config = read_configuration(passed_on)
    run = {"copy": run_copy, "ls": run_ls, "link": run_link}[known.command]
    return run(known, config)
