"""From a disk to S3, to Google, to Azure and back: killed on the way, nothing lost or damaged."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from jupyter_nbforge.testing.operations import operation_of
from jupyter_nbforge.testing.proxy import CountingProxy
from tests.upstream.clouds import Cloud, cloud_at

from .command import Command, ended
from .trees import make_tree, seen


class HoldingProxy(CountingProxy):
    """Lets so many writes pass; the next ones wait, for good, and `full` is set."""

    handler_cancellation = True

    def __init__(self, target: str, passing: int) -> None:
        super().__init__(target)
        self.passing = passing
        self.full = asyncio.Event()

    async def _forward(self, request: web.BaseRequest) -> web.StreamResponse:
        if operation_of(request, self.protocol) in ("PUT", "PART"):
            if self.passing <= 0:
                self.full.set()
                await asyncio.Future()
            self.passing -= 1
        return await super()._forward(request)


async def _killed_half_way(
    command: Command, cloud: Cloud, source: Path, passing: int, *arguments: str
) -> None:
    """Copy to the cloud until so many objects are there, then `kill -9`."""
    async with HoldingProxy(cloud.endpoint, passing) as proxy:
        options = command.knows(cloud_at(cloud, proxy.endpoint_url))
        process = await command.start("copy", str(source), *arguments, *options)
        await proxy.full.wait()
        process.kill()
        ran = await ended(process)
    assert ran.status == -9


@pytest.mark.timeout(900)
async def test_a_tree_goes_round_all_stores_and_comes_back_as_it_was(
    clouds: Callable[[str], Cloud], command: Command, tmp_path: Path, scale: int, capsys: Any
) -> None:
    count = 100 * scale
    passing = count // 2
    source, back = tmp_path / "notebooks", tmp_path / "back"
    make_tree(source, count)
    files = [path for path in source.rglob("*") if path.is_file()]
    s3, gcs, azure = (clouds(name) for name in ("seaweedfs", "gcs", "azure"))
    options = [option for cloud in (s3, gcs, azure) for option in command.knows(cloud)]
    places = [str(source), *(f"{cloud.url}/round/trip" for cloud in (s3, gcs, azure)), str(back)]

    await _killed_half_way(command, s3, source, passing, places[1])
    there = len(s3.client().paths("round/trip/"))
    assert 0 < there < count

    figures = []
    for number, (one, other) in enumerate(itertools.pairwise(places)):
        begun = time.monotonic()
        ran = await command.run("copy", one, other, *options)
        assert (ran.status, ran.problems) == (0, [])
        figures.append(
            f"{one.split(':')[0][:3]}: {ran.out.strip()} {time.monotonic() - begun:.0f} s"
        )
        assert ran.counts["copied"] + ran.counts["equal"] == len(files) + 1
        # What had arrived before the kill, or was on its way then, was not sent again.
        assert (there <= ran.counts["equal"] <= passing) if number == 0 else not ran.counts["equal"]
    assert seen(back) == seen(source)

    again = await command.run("copy", places[2], places[3], *options)
    assert again.counts == {"copied": 0, "equal": len(files) + 1}
    if scale > 1:
        with capsys.disabled():
            sys.stdout.write("\n".join(["", f"{there} of {count} at the kill", *figures, ""]))
