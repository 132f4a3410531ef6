"""``jupyter nbforge link``: a presigned link from the command line."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from contextlib import aclosing

from traitlets.config import Config

from ..storage.types import LinkOptions
from .ends import Address, parse_address
from .errors import CommandError

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def run_link(known: argparse.Namespace, config: Config) -> int:
    """Write the link to stdout; returns the exit status."""
    address = parse_address(known.url, config)
    if not address.name or address.on_disk:
        raise CommandError(
            f"{known.url!r} is not the URL of a file in a store; give one such as"
            " s3://bucket/folder/file.ipynb."
        )
    seconds = seconds_of(known.expires_in)
    link, headers = asyncio.run(_link(address, seconds, put=known.put))
    sys.stdout.write(link + "\n")
    for name, value in headers:
        sys.stderr.write(f"The request has to carry this header: {name}: {value}\n")
    return 0


async def _link(
    address: Address, seconds: float, *, put: bool
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The link, and the headers that a client has to send with it."""
    options: LinkOptions = {"method": "PUT"} if put else {}
    async with aclosing(address.open()) as storage:
        link = await storage.get_presigned_url(address.name, seconds, **options)
        return link, storage.capabilities.presigned_put_headers if put else ()


def seconds_of(text: str) -> float:
    """``90``, ``30m``, ``12h`` or ``7d`` in seconds; `CommandError` for anything else."""
    found = re.fullmatch(r"(\d{1,9})([smhd]?)", text)
    if found is None or int(found[1]) == 0:
        raise CommandError(f"{text!r} is no time; write it as 90, 30m, 12h or 7d.")
    return float(int(found[1]) * _UNITS[found[2]])
