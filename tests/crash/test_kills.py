"""kill -9 of a Jupyter server at every request that it writes with, on a real S3 server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jupyter_nbforge.storage import create_storage_service
from tests.upstream.clouds import Cloud, cloud_at, cloud_on, start_server
from tests.upstream.other_client import OtherClient

from .chance import LOG, chance
from .gestures import GESTURES, Gesture, Objects
from .proxy import KillingProxy, Point
from .servers import KilledError, Server, Template

ROOT = "home"
SIZES = {"upload": 12 * 2**20}
USUAL_SIZE = 200_000
WITH_BODY = frozenset({"PUT", "PART"})
POINTS_OF_EACH = 3


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("crash")
    with start_server("seaweedfs", folder / "server") as server:
        made = cloud_on(server, "crash", folder)
        yield made
        made.client().close()


class World:
    """The store as another program sees it, what is before it, and servers to kill."""

    def __init__(self, client: OtherClient, proxy: KillingProxy, template: Template) -> None:
        self._client = client
        self.proxy = proxy
        self.template = template
        self.kills = 0
        self._rounds = 0

    def begin(self, name: str) -> Gesture:
        """A new round: what is there before the gesture is written by another program."""
        self._rounds += 1
        gesture = GESTURES[name](f"r{self._rounds}", SIZES.get(name, USUAL_SIZE))
        for path, data in gesture.before.items():
            self._client.write(f"{ROOT}/{path}", data)
            if name == "rename_file":
                # As a save of ours does, which counts microseconds: by its time a copy is known
                # as one.
                self._client.backdate(f"{ROOT}/{path}", 5.25)
        return gesture

    def objects(self) -> Objects:
        """All that is there of this round."""
        mine = f"r{self._rounds}/"
        prefixes = (mine, f".nbforge/checkpoints/{mine}", ".nbforge/moves/")
        found: Objects = {}
        for prefix in prefixes:
            for path in self._client.paths(f"{ROOT}/{prefix}"):
                data = self._client.read(path)
                assert data is not None
                found[path.removeprefix(f"{ROOT}/")] = data
        return found


@asynccontextmanager
async def opened(cloud: Cloud, folder: Path) -> AsyncIterator[World]:
    async with KillingProxy(cloud.endpoint) as proxy:
        behind = cloud_at(cloud, proxy.endpoint_url)
        manager = {
            "storage_url": f"{behind.url}/{ROOT}",
            "always_delete_dir": True,
            "upload_part_size_mb": 5,
            "check_at_start": False,
        }
        # What the store honours is said, else each server would first find it out by writes.
        kinds = ("put", "copy", "delete", "delete_many")
        honoured = {f"conditional_{kind}": True for kind in kinds}
        storage = {**behind.options["S3Storage"], **honoured}
        configuration = {"NBForgeContentsManager": manager, "S3Storage": storage}
        async with Template(folder, configuration, behind.environ) as template:
            yield World(cloud.client(), proxy, template)


async def points_of(name: str, world: World, server: Server) -> list[Point]:
    """Make the gesture once, undisturbed, and say where the server can be killed in it."""
    gesture = world.begin(name)
    world.proxy.arm(None, None)
    statuses = await gesture.make(server)
    assert all(status < 300 for status in statuses), statuses
    found = world.objects()
    assert gesture.is_done(found), sorted(found)
    assert gesture.damage(found) == []
    points: list[Point] = []
    for number, operation in enumerate(world.proxy.writes):
        if operation in WITH_BODY:
            points.append(Point(number, "within"))
        points.append(Point(number, "after"))
    return points


async def kill_and_repeat(name: str, point: Point, world: World, server: Server) -> Server:
    """Kill `server` in the middle of a gesture, look, and repeat it with another, returned."""
    gesture = world.begin(name)
    world.proxy.arm(server.kill, point)
    with pytest.raises(KilledError):
        await gesture.make(server)
    await world.proxy.settled()
    assert world.proxy.killed
    world.kills += 1
    found = world.objects()
    assert gesture.damage(found) == [], point
    was_done = gesture.is_done(found)
    server = await world.template.server()
    world.proxy.arm(None, None)
    statuses = await gesture.make(server)
    found = world.objects()
    assert gesture.is_done(found), (point, statuses, sorted(found))
    assert gesture.damage(found) == [], (point, statuses)
    # What was done already cannot be done once more: of a rename the old name is gone.
    assert was_done or all(status < 300 for status in statuses), (point, statuses)
    return server


@pytest.mark.timeout(3600)
async def test_a_server_killed_at_any_write_damages_nothing_and_a_repeat_completes(
    cloud: Cloud, tmp_path: Path, scale: int
) -> None:
    random = chance(scale)
    async with opened(cloud, tmp_path) as world:
        server = await world.template.server()
        for name in GESTURES:
            points = await points_of(name, world, server)
            for _ in range(max(1, scale - 1)):
                chosen = points
                if scale == 1:
                    chosen = random.sample(points, min(POINTS_OF_EACH, len(points)))
                for point in chosen:
                    server = await kill_and_repeat(name, point, world, server)
        await _nothing_is_left(cloud, world)
    LOG.warning("%d kills", world.kills)


async def _nothing_is_left(cloud: Cloud, world: World) -> None:
    """What killed servers have left of uploads is found and ended; of moves nothing stays."""
    moves = [path for path in world.objects() if path.startswith(".nbforge/moves/")]
    assert moves == []
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environ.items():
            patch.setenv(name, value)
        options = dict(cloud.options["S3Storage"])
        storage = create_storage_service(f"{cloud.url}/{ROOT}", **options)
        await storage.abort_stale_uploads("", 0)
        assert await storage.abort_stale_uploads("", 0) == 0
        await storage.aclose()
