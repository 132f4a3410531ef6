"""The command ``jupyter nbforge`` as processes: what it starts, what it leaves behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import pytest
from websocket import create_connection

from jupyter_nbforge.cli.demo import sample_files
from jupyter_nbforge.testing.servers import SeaweedServer

from .browser.server import JupyterProcess

SECONDS_TO_END = 20


def demo(home: Path) -> JupyterProcess:
    return JupyterProcess(("nbforge", "demo", f"--dir={home / 'demo'}"), home)


def start_kernel(process: JupyterProcess) -> None:
    """Start a kernel and wait until it is up: one that is ended earlier complains by itself."""
    path = "api/kernels/" + process.request("api/kernels", "POST", {"name": "python3"})["id"]
    address = process.url.replace("http", "ws", 1) + f"{path}/channels?token={process.token}"
    # The server asks the kernel whether it is there only when somebody wants to talk to it.
    with closing(create_connection(address, timeout=60)):
        for _attempt in range(600):
            if process.request(path)["execution_state"] == "idle":
                return
            time.sleep(0.1)
    raise AssertionError(f"the kernel did not come up:\n{process.log}")


def offspring(process: JupyterProcess) -> list[psutil.Process]:
    return list(psutil.Process(process.pid).children(recursive=True))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    with demo(tmp_path_factory.mktemp("running")) as started:
        start_kernel(started)
        yield started


def test_lab_opens_the_storage_of_the_url(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/there.txt").write_text("yes")
    with JupyterProcess(("nbforge", "lab", f"file://{tmp_path / 'files'}"), tmp_path) as lab:
        assert lab.request("api/contents/there.txt")["content"] == "yes"
        assert lab.request("lab/api/settings")["settings"]


def test_demo_offers_the_samples(running: JupyterProcess) -> None:
    for path, _data in sample_files():
        assert running.request(f"api/contents/{quote(path)}?content=0")["path"] == path


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs the process table of Linux")
def test_demo_shows_its_secret_to_no_process(running: JupyterProcess) -> None:
    secret = SeaweedServer(running.home / "demo").secret_key
    everything = [psutil.Process(running.pid), *offspring(running)]
    assert any("ipykernel_launcher" in " ".join(each.cmdline()) for each in everything)
    for each in everything:
        assert secret not in " ".join(each.cmdline())
        assert secret not in " ".join(each.environ().values())
    assert secret not in running.log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_everything_that_the_demo_started(
    tmp_path: Path, number: signal.Signals
) -> None:
    with demo(tmp_path) as process:
        start_kernel(process)
        started = offspring(process)
        lines = [" ".join(each.cmdline()) for each in started]
        assert any("ipykernel_launcher" in line for line in lines)
        assert any("weed" in line for line in lines)
        assert process.stop(number) == 0
    _ended, alive = psutil.wait_procs(started, timeout=SECONDS_TO_END)
    assert not alive
    assert "Traceback" not in process.log
    assert not list((tmp_path / "runtime").glob("*.json"))


def test_control_c_on_a_terminal_asks_nothing(tmp_path: Path) -> None:
    theirs, ours = os.openpty()
    process = JupyterProcess(("nbforge", "lab", "memory://"), tmp_path)
    process.stdin = theirs
    with process:
        assert process.stop(signal.SIGINT) == 0
    os.close(theirs)
    os.close(ours)
    assert "Shut down this Jupyter server" not in process.log


def test_signal_while_the_demo_starts_ends_its_s3_server(tmp_path: Path) -> None:
    with demo(tmp_path).started() as process:
        weed = wait_for_weed(process)
        assert process.stop(signal.SIGTERM) == 128 + signal.SIGTERM
    weed.wait(SECONDS_TO_END)
    assert "Traceback" not in process.log


def test_s3_server_ends_when_the_demo_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path).started() as process:
        weed = wait_for_weed(process)
        process.stop(signal.SIGKILL)
    _ended, alive = psutil.wait_procs([weed], timeout=SECONDS_TO_END)
    assert not alive


def wait_for_weed(process: JupyterProcess) -> psutil.Process:
    for _attempt in range(600):
        for each in offspring(process):
            if each.name() == "weed":
                return each
        time.sleep(0.05)
    raise AssertionError(f"no S3 server was started:\n{process.log}")


def test_demo_keeps_edits_and_puts_back_only_what_is_missing(tmp_path: Path) -> None:
    table = "api/contents/data/temperatures.csv"
    mine = {"type": "file", "format": "text", "content": "mine\n"}
    with demo(tmp_path) as first:
        first.request(table, "PUT", mine)
        first.request("api/contents/new.txt", "PUT", mine)
        first.request("api/contents/Welcome.ipynb", "DELETE")
    with demo(tmp_path) as second:
        assert second.request(table)["content"] == "mine\n"
        assert second.request("api/contents/new.txt")["content"] == "mine\n"
        assert second.request("api/contents/Welcome.ipynb")["type"] == "notebook"
