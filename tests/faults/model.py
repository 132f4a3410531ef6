"""What may be in the store after each operation, whatever went wrong on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tornado.web import HTTPError

from .world import World

CHECKPOINTS = ".nbforge/checkpoints/"
_PASSING = frozenset({502, 503, 504})
_CONFLICT = 409
_TEMPORARY = (".nbforge-upload-", ".nbforge-probe-")
"""Hidden objects of ours; one that could not be removed is left to the sweep of stale uploads."""

After = Mapping[str, str | None]
"""What an operation is to make of the paths that it touches: the content's token, or None."""


@dataclass
class Tally:
    """What happened, for the report."""

    operations: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    objects: int = 0
    """How often an object was compared with what it must be."""

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.operations + other.operations,
            self.refused + other.refused,
            self.objects + other.objects,
        )

    def __str__(self) -> str:
        done, refused = sum(self.operations.values()), dict(sorted(self.refused.items()))
        return f"{done} operations, refused {refused}, {self.objects} objects compared, 0 wrong"


class Model:
    """The files that there are; every operation goes through `attempt`, which compares.

    An acknowledged operation must have happened, a refused one has happened to each object
    whole or not at all, and has lost none. Between operations the model is what the store
    has, so that there is never a doubt about more than one.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.files: dict[str, str] = {}
        self.tally = Tally()
        self._history: defaultdict[str, set[str]] = defaultdict(set)
        # Paths of which the manager cannot know whether its last operation took effect.
        self._doubtful: set[str] = set()

    def below(self, folder: str) -> dict[str, str]:
        """The files of a folder, however deep."""
        return {path: token for path, token in self.files.items() if path.startswith(f"{folder}/")}

    def will_move(self, old: str, new: str) -> None:
        """A folder's checkpoints move along, those of files that have gone too."""
        for path in [path for path in self._history if path.startswith(f"{old}/")]:
            self._history[new + path[len(old) :]] |= self._history[path]

    async def attempt(
        self,
        operation: str,
        after: After,
        act: Callable[[], Awaitable[Any]],
        *,
        may_conflict: bool = False,
        drops_checkpoints: bool = False,
    ) -> Any:
        """The answer of `act`, or the `HTTPError` that refused it; compares the store.

        A conflict is right only where the outcome of an earlier operation is unknown, or
        (`may_conflict`) an earlier try of this one may have done a part of it.
        """
        before = {path: self.files.get(path) for path in after}
        for path, token in (*before.items(), *after.items()):
            self._history[path].update({token} if token else ())
        checkpoints = self._checkpoints(after)
        answer = await self._answer(operation, act)
        refused = isinstance(answer, HTTPError)
        if refused and answer.status_code not in _PASSING:
            assert answer.status_code == _CONFLICT, f"{operation}: {answer}"
            assert may_conflict or self._doubtful & set(after), f"{operation}: {answer}"
        self._compare(operation, before, after, refused=refused)
        self._compare_checkpoints(operation, after, checkpoints, drops=drops_checkpoints)
        self._doubtful = (self._doubtful | set(after)) if refused else self._doubtful - set(after)
        return answer

    async def look(self, operation: str, act: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of what changes nothing; None if it was refused."""
        answer = await self._answer(operation, act)
        if isinstance(answer, HTTPError):
            assert answer.status_code in _PASSING, f"{operation}: {answer}"
            return None
        return answer

    async def _answer(self, operation: str, act: Callable[[], Awaitable[Any]]) -> Any:
        self.tally.operations[operation.split()[0]] += 1
        try:
            return await act()
        except HTTPError as error:
            self.tally.refused[error.status_code] += 1
            return error

    def _compare(self, operation: str, before: After, after: After, *, refused: bool) -> None:
        actual = {path: self._token(path) for path in after}
        for path, token in actual.items():
            allowed = {before[path], after[path]} if refused else {after[path]}
            assert token in allowed, f"{operation}: {path} is {token}, not of {allowed}"
        kept = {token for token in before.values() if token} & set(after.values())
        lost = kept - set(actual.values())
        assert not lost, f"{operation}: {lost} is nowhere"
        for path, token in actual.items():
            self.files.pop(path, None)
            if token is not None:
                self.files[path] = token
        self.compare_names(operation)

    def compare_names(self, operation: str) -> None:
        """Nothing is there that must not be, nothing is missing."""
        found = {
            path
            for path in self.world.paths()
            if not path.startswith(".nbforge/")
            and not path.endswith("/")
            and not path.rpartition("/")[2].startswith(_TEMPORARY)
        }
        assert found == self.files.keys(), (
            f"{operation}: foreign {found - self.files.keys()}, lost {self.files.keys() - found}"
        )

    def compare_all(self) -> None:
        """Every object of the store is what it must be, each checkpoint something that it was."""
        self.compare_names("at the end")
        for path, token in self.files.items():
            assert self._token(path) == token, f"{path} is not what it was"
        for path in self.world.paths(CHECKPOINTS):
            of = path.removeprefix(CHECKPOINTS).rpartition("/")[0]
            assert self._token(path) in self._history[of], f"{path} was never in {of}"

    def _token(self, path: str) -> str | None:
        self.tally.objects += 1
        return self.world.token(path)

    def _checkpoints(self, paths: After) -> set[str]:
        """What the checkpoints of `paths` hold."""
        found: set[str] = set()
        for path in paths:
            for key in self.world.paths(f"{CHECKPOINTS}{path}/"):
                token = self._token(key)
                assert token is not None
                assert token in self._history[path], f"{key} was never in {path}"
                found.add(token)
        return found

    def _compare_checkpoints(
        self, operation: str, after: After, before: set[str], *, drops: bool
    ) -> None:
        """A rename may leave a checkpoint at both places, but none is lost unasked."""
        moved_to = {path for path, token in after.items() if token is not None}
        for path in moved_to:
            for other in after:
                self._history[path] |= self._history[other]
        lost = before - self._checkpoints(after)
        assert drops or not lost, f"{operation}: checkpoints of {lost} are lost"
