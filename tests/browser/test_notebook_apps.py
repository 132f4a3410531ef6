"""Notebook 7 and nbclassic, which show one notebook in each tab of the browser."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, Response, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.addons import NOTEBOOK, environ_with, installed
from tests.upstream.clouds import Cloud

from .bucket import Bucket
from .conftest import lab_server
from .jupyterlab import PATIENCE, JupyterLab
from .server import JupyterProcess

pytestmark = pytest.mark.parametrize("cloud", ["seaweedfs"], indirect=True, scope="module")

DATA = bytes(range(256)) * 4 * 2560


@pytest.fixture(scope="module")
def server(
    cloud: Cloud, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("notebook")
    environ = {**environ_with(NOTEBOOK), "JUPYTERLAB_DIR": str(lab_directory(home / "lab"))}
    with lab_server(cloud, home, environ=environ) as started:
        yield started


def lab_directory(folder: Path) -> Path:
    """JupyterLab's directory with the settings of Notebook 7, as where both are installed."""
    own = Path(sys.prefix) / "share" / "jupyter" / "lab"
    added = installed(NOTEBOOK) / "share" / "jupyter" / "lab"
    (folder / "schemas").mkdir(parents=True)
    for part in own.iterdir():
        if part.name != "schemas":
            (folder / part.name).symlink_to(part)
    for part in [*(own / "schemas").iterdir(), *(added / "schemas").iterdir()]:
        (folder / "schemas" / part.name).symlink_to(part)
    return folder


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """A file that is sent in chunks."""
    file = tmp_path / "uploaded.bin"
    file.write_bytes(DATA)
    return file


def is_save(answer: Response) -> bool:
    return answer.request.method == "POST" and "/checkpoints" in answer.url


def save(page: Page) -> None:
    """Press Ctrl+S and wait for the checkpoint, which comes last."""
    with page.expect_response(is_save) as saved:
        page.keyboard.press("Control+s")
    assert saved.value.status == 201


class Notebook7(JupyterLab):
    """Its list of files is JupyterLab's file browser, with buttons for what is selected."""

    def open(self, path: str = "") -> None:
        self.page.context.set_default_timeout(PATIENCE)
        self.page.goto(f"{self._server.url}tree/{path}?token={self._server.token}")
        self.page.locator(".jp-DirListing-content").first.wait_for()

    def open_notebook(self, name: str) -> Page:
        with self.page.expect_popup() as opened:
            self.enter(name)
        return opened.value

    def download(self, name: str) -> Path:
        # A click on the name opens it.
        self.entry(name).locator("input[type=checkbox]").check()
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Download").click()
        return Path(download.value.path())


@pytest.fixture
def notebook7(tab: Page, server: JupyterProcess) -> Iterator[Notebook7]:
    opened = Notebook7(tab, server)
    yield opened
    assert not opened.failures, server.log


def test_notebook_7_opens_runs_saves_and_reloads_a_notebook(
    notebook7: Notebook7, bucket: Bucket, made_notebook: bytes
) -> None:
    bucket.put("seven/made.ipynb", made_notebook)
    notebook7.open()
    notebook7.expect_no_dialog()
    notebook7.enter_folder("seven")
    page = notebook7.open_notebook("made.ipynb")
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
    cell = page.locator(".jp-CodeCell .cm-content").first
    cell.fill("6 * 7")
    expect(cell).to_have_text("6 * 7")
    output = page.locator(".jp-OutputArea-output", has_text="42")
    for _ in range(3):
        # A notebook that has just opened moves the focus, and a key may miss the cell.
        cell.press("Shift+Enter")
        with suppress(PlaywrightTimeout):
            output.wait_for(timeout=15_000)
            break
    output.wait_for()
    save(page)
    assert b'"6 * 7"' in bucket.read("seven/made.ipynb")
    page.reload()
    output.wait_for()
    expect(page.locator(".jp-Dialog")).to_have_count(0)


def test_notebook_7_renames_uploads_and_downloads(
    notebook7: Notebook7, bucket: Bucket, made_notebook: bytes, upload: Path
) -> None:
    bucket.put("files/old.ipynb", made_notebook)
    notebook7.open()
    notebook7.enter_folder("files")
    notebook7.rename("old.ipynb", "new.ipynb")
    notebook7.upload(upload)
    notebook7.wait_for_uploads()
    notebook7.open("files")  # with nothing selected
    assert notebook7.download(upload.name).read_bytes() == DATA
    assert {path for path in bucket.paths() if path.startswith("files/")} == {
        "files/new.ipynb",
        f"files/{upload.name}",
    }
    assert bucket.read(f"files/{upload.name}") == DATA


@pytest.fixture
def classic(tab: Page, server: JupyterProcess, bucket: Bucket, made_notebook: bytes) -> Page:
    """The list of a folder with one notebook in it."""
    bucket.put("classic/made.ipynb", made_notebook)
    tab.context.set_default_timeout(PATIENCE)
    tab.goto(f"{server.url}nbclassic/tree/classic?token={server.token}")
    return tab


def test_nbclassic_opens_runs_saves_renames_and_reloads_a_notebook(
    classic: Page, bucket: Bucket, server: JupyterProcess
) -> None:
    with classic.expect_popup() as opened:
        classic.locator("#notebook_list a.item_link", has_text="made.ipynb").click()
    page = opened.value
    page.locator(".kernel_idle_icon").wait_for()
    page.locator(".code_cell .CodeMirror").first.click()
    page.locator(".code_cell .CodeMirror-focused").wait_for()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("9 * 9")
    expect(page.locator(".code_cell .CodeMirror-code").first).to_have_text("9 * 9")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".output_area", has_text="81").first
    output.wait_for()
    save(page)
    page.locator("#notebook_name").click()
    page.locator(".modal-dialog input").fill("renamed")
    with page.expect_response(lambda answer: answer.request.method == "PATCH") as renamed:
        page.locator(".modal-dialog button", has_text="Rename").click()
    assert renamed.value.status == 200, server.log
    # A reload would open it in Notebook 7: nbclassic gives a renamed notebook that one's URL.
    page.goto(f"{server.url}nbclassic/notebooks/classic/renamed.ipynb")
    output.wait_for()
    assert b'"9 * 9"' in bucket.read("classic/renamed.ipynb")
    assert "classic/made.ipynb" not in bucket.paths()


def test_nbclassic_uploads_and_downloads(classic: Page, bucket: Bucket, upload: Path) -> None:
    classic.locator("input.fileinput").first.set_input_files(upload)
    classic.locator(".upload_button").click()
    name = classic.locator("a", has_text=upload.name)
    line = classic.locator("#notebook_list .list_item", has=name)
    line.wait_for()
    expect(classic.locator(".upload_button")).to_have_count(0)
    assert bucket.read(f"classic/{upload.name}") == DATA
    line.locator("input[type=checkbox]").check()
    with classic.expect_download() as download:
        classic.locator(".download-button").click()
    assert Path(download.value.path()).read_bytes() == DATA
