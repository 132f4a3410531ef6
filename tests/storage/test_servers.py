"""The local servers: they start, answer, end with their parent and keep what they should."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import aclosing
from pathlib import Path

import pytest

from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.testing import servers
from jupyter_nbforge.testing.servers import MotoServer, SeaweedServer, ServerError, free_port


def storage_of(server: SeaweedServer, bucket: str) -> S3Storage:
    return S3Storage(
        bucket=bucket,
        endpoint_url=server.endpoint_url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
    )


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state != "Z"


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 30
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.05)


async def test_seaweed_keeps_its_data_keys_and_ports(tmp_path: Path) -> None:
    with SeaweedServer(tmp_path) as first:
        first.create_bucket("bucket")
        first.create_bucket("bucket")
        async with aclosing(storage_of(first, "bucket")) as storage:
            written = await storage.put("a", b"data")
    with SeaweedServer(tmp_path) as second:
        assert second.endpoint_url == first.endpoint_url
        assert (second.access_key, second.secret_key) == (first.access_key, first.secret_key)
        async with aclosing(storage_of(second, "bucket")) as storage:
            assert await storage.head("a") == written


def test_seaweed_takes_the_given_port_and_keys(tmp_path: Path) -> None:
    port = free_port()
    with SeaweedServer(
        tmp_path, port=port, keep=False, access_key="mine", secret_key="secret"
    ) as server:
        assert server.endpoint_url == f"http://127.0.0.1:{port}"
        assert (server.access_key, server.secret_key) == ("mine", "secret")
        server.create_bucket("bucket")
    assert (tmp_path / "s3.json").stat().st_mode & 0o077 == 0


def test_seaweed_makes_no_bucket_by_itself_and_knows_its_keys(
    seaweed_server: SeaweedServer,
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{seaweed_server.endpoint_url}/no-such-bucket", timeout=10)
    with caught.value:
        assert caught.value.code == 403


def test_two_servers_run_side_by_side(tmp_path: Path, moto_server: MotoServer) -> None:
    with MotoServer() as other:
        assert other.endpoint_url != moto_server.endpoint_url
        other.create_bucket("bucket")


def test_starting_again_and_stopping_again_do_nothing() -> None:
    server = MotoServer()
    server.stop()
    server.start()
    endpoint = server.endpoint_url
    server.start()
    assert server.endpoint_url == endpoint
    server.stop()
    server.stop()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(endpoint, timeout=10)


def test_stopping_ends_the_process_and_its_watcher() -> None:
    server = MotoServer()
    server.start()
    process = server._process
    assert process is not None
    group = process.pid
    os.killpg(group, 0)
    server.stop()
    assert process.returncode is not None
    deadline = time.monotonic() + 10
    with pytest.raises(ProcessLookupError):  # noqa: PT012
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.02)


def test_a_server_that_ends_at_once_is_an_error_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho no space left on device\nexit 3\n")
    broken.chmod(0o700)
    monkeypatch.setattr(servers, "find_weed", lambda: broken)
    with pytest.raises(ServerError, match=r"status 3:\nno space left on device"):
        SeaweedServer(tmp_path / "data").start()


def test_a_server_that_never_answers_is_an_error_and_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mute = tmp_path / "weed"
    mute.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\necho thinking\nexec sleep 600\n")
    mute.chmod(0o700)
    monkeypatch.setattr(servers, "find_weed", lambda: mute)
    server = SeaweedServer(tmp_path / "data", keep=False)
    monkeypatch.setattr(server, "start_timeout", 1.0)
    with pytest.raises(ServerError, match=r"did not answer within 1 s:\nthinking"):
        server.start()
    wait_until_gone(int((tmp_path / "pid").read_text()))


def test_a_port_lost_to_another_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moto_server: MotoServer
) -> None:
    taken = int(moto_server.endpoint_url.rpartition(":")[2])
    ports = iter([taken, taken, free_port()])
    monkeypatch.setattr(servers, "free_port", lambda: next(ports))
    with MotoServer() as server:
        assert server.endpoint_url != moto_server.endpoint_url


PARENT = """
import sys, time
from jupyter_nbforge.testing.servers import MotoServer
server = MotoServer()
server.start()
print(server._process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_with_the_process_that_started_it(
    how: signal.Signals, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, env=environment
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.send_signal(how)
    wait_until_gone(pid)


def test_a_server_is_no_member_of_the_terminals_group(moto_server: MotoServer) -> None:
    """Ctrl+C reaches the parent alone, which stops the server in order."""
    assert moto_server._process is not None
    assert os.getpgid(moto_server._process.pid) != os.getpgid(0)


def test_the_module_needs_the_standard_library_only() -> None:
    program = (
        "import sys, jupyter_nbforge.testing.servers\n"
        "print(sorted(sys.modules.keys() & {'botocore', 'moto', 'flask', 'pytest'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
