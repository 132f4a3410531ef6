"""A notebook that is open in a JupyterLab: its calls, what it compares, what the person decides.

The calls are those of JupyterLab 4.6: a look, the save, a look, and by hand a checkpoint. What
it is shown by the look after a save it takes for the hash of its own text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .connection import Answer, Connection, Model, UnexpectedError
from .ledger import Ledger, Refusal, Version

Choice = Literal["overwrite", "revert", "cancel"]
Outcome = Literal["saved", "reverted", "cancelled", "refused"]


def notebook(marks: tuple[str, ...]) -> Model:
    """The model that is saved: one cell, each edit a line of it."""
    cell = {"cell_type": "markdown", "id": "one", "metadata": {}, "source": "\n".join(marks)}
    content = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return {"type": "notebook", "format": "json", "content": content}


def marks_in(content: Any) -> tuple[str, ...]:
    """The edits in a notebook, as the API or the store has it."""
    source = content["cells"][0]["source"]
    text = source if isinstance(source, str) else "".join(source)
    return tuple(text.splitlines())


@dataclass
class Editor:
    """What one tab knows. `choose` is the person before the dialog *File Changed*."""

    name: str
    connection: Connection
    ledger: Ledger
    path: str
    choose: Callable[[], Choice]
    marks: tuple[str, ...] = ()
    hash: str = ""
    """What it compares with the next look."""
    last_modified: str = ""
    seen: str = ""
    """The hash of the last version that the person has really been shown, or has saved."""
    _count: int = field(default=0)

    def create(self) -> None:
        """Make the notebook, as one that is saved for the first time."""
        self.edit()
        answer = self.connection.model("PUT", self.path, notebook(self.marks))
        self._note_saved(answer, parent=None)
        self._look_after()

    def open(self) -> None:
        """Open it, or load it again: what was in hand is given up."""
        query: dict[str, str | int] = {"type": "notebook", "content": 1, "hash": 1}
        model = self.connection.model("GET", self.path, **query)
        self.connection.call("GET", f"{self.path}/checkpoints")
        self.marks = marks_in(model["content"])
        self.seen = self.hash = model["hash"]
        self.last_modified = model["last_modified"]
        self.ledger.note_load(self.seen, self.marks)

    def edit(self) -> None:
        """Type something that nobody else types."""
        self._count += 1
        self.marks = (*self.marks, f"{self.name}-{self._count}")

    def look(self) -> Model:
        """What JupyterLab asks before and after a save."""
        return self.connection.model("GET", self.path, type="notebook", content=0, hash=1)

    def save(self, *, by_hand: bool) -> Outcome:
        """Save what is in hand. Refused, it stays in hand."""
        shown = self.look()
        if shown["hash"] != self.hash:
            return self._ask(shown, by_hand=by_hand)
        if shown["last_modified"] != self.last_modified:
            self.ledger.note_disturbed(
                f"{self.name}: the hash is the same, but {self.last_modified} became"
                f" {shown['last_modified']}"
            )
        return self._put(based_on=self.hash, parent=self.seen, by_hand=by_hand)

    def _ask(self, shown: Model, *, by_hand: bool) -> Outcome:
        self.ledger.note_dialog(self.name, shown["hash"])
        choice = self.choose()
        if choice == "cancel":
            return "cancelled"
        if choice == "revert":
            self.open()
            return "reverted"
        return self._put(based_on=shown["hash"], parent=shown["hash"], by_hand=by_hand)

    def _put(self, *, based_on: str, parent: str, by_hand: bool) -> Outcome:
        answer = self.connection.call("PUT", self.path, notebook(self.marks))
        if answer.status == 409:
            self.ledger.note_refusal(Refusal(self.name, self.path, based_on, answer.message))
            return "refused"
        if answer.status not in (200, 201):
            raise UnexpectedError(f"a save: {answer.status} {answer.body}")
        self._note_saved(answer.body, parent=parent)
        self._look_after()
        if by_hand:
            self.connection.model("POST", f"{self.path}/checkpoints")
        return "saved"

    def _note_saved(self, model: Model, parent: str | None) -> None:
        self.seen, self.last_modified = model["hash"], model["last_modified"]
        self.ledger.note_save(self.seen, Version(self.name, self.marks, parent))

    def _look_after(self) -> None:
        self.hash = self.look()["hash"]

    def save_where_nothing_is(self) -> Answer:
        """The save of a file that the look does not find: JupyterLab goes on with it."""
        answer = self.connection.call("GET", self.path, type="notebook", content=0, hash=1)
        assert answer.status == 404, answer
        return self.connection.call("PUT", self.path, notebook(self.marks))

    def save_as(self, path: str) -> None:
        """Keep what is in hand under another name."""
        answer = self.connection.call("GET", path, content=0)
        assert answer.status == 404, answer
        self.connection.model("PUT", path, notebook(self.marks))
        self.ledger.note_kept(path, self.marks)

    def rename(self, path: str) -> None:
        """Rename the open notebook; the answer is taken for what is known of it."""
        model = self.connection.model("PATCH", self.path, {"path": path})
        self.path = path
        self.hash = model.get("hash", self.hash)
        self.last_modified = model["last_modified"]
