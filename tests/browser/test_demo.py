"""The demo as a newcomer meets it; it also draws the picture of the README."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from jupyter_nbforge.cli.demo import sample_files

from .jupyterlab import JupyterLab
from .server import JupyterProcess

PICTURE = os.environ.get("NBFORGE_SCREENSHOT")
"""Where to keep the screenshot: NBFORGE_SCREENSHOT=docs/images/jupyterlab.png."""

NOTEBOOKS = [path for path, _data in sample_files() if path.endswith(".ipynb")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("demo")
    arguments = ("nbforge", "demo", f"--dir={home / 'demo'}")
    with JupyterProcess(arguments, home) as started:
        yield started


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_every_cell_of_a_sample_runs(lab: JupyterLab, path: str) -> None:
    lab.open()
    lab.enter(path)
    lab.wait_for_kernel()
    lab.run_all()
    lab.expect_every_cell_to_have_run()
    assert lab.errors() == []


def test_code_reads_the_bucket_and_its_result_appears_in_the_file_browser(
    lab: JupyterLab,
) -> None:
    lab.open()
    lab.enter("Data from the bucket.ipynb")
    lab.wait_for_kernel()
    lab.run_all()
    lab.expect_output("data/temperatures.csv")
    lab.expect_output("'Highmoor'")
    lab.expect_every_cell_to_have_run()
    lab.enter_folder("data")
    lab.entry("summary.json").wait_for()


def test_picture_shows_the_files_and_an_output(
    browser: Browser, server: JupyterProcess, tmp_path: Path
) -> None:
    viewport = ViewportSize(width=1280, height=800)
    context = browser.new_context(viewport=viewport, device_scale_factor=1.5)
    lab = JupyterLab(context.new_page(), server)
    lab.open()
    lab.widen_file_browser(90)
    lab.new_folder("reports")
    lab.enter("Estimating pi.ipynb")
    lab.wait_for_kernel()
    lab.run_all()
    lab.expect_every_cell_to_have_run()
    lab.save()
    drawing = lab.notebook.locator(".jp-RenderedSVG")
    drawing.scroll_into_view_if_needed()
    expect(drawing).to_be_visible()
    expect(lab.entry("reports")).to_be_visible()
    lab.page.screenshot(path=PICTURE or tmp_path / "jupyterlab.png")
    context.close()
