"""Who makes the gestures: JupyterLab's calls to a server, or the SDK alone."""

from __future__ import annotations

import abc
import json
from collections.abc import Callable
from dataclasses import dataclass, field

from .children import Child
from .corpus import MIB, Chunks, edit_mark, notebook
from .gestures import IDLE_FOLDER, Gesture
from .lab import GestureError, Lab
from .places import Place
from .raw import Timing
from .systems import HTTP, PREFIX, RAW_ALLOWED, System


@dataclass(frozen=True, slots=True)
class Performed:
    """Seconds that a gesture took; `stall` only where the one who made it can tell."""

    seconds: float
    parts: dict[str, float] = field(default_factory=dict)
    stall: float | None = None


class Actor(abc.ABC):
    """Makes one gesture again and again. `number` counts the repetitions of a whole run."""

    def __init__(self, system: System, place: Place) -> None:
        self.system = system
        self.place = place

    def prepare(self, gesture: Gesture, number: int) -> None:
        """Put in place what the gesture needs once; before the server starts."""
        path = self.path(gesture)
        if gesture.kind in ("open", "reopen", "save"):
            self.place.write(path, notebook(gesture.of).edited(number).stored)
        elif gesture.kind == "idle":
            self.place.write(path, notebook("0.1 MB").stored)
            self.place.write_many(self.folder(gesture), IDLE_FOLDER - 1)
        elif gesture.kind == "rename":
            self.place.write_many(self.renamed(gesture, number), gesture.amount)
        elif gesture.kind == "upload":
            self.place.write_many(self.folder(gesture), 1)
        elif gesture.kind == "download":
            self.place.write_large(path, gesture.amount)

    def make_ready(self, gesture: Gesture, number: int) -> None:
        """What has to be done before each repetition, and is not timed."""
        if gesture.kind == "open":
            # Changed by somebody else: what was known of it does not help.
            self.place.write(self.path(gesture), notebook(gesture.of).edited(number).stored)

    @abc.abstractmethod
    def perform(self, gesture: Gesture, number: int) -> Performed:
        """Make it once; `GestureError` or `ChildError`."""

    def check(self, gesture: Gesture, number: int) -> None:
        """`GestureError` unless the last repetition, of this number, did what it should."""
        checks: dict[str, Callable[[Gesture, int], bool]] = {
            "save": self._is_saved,
            "upload": self._is_uploaded,
            "rename": self._is_renamed,
        }
        check = checks.get(gesture.kind)
        if check is not None and not check(gesture, number):
            raise GestureError(f"the outcome of {gesture.name!r} is not what was asked for")

    def _is_saved(self, gesture: Gesture, number: int) -> bool:
        return edit_mark(number).encode() in self.place.read(self.path(gesture))

    def _is_uploaded(self, gesture: Gesture, number: int) -> bool:
        return self.place.size(self.path(gesture)) == gesture.amount * MIB

    def _is_renamed(self, gesture: Gesture, number: int) -> bool:
        left = self.place.count(self.renamed(gesture, number))
        return (left, self.place.count(self.renamed(gesture, number + 1))) == (0, gesture.amount)

    def folder(self, gesture: Gesture) -> str:
        """The folder that the gesture has for itself; all systems list the same ones."""
        if gesture.kind == "list":
            return list_folder(gesture.amount or int(gesture.of.replace(",", "")))
        words = f"{gesture.kind}-{gesture.of}".replace(" ", "-").replace(",", "")
        return f"{self.system.key}/{words}"

    def path(self, gesture: Gesture) -> str:
        """The file that the gesture is about."""
        name = "big.bin" if gesture.kind in ("upload", "download") else "notebook.ipynb"
        return f"{self.folder(gesture)}/{name}"

    def renamed(self, gesture: Gesture, number: int) -> str:
        """The folder before repetition `number`, and after the one before."""
        return f"{self.folder(gesture)}/data-{number}"


def list_folder(count: int) -> str:
    """Where so many small files are."""
    return f"lists/{count}"


class ServedActor(Actor):
    """Makes them as JupyterLab does."""

    def __init__(self, system: System, place: Place, lab: Lab) -> None:
        super().__init__(system, place)
        self._lab = lab

    def warm_up(self) -> None:
        """Let the server import and connect: each of the calls once, on a file of its own."""
        self._lab.list_folder(list_folder(IDLE_FOLDER))
        self._lab.open(self.warm_path)
        self._lab.save(self.warm_path, notebook("0.1 MB").body)

    @property
    def warm_path(self) -> str:
        """The file for that."""
        return f"{self.system.key}/warm/notebook.ipynb"

    def prepare(self, gesture: Gesture, number: int) -> None:
        super().prepare(gesture, number)
        self.place.write(self.warm_path, notebook("0.1 MB").stored)

    def perform(self, gesture: Gesture, number: int) -> Performed:
        lab, path, folder = self._lab, self.path(gesture), self.folder(gesture)
        if gesture.kind == "save":
            body = notebook(gesture.of).edited(number).body
            parts = lab.save(path, body)
        elif gesture.kind == "list":
            parts = lab.list_folder(folder)
        elif gesture.kind == "rename":
            parts = lab.rename(self.renamed(gesture, number), self.renamed(gesture, number + 1))
        elif gesture.kind == "upload":
            parts = lab.upload(path, Chunks(gesture.amount))
        elif gesture.kind == "download":
            parts = lab.download(path)
        elif gesture.kind == "idle":
            parts = lab.idle(folder, path, gesture.amount)
        else:
            parts = lab.open(path)
        return Performed(sum(parts.values()), parts)

    def check(self, gesture: Gesture, number: int) -> None:
        received = self._lab.received
        if gesture.kind == "list":
            listing = json.loads(self._lab.fetch(self.folder(gesture)))
            if len(listing["content"]) != gesture.amount:
                raise GestureError(f"{len(listing['content'])} files of {gesture.of} are listed")
        elif gesture.kind == "download" and received != gesture.amount * MIB:
            raise GestureError(f"{received / MIB:.1f} MiB of {gesture.of} came")
        if self.system is not HTTP:
            super().check(gesture, number)


class RawActor(Actor):
    """Makes them with the SDK alone; `raw` is a `Raw` behind the proxy."""

    def __init__(self, system: System, place: Place, raw: Child) -> None:
        super().__init__(system, place)
        self._raw = raw

    def make_ready(self, gesture: Gesture, number: int) -> None:
        super().make_ready(gesture, number)
        if gesture.kind == "save":
            self._raw.ask("edit", notebook(gesture.of).edited(number).stored)

    def perform(self, gesture: Gesture, number: int) -> Performed:
        path = f"{PREFIX}/{self.path(gesture)}"
        arguments: tuple[str | int, ...] = (path,)
        if gesture.kind == "list":
            arguments = (f"{PREFIX}/{self.folder(gesture)}",)
        elif gesture.kind == "rename":
            names = self.renamed(gesture, number), self.renamed(gesture, number + 1)
            arguments = tuple(f"{PREFIX}/{name}" for name in names)
        elif gesture.kind == "upload":
            arguments = (path, gesture.amount)
        allowed = "_as_allowed" if self.system is RAW_ALLOWED else ""
        timing: Timing = self._raw.ask("perform", gesture.kind + allowed, *arguments)
        return Performed(timing.seconds, stall=timing.stall)
