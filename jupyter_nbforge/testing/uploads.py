"""Rules of uploads in parts: whole with the last part, and never before."""

from __future__ import annotations

import asyncio

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import (
    AlreadyExistsError,
    NotSupportedError,
    PreconditionError,
    StorageError,
)
from ..storage.metadata import stamp
from ..storage.types import IfAbsent, IfMatch, Version
from .objects import MOMENT
from .suite import Listing, StorageSuite, listing, read, requires


def parts_of(storage: BaseStorageService) -> list[bytes]:
    """Three parts that differ, all but the last of the least size that the storage takes."""
    size = storage.capabilities.min_part_size
    return [b"1" * size, b"2" * (size + 1), b"3"]


class UploadRules(StorageSuite):
    @requires(multipart=True)
    async def test_parts_are_joined_by_number(self, storage: BaseStorageService) -> None:
        parts = parts_of(storage)
        async with await storage.create_multipart_upload("up/loaded") as upload:
            assert upload.path == "up/loaded"
            await upload.upload_part(3, parts[2])
            await asyncio.gather(upload.upload_part(2, parts[1]), upload.upload_part(1, parts[0]))
            meta = await upload.complete()
        assert meta == await storage.head("up/loaded")
        assert await read(storage, "up/loaded") == b"".join(parts)

    @requires(multipart=True)
    async def test_the_same_part_can_be_sent_again(self, storage: BaseStorageService) -> None:
        parts = parts_of(storage)
        async with await storage.create_multipart_upload("a") as upload:
            for number in (1, 1, 2, 1, 2, 3, 3):
                await upload.upload_part(number, parts[number - 1])
            await upload.complete()
        assert await read(storage, "a") == b"".join(parts)

    @requires(multipart=True, replaceable_parts=False)
    async def test_another_part_in_place_of_one_that_was_sent_is_refused(
        self, storage: BaseStorageService
    ) -> None:
        parts = parts_of(storage)
        async with await storage.create_multipart_upload("a") as upload:
            for number, part in enumerate(parts, start=1):
                await upload.upload_part(number, part)
            with pytest.raises(NotSupportedError):
                await upload.upload_part(1, parts[1])
            await upload.complete()
        assert await read(storage, "a") == b"".join(parts)

    @requires(multipart=True, replaceable_parts=True)
    async def test_a_part_can_be_sent_again(self, storage: BaseStorageService) -> None:
        parts = parts_of(storage)
        async with await storage.create_multipart_upload("a") as upload:
            await upload.upload_part(1, parts[1])
            await upload.upload_part(2, b"wrong")
            await upload.upload_part(1, parts[0])
            await upload.upload_part(2, parts[2])
            await upload.complete()
        assert await read(storage, "a") == parts[0] + parts[2]

    @requires(multipart=True, user_metadata=True)
    async def test_an_upload_keeps_time_and_content_type(self, storage: BaseStorageService) -> None:
        async with await storage.create_multipart_upload(
            "a", content_type="text/x-forge", metadata=stamp(b"3", MOMENT)
        ) as upload:
            await upload.upload_part(1, b"3")
            await upload.complete()
        head = await storage.head("a")
        assert (head.last_modified, head.content_type) == (MOMENT, "text/x-forge")

    @requires(multipart=True)
    async def test_an_upload_is_invisible_until_it_is_complete(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"old")
        async with await storage.create_multipart_upload("a") as upload:
            await upload.upload_part(1, b"new")
            assert await storage.head("a") == old
            assert (await listing(storage.list_pages("", delimiter=None))).paths == ["a"]
            assert (await listing(storage.list_pages(""))).prefixes == []
            await upload.complete()
        assert await read(storage, "a") == b"new"

    @requires(multipart=True)
    async def test_an_aborted_upload_leaves_nothing(self, storage: BaseStorageService) -> None:
        upload = await storage.create_multipart_upload("new/a")
        await upload.upload_part(1, b"1")
        await upload.abort()
        await upload.abort()
        with pytest.raises(StorageError):
            await upload.complete()
        with pytest.raises(StorageError):
            await upload.upload_part(2, b"2")
        assert await listing(storage.list_pages("", delimiter=None)) == Listing([], [])

    @requires(multipart=True)
    async def test_an_upload_that_is_left_is_aborted(self, storage: BaseStorageService) -> None:
        async with await storage.create_multipart_upload("new/a") as upload:
            await upload.upload_part(1, b"1")
        with pytest.raises(StorageError):
            await upload.complete()
        assert await listing(storage.list_pages("", delimiter=None)) == Listing([], [])

    @requires(multipart=True, conditional_put=True)
    async def test_complete_if_absent_refuses_an_existing_object(
        self, storage: BaseStorageService
    ) -> None:
        async with await storage.create_multipart_upload("a") as upload:
            await upload.upload_part(1, b"new")
            await storage.put("a", b"came first")
            with pytest.raises(AlreadyExistsError):
                await upload.complete(condition=IfAbsent())
        assert await read(storage, "a") == b"came first"

    @requires(multipart=True, conditional_put=True)
    async def test_complete_if_match_replaces_only_that_version(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"1")
        now = await storage.put("a", b"2")
        async with await storage.create_multipart_upload("a") as upload:
            await upload.upload_part(1, b"3")
            with pytest.raises(PreconditionError):
                await upload.complete(condition=IfMatch(old.version))
        assert await read(storage, "a") == b"2"
        async with await storage.create_multipart_upload("a") as upload:
            await upload.upload_part(1, b"3")
            await upload.complete(condition=IfMatch(now.version))
        assert await read(storage, "a") == b"3"

    @requires(multipart=True, conditional_put=False)
    async def test_a_condition_of_complete_is_not_ignored(
        self, storage: BaseStorageService
    ) -> None:
        for condition in (IfAbsent(), IfMatch(Version("1"))):
            async with await storage.create_multipart_upload("a") as upload:
                await upload.upload_part(1, b"1")
                with pytest.raises(NotSupportedError):
                    await upload.complete(condition=condition)
        assert (await listing(storage.list_pages(""))).paths == []

    @requires(multipart=False)
    async def test_an_upload_in_parts_is_refused(self, storage: BaseStorageService) -> None:
        with pytest.raises(NotSupportedError):
            await storage.create_multipart_upload("a")
