"""Rules of writing: conditions, races, and that a write is all or nothing."""

from __future__ import annotations

import asyncio

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError, NotSupportedError, PreconditionError
from ..storage.types import IfAbsent, IfMatch, Version
from .suite import StorageSuite, listing, race, read, requires

WRITERS = 8


class ConditionRules(StorageSuite):
    async def test_a_change_of_the_bytes_changes_the_version(
        self, storage: BaseStorageService
    ) -> None:
        versions = [(await storage.put("a", data)).version for data in (b"1", b"2", b"3")]
        assert len(set(versions)) == 3
        assert (await storage.head("a")).version == versions[-1]

    async def test_every_write_changes_the_version(self, storage: BaseStorageService) -> None:
        versions = [(await storage.put("a", b"same")).version for _ in range(5)]
        assert len(set(versions)) == 5

    @requires(conditional_put=True)
    async def test_put_if_absent_creates_an_object(self, storage: BaseStorageService) -> None:
        meta = await storage.put("a/b", b"new", condition=IfAbsent())
        assert meta == await storage.head("a/b")
        assert await read(storage, "a/b") == b"new"

    @requires(conditional_put=True)
    async def test_put_if_absent_refuses_an_existing_object(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"old")
        with pytest.raises(AlreadyExistsError):
            await storage.put("a", b"new", condition=IfAbsent())
        assert await read(storage, "a") == b"old"
        assert await storage.head("a") == old

    @requires(conditional_put=True)
    async def test_put_if_absent_creates_again_after_a_delete(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a", b"old")
        await storage.delete("a")
        await storage.put("a", b"new", condition=IfAbsent())
        assert await read(storage, "a") == b"new"

    @requires(conditional_put=True)
    async def test_put_if_absent_refuses_an_existing_marker(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a/", b"", condition=IfAbsent())
        with pytest.raises(AlreadyExistsError):
            await storage.put("a/", b"", condition=IfAbsent())

    @requires(conditional_put=True)
    async def test_put_if_match_replaces_that_version(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"old")
        new = await storage.put("a", b"new", condition=IfMatch(old.version))
        assert new == await storage.head("a")
        assert await read(storage, "a") == b"new"

    @requires(conditional_put=True)
    async def test_put_if_match_refuses_another_version(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"1")
        await storage.put("a", b"2")
        with pytest.raises(PreconditionError):
            await storage.put("a", b"3", condition=IfMatch(old.version))
        assert await read(storage, "a") == b"2"

    @requires(conditional_put=True)
    async def test_put_if_match_refuses_a_missing_object(self, storage: BaseStorageService) -> None:
        old = await storage.put("new/folder/a", b"1")
        await storage.delete_many(["new/folder/a", "new/folder/", "new/"])
        with pytest.raises(PreconditionError):
            await storage.put("new/folder/a", b"2", condition=IfMatch(old.version))
        assert (await listing(storage.list_pages("", delimiter=None))).paths == []

    @requires(conditional_put=False)
    async def test_a_condition_of_put_is_not_ignored(self, storage: BaseStorageService) -> None:
        for condition in (IfAbsent(), IfMatch(Version("1"))):
            with pytest.raises(NotSupportedError):
                await storage.put("a", b"", condition=condition)
        assert (await listing(storage.list_pages(""))).paths == []

    @requires(conditional_delete=True)
    async def test_delete_if_match_deletes_that_version(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"1")
        await storage.delete("a", condition=IfMatch(old.version))
        assert (await listing(storage.list_pages(""))).paths == []

    @requires(conditional_delete=True)
    async def test_delete_if_match_refuses_another_version(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"1")
        await storage.put("a", b"2")
        with pytest.raises(PreconditionError):
            await storage.delete("a", condition=IfMatch(old.version))
        assert await read(storage, "a") == b"2"

    @requires(conditional_delete=True)
    async def test_delete_if_match_refuses_a_missing_object(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"1")
        await storage.delete("a")
        with pytest.raises(PreconditionError):
            await storage.delete("a", condition=IfMatch(old.version))

    @requires(conditional_delete=False)
    async def test_a_condition_of_delete_is_not_ignored(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"1")
        with pytest.raises(NotSupportedError):
            await storage.delete("a", condition=IfMatch(old.version))
        assert await read(storage, "a") == b"1"

    @requires(conditional_put=True)
    async def test_of_concurrent_creates_one_wins(self, storage: BaseStorageService) -> None:
        won, lost = await race(
            storage.put("new/a", b"%d" % number * 1000, condition=IfAbsent())
            for number in range(WRITERS)
        )
        assert {type(error) for error in lost} == {AlreadyExistsError}
        assert [await storage.head("new/a")] == won

    @requires(conditional_put=True)
    async def test_of_concurrent_replaces_one_wins(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"old")
        won, lost = await race(
            storage.put("a", b"%d" % number * (number + 1), condition=IfMatch(old.version))
            for number in range(WRITERS)
        )
        assert {type(error) for error in lost} == {PreconditionError}
        assert [await storage.head("a")] == won
        assert len(await read(storage, "a")) == won[0].size

    @requires(conditional_delete=True)
    async def test_of_concurrent_conditional_deletes_one_wins(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"old")
        won, lost = await race(
            storage.delete("a", condition=IfMatch(old.version)) for _ in range(WRITERS)
        )
        assert {type(error) for error in lost} == {PreconditionError}
        assert len(won) == 1

    async def test_no_read_sees_two_writes_mixed(self, storage: BaseStorageService) -> None:
        """Each write is of one repeated byte and of a length of its own."""
        sizes = {number: 200_000 + 50_000 * number for number in range(4)}
        await storage.put("a", bytes([0]) * sizes[0])

        async def write(number: int) -> None:
            for _ in range(4):
                await storage.put("a", bytes([number]) * sizes[number])

        async def look() -> None:
            for _ in range(6):
                async with storage.get("a") as reader:
                    data = await reader.read()
                assert data == data[:1] * sizes[data[0]]
                assert len(data) == reader.meta.size

        await asyncio.gather(*map(write, sizes), *(look() for _ in range(4)))

    async def test_a_cancelled_put_leaves_the_old_or_the_new_object(
        self, storage: BaseStorageService
    ) -> None:
        old, new = b"o" * 300_000, b"n" * 2_000_000
        for steps in (0, 1, 2, 3, 5, 8, 13):
            await storage.put("a", old)
            writing = asyncio.ensure_future(storage.put("a", new))
            for _ in range(steps):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait([writing])
            assert await read(storage, "a") in (old, new)
            assert (await listing(storage.list_pages("", delimiter=None))).paths == ["a"]
