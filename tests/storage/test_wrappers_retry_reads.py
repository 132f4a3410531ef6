"""RetryStorage: bodies and listings go on where they broke off."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    ByteRange,
    Capabilities,
    ListPage,
    NotModifiedError,
    ObjectReader,
    PreconditionError,
    StorageError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers.base import WrapperStorage
from jupyter_nbforge.testing.faults import Fault, unavailable

from .helpers import listing, put_all, read
from .retry_world import Small, World


@pytest.fixture
def world() -> World:
    return World()


async def test_a_body_that_breaks_is_read_on_from_there(world: World) -> None:
    await world.store.put("a", b"0123456789")
    for skip in (1, 1, 0, 1):
        world.faulty.fail("chunk", skip=skip)
    assert await read(world.storage, "a") == b"0123456789"
    assert world.counting.counts["get"] == 5


@pytest.mark.parametrize(
    "byte_range", [ByteRange(3), ByteRange(3, 9), ByteRange(3, 99), ByteRange(50), ByteRange(10)]
)
async def test_a_range_that_breaks_is_read_on_from_there(
    world: World, byte_range: ByteRange
) -> None:
    data = b"0123456789"
    await world.store.put("a", data)
    world.faulty.fail("chunk", skip=1)
    world.faulty.fail("chunk")
    found = await read(world.storage, "a", byte_range=byte_range)
    assert found == data[byte_range.start : byte_range.stop]


@pytest.mark.parametrize("skip", [0, 2, 4])
async def test_a_truncated_body_is_read_on(world: World, skip: int) -> None:
    await world.store.put("a", b"0123456789")
    world.faulty.faults.append(Fault("chunk", skip=skip))
    assert await read(world.storage, "a") == b"0123456789"


async def test_a_body_that_stalls_is_read_on() -> None:
    world = World(attempt_timeout=0.03)
    await world.store.put("a", b"0123456789")
    world.faulty.faults.append(Fault("chunk", skip=1, delay=60))
    assert await asyncio.wait_for(read(world.storage, "a"), 2) == b"0123456789"


async def test_a_body_is_never_of_two_versions(world: World) -> None:
    await world.store.put("a", b"0123456789")

    async def change() -> None:
        await world.store.put("a", b"abcdefghij")

    world.faulty.faults.append(Fault("chunk", skip=2, hook=change, error=unavailable))
    with pytest.raises(PreconditionError):
        await read(world.storage, "a")


class IgnoresIfMatch(WrapperStorage):
    def get(
        self, path: str, *, if_match: Version | None = None, **options: Any
    ) -> AbstractAsyncContextManager[ObjectReader]:
        return super().get(path, **options)


async def test_a_body_is_never_of_two_versions_even_where_if_match_is_ignored() -> None:
    world = World(IgnoresIfMatch(Small()))
    await world.store.put("a", b"0123456789")

    async def change() -> None:
        await world.store.put("a", b"abcdefghij")

    world.faulty.faults.append(Fault("chunk", skip=2, hook=change, error=unavailable))
    with pytest.raises(PreconditionError):
        await read(world.storage, "a")


async def test_a_body_that_never_comes_is_given_up_after_the_attempts() -> None:
    world = World(max_attempts=3)
    await world.store.put("a", b"0123456789")
    world.faulty.fail("chunk", skip=1, times=None)
    with pytest.raises(UnavailableError):
        await read(world.storage, "a")
    assert world.counting.counts["get"] == 3


async def test_each_chunk_that_arrives_gives_all_attempts_again() -> None:
    world = World(max_attempts=2)
    await world.store.put("a", b"0123456789")
    for skip in (1, 2, 3, 4):
        world.faulty.fail("chunk", skip=skip)
    assert await read(world.storage, "a") == b"0123456789"


async def test_an_error_in_a_body_that_is_no_passing_one_is_raised_at_once(world: World) -> None:
    await world.store.put("a", b"0123456789")
    world.faulty.faults.append(
        Fault("chunk", skip=1, error=lambda: StorageError("The checksum is wrong."))
    )
    with pytest.raises(StorageError, match="checksum"):
        await read(world.storage, "a")
    assert world.counting.counts["get"] == 1


class BreaksAtTheEnd(Small):
    """The connection breaks when all bytes are there."""

    async def _pieces(self, data: bytes) -> AsyncIterator[bytes]:
        async for chunk in super()._pieces(data):
            yield chunk
        raise unavailable()


async def test_a_connection_that_breaks_after_the_last_byte_is_no_error() -> None:
    world = World(BreaksAtTheEnd())
    await world.store.put("a", b"0123456789")
    assert await read(world.storage, "a") == b"0123456789"
    assert world.counting.counts["get"] == 1


async def test_conditions_of_a_get_hold_on_opening(world: World) -> None:
    meta = await world.store.put("a", b"1")
    world.faulty.fail("get", times=3)
    with pytest.raises(NotModifiedError):
        await read(world.storage, "a", if_none_match=meta.version)
    with pytest.raises(PreconditionError):
        await read(world.storage, "a", if_match=Version("other"))
    assert await read(world.storage, "a", if_match=meta.version) == b"1"


async def test_every_body_that_was_opened_is_closed() -> None:
    opened: list[str] = []

    class Tracked(Small):
        @asynccontextmanager
        async def _in_pieces(
            self, opening: AbstractAsyncContextManager[ObjectReader]
        ) -> AsyncIterator[ObjectReader]:
            async with super()._in_pieces(opening) as reader:
                opened.append(reader.meta.path)
                try:
                    yield reader
                finally:
                    opened.pop()

    world = World(Tracked(), attempt_timeout=0.05)
    await world.store.put("a", b"0123456789")
    world.faulty.fail("chunk", skip=1)
    world.faulty.faults.append(Fault("chunk", skip=1, delay=60))
    async with world.storage.get("a") as reader:
        async for _ in reader.chunks:
            assert opened == ["a"]
    assert opened == []
    world.faulty.fail("chunk", times=None)
    with pytest.raises(UnavailableError):
        await read(world.storage, "a")
    assert opened == []


class Unordered(MemoryStorage):
    """A store whose listings have no order, so `start_after` means nothing to it."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, ordered_listing=False)

    async def list_pages(
        self,
        prefix: str,
        *,
        delimiter: str | None = "/",
        start_after: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[ListPage]:
        assert start_after is None
        pages = [page async for page in super().list_pages(prefix, delimiter=delimiter)]
        for page in reversed(pages):
            yield page


PATHS = [*(f"f/{number}" for number in range(5)), "f/a/x", "f/a/y", "f/a/z", "f/a-b", "f/aa", "f/ä"]


@pytest.mark.parametrize("delimiter", ["/", None])
@pytest.mark.parametrize("kind", [MemoryStorage, Unordered])
@pytest.mark.parametrize("page_size", [1, 2, 3])
async def test_a_listing_that_breaks_gives_each_entry_once(
    kind: type[MemoryStorage], delimiter: str | None, page_size: int
) -> None:
    world = World(kind(page_size=page_size))
    await put_all(world.store, [*PATHS, "e", "g/x"])
    whole = await listing(world.store.list_pages("f/", delimiter=delimiter))
    for number in range(12):
        world.faulty.faults = []
        world.faulty.fail("list_pages", skip=number)
        world.faulty.fail("list_pages", skip=2)
        found = await listing(world.storage.list_pages("f/", delimiter=delimiter))
        assert [sorted(names) for names in found] == [sorted(names) for names in whole]


async def test_an_ordered_listing_goes_on_after_the_last_page(world: World) -> None:
    await put_all(world.store, ["a", "b", "c", "d"])
    world.faulty.fail("list_pages", skip=2)
    pages = world.storage.list_pages("", page_size=1, start_after="a")
    assert (await listing(pages)).paths == ["b", "c", "d"]
    assert world.counting.counts["list_pages"] == 3


async def test_a_page_that_stalls_is_asked_for_again() -> None:
    world = World(attempt_timeout=0.03)
    await put_all(world.store, ["a", "b", "c"])
    world.faulty.faults.append(Fault("list_pages", skip=1, delay=60))
    pages = world.storage.list_pages("", page_size=1)
    assert (await asyncio.wait_for(listing(pages), 2)).paths == ["a", "b", "c"]


async def test_a_listing_that_never_comes_is_given_up_after_the_attempts() -> None:
    world = World(max_attempts=3)
    await put_all(world.store, ["a", "b"])
    fault = world.faulty.fail("list_pages", skip=1, times=None)
    with pytest.raises(UnavailableError):
        await listing(world.storage.list_pages("", page_size=1))
    assert fault.befallen == 3
