"""The steps of a check, in their order, each with those that it cannot do without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from importlib import metadata

from ...storage.diagnosis import Finding
from ...storage.errors import PermissionDeniedError, StorageError
from . import network, permissions
from .network import Target
from .results import Step
from .world import World

CONFIGURATION = Step("configuration", "Configuration")
SDK = Step("sdk", "SDK")
CLEANUP = Step("cleanup", "Clean-up")


@dataclass(frozen=True, slots=True)
class Planned:
    """A step: what it does, what has to have gone well before, and whether it writes."""

    step: Step
    act: Callable[[World], Awaitable[Finding]]
    needs: tuple[str, ...]
    writes: bool = False


async def sdk(world: World) -> Finding:
    names = world.diagnosis.sdk_packages
    if not names:
        return Finding("not applicable", "This storage needs no SDK.")
    return Finding("ok", ", ".join(f"{name} {_version(name)}" for name in names) + ".")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(version unknown)"


async def endpoint(world: World) -> Finding:
    found = await world.diagnosis.endpoint()
    if found is None:
        return Finding("not applicable", "This storage is no server.")
    world.target = Target.of(found)
    return await network.reach(world.target)


async def _of_target(look: Callable[[Target], Awaitable[Finding]], world: World) -> Finding:
    if world.target is None:
        return Finding("not applicable", "This storage is no server.")
    return await look(world.target)


async def credentials(world: World) -> Finding:
    return await world.diagnosis.credentials()


async def bucket(world: World) -> Finding:
    try:
        return await world.diagnosis.bucket()
    except PermissionDeniedError:
        return Finding("ok", "The store answers; it may not be listed.")


async def versioning(world: World) -> Finding:
    try:
        return await world.diagnosis.versioning()
    except StorageError:
        return Finding(
            "skipped", "The server may not ask, and need not. What is deleted may be gone."
        )


PLAN = (
    Planned(SDK, sdk, ()),
    Planned(Step("endpoint", "Endpoint"), endpoint, ("sdk",)),
    Planned(Step("tls", "TLS"), partial(_of_target, network.certificate), ("endpoint",)),
    Planned(Step("clock", "Clock"), partial(_of_target, network.clock), ("endpoint", "tls")),
    Planned(Step("credentials", "Credentials"), credentials, ("sdk",)),
    Planned(Step("bucket", "Bucket"), bucket, ("endpoint", "tls", "credentials")),
    Planned(Step("versioning", "Versions"), versioning, ("bucket",)),
    Planned(Step("list", "List"), permissions.listing, ("bucket",)),
    Planned(Step("write", "Write"), permissions.writing, ("bucket",), writes=True),
    Planned(Step("read", "Read"), permissions.reading, ("bucket",)),
    # As early as this: what is written must be deleted again, or nothing more is written.
    Planned(Step("delete", "Delete"), permissions.deleting, ("write",), writes=True),
    Planned(Step("copy", "Copy"), permissions.copying, ("delete",), writes=True),
    Planned(Step("multipart", "Upload in parts"), permissions.uploading, ("delete",), writes=True),
    Planned(Step("link", "Link"), permissions.linking, ("bucket",)),
    Planned(
        Step("conditions", "Conditional writes"), permissions.conditions, ("delete",), writes=True
    ),
    Planned(Step("latency", "Latency"), permissions.latency, ("list",)),
)
"""All but the first (the configuration is read before there is a storage) and the last."""
