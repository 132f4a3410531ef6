"""One look with a browser: through the Hub's login page to one's own files."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import VIEWPORT, find_browser

from .conftest import World, saved

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> None:
    """In place of pytest-jupyter's, which would close the loop that Playwright runs on."""


@pytest.fixture(autouse=True)
def jp_server_cleanup() -> None:
    """In place of pytest-jupyter's: here servers are processes."""


def test_who_logs_in_with_a_browser_sees_their_own_files_and_the_shared_folder(
    world: World,
) -> None:
    bob = world.person("bob")
    saved(world, bob.save("mine.ipynb", "of bob"))
    saved(world, world.person("ada").save("hers.ipynb", "of ada"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(f"{world.hub.endpoint_url}/hub/login")
        page.fill("#username_input", "bob")
        page.fill("#password_input", world.hub.password)
        page.click("#login_submit")
        files = page.locator(".jp-DirListing-content")
        expect(files.get_by_text("mine.ipynb")).to_be_visible(timeout=60_000)
        expect(files.get_by_text("shared", exact=True)).to_be_visible()
        expect(files.get_by_text("teams", exact=True)).to_be_visible()
        expect(files.get_by_text("hers.ipynb")).to_have_count(0)
        if picture := os.environ.get("NBFORGE_HUB_SCREENSHOT"):
            page.screenshot(path=picture)
        browser.close()
