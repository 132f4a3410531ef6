"""One tree over three clouds, in a person's hands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Response, expect

from tests.upstream.clouds import CLOUDS, cloud_on, start_server

from .bucket import Bucket
from .jupyterlab import JupyterLab
from .server import JupyterProcess

FOLDERS = {"seaweedfs": "", "gcs": "google", "azure": "azure"}
"""Where each cloud is mounted; the root is on S3."""


@pytest.fixture(scope="module")
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def buckets() -> dict[str, Bucket]:
    """What other programs see of each mount, by its folder; filled by `server`."""
    return {}


@pytest.fixture(scope="module")
def server(
    stack: ExitStack, buckets: dict[str, Bucket], tmp_path_factory: pytest.TempPathFactory
) -> JupyterProcess:
    """In place of the one on a single cloud."""
    mounts: dict[str, str] = {}
    options: list[str] = []
    environ: dict[str, str] = {}
    for name in CLOUDS:
        folder = tmp_path_factory.mktemp(name)
        running = stack.enter_context(start_server(name, folder / "server"))
        cloud = cloud_on(running, "mounted", folder)
        client = cloud.client()
        stack.callback(client.close)
        buckets[FOLDERS[name]] = Bucket(client, "team/")
        mounts[FOLDERS[name]] = f"{cloud.url}/team"
        environ |= cloud.environ
        options += [
            f"--{provider}.{trait}={value}"
            for provider, traits in cloud.options.items()
            for trait, value in traits.items()
        ]
    arguments = (
        "lab",
        "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
        f"--NBForgeContentsManager.mounts={mounts!r}",
        *options,
    )
    home = tmp_path_factory.mktemp("jupyter")
    return stack.enter_context(JupyterProcess(arguments, home, environ))


def _drag(lab: JupyterLab, name: str, target: Locator) -> None:
    """Drag an entry of the file browser onto `target`, and wait until the server has moved it."""
    start, end = lab.entry(name).bounding_box(), target.bounding_box()
    assert start is not None
    assert end is not None
    mouse = lab.page.mouse
    mouse.move(start["x"] + 40, start["y"] + start["height"] / 2)
    mouse.down()
    mouse.move(start["x"] + 60, start["y"] + start["height"] / 2 + 8, steps=4)
    mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=8)
    with lab.page.expect_response(_is_move) as moved:
        mouse.up()
    assert moved.value.status == 200, moved.value.text()
    lab.entry(name).wait_for(state="detached")


def _is_move(response: Response) -> bool:
    return response.request.method == "PATCH" and "/api/contents/" in response.url


def _home(lab: JupyterLab) -> Locator:
    return lab.page.locator(".jp-FileBrowser .jp-BreadCrumbs-home").first


def _code(bucket: Bucket, path: str) -> str:
    notebook = json.loads(bucket.read(path))
    return "".join("".join(cell["source"]) for cell in notebook["cells"])


def test_an_open_notebook_is_dragged_from_cloud_to_cloud_and_saved_in_each(
    lab: JupyterLab, buckets: dict[str, Bucket], made_notebook: bytes
) -> None:
    buckets[""].put("travels.ipynb", made_notebook)
    lab.open()
    for folder in ("azure", "google"):
        expect(lab.entry(folder)).to_have_count(1)
    lab.enter_unseen("travels.ipynb")
    lab.wait_for_kernel()
    lab.run("place = 'S3'; print(place)")
    lab.expect_output("S3")
    lab.save()
    _drag(lab, "travels.ipynb", lab.entry("google"))
    assert "travels.ipynb" not in buckets[""].paths()
    lab.edit("place = 'Google'")
    lab.save()
    lab.expect_no_dialog()
    assert "place = 'Google'" in _code(buckets["google"], "travels.ipynb")
    lab.enter_folder("google")
    _drag(lab, "travels.ipynb", _home(lab))
    lab.go_to_root()
    _drag(lab, "travels.ipynb", lab.entry("azure"))
    lab.edit("place = 'Azure'")
    lab.save()
    lab.expect_no_dialog()
    assert "place = 'Azure'" in _code(buckets["azure"], "travels.ipynb")
    holders = [name for name, bucket in buckets.items() if "travels.ipynb" in bucket.paths()]
    assert holders == ["azure"]


def test_files_are_uploaded_and_downloaded_in_each_mount(
    lab: JupyterLab, buckets: dict[str, Bucket], tmp_path: Path
) -> None:
    file = tmp_path / "chunked.bin"
    # JupyterLab sends anything larger than 1 MiB in chunks.
    file.write_bytes(bytes(range(256)) * 4 * 2560)
    lab.open()
    for folder, bucket in buckets.items():
        lab.go_to_root()
        if folder:
            lab.enter_folder(folder)
        lab.upload(file)
        lab.wait_for_uploads()
        assert bucket.read("chunked.bin") == file.read_bytes()
        assert lab.download("chunked.bin").read_bytes() == file.read_bytes()


def test_the_folder_of_a_mount_is_not_deleted_and_the_person_is_told_why(
    lab: JupyterLab, buckets: dict[str, Bucket]
) -> None:
    buckets["google"].put("kept.txt", b"kept")
    lab.open()
    lab.entry("google").click()
    lab.page.keyboard.press("Delete")
    lab.page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(lab.page.locator(".jp-Dialog", has_text="a storage of its own")).to_be_visible()
    assert buckets["google"].read("kept.txt") == b"kept"
