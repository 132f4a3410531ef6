"""A storage for tests whose calls fail by chance, before and after they have taken effect."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import partial
from random import Random
from typing import Any, Literal, TypeAlias, get_args

from ..storage.base import BaseStorageService
from ..storage.types import ObjectReader
from .faults import Fault, FaultyStorage, answer_lost, unavailable

ChanceKind: TypeAlias = Literal[
    "slow_down",
    "broken",
    "reset_before",
    "reset_after",
    "stall",
    "silence",
    "cut",
    "break",
    "damage",
]
"""``slow_down``: refused, with a time to wait. ``broken``, ``reset_before``: not done, which the
caller cannot know of a write. ``reset_after``: done, and the answer is lost. ``stall``,
``silence``: no answer comes, before and after it is done. Of chunks of bodies: ``cut`` ends the
body without a word, ``break`` with an error, ``damage`` flips one bit, but only of objects that
have a SHA-256: what comes from others has passed the checksum of the provider."""

CHANCES: tuple[ChanceKind, ...] = get_args(ChanceKind)

_OF_BODIES = ("cut", "break", "damage")
_FOREVER = 3600.0


class RandomFaultStorage(FaultyStorage):
    """Befalls calls by chance, as `rates` say (kind: probability); `injected` counts, by kind.

    The faults of `FaultyStorage` come first. While `active` is False nothing happens by chance.
    """

    def __init__(
        self,
        inner: BaseStorageService,
        *,
        rates: Mapping[ChanceKind, float],
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(inner, **kwargs)
        self.rates = dict(rates)
        self.active = True
        self.injected: Counter[ChanceKind] = Counter()
        self._random = Random(seed)
        self._hashed: dict[str, bool] = {}

    def chunks(self, path: str, reader: ObjectReader) -> AsyncIterator[bytes]:
        known = reader.meta.content_hash
        self._hashed[path] = known is not None and known.algorithm == "sha256"
        return super().chunks(path, reader)

    def _next_fault(self, operation: str, path: str) -> Fault | None:
        planned = super()._next_fault(operation, path)
        if planned is not None or not self.active:
            return planned
        chosen = self._random.random()
        for kind, rate in self.rates.items():
            chosen -= rate
            if chosen < 0:
                fits = (kind in _OF_BODIES) == (operation == "chunk")
                if not fits or (kind == "damage" and not self._hashed[path]):
                    return None
                self.injected[kind] += 1
                return _fault(kind, operation)
        return None


def _fault(kind: ChanceKind, operation: str) -> Fault:
    made: Mapping[ChanceKind, Fault] = {
        "slow_down": Fault(operation, error=partial(unavailable, retry_after=0.0)),
        "broken": Fault(operation, error=answer_lost),
        "reset_before": Fault(operation, error=unavailable),
        "reset_after": Fault(operation, error=answer_lost, lost_answer=True),
        "stall": Fault(operation, delay=_FOREVER),
        "silence": Fault(operation, delay=_FOREVER, lost_answer=True),
        "cut": Fault(operation),
        "break": Fault(operation, error=unavailable),
        "damage": Fault(operation, damages=True),
    }
    return made[kind]
