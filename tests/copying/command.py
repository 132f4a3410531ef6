"""``jupyter nbforge`` as a process, on the stores that tests run over."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_nbforge.cli import main
from tests.browser.server import environment
from tests.upstream.clouds import Cloud

_RUN = f"import sys; from {main.__module__} import main; sys.exit(main())"


@dataclass(frozen=True)
class Ran:
    """What a run has said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, int]:
        """Of the summary: how many objects there were of each kind."""
        summary = self.out.splitlines()[-1].partition(";")[0]
        found = re.findall(r"(\d+) (?:would be )?([a-z ]+)", summary)
        return {word.removesuffix(" already"): int(number) for number, word in found}

    @property
    def problems(self) -> list[str]:
        """What it has said on stderr beside how far it is."""
        return [line for line in self.err.splitlines() if "found so far" not in line]


@dataclass
class Command:
    """Starts the command with its directories in `home`, and the credentials that were added."""

    home: Path
    credentials: dict[str, str] = field(default_factory=dict)

    def knows(self, cloud: Cloud) -> list[str]:
        """The options for a cloud, whose credentials are in the environment from now on."""
        self.credentials |= cloud.environ
        return options_of(cloud)

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start it; `ended` waits for it."""
        self.home.mkdir(exist_ok=True)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _RUN,
            *arguments,
            env=environment(self.home, self.credentials),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def run(self, *arguments: str) -> Ran:
        """Run it to its end."""
        return await ended(await self.start(*arguments))


async def ended(process: asyncio.subprocess.Process) -> Ran:
    """What a process has said when it ended."""
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())


def options_of(cloud: Cloud) -> list[str]:
    """The storage options of the command line for a cloud."""
    options: Mapping[str, Mapping[str, object]] = cloud.options
    return [
        f"--{name}.{trait}={value}"
        for name, traits in options.items()
        for trait, value in traits.items()
    ]
