"""A directory of a disk that several processes write to."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.testing.suite import listing, read


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root=str(root))


_COUNT = """
import asyncio, sys
from jupyter_nbforge.storage.errors import AlreadyExistsError, PreconditionError
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.types import IfAbsent, IfMatch

async def add_one(storage):
    while True:
        async with storage.get("counter") as reader:
            number = int(await reader.read())
        try:
            condition = IfMatch(reader.meta.version)
            await storage.put("counter", b"%d" % (number + 1), condition=condition)
        except PreconditionError:
            continue
        return

async def main():
    storage = LocalStorage(root=sys.argv[1])
    created = 0
    for number in range(50):
        try:
            await storage.put(f"new{number}/file", b"", condition=IfAbsent())
            created += 1
        except AlreadyExistsError:
            pass
        await add_one(storage)
    print(created)

asyncio.run(main())
"""

_HANG = """
import asyncio, os, sys, time
from jupyter_nbforge.storage.local import LocalStorage

def hang(descriptor):
    print("written", flush=True)
    time.sleep(60)

os.fsync = hang
asyncio.run(LocalStorage(root=sys.argv[1]).put("a", b"new"))
"""


def start(script: str, root: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, str(root)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_no_write_of_several_processes_is_lost(storage: LocalStorage, root: Path) -> None:
    asyncio.run(storage.put("counter", b"0"))
    processes = [start(_COUNT, root) for _ in range(3)]
    created = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert asyncio.run(read(storage, "counter")) == b"150"
    assert sum(created) == 50


def test_a_killed_process_leaves_the_old_file(storage: LocalStorage, root: Path) -> None:
    asyncio.run(storage.put("a", b"old"))
    with start(_HANG, root) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    assert asyncio.run(read(storage, "a")) == b"old"
    found = asyncio.run(listing(storage.list_pages("", delimiter=None)))
    assert found.paths == ["a"]
