"""What killed processes leave of uploads in parts is found, and only that is ended."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from contextlib import aclosing
from typing import Any

import pytest

from jupyter_nbforge.storage import create_storage_service
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import PrefixStorage
from jupyter_nbforge.testing.servers import LocalServer, SeaweedServer

from .conftest import MakeGCS, MakeS3

PART = 5 * 2**20

CHILD = """
import asyncio, json, sys
from jupyter_nbforge.storage.s3 import S3Storage

async def main():
    storage = S3Storage(**json.loads(sys.argv[1]))
    upload = await storage.create_multipart_upload("home/left.bin")
    await upload.upload_part(1, bytes(5 * 2**20))
    print("sent", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(params=["seaweed_server", "moto_server"])
def server(request: pytest.FixtureRequest) -> LocalServer:
    found: LocalServer = request.getfixturevalue(request.param)
    return found


async def begun(storage: BaseStorageService, path: str) -> Any:
    upload = await storage.create_multipart_upload(path)
    await upload.upload_part(1, bytes(PART))
    return upload


async def test_an_upload_that_is_old_is_ended_and_its_parts_with_it(
    server: LocalServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(server)) as storage:
        uploads = [await begun(storage, f"a/{number}") for number in range(3)]
        uploads.append(await storage.create_multipart_upload("a/empty"))
        assert await storage.abort_stale_uploads("a/", -60) == 4
        assert await storage.abort_stale_uploads("a/", -60) == 0
        for upload in uploads:
            with pytest.raises(StorageError):
                await upload.upload_part(2, b"x")


async def test_an_upload_that_goes_on_is_left_alone(server: LocalServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(server)) as storage:
        upload = await begun(storage, "a")
        assert await storage.abort_stale_uploads("", 3600) == 0
        assert (await upload.complete()).size == PART


async def test_nothing_outside_the_prefix_is_ended(server: LocalServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(server)) as storage:
        other = [await begun(storage, path) for path in ("home2/a", "other/home/a", "home")]
        assert await PrefixStorage(storage, "home").abort_stale_uploads("", -60) == 0
        for upload in other:
            await upload.complete()


async def test_what_a_killed_process_has_begun_is_ended_by_the_next(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(seaweed_server)) as storage:
        options = {
            name: getattr(storage, name)
            for name in ("bucket", "endpoint_url", "access_key_id", "secret_access_key")
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, json.dumps(options), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"sent\n"
        child.send_signal(signal.SIGKILL)
        await child.communicate()
        home = PrefixStorage(storage, "home")
        assert await home.abort_stale_uploads("", 3600) == 0
        assert await home.abort_stale_uploads("", -60) == 1
        assert await home.abort_stale_uploads("", -60) == 0


async def test_hidden_objects_of_unfinished_uploads_are_deleted_from_cloud_storage(
    make_gcs: MakeGCS,
) -> None:
    async with aclosing(make_gcs()) as storage:
        kept = ["a/b.txt", "a/.hidden", "b/.nbforge-upload-1", "a/.nbforge-upload-dir/x"]
        for path in [*kept, "a/.nbforge-upload-1", "a/c/.nbforge-upload-2"]:
            await storage.put(path, b"x")
        assert await storage.abort_stale_uploads("a/", 3600) == 0
        assert await storage.abort_stale_uploads("a/", -60) == 2
        left = [m.path async for p in storage.list_pages("", delimiter=None) for m in p.objects]
        assert sorted(left) == sorted(kept)


async def test_the_standard_stack_passes_the_search_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, float]] = []

    async def abort(storage: Any, prefix: str, older_than: float) -> int:
        asked.append((prefix, older_than))
        return 3

    monkeypatch.setattr(MemoryStorage, "abort_stale_uploads", abort)
    storage = create_storage_service("memory://stale/home")
    assert await storage.abort_stale_uploads("a/", 5.0) == 3
    assert [prefix[-7:] for prefix, _ in asked] == ["home/a/"]
    await storage.aclose()
