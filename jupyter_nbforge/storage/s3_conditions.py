"""The conditions of writes to one S3 store: what is sent of them, and where a look comes first."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias
from weakref import WeakKeyDictionary

from .errors import PermissionDeniedError, StorageError, UnavailableError
from .s3_client import S3Connection
from .s3_options import S3Options
from .s3_probe import (
    HONOURED,
    OFF,
    UNKNOWN,
    Feature,
    Found,
    Trial,
    try_batches,
    try_copies,
    try_deletes,
    try_joins,
    try_puts,
)
from .types import IfAbsent, IfMatch, Version, WriteCondition
from .workers import errors_of

Operation: TypeAlias = Literal["put", "complete", "copy"]

_CLOSING_TIMEOUT = 10.0
_PATIENCE = 5.0
"""Seconds from its beginning for which writes wait for a probe; then they go on without it."""

_TRAITS: Mapping[Feature, str] = {
    "put_absent": "conditional_put",
    "put_match": "conditional_put",
    "complete_absent": "conditional_put",
    "complete_match": "conditional_put",
    "copy_absent": "conditional_copy",
    "copy_match": "conditional_copy",
    "copy_source": "conditional_copy",
    "delete_match": "conditional_delete",
    "batch_match": "conditional_delete_many",
}
"""The trait by which an administrator tells of each condition."""

_FEATURES: Mapping[Operation, tuple[Feature, Feature]] = {
    "put": ("put_absent", "put_match"),
    "complete": ("complete_absent", "complete_match"),
    "copy": ("copy_absent", "copy_match"),
}

_TRIES: Mapping[str, Callable[[Trial], Awaitable[None]]] = {
    "put": try_puts,
    "complete": try_joins,
    "copy": try_copies,
    "delete": try_deletes,
    "batch": try_batches,
}
"""How the conditions are tried of which the names begin so."""

_LOOK = "a look comes before each, and what another writes between the two is {}."
_WEAKER: Mapping[Feature, str] = {
    "put_absent": "If-None-Match when an object is written: " + _LOOK.format("overwritten"),
    "put_match": "If-Match when an object is written: " + _LOOK.format("overwritten"),
    "complete_absent": "If-None-Match when an upload in parts is completed: "
    + _LOOK.format("overwritten"),
    "complete_match": "If-Match when an upload in parts is completed: "
    + _LOOK.format("overwritten"),
    "copy_absent": "If-None-Match when an object is copied: " + _LOOK.format("overwritten"),
    "copy_match": "If-Match when an object is copied: " + _LOOK.format("overwritten"),
    "copy_source": "the version of the source of a copy: " + _LOOK.format("copied in its place"),
    "delete_match": "If-Match when an object is deleted: " + _LOOK.format("deleted"),
    "batch_match": "ETags in a DeleteObjects request: what is to be deleted only at its version"
    " is deleted one by one.",
}
"""What goes on where the store does not honour the condition."""


class S3Conditions:
    """What the store of `storage` honours: as its traits tell, else as a probe finds.

    Amazon S3 honours all. Another store is probed before the first write of each kind that
    has a condition, once: whoever comes meanwhile waits for the same probe. A probe that
    fails is forgotten; until one has succeeded a condition is sent, and looked at before.
    """

    def __init__(self, storage: S3Options, connection: S3Connection) -> None:
        self._storage = storage
        self._connection = connection
        self._found: dict[Feature, Found] = {}
        self._probes: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[None]] = {}
        self._patience: WeakKeyDictionary[asyncio.Task[None], float] = WeakKeyDictionary()
        self._may_probe = True
        self._said: set[str] = set()

    def known(self, feature: Feature) -> Found | None:
        """What is known of a condition by now; None if it was not tried yet."""
        told = getattr(self._storage, _TRAITS[feature])
        if told is None and feature == "batch_match" and self._storage.conditional_delete is False:
            told = False
        if told is None and not self._is_elsewhere:
            told = True
        if told is not None:
            return HONOURED if told else OFF
        return self._found.get(feature)

    @property
    def _is_elsewhere(self) -> bool:
        # The client knows of an endpoint in the SDK's configuration file, too.
        return self._storage.is_elsewhere or bool(self._connection.is_elsewhere)

    def honours(self, trait: str) -> bool:
        """Whether nothing is known that speaks against the conditions that `trait` is about."""
        features = [feature for feature, name in _TRAITS.items() if name == trait]
        return all((self.known(feature) or HONOURED).kept for feature in features)

    async def of_target(
        self, path: str, condition: WriteCondition | None, operation: Operation
    ) -> dict[str, str]:
        """The parameters that state the condition on what is written, after a look if needed."""
        if condition is None:
            return {}
        absent, match = _FEATURES[operation]
        feature = absent if isinstance(condition, IfAbsent) else match
        return (await self._checked(feature, path, condition, path)).parameters(condition)

    async def of_delete(self, path: str, condition: IfMatch | None) -> dict[str, str]:
        """As `of_target`, for a delete."""
        if condition is None:
            return {}
        return (await self._checked("delete_match", path, condition, path)).parameters(condition)

    async def of_source(self, path: str, version: Version | None, target: str) -> dict[str, str]:
        """As `of_target`, for the version of the source of a copy."""
        if version is None:
            return {}
        condition = IfMatch(version)
        found = await self._checked("copy_source", path, condition, target)
        return {f"CopySource{name}": etag for name, etag in found.parameters(condition).items()}

    async def of_batch(self, versions: Mapping[str, Version]) -> dict[str, str] | None:
        """The ETags for a request that deletes many; None: it cannot have any."""
        if not versions:
            return {}
        found = await self._find("batch_match", next(iter(versions)))
        if found is None or not found.kept:
            return None
        return {path: found.etag(version) for path, version in versions.items()}

    async def aclose(self) -> None:
        """End the probes of the running loop; they clean up."""
        loop = asyncio.get_running_loop()
        probes = [task for (where, _), task in list(self._probes.items()) if where is loop]
        for task in probes:
            task.cancel()
        if probes:
            await asyncio.wait(probes, timeout=_CLOSING_TIMEOUT)

    async def _checked(
        self, feature: Feature, path: str, condition: WriteCondition, written: str
    ) -> Found:
        """What is known of `feature`, after a look at `path` if that is not enough."""
        found = await self._find(feature, written)
        if found is None:
            # Who may write may still not be allowed to look; the store may honour it, after all.
            with suppress(PermissionDeniedError):
                await self._storage.check_condition(path, condition)
            return UNKNOWN
        if getattr(self._storage, _TRAITS[feature]) is False:
            self._say_off(_TRAITS[feature])
        if not found.kept:
            await self._storage.check_condition(path, condition)
        return found

    async def _find(self, feature: Feature, path: str) -> Found | None:
        """What is known of a condition, found out if it is not; None: it could not be."""
        if self._connection.is_elsewhere is None:
            await self._connection.client()
        known = self.known(feature)
        if known is None and self._may_probe:
            await self._probe(feature.partition("_")[0], path)
            known = self.known(feature)
        return known

    async def _probe(self, kind: str, path: str) -> None:
        """Let a probe run, or wait for the one that runs; who leaves lets it go on."""
        key = (asyncio.get_running_loop(), kind)
        task = self._probes.get(key)
        if task is None:
            task = self._probes[key] = asyncio.create_task(self._run(kind, path))
            task.add_done_callback(lambda _: self._probes.pop(key))
            self._patience[task] = time.monotonic() + _PATIENCE
        await asyncio.wait([task], timeout=max(0.0, self._patience[task] - time.monotonic()))
        if task.cancelled():
            raise UnavailableError(
                f"The storage was closed before {path!r} was written.", path=path
            )
        if task.done():
            task.result()

    async def _run(self, kind: str, path: str) -> None:
        trial = Trial(self._connection, path, self._storage.write_options())

        async def work() -> None:
            async with trial:
                await _TRIES[kind](trial)
                if kind == "put" and self.known("delete_match") is None:
                    await try_deletes(trial)

        errors = await errors_of(work())
        for feature, found in trial.found.items():
            self._found[feature] = found
            if not found.kept:
                self._say_weaker(feature)
        self._may_probe = self._may_probe and not trial.denied
        if errors:
            self._say_failed(errors[0], left=trial.denied)

    def _say_weaker(self, feature: Feature) -> None:
        where = self._storage.url, self._connection.endpoint
        self._say_once(feature, f"%s at %s does not honour {_WEAKER[feature]}", *where)

    def _say_off(self, trait: str) -> None:
        self._say_once(
            trait,
            "S3Storage.%s is off: %s is checked by a look before each write; a change "
            "that comes in between is overwritten.",
            trait,
            self._storage.url,
        )

    def _say_failed(self, error: StorageError, *, left: bool) -> None:
        outcome = (
            "left a hidden object behind, so there will be no other: set S3Storage.conditional_*"
            if left
            else "failed and will be repeated; until then a look comes before each such write"
        )
        self._say_once(
            "a probe",
            "The probe of what conditions %s honours " + outcome + " (%s)",
            self._storage.url,
            error.message,
        )

    def _say_once(self, topic: str, sentence: str, *words: str) -> None:
        if topic not in self._said:
            self._said.add(topic)
            self._storage.log.warning(sentence, *words)
