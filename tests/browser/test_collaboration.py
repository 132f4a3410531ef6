"""jupyter-collaboration: two browsers in one document, which the server's room saves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.addons import COLLABORATION, environ_with
from tests.upstream.clouds import Cloud

from .bucket import Bucket
from .conftest import PREFIX, VIEWPORT, lab_server
from .jupyterlab import PATIENCE, JupyterLab
from .server import JupyterProcess

pytestmark = pytest.mark.parametrize("cloud", ["seaweedfs"], indirect=True, scope="module")

QUICK = (
    # The room looks at its file as often as in 20 seconds, but in 2.
    "--YDocExtension.file_poll_interval=0.1",
    "--YDocExtension.document_save_delay=0.1",
    "--YDocExtension.document_cleanup_delay=0.1",
    "--ServerApp.log_level=DEBUG",
)
LOOKS = 20
RELOADED = "Out-of-band changes. Overwriting the content"
CLOSED = "Room json:notebook:"


@pytest.fixture(scope="module")
def server(
    cloud: Cloud, bucket: Bucket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterProcess]:
    environ = environ_with(COLLABORATION)
    home = tmp_path_factory.mktemp("together")
    with lab_server(cloud, home, *QUICK, environ=environ) as started:
        yield started


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[list[BrowserContext]]:
    made = [browser.new_context(viewport=VIEWPORT) for _ in range(2)]
    yield made
    for context in made:
        context.close()


@pytest.fixture
def path(bucket: Bucket, made_notebook: bytes, request: pytest.FixtureRequest) -> str:
    """A notebook of the test's own."""
    path = f"{request.node.originalname}.ipynb"
    bucket.put(path, made_notebook)
    return path


@pytest.fixture
def both(
    contexts: list[BrowserContext], server: JupyterProcess, path: str
) -> Iterator[tuple[JupyterLab, JupyterLab]]:
    """Two people who have the notebook open."""
    first, second = (JupyterLab(context.new_page(), server) for context in contexts)
    for lab in (first, second):
        lab.open(path)
        lab.wait_for_kernel()
    yield first, second
    for lab in (first, second):
        lab.page.close()
        assert not lab.failures, server.log


def wait_until(true: Callable[[], bool], server: JupyterProcess) -> None:
    """Wait for what no browser shows."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not true():
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def looks(server: JupyterProcess, path: str) -> int:
    """How often the store was asked about the notebook."""
    return server.log.count(f"head '{PREFIX}{path}'")


def test_what_two_people_write_reaches_both_and_the_store_and_nothing_is_reloaded(
    both: tuple[JupyterLab, JupyterLab], server: JupyterProcess, bucket: Bucket, path: str
) -> None:
    hers, his = both
    before = server.log.count(RELOADED)
    hers.edit("ann = 1")
    expect(his.code_cell()).to_have_text("ann = 1")
    his.code_cell().press("Control+End")
    his.page.keyboard.insert_text(" + 1")
    expect(hers.code_cell()).to_have_text("ann = 1 + 1")
    wait_until(lambda: b"ann = 1 + 1" in bucket.read(path), server)
    saved, seen = bucket.read(path), looks(server, path)
    wait_until(lambda: looks(server, path) >= seen + LOOKS, server)
    assert server.log.count(RELOADED) == before
    assert bucket.read(path) == saved
    for lab in both:
        lab.expect_no_dialog()
        expect(lab.code_cell()).to_have_text("ann = 1 + 1")


def test_change_of_another_program_reaches_both_and_is_not_saved_over(
    both: tuple[JupyterLab, JupyterLab], server: JupyterProcess, bucket: Bucket, path: str
) -> None:
    hers, his = both
    hers.edit("ours = 1")
    wait_until(lambda: b"ours = 1" in bucket.read(path), server)
    bucket.put(path, bucket.read(path).replace(b"made elsewhere", b"changed elsewhere"))
    # The room sees it after the two seconds in which our own save is remembered.
    bucket.backdate(path, 3600)
    for lab in both:
        expect(lab.notebook.locator(".jp-MarkdownCell")).to_contain_text("changed elsewhere")
    his.edit("ours = 2")
    wait_until(lambda: b"ours = 2" in bucket.read(path), server)
    assert b"changed elsewhere" in bucket.read(path)
    for lab in both:
        lab.expect_no_dialog()


def test_document_that_all_have_left_opens_again_with_everything(
    both: tuple[JupyterLab, JupyterLab], server: JupyterProcess, bucket: Bucket, path: str
) -> None:
    hers, his = both
    before = server.log.count(CLOSED)
    hers.edit("kept = 1")
    wait_until(lambda: b"kept = 1" in bucket.read(path), server)
    for lab in both:
        lab.page.goto("about:blank")
    wait_until(lambda: server.log.count(CLOSED) > before, server)
    his.open(path)
    expect(his.code_cell()).to_have_text("kept = 1")
    his.expect_no_dialog()
