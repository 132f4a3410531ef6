"""Renaming what is open, or its folder, is no change of it: nobody is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from .editor import Editor
from .ledger import Ledger
from .servers import Servers

Open = Callable[[int, str], Editor]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def editor_at(servers: Servers, ledger: Ledger) -> Iterator[Open]:
    """A function from a server and a path to an editor; a dialog is a failure."""
    with ExitStack() as stack:

        def make(number: int, path: str) -> Editor:
            connection = stack.enter_context(servers.connect(number))
            return Editor(f"e{number}", connection, ledger, path, lambda: "cancel")

        yield make


def create_saved(editor: Editor) -> None:
    """A notebook with a checkpoint, saved by hand."""
    editor.create()
    editor.edit()
    assert editor.save(by_hand=True) == "saved"


def check_unchanged(editor: Editor, other: Editor) -> None:
    """Through a server that remembers nothing of it, it is what it was; and it can be saved."""
    shown = other.look()
    assert shown["hash"] == editor.hash
    for by_hand in (False, True):
        editor.edit()
        assert editor.save(by_hand=by_hand) == "saved"
    other.open()
    assert other.marks == editor.marks


def test_an_open_notebook_that_was_renamed_is_saved_without_a_question(editor_at: Open) -> None:
    editor = editor_at(0, "renames/before.ipynb")
    create_saved(editor)
    known = editor.hash, editor.last_modified
    editor.rename("renames/after.ipynb")
    assert (editor.hash, editor.last_modified) == known
    other = editor_at(1, "renames/after.ipynb")
    assert other.look()["last_modified"] == editor.last_modified
    check_unchanged(editor, other)


def test_a_notebook_in_a_folder_that_was_renamed_is_saved_without_a_question(
    editor_at: Open, servers: Servers
) -> None:
    editor = editor_at(0, "folder-before/deep/open.ipynb")
    for folder in ("folder-before", "folder-before/deep"):
        editor.connection.model("PUT", folder, {"type": "directory"})
    create_saved(editor)
    editor.connection.model("PATCH", "folder-before", {"path": "folder-after"})
    editor.path = "folder-after/deep/open.ipynb"
    other = editor_at(1, editor.path)
    assert other.look()["last_modified"] == editor.last_modified
    check_unchanged(editor, other)
    assert servers.paths("folder-before/") == []


def test_a_rename_by_the_other_server_is_told_once_and_both_texts_survive(
    editor_at: Open, servers: Servers
) -> None:
    creator = editor_at(0, "told/before.ipynb")
    create_saved(creator)
    editor = editor_at(1, creator.path)
    editor.open()
    creator.rename("told/after.ipynb")
    saved = editor.marks
    editor.edit()
    refused = editor.save_where_nothing_is()
    assert refused.status == 409
    assert refused.message.startswith("before.ipynb was deleted or moved in the store")
    assert servers.paths("told/before.ipynb") == []
    assert editor.save_where_nothing_is().status == 201
    assert servers.marks("told/after.ipynb") == saved
    assert servers.marks("told/before.ipynb") == editor.marks
