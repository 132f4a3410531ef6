"""fsspec in a kernel: it reads what is beside the notebook, by the URL that the kernel is given."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nbformat.v4 import new_notebook

from tests.addons import FSSPEC, environ_with
from tests.upstream.clouds import Cloud

from .conftest import PREFIX, jupyter_server
from .kernels import run, start_kernel

NOTEBOOK = "a folder/analysis.ipynb"
CSV = "name,value\none,1\ntwo,2\n"

CODE = """
import os, fsspec
folder = os.environ["NBFORGE_FOLDER_URL"]
with fsspec.open(folder + "/data.csv", "rt") as file:
    print(sum(int(line.split(",")[1]) for line in list(file)[1:]))
with fsspec.open(folder + "/written.txt", "wt") as file:
    file.write("by a kernel")
with fsspec.open(os.environ["NBFORGE_NOTEBOOK_URL"], "rt") as file:
    print(file.read())
"""


@pytest.fixture
def notebook(s3: Cloud) -> str:
    """A notebook and a table beside it, put there by another program."""
    text = json.dumps(new_notebook())
    client = s3.client()
    client.write(f"{PREFIX}/{NOTEBOOK}", text.encode())
    client.write(f"{PREFIX}/a folder/data.csv", CSV.encode())
    client.delete(f"{PREFIX}/a folder/written.txt")
    return text


@pytest.fixture
def profile(s3: Cloud, tmp_path: Path) -> dict[str, str]:
    """Credentials that stand in a file, which kernels may not be told of."""
    file = tmp_path / "credentials"
    keys = {name.lower(): value for name, value in s3.environ.items()}
    file.write_text("[default]\n" + "".join(f"{name} = {keys[name]}\n" for name in keys))
    return {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_EC2_METADATA_DISABLED": "true"}


def test_a_kernel_reads_and_writes_beside_its_notebook_with_what_it_inherits(
    s3: Cloud, notebook: str, tmp_path: Path
) -> None:
    environ = {**s3.environ, **environ_with(FSSPEC)}
    with jupyter_server(s3, tmp_path / "home", environ=environ) as server:
        printed = run(server, start_kernel(server, NOTEBOOK), CODE)
    assert printed.splitlines() == ["3", notebook]
    assert s3.client().read(f"{PREFIX}/a folder/written.txt") == b"by a kernel"


def test_a_kernel_that_inherits_no_credentials_reads_with_those_that_it_is_given(
    s3: Cloud, notebook: str, profile: dict[str, str], tmp_path: Path
) -> None:
    options = ("kernel_environment_without=AWS_*", "kernel_credentials=True")
    arguments = [f"--NBForgeContentsManager.{option}" for option in options]
    environ = {**profile, **environ_with(FSSPEC)}
    with jupyter_server(s3, tmp_path / "home", *arguments, environ=environ) as server:
        kernel_id = start_kernel(server, NOTEBOOK)
        inherited = f"print(sorted({set(profile)} & os.environ.keys()))"
        printed = run(server, kernel_id, CODE + inherited)
        assert s3.environ["AWS_SECRET_ACCESS_KEY"] not in server.log
    assert printed.splitlines() == ["3", notebook, "[]"]
