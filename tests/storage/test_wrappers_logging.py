"""LoggingStorage: one line for each operation, and nothing in it that is nobody's business."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest

from jupyter_nbforge.storage import (
    IfAbsent,
    IfMatch,
    LinkOptions,
    NotFoundError,
    PermissionDeniedError,
    StorageError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import LoggingStorage
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .helpers import listing, put_all, read

if TYPE_CHECKING:
    from typing_extensions import Unpack

LOG = logging.getLogger("test_logging")


class Signing(MemoryStorage):
    async def get_presigned_url(
        self, path: str, expires_in: float = 3600, **options: Unpack[LinkOptions]
    ) -> str:
        return f"https://store/{path}?Signature=sesame"


class World:
    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self.faulty = FaultyStorage(Signing())
        self.storage = LoggingStorage(self.faulty)
        self.storage.log = LOG
        self._caplog = caplog

    @property
    def records(self) -> list[logging.LogRecord]:
        return self._caplog.records

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Level and text of each line, its time as ``T``."""
        return [
            (record.levelname, re.sub(r"\d+\.\d ms", "T", record.getMessage()))
            for record in self.records
        ]


@pytest.fixture
def world(caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.DEBUG, LOG.name)
    return World(caplog)


async def test_each_operation_is_one_line_at_debug(world: World) -> None:
    storage = world.storage
    await storage.put("a", b"data!")
    await storage.head("a")
    await read(storage, "a")
    await storage.copy("a", "b")
    await put_all(world.faulty, ["f/x", "f/y", "f/g/z"])
    await listing(storage.list_pages("f/", page_size=2))
    await storage.delete("a")
    await storage.delete_many(["b", "c"])
    await storage.delete_many([])
    async with await storage.create_multipart_upload("u") as upload:
        await upload.upload_part(1, b"part")
        await upload.complete()
    async with await storage.create_multipart_upload("v"):
        pass
    assert world.lines == [
        ("DEBUG", "put 'a', T, 5 bytes, ok"),
        ("DEBUG", "head 'a', T, 5 bytes, ok"),
        ("DEBUG", "get 'a', T, 5 bytes, ok"),
        ("DEBUG", "copy 'b', from 'a', T, 5 bytes, ok"),
        ("DEBUG", "list_pages 'f/', 3 entries on 2 pages, T, ok"),
        ("DEBUG", "delete 'a', T, ok"),
        ("DEBUG", "delete_many 'b', 2 paths, T, ok"),
        ("DEBUG", "delete_many '', 0 paths, T, ok"),
        ("DEBUG", "create_multipart_upload 'u', T, ok"),
        ("DEBUG", "upload_part 'u', number 1, T, 4 bytes, ok"),
        ("DEBUG", "complete 'u', T, 4 bytes, ok"),
        ("DEBUG", "create_multipart_upload 'v', T, ok"),
        ("DEBUG", "abort 'v', T, ok"),
    ]


async def test_an_answer_is_no_warning(world: World) -> None:
    storage = world.storage
    version = (await world.faulty.put("a", b"1")).version
    for call in (
        storage.head("missing"),
        storage.put("a", b"", condition=IfAbsent()),
        storage.put("a", b"", condition=IfMatch(Version("other"))),
        read(storage, "a", if_none_match=version),
        read(storage, "missing"),
    ):
        with pytest.raises(StorageError):
            await call
    assert world.lines == [
        ("DEBUG", "head 'missing', T, NotFoundError"),
        ("DEBUG", "put 'a', T, 0 bytes, AlreadyExistsError"),
        ("DEBUG", "put 'a', T, 0 bytes, PreconditionError"),
        ("DEBUG", "get 'a', T, NotModifiedError"),
        ("DEBUG", "get 'missing', T, NotFoundError"),
    ]


@pytest.mark.parametrize("operation", ["head", "get", "chunk", "put", "list_pages", "delete"])
async def test_a_failure_is_one_warning_with_its_reason(world: World, operation: str) -> None:
    await world.faulty.put("a", b"1")
    world.faulty.faults.append(
        Fault(operation, error=lambda: PermissionDeniedError("Ask for it."), times=None)
    )
    calls: dict[str, Any] = {
        "head": world.storage.head,
        "get": lambda path: read(world.storage, path),
        "chunk": lambda path: read(world.storage, path),
        "put": lambda path: world.storage.put(path, b"1"),
        "list_pages": lambda path: listing(world.storage.list_pages(path)),
        "delete": world.storage.delete,
    }
    with pytest.raises(PermissionDeniedError):
        await calls[operation]("a")
    assert [level for level, _ in world.lines] == ["WARNING"]
    text = world.lines[0][1]
    assert text.startswith(f"{operation.replace('chunk', 'get')} 'a', ")
    assert text.endswith(", PermissionDeniedError: Ask for it.")


async def test_neither_data_nor_presigned_urls_are_logged(world: World) -> None:
    assert "sesame" in await world.storage.get_presigned_url("a")
    await world.storage.put("a", b"sesame", content_type="sesame", metadata={"word": "sesame"})
    await read(world.storage, "a")
    async with await world.storage.create_multipart_upload("u") as upload:
        await upload.upload_part(1, b"sesame")
        await upload.complete()
    assert len(world.lines) == 6
    assert world.lines[0] == ("DEBUG", "get_presigned_url 'a', for GET, T, ok")
    assert not any("sesame" in str(vars(record)) for record in world.records)


async def test_a_cancelled_operation_is_a_line_and_no_warning(world: World) -> None:
    world.faulty.faults.append(Fault("head", delay=60))
    task = asyncio.create_task(world.storage.head("a"))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.lines == [("DEBUG", "head 'a', T, cancelled")]


async def test_a_body_counts_the_bytes_that_were_read(world: World) -> None:
    await world.faulty.put("a", bytes(3 * 2**20))
    async with world.storage.get("a") as reader:
        async for _ in reader.chunks:
            break
    assert world.lines == [("DEBUG", f"get 'a', T, {2**20} bytes, ok")]


async def test_a_failure_of_the_reader_of_a_body_is_not_the_stores(world: World) -> None:
    await world.faulty.put("a", b"1")
    with pytest.raises(UnavailableError):
        async with world.storage.get("a"):
            raise UnavailableError("another storage")
    assert world.lines == [("DEBUG", "get 'a', T, 0 bytes, ok")]


async def test_the_time_is_that_of_the_store_and_not_of_the_consumer(world: World) -> None:
    await put_all(world.faulty, ["a", "b"])
    world.faulty.faults += [Fault("list_pages", delay=0.02), Fault("chunk", delay=0.02)]
    async for _ in world.storage.list_pages(""):
        await asyncio.sleep(0.2)
    async with world.storage.get("a") as reader:
        async for _ in reader.chunks:
            await asyncio.sleep(0.2)
    assert len(world.records) == 2
    for record in world.records:
        found = re.search(r"(\d+\.\d) ms", record.getMessage())
        assert found is not None
        assert 19 < float(found[1]) < 150


async def test_a_line_of_an_unknown_path_is_still_one_line(world: World) -> None:
    with pytest.raises(StorageError):
        await world.storage.head("a\nWARNING forged")
    with pytest.raises(NotFoundError):
        await world.storage.head("b c")
    assert len(world.lines) == 2
    assert not any("\n" in text for _, text in world.lines)
