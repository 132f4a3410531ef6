"""What a person does in JupyterLab, through a real browser."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, Response, expect

from .server import JupyterProcess

PATIENCE = 60_000
"""Milliseconds that a gesture may take on a busy machine."""


def _is_rename(response: Response) -> bool:
    return response.request.method == "PATCH" and "/api/contents/" in response.url


def _is_new_checkpoint(answer: Response) -> bool:
    return answer.request.method == "POST" and "/checkpoints" in answer.url


class JupyterLab:
    """One browser tab with JupyterLab in it."""

    def __init__(self, page: Page, server: JupyterProcess) -> None:
        self.page = page
        self.failures: list[str] = []
        self._server = server
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on(
            "response",
            lambda answer: (
                self.failures.append(f"{answer.status} {answer.request.method} {answer.url}")
                if answer.status >= 500
                else None
            ),
        )

    def open(self, path: str = "") -> None:
        """Open JupyterLab in an empty workspace, or on the file `path`."""
        place = f"lab/tree/{path}" if path else "lab"
        self.page.goto(f"{self._server.url}{place}?reset&token={self._server.token}")
        self._wait_until_loaded()

    def reload(self) -> None:
        """Reload the page; JupyterLab opens again what was open."""
        self.page.reload()
        self._wait_until_loaded()

    def _wait_until_loaded(self) -> None:
        self.page.locator("#jupyterlab-splash").wait_for(state="detached")
        self.page.locator(".jp-DirListing-content").first.wait_for()

    # The file browser

    def entry(self, name: str) -> Locator:
        """The line of the file browser with exactly this name."""
        text = self.page.locator(".jp-DirListing-itemText", has_text=exactly(name))
        return self.page.locator(".jp-DirListing-item", has=text)

    def enter(self, name: str) -> None:
        """Open a file by a double click."""
        self.entry(name).dblclick()

    def enter_folder(self, name: str) -> None:
        """Open a folder by a double click, and wait until the file browser is there.

        Until then a new notebook is made in the folder above.
        """
        self.entry(name).dblclick()
        crumbs = self.page.locator(".jp-FileBrowser .jp-BreadCrumbs-item")
        expect(crumbs.last).to_have_text(name)

    def enter_unseen(self, name: str) -> None:
        """Open a file that has no checkpoint, and wait for the one that JupyterLab then makes.

        Before that the document is not ready, and Ctrl+S may do nothing.
        """
        with self.page.expect_response(_is_new_checkpoint) as checkpoint:
            self.enter(name)
        assert checkpoint.value.status == 201

    def go_to_root(self) -> None:
        """Click the folder at the beginning of the bread crumbs."""
        self.page.locator(".jp-FileBrowser .jp-BreadCrumbs-home").first.click()

    def rename(self, old: str, new: str) -> None:
        """Rename an entry of the file browser with F2, and wait until the server has done it.

        Before that a listing may show the new name already, while open documents have the old.
        """
        self.entry(old).click()
        self.page.keyboard.press("F2")
        self.page.locator(".jp-DirListing-editor").fill(new)
        with self.page.expect_response(_is_rename) as renamed:
            self.page.keyboard.press("Enter")
        assert renamed.value.status == 200
        self.entry(new).wait_for()

    def delete(self, name: str) -> None:
        """Delete an entry of the file browser and confirm."""
        self.entry(name).click()
        self.page.keyboard.press("Delete")
        self.page.locator(".jp-Dialog .jp-mod-accept").click()
        self.entry(name).wait_for(state="detached")

    def upload(self, *files: Path) -> None:
        """Choose files with the upload button."""
        with self.page.expect_file_chooser() as chooser:
            self.page.locator("[data-jp-item-name=uploader] button").first.click()
        chooser.value.set_files(files)
        for file in files:
            self.entry(file.name).wait_for()

    def wait_for_uploads(self) -> None:
        """Wait until nothing is being uploaded any more."""
        bar = self.page.locator(".jp-FileUploadStatus, .jp-Statusbar-ProgressCircle")
        expect(bar).to_have_count(0)

    def download(self, name: str) -> Path:
        """Download an entry of the file browser by its context menu."""
        self.entry(name).click(button="right")
        with self.page.expect_download() as download:
            self.page.locator(".lm-Menu-itemLabel", has_text=exactly("Download")).click()
        return Path(download.value.path())

    def new_folder(self, name: str) -> None:
        """Make a folder with the button and give it a name."""
        self.page.locator("[data-jp-item-name='new-directory'] button").first.click()
        self.page.locator(".jp-DirListing-editor").fill(name)
        self.page.keyboard.press("Enter")
        self.entry(name).wait_for()

    def widen_file_browser(self, pixels: int) -> None:
        """Drag the bar between the file browser and the documents to the right."""
        box = self.page.locator("#jp-main-split-panel > .lm-SplitPanel-handle").first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + pixels, y, steps=5)
        self.page.mouse.up()

    # Documents

    def new_notebook(self) -> None:
        """Click Python 3 in the launcher and wait for the kernel."""
        self.page.locator(".jp-LauncherCard[data-category=Notebook]").first.click()
        self.wait_for_kernel()

    def wait_for_kernel(self) -> None:
        """Wait until the notebook in front has a kernel and the kernel has nothing to do."""
        # The indicator beside the name says idle also before there is a kernel.
        status = self.page.locator("#jp-main-statusbar", has_text="Python 3 (ipykernel) | Idle")
        status.wait_for()

    @property
    def notebook(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def code_cell(self, number: int = 0) -> Locator:
        """The editor of a code cell of the notebook in front."""
        return self.notebook.locator(".jp-CodeCell .cm-content").nth(number)

    def run(self, code: str, number: int = 0) -> None:
        """Replace the code of a cell and run it with Shift+Enter."""
        # Not by clicks and keys alone: a notebook that has just opened moves the focus.
        cell = self.code_cell(number)
        cell.fill(code)
        expect(cell).to_have_text(code)
        cell.press("Shift+Enter")

    def run_all(self) -> None:
        """Choose Run All Cells in the Run menu."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text=exactly("Run")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=exactly("Run All Cells")).click()

    def expect_every_cell_to_have_run(self) -> None:
        """Wait until each code cell has a number and none is waiting for the kernel."""
        prompts = self.notebook.locator(".jp-CodeCell .jp-InputPrompt")
        expect(prompts).to_have_text([re.compile(r"\[\d+\]:")] * prompts.count())

    def errors(self) -> list[str]:
        """The error messages that the notebook in front shows."""
        shown = self.notebook.locator("[data-mime-type='application/vnd.jupyter.stderr']")
        return shown.all_inner_texts()

    def expect_output(self, text: str) -> None:
        """Wait until an output of the notebook in front shows `text`."""
        output = self.notebook.locator(".jp-OutputArea-output", has_text=text)
        expect(output.first).to_be_visible()

    def type_at_end(self, text: str) -> None:
        """Add `text` at the end of the text editor in front."""
        self.page.locator(".jp-FileEditor:not(.lm-mod-hidden) .cm-content").press("Control+End")
        self.page.keyboard.insert_text(text)

    def save(self, name: str | None = None) -> None:
        """Press Ctrl+S; `name` answers the question that a new document's first save asks."""
        with self.page.expect_response(_is_new_checkpoint) as checkpoint:
            self.press_save()
            if name is not None:
                dialog = self.page.locator(".jp-Dialog")
                dialog.locator("input[type=text]").fill(name)
                dialog.locator(".jp-mod-accept").click()
        assert checkpoint.value.status == 201, checkpoint.value.text()
        self.expect_saved()

    def expect_saved(self) -> None:
        """Wait until the document in front has nothing that is not saved."""
        expect(self.page.locator(".lm-TabBar-tab.jp-mod-current.jp-mod-dirty")).to_have_count(0)

    def press_save(self) -> None:
        """Press Ctrl+S."""
        self.page.keyboard.press("Control+s")

    def edit(self, code: str, number: int = 0) -> None:
        """Replace the code of a cell of the notebook in front."""
        cell = self.code_cell(number)
        cell.fill(code)
        expect(cell).to_have_text(code)

    def expect_dialog(self, title: str) -> Locator:
        """Wait for a dialog with this title."""
        header = self.page.locator(".jp-Dialog-header", has_text=title)
        expect(header).to_be_visible()
        return self.page.locator(".jp-Dialog")

    def answer(self, label: str) -> None:
        """Click a button of the dialog that is open, and wait until the dialog is gone."""
        dialog = self.page.locator(".jp-Dialog")
        dialog.locator("button", has_text=exactly(label)).click()
        expect(dialog).to_have_count(0)

    def resolve(self, choice: str) -> None:
        """Answer the question of a save, and wait for its end."""
        with self.page.expect_response(_is_new_checkpoint) as checkpoint:
            self.answer(choice)
        assert checkpoint.value.status == 201
        self.expect_saved()

    def expect_no_dialog(self) -> None:
        """Nothing asks anything, also not a moment later."""
        self.page.wait_for_timeout(1_000)
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)


def exactly(text: str) -> re.Pattern[str]:
    """A pattern that matches `text` and nothing longer."""
    return re.compile(f"^{re.escape(text)}$")
