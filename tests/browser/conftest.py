"""A browser, a real server of each cloud and a real JupyterLab between them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.upstream.clouds import CLOUDS, Cloud, cloud_on, start_server

from .bucket import Bucket
from .jupyterlab import JupyterLab
from .server import JupyterProcess

BUCKET = "browser"
PREFIX = "people/someone/"
VIEWPORT = ViewportSize(width=1400, height=860)

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_browser() -> str:
    """The system's Chromium; without one the test is skipped, in CI it fails."""
    for name in _BROWSERS:
        found = shutil.which(name)
        if found:
            return found
    message = "no Chromium on PATH; install one, e.g. with: apt-get install chromium"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = find_browser()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield started
        started.close()


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """In place of pytest-jupyter's, which would close the loop that Playwright runs on."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """In place of pytest-jupyter's: here servers are processes."""


@pytest.fixture(scope="module", params=CLOUDS)
def cloud(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp(request.param)
    with start_server(request.param, folder / "server") as server:
        yield cloud_on(server, BUCKET, folder)


@pytest.fixture(scope="module")
def bucket(cloud: Cloud) -> Iterator[Bucket]:
    client = cloud.client()
    yield Bucket(client, PREFIX)
    client.close()


@pytest.fixture(scope="module")
def server(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    with lab_server(cloud, tmp_path_factory.mktemp("jupyter")) as started:
        yield started


def lab_server(
    cloud: Cloud, home: Path, *more: str, environ: Mapping[str, str] | None = None
) -> JupyterProcess:
    """Plain ``jupyter lab`` with the two traits; credentials from the default chain."""
    options = [
        f"--{name}.{trait}={value}"
        for name, traits in cloud.options.items()
        for trait, value in traits.items()
    ]
    arguments = (
        "lab",
        "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
        f"--NBForgeContentsManager.storage_url={cloud.url}/{PREFIX}",
        *options,
        *more,
    )
    return JupyterProcess(arguments, home, {**cloud.environ, **(environ or {})})


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """A tab of a browser that has never been here before."""
    context = browser.new_context(viewport=VIEWPORT)
    yield context.new_page()
    context.close()


@pytest.fixture
def lab(tab: Page, server: JupyterProcess) -> Iterator[JupyterLab]:
    """JupyterLab on the bucket; at the end no request may have failed on the server."""
    opened = JupyterLab(tab, server)
    yield opened
    assert not opened.failures, server.log


@pytest.fixture
def made_notebook() -> bytes:
    """A notebook of one empty code cell, as another program writes it."""
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    code = {"cell_type": "code", "id": "c0", "metadata": {}, "source": [], "outputs": []}
    text = {"cell_type": "markdown", "id": "c1", "metadata": {}, "source": ["made elsewhere"]}
    notebook = {
        "cells": [{**code, "execution_count": None}, text],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook).encode()
