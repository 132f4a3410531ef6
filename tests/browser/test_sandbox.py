"""A file that is opened in a tab is shown, and its scripts are nobody on the server."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route

from .server import JupyterProcess

SCRIPT = """
async function spy() {
  const found = {};
  try { found.cookies = document.cookie; } catch (error) { found.cookies = error.name; }
  try {
    const answer = await fetch("ROOTapi/contents/secret.txt", {credentials: "include"});
    found.file = (await answer.json()).content;
  } catch (error) { found.file = error.name; }
  try { found.stored = String(localStorage.length); } catch (error) { found.stored = error.name; }
  document.documentElement.setAttribute("data-found", JSON.stringify(found));
}
spy();
"""

SECRET = "for the user's eyes only"

FILES = {
    "page.html": "<!doctype html><title>x</title><script>{script}</script>",
    "drawing.svg": (
        "<svg xmlns='http://www.w3.org/2000/svg'><script><![CDATA[{script}]]></script></svg>"
    ),
    "page.xhtml": (
        "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>x</title></head>"
        "<body><script><![CDATA[{script}]]></script></body></html>"
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    """A server on a directory with files that are after what its user may read."""
    home = tmp_path_factory.mktemp("sandbox")
    files = home / "files"
    files.mkdir()
    arguments = (
        "server",
        "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
        f"--NBForgeContentsManager.storage_url={files.as_uri()}",
    )
    with JupyterProcess(arguments, home) as started:
        root = started.url[started.url.index("/", len("http://")) :]
        (files / "secret.txt").write_text(SECRET)
        for name, text in FILES.items():
            script = SCRIPT.replace("ROOT", root)
            (files / name).write_text(text.replace("{script}", script))
        yield started


@pytest.fixture
def page(browser: Browser, server: JupyterProcess) -> Iterator[Page]:
    """A tab of a browser that has logged in."""
    context = browser.new_context()
    tab = context.new_page()
    tab.goto(f"{server.url}?token={server.token}")
    assert any(cookie["name"] == "_xsrf" for cookie in context.cookies())
    yield tab
    context.close()


def open_file(page: Page, server: JupyterProcess, name: str) -> dict[str, str]:
    """What the scripts of a file have found out, opened as from a page of the server."""
    page.goto(f"{server.url}files/{name}", referer=server.url)
    page.wait_for_selector("[data-found]", state="attached")
    found: dict[str, str] = json.loads(page.locator(":root").get_attribute("data-found") or "{}")
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_script_in_a_file_reads_neither_cookies_nor_contents(
    page: Page, server: JupyterProcess, name: str
) -> None:
    found = open_file(page, server, name)
    # The browser lets the page itself ask for nothing in the name of the user.
    assert found == {"cookies": "SecurityError", "file": "TypeError", "stored": "SecurityError"}


@pytest.mark.parametrize("name", FILES)
def test_without_the_sandbox_the_same_script_would_read_both(
    page: Page, server: JupyterProcess, name: str
) -> None:
    def take_out_the_sandbox(route: Route) -> None:
        answer = route.fetch()
        headers = {**answer.headers}
        assert "sandbox" in headers.pop("content-security-policy")
        route.fulfill(response=answer, headers=headers)

    page.route("**/files/**", take_out_the_sandbox)
    found = open_file(page, server, name)
    assert "_xsrf=" in found["cookies"]
    assert found["file"] == SECRET


@pytest.mark.parametrize("name", FILES)
def test_a_download_is_saved_and_not_opened(page: Page, server: JupyterProcess, name: str) -> None:
    page.goto(server.url)
    with page.expect_download() as started:
        page.evaluate(f"location.href = '{server.url}files/{name}?download=1'")
    assert started.value.suggested_filename == name
    assert not page.url.endswith("download=1")
