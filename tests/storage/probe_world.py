"""An S3 server made weaker, with a storage on it; and all conditions of the storage, checked."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

import pytest

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import AlreadyExistsError, PreconditionError, StorageError
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.s3_probe import PROBE_PREFIX, Feature
from jupyter_nbforge.storage.types import IfAbsent, IfMatch, Version
from jupyter_nbforge.testing.s3_dialects import WeakerS3
from jupyter_nbforge.testing.servers import LocalServer

from .conftest import MakeS3
from .helpers import read
from .sdk import sdk

LOG = logging.getLogger("probe")
OTHER = Version('"00000000000000000000000000000000"')

FEATURES: dict[str, Feature] = {
    "PUT If-None-Match": "put_absent",
    "PUT If-Match": "put_match",
    "COMPLETE If-None-Match": "complete_absent",
    "COMPLETE If-Match": "complete_match",
    "COPY If-None-Match": "copy_absent",
    "COPY If-Match": "copy_match",
    "COPY x-amz-copy-source-if-match": "copy_source",
    "DELETE If-Match": "delete_match",
    "BATCH ETag": "batch_match",
}


@asynccontextmanager
async def weaker(
    server: LocalServer,
    make_s3: MakeS3,
    *,
    options: dict[str, Any] | None = None,
    versioned: bool = False,
    **dialect: Any,
) -> AsyncIterator[tuple[S3Storage, WeakerS3]]:
    """A storage with a fresh bucket and `options`, and the proxy in front of it."""
    async with WeakerS3(server, **dialect) as proxy:
        usual = {"endpoint_url": proxy.endpoint_url, "log": LOG, **(options or {})}
        async with aclosing(make_s3(server, versioned=versioned, **usual)) as storage:
            yield storage, proxy


@contextmanager
def in_a_thread(proxy: WeakerS3) -> Iterator[WeakerS3]:
    """The proxy on an event loop of its own, for storages that are used on several."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        run(proxy.__aenter__())
        yield proxy
        run(proxy.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def left(storage: S3Storage) -> list[str]:
    """The keys of all that is in the bucket: objects, old versions, markers, uploads."""
    client = await sdk(storage)
    answers = [
        await client.list_objects_v2(Bucket=storage.bucket),
        await client.list_object_versions(Bucket=storage.bucket),
        await client.list_multipart_uploads(Bucket=storage.bucket),
    ]
    kinds = ("Contents", "Versions", "DeleteMarkers", "Uploads")
    entries = [entry for answer in answers for kind in kinds for entry in answer.get(kind, ())]
    return sorted({entry["Key"] for entry in entries})


def probed(proxy: WeakerS3) -> set[str]:
    """The keys that probes have used."""
    keys = {seen.path.split("/", 2)[-1] for seen in proxy.seen}
    return {key for key in keys if PROBE_PREFIX in key}


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What a storage of `weaker` has written into the log."""
    return [entry.getMessage() for entry in caplog.records if entry.name == LOG.name]


async def refused(kind: type[StorageError], call: Awaitable[object]) -> None:
    """Check that `call` ends with just that error."""
    with pytest.raises(kind) as caught:
        await call
    assert type(caught.value) is kind


async def uploaded(storage: BaseStorageService, path: str, **options: Any) -> None:
    """Write in parts."""
    async with await storage.create_multipart_upload(path) as upload:
        await upload.upload_part(1, b"new")
        await upload.complete(**options)


async def check_every_condition(storage: S3Storage) -> None:
    """Each write that has a condition is refused where it does not hold, else done."""
    old = await storage.put("d/a", b"old", condition=IfAbsent())
    other = await storage.put("d/b", b"other", condition=IfAbsent())
    await refused(AlreadyExistsError, storage.put("d/a", b"x", condition=IfAbsent()))
    await refused(PreconditionError, storage.put("d/a", b"x", condition=IfMatch(OTHER)))
    await refused(PreconditionError, storage.put("d/c", b"x", condition=IfMatch(OTHER)))
    await refused(AlreadyExistsError, uploaded(storage, "d/a", condition=IfAbsent()))
    await refused(PreconditionError, uploaded(storage, "d/a", condition=IfMatch(OTHER)))
    await refused(AlreadyExistsError, storage.copy("d/b", "d/a", condition=IfAbsent()))
    await refused(PreconditionError, storage.copy("d/b", "d/a", condition=IfMatch(OTHER)))
    await refused(PreconditionError, storage.copy("d/b", "d/c", condition=IfMatch(OTHER)))
    await refused(PreconditionError, storage.copy("d/b", "d/c", source_version=OTHER))
    await refused(PreconditionError, storage.delete("d/a", condition=IfMatch(OTHER)))
    await refused(PreconditionError, storage.delete_many(["d/a"], versions={"d/a": OTHER}))
    assert await storage.head("d/a") == old
    assert await read(storage, "d/a") == b"old"
    new = await storage.put("d/a", b"new", condition=IfMatch(old.version))
    await storage.copy("d/b", "d/a", condition=IfMatch(new.version), source_version=other.version)
    assert await read(storage, "d/a") == b"other"
    await uploaded(storage, "d/a", condition=IfMatch((await storage.head("d/a")).version))
    await uploaded(storage, "d/c", condition=IfAbsent())
    assert await left(storage) == ["d/a", "d/b", "d/c"]
    await storage.delete("d/b", condition=IfMatch(other.version))
    versions = {path: (await storage.head(path)).version for path in ("d/a", "d/c")}
    await storage.delete_many(versions, versions=versions)
    assert await left(storage) == []
