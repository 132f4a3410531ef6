"""kill -9 of a Jupyter server on a local directory, at moments that chance chooses."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from jupyter_nbforge.storage.local_tree import TEMPORARY_PREFIX

from .chance import LOG, chance
from .gestures import GESTURES, Gesture, Objects
from .servers import KilledError, Server, Template

SIZE = 8 * 2**20
ROUNDS_OF_EACH = 1


class Disk:
    """The directory as another program sees it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._rounds = 0

    def begin(self, name: str) -> Gesture:
        """A new round, with what is there before the gesture."""
        self._rounds += 1
        gesture = GESTURES[name](f"r{self._rounds}", SIZE)
        for path, data in gesture.before.items():
            file = self._root / path
            if path.endswith("/"):
                file.mkdir(parents=True, exist_ok=True)
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return gesture

    def objects(self, gesture: Gesture) -> Objects:
        """All that is there of this round; of folders those that the gesture speaks of."""
        mine = f"r{self._rounds}"
        found: Objects = {}
        for top in (mine, f".nbforge/checkpoints/{mine}", ".nbforge/moves"):
            for file in (self._root / top).rglob("*"):
                path = str(file.relative_to(self._root))
                if file.is_dir():
                    if f"{path}/" in gesture.allowed:
                        found[f"{path}/"] = b""
                elif not file.name.startswith(TEMPORARY_PREFIX):
                    found[path] = file.read_bytes()
        return found

    async def clear(self, server: Server) -> None:
        """Delete the round's folder by the server: it goes at once, whatever was left in it."""
        folder = f"r{self._rounds}"
        status, _ = await server.ask("DELETE", folder)
        assert status == 204
        assert not (self._root / folder).exists(), list((self._root / folder).rglob("*"))

    def leftovers(self) -> list[Path]:
        """What was being written when a server was killed."""
        return [file for file in self._root.rglob(f"{TEMPORARY_PREFIX}*") if file.is_file()]


async def seconds_of(name: str, disk: Disk, server: Server) -> float:
    """How long the gesture takes undisturbed."""
    gesture = disk.begin(name)
    begun = time.monotonic()
    statuses = await gesture.make(server)
    seconds = time.monotonic() - begun
    assert all(status < 300 for status in statuses), statuses
    assert gesture.is_done(disk.objects(gesture))
    return seconds


async def kill_and_repeat(
    name: str, moment: float, disk: Disk, template: Template, server: Server
) -> tuple[Server, bool]:
    """Kill `server` so many seconds into a gesture; the next one, and whether it was in time."""
    gesture = disk.begin(name)
    making = asyncio.create_task(gesture.make(server))
    await asyncio.sleep(moment)
    server.kill()
    try:
        await making
        in_time = False
    except KilledError:
        in_time = True
    found = disk.objects(gesture)
    assert gesture.damage(found) == []
    was_done = gesture.is_done(found)
    server = await template.server()
    statuses = await gesture.make(server)
    found = disk.objects(gesture)
    assert gesture.is_done(found), (statuses, sorted(found))
    assert gesture.damage(found) == [], statuses
    assert was_done or all(status < 300 for status in statuses), statuses
    await disk.clear(server)
    return server, in_time


@pytest.mark.timeout(3600)
async def test_a_server_killed_at_any_moment_damages_no_file_and_a_repeat_completes(
    tmp_path: Path, scale: int
) -> None:
    root = tmp_path / "root"
    root.mkdir()
    manager = {"storage_url": f"file://{root}", "always_delete_dir": True}
    random, kills = chance(scale), 0
    disk = Disk(root)
    async with Template(tmp_path, {"NBForgeContentsManager": manager}, {}) as template:
        server = await template.server()
        for name in GESTURES:
            seconds = await seconds_of(name, disk, server)
            for _ in range(ROUNDS_OF_EACH * scale):
                moment = random.uniform(0, seconds)
                server, in_time = await kill_and_repeat(name, moment, disk, template, server)
                kills += in_time
    LOG.warning("%d kills in time", kills)
    assert kills
    # Those outside of the folders that were deleted: parts of uploads, records of moves.
    assert len(disk.leftovers()) <= kills
