"""papermill reads and writes notebooks at our URLs, on every cloud and from one to another."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from nbformat import reads
from nbformat.v4 import new_code_cell, new_notebook

from jupyter_nbforge.papermill import PapermillHandler
from jupyter_nbforge.storage import ConfigurationError, NotFoundError
from tests.addons import PAPERMILL, environ_with
from tests.browser.server import environment
from tests.upstream.clouds import CLOUDS, Cloud, cloud_on, start_server

_ENDPOINTS = {
    "seaweedfs": "S3_ENDPOINT_URL",
    "gcs": "GCS_ENDPOINT_URL",
    "azure": "AZURE_STORAGE_ACCOUNT_URL",
}


def notebook() -> str:
    """A notebook that adds one to its parameter."""
    parameters = new_code_cell("number = 1", id="one", metadata={"tags": ["parameters"]})
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [parameters, new_code_cell("print(number + 1)", id="two")]
    return json.dumps(new_notebook(cells=cells, metadata={"kernelspec": spec}))


def papermill(environ: Mapping[str, str], *arguments: str) -> None:
    """The command, as a person types it."""
    done = subprocess.run(
        [sys.executable, "-m", "papermill", *arguments, "--no-progress-bar", "--log-level=WARNING"],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert "Unclosed" not in done.stderr, done.stderr


def test_a_notebook_runs_from_s3_to_google_to_azure_and_to_a_local_file(tmp_path: Path) -> None:
    environ = {**environment(tmp_path, {}), **environ_with(PAPERMILL)}
    places: dict[str, Cloud] = {}
    with ExitStack() as stack:
        for name in CLOUDS:
            folder = tmp_path / name
            folder.mkdir()
            server = stack.enter_context(start_server(name, folder / "server"))
            places[name] = cloud_on(server, "papermill", folder)
            stack.callback(places[name].client().close)
            environ |= {**places[name].environ, _ENDPOINTS[name]: places[name].endpoint}
        s3, gcs, azure = (places[name] for name in CLOUDS)
        s3.client().write("a folder/in.ipynb", notebook().encode())
        last = tmp_path / "out.ipynb"
        steps = [
            f"{s3.url}/a folder/in.ipynb",
            f"{gcs.url}/out {{number}}.ipynb",
            f"{azure.url}/deep/er/out.ipynb",
            f"file://{last}",
        ]
        for number, (source, target) in enumerate(pairwise(steps), start=41):
            source = source.format(number=number - 1)
            papermill(
                environ, f"nbforge+{source}", f"nbforge+{target}", "-p", "number", str(number)
            )
        first = gcs.client().read("out 41.ipynb")
    assert first is not None
    for text, result in ((first.decode(), "42\n"), (last.read_text(), "44\n")):
        made = reads(text, as_version=4)
        assert made.cells[-1].outputs[0].text == result
        assert made.metadata.papermill.exception is None


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The URL of a folder with two files and a folder in it, as papermill is given it."""
    (tmp_path / "below").mkdir()
    for name in ("a.ipynb", "b é#1.ipynb", "below/c.ipynb"):
        (tmp_path / name).write_text(notebook())
    return f"nbforge+file://{tmp_path}"


def test_a_folder_lists_the_paths_of_its_files(folder: str) -> None:
    listed = sorted(PapermillHandler.listdir(folder + "/"))
    assert listed == [f"{folder}/a.ipynb", f"{folder}/b é#1.ipynb"]
    assert [PapermillHandler.read(path) for path in listed] == [notebook()] * 2
    assert PapermillHandler.pretty_path(listed[0]) == listed[0]


async def test_a_notebook_is_written_and_read_also_where_an_event_loop_runs(folder: str) -> None:
    path = f"{folder}/d.ipynb"
    assert PapermillHandler.write(notebook(), path) == path
    assert PapermillHandler.read(path) == notebook()


def test_what_is_missing_or_no_url_is_told(folder: str) -> None:
    with pytest.raises(NotFoundError, match=r"none\.ipynb"):
        PapermillHandler.read(f"{folder}/none.ipynb")
    for path in ("nbforge+s3://name.ipynb", "nbforge+s3://bucket/", "nbforge+name.ipynb"):
        with pytest.raises(ConfigurationError):
            PapermillHandler.read(path)


def test_many_folders_one_after_another_are_read(folder: str, tmp_path: Path) -> None:
    paths = [f"{folder}/{number}/a.ipynb" for number in range(20)]
    for number, path in enumerate(paths):
        (tmp_path / str(number)).mkdir()
        PapermillHandler.write(notebook(), path)
    assert {PapermillHandler.read(path) for path in paths} == {notebook()}


def _read(path: str, answer: Any) -> None:
    answer.send(PapermillHandler.read(path))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks only where there is fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork.*:DeprecationWarning")
def test_a_forked_process_reads_too(folder: str) -> None:
    """As a scheduler forks its workers."""
    path = f"{folder}/a.ipynb"
    PapermillHandler.read(path)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_read, args=(path, there))
    child.start()
    assert here.poll(60)
    assert here.recv() == notebook()
    child.join()
