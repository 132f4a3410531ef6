"""Each thing that a server does with its store, done once, on an object of our own."""

from __future__ import annotations

import asyncio
import ssl
import statistics
import time
import urllib.error
import urllib.request

from ...storage.base import MultipartUpload
from ...storage.diagnosis import Finding
from ...storage.errors import (
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    StorageError,
)
from ...storage.types import ByteRange
from .network import TIMEOUT, tls_context
from .scratch import BODY
from .world import World

_LINK_SECONDS = 60
_REQUESTS = 10


async def listing(world: World) -> Finding:
    """List a page of the prefix; remember a file of it."""
    count = 0
    try:
        async for page in world.storage.list_pages("", page_size=100):
            count = len(page.objects) + len(page.prefixes)
            sizable = [meta for meta in page.objects if meta.size]
            world.sample = next(iter(sizable), None)
            break
    except StorageError as error:
        return world.refused("list", error)
    if not count:
        return Finding("ok", "Allowed; there is nothing below the prefix yet.")
    return Finding("ok", f"Allowed; {count} entries on the first page.")


async def writing(world: World) -> Finding:
    try:
        world.kept = await world.scratch.put()
    except StorageError as error:
        return world.refused("write", error)
    return Finding("ok", "Allowed: a small hidden object was written.")


async def reading(world: World) -> Finding:
    """What was written, else a byte of a file that is there."""
    path = _readable(world)
    if path is None:
        return Finding("skipped", "There is no file to read, and none was written.")
    try:
        wanted = None if path == world.kept else ByteRange(0, 1)
        async with world.storage.get(path, byte_range=wanted) as reader:
            data = await reader.read()
    except StorageError as error:
        return world.refused("read", error)
    if path == world.kept and data != BODY:
        return Finding(
            "failed",
            "What was read is not what was written.",
            "Something between this machine and the store changes data; do not use it.",
        )
    return Finding("ok", "Allowed.")


def _readable(world: World) -> str | None:
    return world.kept or (world.sample.path if world.sample else None)


async def deleting(world: World) -> Finding:
    """Delete what was written; then also what a check of another day had to leave."""
    finding = await _delete(world)
    stale = await world.scratch.delete_stale() if finding.outcome == "ok" else 0
    if not stale:
        return finding
    left = "1 object" if stale == 1 else f"{stale} objects"
    more = f"Deleted, too, was what a check that was killed had left ({left})."
    return Finding("ok", f"{finding.message} {more}")


async def _delete(world: World) -> Finding:
    path = world.kept
    assert path is not None
    try:
        await world.scratch.delete(path)
        await world.storage.head(path)
    except NotFoundError:
        world.kept = None
        return Finding("ok", "Allowed.")
    except PermissionDeniedError as error:
        if error.path == path and not await _is_listed(world, path):
            # Who may not list is not told that an object is missing.
            world.kept = None
            return Finding("ok", "Allowed.")
        return world.refused("delete", error)
    except StorageError as error:
        return world.refused("delete", error)
    return Finding("failed", "The store says that it has deleted an object, and it is still there.")


async def _is_listed(world: World, path: str) -> bool:
    try:
        async for page in world.storage.list_pages(path, delimiter=None):
            if any(meta.path == path for meta in page.objects):
                return True
    except StorageError:
        return True
    return False


async def copying(world: World) -> Finding:
    source = await world.scratch.put()
    target = world.scratch.path()
    try:
        await world.storage.copy(source, target)
    except StorageError as error:
        return world.refused("copy", error)
    await world.scratch.delete(target)
    await world.scratch.delete(source)
    return Finding("ok", "Allowed, within the store.")


async def uploading(world: World) -> Finding:
    """An upload that is completed, and one that is given up."""
    if not world.storage.capabilities.multipart:
        return Finding("not applicable", "This storage takes objects whole.")
    try:
        async with world.scratch.upload() as upload:
            await upload.upload_part(1, BODY)
            await upload.complete()
        await world.scratch.delete(upload.path)
        async with world.scratch.upload() as upload:
            await upload.upload_part(1, BODY)
            refused = await _give_up(upload)
        # Azure frees the parts of what was given up when the object is written.
        await world.scratch.put(upload.path)
        await world.scratch.delete(upload.path)
    except StorageError as error:
        return world.refused("multipart", error)
    if refused is not None:
        return world.refused("multipart", refused)
    return Finding("ok", "Allowed.")


