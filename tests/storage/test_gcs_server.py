"""The local Cloud Storage server: it starts, answers, and ends with all that belongs to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from importlib import metadata
from pathlib import Path

import pytest

from jupyter_nbforge.testing import gcs_server as module
from jupyter_nbforge.testing.gcs_server import FakeGCSServer, find_fake_gcs
from jupyter_nbforge.testing.processes import ServerError, free_port

from .gcs_http import fresh_bucket
from .test_servers import wait_until_gone


def pids_of(server: FakeGCSServer) -> list[int]:
    """The server's processes: the proxy and what is behind it."""
    processes = (server._process, server._backend._process)
    return [process.pid for process in processes if process is not None]


async def test_a_bucket_can_be_made_twice_and_is_empty(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server) as bucket:
        gcs_server.create_bucket(bucket.name)
        assert await bucket.names() == []


def test_a_bucket_name_that_is_refused_is_an_error(gcs_server: FakeGCSServer) -> None:
    with pytest.raises(ServerError, match="invalid bucket name"):
        gcs_server.create_bucket("x")


async def test_a_versioned_bucket_keeps_old_generations(gcs_server: FakeGCSServer) -> None:
    async with fresh_bucket(gcs_server, versioned=True) as bucket:
        old = await bucket.generation("a", b"old")
        await bucket.put("a", b"new")
        assert (await bucket.read("a", generation=old)).body == b"old"


def test_stopping_ends_both_processes() -> None:
    server = FakeGCSServer()
    server.stop()
    with server:
        endpoint = server.endpoint_url
        pids = pids_of(server)
        assert len(pids) == 2
        server.start()
        assert server.endpoint_url == endpoint
        assert pids_of(server) == pids
    for pid in pids:
        wait_until_gone(pid)
    server.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(endpoint, timeout=10)


def test_two_servers_share_nothing(gcs_server: FakeGCSServer) -> None:
    with FakeGCSServer() as other:
        assert other.endpoint_url != gcs_server.endpoint_url
        assert other.service_account_info != gcs_server.service_account_info


def test_ports_lost_to_others_are_not_the_end(
    monkeypatch: pytest.MonkeyPatch, gcs_server: FakeGCSServer
) -> None:
    taken = int(gcs_server.endpoint_url.rpartition(":")[2])
    free = [free_port() for _ in range(3)]
    ports = iter([taken, free[0], taken, free[1], free[2]])
    monkeypatch.setattr(module, "free_port", lambda: next(ports))
    with FakeGCSServer() as server:
        assert server.endpoint_url == f"http://127.0.0.1:{free[2]}"
        server.create_bucket("bucket")


PARENT = """
import sys, time
from jupyter_nbforge.testing.gcs_server import FakeGCSServer
server = FakeGCSServer()
server.start()
print(server._process.pid, server._backend._process.pid, flush=True)
time.sleep(600)
"""


def test_both_processes_end_with_the_one_that_started_them(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.send_signal(signal.SIGKILL)
    for pid in pids:
        wait_until_gone(pid)


def test_the_binary_of_the_wheel_is_found() -> None:
    assert os.access(find_fake_gcs(), os.X_OK)


def test_a_missing_binary_is_an_error_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> list[Path]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(ServerError, match=r"jupyter-nbforge\[test\]"):
        find_fake_gcs()
