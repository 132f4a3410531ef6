"""The floor: the same gestures by the SDK alone, with the fewest requests that can do them.

There is no Jupyter server: what is read is thrown away, what is written is sent. The same
class, given the store's own address, puts things in place and looks at what came of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from jupyter_nbforge.testing.servers import REGION

from .corpus import MIB, file_bytes

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

PART_SIZE = 16 * MIB
_PARTS_AT_ONCE = 2
_COPIES_AT_ONCE = 32
_READ_SIZE = 256 * 1024
_TICK = 0.005


@dataclass(frozen=True, slots=True)
class Store:
    """A bucket on an S3 server."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that a gesture took, and the longest time that its event loop stood still."""

    seconds: float
    stall: float


class Raw:
    """A service for `Child`: gestures are timed in this process, around the SDK's calls."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __aenter__(self) -> Self:
        from aiobotocore.config import AioConfig
        from aiobotocore.session import AioSession

        store = self._store
        self._context = AioSession().create_client(
            "s3",
            endpoint_url=store.endpoint,
            region_name=REGION,
            aws_access_key_id=store.access_key,
            aws_secret_access_key=store.secret_key,
            config=AioConfig(
                max_pool_connections=_COPIES_AT_ONCE,
                s3={"addressing_style": "path", "payload_signing_enabled": False},
            ),
        )
        self._client: S3Client = await self._context.__aenter__()
        self._client.meta.events.register_last("before-call.s3", _send_at_once)
        self._part = file_bytes(PART_SIZE // MIB)
        self._edited = b""
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._context.__aexit__(None, None, None)

    async def edit(self, data: bytes) -> None:
        """Have the notebook ready that is saved next."""
        self._edited = data

    async def perform(self, gesture: str, *arguments: Any) -> Timing:
        """Do one of the gestures below, and time it."""
        method: Callable[..., Awaitable[None]] = getattr(self, f"_{gesture}")
        async with _ticking() as late:
            begun = time.perf_counter()
            await method(*arguments)
            seconds = time.perf_counter() - begun
        return Timing(seconds, max(late, default=0.0))

    # Gestures with the fewest requests

    async def _open(self, path: str) -> None:
        answer = await self._client.get_object(Bucket=self._store.bucket, Key=path)
        async with answer["Body"] as body:
            await body.read()

    async def _save(self, path: str) -> None:
        await self.write(path, self._edited)

    async def _list(self, path: str) -> None:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._store.bucket, Prefix=f"{path}/", Delimiter="/"
        )
        async for _ in pages:
            pass

    async def _rename(self, old: str, new: str) -> None:
        paths = await self.paths(f"{old}/")
        await self._all_at_once(
            _COPIES_AT_ONCE,
            (self._copy(path, new + path.removeprefix(old)) for path in paths),
        )
        objects: Any = [{"Key": path} for path in paths]
        await self._client.delete_objects(Bucket=self._store.bucket, Delete={"Objects": objects})

    async def _upload(self, path: str, mib: int) -> None:
        target: Any = {"Bucket": self._store.bucket, "Key": path}
        target["UploadId"] = (await self._client.create_multipart_upload(**target))["UploadId"]
        tags: dict[int, str] = {}

        async def send(number: int) -> None:
            part = self._part[: min(PART_SIZE, mib * MIB - (number - 1) * PART_SIZE)]
            answer = await self._client.upload_part(PartNumber=number, Body=part, **target)
            tags[number] = answer["ETag"]

        count = -(-mib * MIB // PART_SIZE)
        await self._all_at_once(_PARTS_AT_ONCE, (send(number + 1) for number in range(count)))
        parts: Any = [{"PartNumber": number, "ETag": tags[number]} for number in sorted(tags)]
        await self._client.complete_multipart_upload(MultipartUpload={"Parts": parts}, **target)

    async def _download(self, path: str) -> None:
        answer = await self._client.get_object(Bucket=self._store.bucket, Key=path)
        async with answer["Body"] as body:
            while await body.read(_READ_SIZE):
                pass

    # The same, with as many requests as design.md allows: nothing else than the requests

    async def _open_as_allowed(self, path: str) -> None:
        await self._open(path)
        await self._list(f"checkpoints/{path}")

    async def _save_as_allowed(self, path: str) -> None:
        await self._client.head_object(Bucket=self._store.bucket, Key=path)
        await self._save(path)
        await self._copy(path, f"checkpoints/{path}/1")

    # To put things in place, and to look at them

    async def write(self, path: str, data: bytes) -> None:
        """Put one object."""
        await self._client.put_object(Bucket=self._store.bucket, Key=path, Body=data)

    async def write_many(self, folder: str, count: int, data: bytes) -> None:
        """Put `count` objects into a folder."""
        await self._all_at_once(
            _COPIES_AT_ONCE,
            (self.write(f"{folder}/file-{number:05}.txt", data) for number in range(count)),
        )

    async def write_large(self, path: str, mib: int) -> None:
        """Put one object of so many MiB."""
        await self._upload(path, mib)

    async def read(self, path: str) -> bytes:
        """The bytes of an object."""
        answer = await self._client.get_object(Bucket=self._store.bucket, Key=path)
        async with answer["Body"] as body:
            return bytes(await body.read())

    async def size(self, path: str) -> int:
        """Of an object, in bytes."""
        answer = await self._client.head_object(Bucket=self._store.bucket, Key=path)
        return answer["ContentLength"]

    async def paths(self, prefix: str) -> list[str]:
        """All keys below the prefix."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._store.bucket, Prefix=prefix
        )
        return [item["Key"] async for page in pages for item in page.get("Contents", ())]

    async def _copy(self, source: str, target: str) -> None:
        bucket = self._store.bucket
        await self._client.copy_object(
            Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source}
        )

    async def _all_at_once(self, limit: int, work: Iterable[Awaitable[None]]) -> None:
        allowed = asyncio.Semaphore(limit)

        async def limited(one: Awaitable[None]) -> None:
            async with allowed:
                await one

        await asyncio.gather(*map(limited, work))


def _send_at_once(params: dict[str, Any], **details: Any) -> None:
    """Do not ask before each write whether it may be sent: that costs a round trip."""
    params["headers"].pop("Expect", None)


@asynccontextmanager
async def _ticking() -> AsyncIterator[list[float]]:
    """Seconds by which a timer of the event loop came late, each time."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            late.append(time.perf_counter() - due)

    ticker = asyncio.create_task(tick())
    try:
        yield late
        await asyncio.sleep(_TICK)  # or the last stop would not be seen
    finally:
        ticker.cancel()