async def _give_up(upload: MultipartUpload) -> StorageError | None:
    """Abort it; where that is refused, complete it: an object can be deleted."""
    try:
        await upload.abort()
    except StorageError as error:
        await upload.complete()
        return error
    return None


async def linking(world: World) -> Finding:
    """A link to a file is made and fetched, as a browser would."""
    if not world.storage.capabilities.presigned_urls:
        return Finding("not applicable", "This storage, or its credentials, gives no links.")
    if not world.links:
        return Finding("not applicable", "Links are switched off (max_link_lifetime).")
    own = None
    try:
        if world.is_well("delete"):
            own = await world.scratch.put()
        path = own or _readable(world)
        if path is None:
            return Finding("skipped", "There is no file to link to, and none was written.")
        url = await world.storage.get_presigned_url(path, _LINK_SECONDS)
    except NotSupportedError as error:
        return Finding("not applicable", error.message)
    except StorageError as error:
        remedy = world.diagnosis.remedy("sign")
        return Finding("warning", f"No links to files: {error.message}", remedy)
    context = None if world.target is None else tls_context(world.target.endpoint)
    problem = await asyncio.to_thread(_fetch, url, context)
    if own is not None:
        await world.scratch.delete(own)
    if problem is not None:
        return Finding(
            "warning",
            f"A link was signed, but fetching it failed ({problem}): links to files do not work.",
            world.diagnosis.remedy("sign"),
        )
    return Finding("ok", "A link was signed and fetched.")


def _fetch(url: str, context: ssl.SSLContext | None) -> str | None:
    """Fetch a link; what is wrong, without the link. It is a secret as long as it lives."""
    request = urllib.request.Request(url, headers={"Range": "bytes=0-0"})  # noqa: S310  http(s)
    handlers = [] if context is None else [urllib.request.HTTPSHandler(context=context)]
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT) as answer:
            return None if answer.read(1) else "an empty answer"
    except urllib.error.HTTPError as error:
        error.close()
        return f"HTTP {error.code}"
    except OSError as error:
        return type(error).__name__


async def conditions(world: World) -> Finding:
    """Each condition of a write, tried where it holds and where it does not."""
    without = {name for name in ("copy", "multipart") if not world.is_well(name)}
    tried = await world.diagnosis.conditions(world.scratch.use(), without)
    lost = [one for one in tried if not one.honoured and not one.compensated]
    weaker = [one for one in tried if not one.honoured and one.compensated and one.weaker]
    details = tuple(
        f"{'honoured' if one.honoured else 'IGNORED '}  {one.name}"
        + (f" ({one.weaker})" if one.weaker and not one.honoured else "")
        for one in tried
    )
    if lost:
        return Finding(
            "failed",
            f"The store ignores {len(lost)} of {len(tried)} conditions of writes, and nothing "
            "makes up for it: files can be overwritten silently.",
            "Let the server find out by itself (leave the options conditional_* unset), or use "
            "another store.",
            details,
        )
    if weaker:
        return Finding(
            "warning",
            f"The store ignores {len(weaker)} of {len(tried)} conditions of writes. The server "
            "looks before each such write instead; two people who save in the same moment can "
            "still overwrite each other.",
            "Use a newer version of the store, or another one, where people share files.",
            details,
        )
    return Finding("ok", f"All {len(tried)} conditions of writes are honoured.", "", details)


async def latency(world: World) -> Finding:
    """How long a small request takes: for information."""
    took = []
    for _ in range(_REQUESTS):
        began = time.perf_counter()
        async for _page in world.storage.list_pages("", page_size=1):
            break
        took.append((time.perf_counter() - began) * 1000)
    middle, worst = statistics.median(took), max(took)
    return Finding(
        "ok", f"Median {middle:.0f} ms, worst {worst:.0f} ms, of {_REQUESTS} small listings."
    )
