"""What the steps of a check share."""

from __future__ import annotations

from dataclasses import dataclass, field

from ...storage.base import BaseStorageService
from ...storage.diagnosis import Action, Diagnosis, Finding
from ...storage.errors import StorageError
from ...storage.types import ObjectMeta
from .network import Target
from .results import StorageReport
from .scratch import Scratch


@dataclass(slots=True)
class World:
    """One storage under examination. `links` says whether the server gives links to files."""

    storage: BaseStorageService
    diagnosis: Diagnosis
    report: StorageReport
    read_only: bool = False
    links: bool = True
    target: Target | None = None
    sample: ObjectMeta | None = None
    """A file of people's own, to read a byte of where nothing may be written."""
    kept: str | None = None
    """The path of an object of ours that the store does not delete."""
    scratch: Scratch = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = Scratch(self.storage, self.diagnosis)

    def is_well(self, name: str) -> bool:
        """Whether the step of that name has been a success."""
        return self.report.outcome_of(name) in ("ok", "warning")

    def refused(self, action: Action, error: StorageError) -> Finding:
        """What to say of an action that the store has refused."""
        return Finding("failed", error.message, self.diagnosis.remedy(action))
