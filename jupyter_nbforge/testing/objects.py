"""Rules of single objects: what is written is read, and under which names."""

from __future__ import annotations

import asyncio
import functools
from datetime import datetime, timedelta, timezone

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import (
    AlreadyExistsError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
)
from ..storage.metadata import stamp
from ..storage.paths import FOLDER_CONTENT_TYPE
from ..storage.types import ByteRange, Version
from .suite import StorageSuite, listing, read, requires

MOMENT = datetime(2024, 2, 29, 23, 59, 59, 123456, tzinfo=timezone.utc)

ODD_NAMES = {
    "space": "a b",
    "leading-space": " a",
    "trailing-space": "a ",
    "nfc": "caf\u00e9",
    "nfd": "cafe\u0301",
    "cjk": "日本語",
    "emoji": "🦀🪐",
    "percent": "100%",
    "percent-slash": "a%2Fb",
    "percent-space": "a%20b",
    "plus": "a+b",
    "hash": "a#b",
    "question-mark": "a?b=c",
    "ampersand": "a&b&amp;",
    "single-quote": "it's",
    "double-quote": 'a"b"',
    "angle-brackets": "<a>",
    "semicolon": "a;b",
    "colon": "a:b",
    "at": "a@b",
    "equals": "a=b",
    "comma": "a,b",
    "dollar": "$a!",
    "asterisk": "*",
    "tilde": "~a",
    "brackets": "[a]{b}(c)",
    "pipe": "a|b^c`d",
    "backslash": "a\\b",
    "leading-dot": ".hidden",
    "leading-dots": "..a",
    "three-dots": "...",
    "trailing-dot": "a.",
    "200-bytes": "x" * 200,
    "200-bytes-utf-8": "é" * 100,
}

INVALID_PATHS = {
    "empty": "",
    "slash": "/",
    "leading-slash": "/a",
    "empty-segment": "a//b",
    "two-trailing-slashes": "a//",
    "dot": ".",
    "dots": "..",
    "leading-dots": "../a",
    "inner-dots": "a/../b",
    "trailing-dots": "a/..",
    "inner-dot": "a/./b",
    "backslash-dots": "a\\..\\b",
    "leading-backslash-dots": "..\\a",
    "null": "a\0b",
    "newline": "a\nb",
    "delete-character": "a\x7fb",
    "lone-surrogate": "a\ud800b",
}


class ObjectRules(StorageSuite):
    async def test_an_object_round_trips(self, storage: BaseStorageService) -> None:
        put = await storage.put("a/b.txt", b"hello")
        head = await storage.head("a/b.txt")
        assert (put.path, put.size) == ("a/b.txt", 5)
        assert (head.path, head.size) == ("a/b.txt", 5)
        assert await read(storage, "a/b.txt") == b"hello"
        await storage.delete("a/b.txt")
        with pytest.raises(NotFoundError):
            await storage.head("a/b.txt")

    async def test_an_empty_object_round_trips(self, storage: BaseStorageService) -> None:
        assert (await storage.put("empty", b"")).size == 0
        assert (await storage.head("empty")).size == 0
        assert await read(storage, "empty") == b""

    async def test_every_byte_round_trips(self, storage: BaseStorageService) -> None:
        data = bytes(range(256)) * 10_001
        await storage.put("binary", data)
        assert await read(storage, "binary") == data

    async def test_put_replaces_what_is_there(self, storage: BaseStorageService) -> None:
        await storage.put("a", b"a longer old one")
        await storage.put("a", b"new")
        assert await read(storage, "a") == b"new"
        assert (await storage.head("a")).size == 3

    async def test_put_returns_what_head_returns(self, storage: BaseStorageService) -> None:
        data = b"{}"
        for path, metadata in {
            "stamped.txt": stamp(data, MOMENT),
            "now.txt": stamp(data),
            "a/b.ipynb": stamp(data, MOMENT + timedelta(days=1)),
        }.items():
            put = await storage.put(path, data, content_type="text/plain", metadata=metadata)
            assert put == await storage.head(path)

    async def test_get_shows_what_head_shows(self, storage: BaseStorageService) -> None:
        await storage.put("a.txt", b"abc", content_type="text/plain", metadata=stamp(b"abc"))
        async with storage.get("a.txt") as reader:
            assert reader.meta == await storage.head("a.txt")

    @requires(user_metadata=True)
    async def test_put_keeps_time_hash_and_content_type(self, storage: BaseStorageService) -> None:
        metadata = stamp(b"abc", MOMENT)
        await storage.put("a.bin", b"abc", content_type="text/x-forge", metadata=metadata)
        head = await storage.head("a.bin")
        assert head.last_modified == MOMENT
        assert head.content_type == "text/x-forge"
        assert head.content_hash is not None
        assert head.content_hash.algorithm == "sha256"
        assert head.content_hash.value == metadata["sha256"]

    @requires(user_metadata=True)
    async def test_put_without_metadata_forgets_the_old(self, storage: BaseStorageService) -> None:
        before = await storage.put("a", b"old", metadata=stamp(b"old", MOMENT))
        await storage.put("a", b"new")
        after = await storage.head("a")
        assert after.last_modified != MOMENT
        assert after.content_hash is None or after.content_hash != before.content_hash

    async def test_times_are_aware_and_utc(self, storage: BaseStorageService) -> None:
        started = datetime.now(timezone.utc)
        await storage.put("a", b"")
        found = await listing(storage.list_pages(""))
        for meta in (await storage.head("a"), *found.objects):
            assert meta.last_modified.utcoffset() == timedelta(0)
            # The store's clock is another one, and some cut off the digits of a second.
            assert abs(meta.last_modified - started) < timedelta(minutes=5)

    async def test_a_missing_object_is_not_found(self, storage: BaseStorageService) -> None:
        await storage.put("file", b"1")
        await storage.put("folder/file", b"2")
        for path in ("none", "none/none", "file/none", "folder", "folder/fil", "file/"):
            with pytest.raises(NotFoundError):
                await storage.head(path)
            with pytest.raises(NotFoundError):
                await read(storage, path)

    async def test_delete_of_a_missing_object_is_no_error(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("file", b"1")
        await storage.put("folder/file", b"2")
        for path in ("none", "none/", "none/none", "file/none", "folder", "file/"):
            await storage.delete(path)
        assert await read(storage, "file") == b"1"
        assert await read(storage, "folder/file") == b"2"

    async def test_a_folder_marker_round_trips(self, storage: BaseStorageService) -> None:
        put = await storage.put("a/b/", b"", content_type=FOLDER_CONTENT_TYPE)
        assert put == await storage.head("a/b/")
        assert (put.path, put.size) == ("a/b/", 0)
        assert await read(storage, "a/b/") == b""
        await storage.delete("a/b/")
        with pytest.raises(NotFoundError):
            await storage.head("a/b/")

    async def test_delete_of_a_marker_leaves_what_is_in_the_folder(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a/", b"", content_type=FOLDER_CONTENT_TYPE)
        await storage.put("a/b", b"1")
        await storage.delete("a/")
        assert await read(storage, "a/b") == b"1"

    async def test_a_folder_with_a_marker_outlives_its_last_file(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a/", b"", content_type=FOLDER_CONTENT_TYPE)
        await storage.put("a/b", b"1")
        await storage.delete("a/b")
        assert (await listing(storage.list_pages(""))).prefixes == ["a/"]

    @requires(file_beside_folder=True)
    async def test_a_file_can_be_beside_a_folder_of_its_name(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a", b"1")
        await storage.put("a/b", b"2")
        assert await read(storage, "a") == b"1"
        found = await listing(storage.list_pages(""))
        assert (found.paths, found.prefixes) == (["a"], ["a/"])
        await storage.delete("a")
        assert await read(storage, "a/b") == b"2"

    @requires(file_beside_folder=False)
    async def test_a_file_beside_a_folder_of_its_name_is_refused(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("file", b"1")
        await storage.put("folder/file", b"2")
        for path in ("file/a", "file/a/b", "file/", "folder"):
            with pytest.raises(AlreadyExistsError):
                await storage.put(path, b"")
        assert await read(storage, "file") == b"1"
        assert await read(storage, "folder/file") == b"2"

    @pytest.mark.parametrize("name", ODD_NAMES.values(), ids=ODD_NAMES.keys())
    async def test_an_odd_name_round_trips(self, storage: BaseStorageService, name: str) -> None:
        path, target = f"{name}/{name}", f"copies/{name}"
        assert (await storage.put(path, b"odd")).path == path
        assert (await storage.head(path)).path == path
        assert await read(storage, path) == b"odd"
        assert (await listing(storage.list_pages(""))).prefixes == [f"{name}/"]
        assert (await listing(storage.list_pages(f"{name}/"))).files == [path]
        assert (await storage.copy(path, target)).path == target
        assert await read(storage, target) == b"odd"
        await storage.delete_many([path])
        await storage.delete(target)
        assert (await listing(storage.list_pages("", delimiter=None))).files == []

    async def test_names_that_look_alike_are_different(self, storage: BaseStorageService) -> None:
        paths = ["caf\u00e9", "cafe\u0301", "Cafe\u0301", "a%20b", "a b", "a+b", "a%2520b"]
        for path in paths:
            await storage.put(path, path.encode())
        for path in paths:
            assert await read(storage, path) == path.encode()
        found = await listing(storage.list_pages(""))
        assert sorted(found.paths) == sorted(paths)

    @pytest.mark.parametrize("path", INVALID_PATHS.values(), ids=INVALID_PATHS.keys())
    async def test_an_invalid_path_is_refused(self, storage: BaseStorageService, path: str) -> None:
        await storage.put("a", b"1")
        for refused in (
            functools.partial(storage.put, path, b"2"),
            functools.partial(storage.head, path),
            functools.partial(read, storage, path),
            functools.partial(storage.delete, path),
            functools.partial(storage.copy, path, "b"),
            functools.partial(storage.copy, "a", path),
        ):
            with pytest.raises(InvalidPathError):
                await refused()
        assert (await listing(storage.list_pages("", delimiter=None))).paths == ["a"]

    @requires(multipart=True)
    async def test_an_upload_to_an_invalid_path_is_refused(
        self, storage: BaseStorageService
    ) -> None:
        for path in ("", "/a", "a//b", "../a", "a\0b"):
            with pytest.raises(InvalidPathError):
                await storage.create_multipart_upload(path)

    async def test_a_read_can_ask_for_one_version(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"1")
        assert await read(storage, "a", if_match=old.version) == b"1"
        new = await storage.put("a", b"2")
        with pytest.raises(PreconditionError):
            await read(storage, "a", if_match=old.version)
        assert await read(storage, "a", if_match=new.version) == b"2"

    async def test_a_read_can_ask_for_another_version(self, storage: BaseStorageService) -> None:
        old = await storage.put("a", b"1")
        with pytest.raises(NotModifiedError):
            await read(storage, "a", if_none_match=old.version)
        await storage.put("a", b"2")
        assert await read(storage, "a", if_none_match=old.version) == b"2"

    async def test_a_conditional_read_of_a_missing_object_is_not_found(
        self, storage: BaseStorageService
    ) -> None:
        version = Version((await storage.put("a", b"1")).version)
        await storage.delete("a")
        with pytest.raises(NotFoundError):
            await read(storage, "a", if_match=version)
        with pytest.raises(NotFoundError):
            await read(storage, "a", if_none_match=version)

    @pytest.mark.parametrize(
        ("byte_range", "expected"),
        [
            (ByteRange(0), b"0123456789"),
            (ByteRange(0, 1), b"0"),
            (ByteRange(3, 7), b"3456"),
            (ByteRange(7), b"789"),
            (ByteRange(9, 10), b"9"),
            (ByteRange(7, 99), b"789"),
            (ByteRange(10), b""),
            (ByteRange(10, 12), b""),
            (ByteRange(99), b""),
        ],
        ids=str,
    )
    async def test_a_range_gives_these_bytes_and_the_whole_size(
        self, storage: BaseStorageService, byte_range: ByteRange, expected: bytes
    ) -> None:
        await storage.put("digits", b"0123456789")
        async with storage.get("digits", byte_range=byte_range) as reader:
            assert await reader.read() == expected
            assert reader.meta == await storage.head("digits")

    async def test_a_range_of_an_empty_object_is_empty(self, storage: BaseStorageService) -> None:
        await storage.put("empty", b"")
        assert await read(storage, "empty", byte_range=ByteRange(0, 10)) == b""
        assert await read(storage, "empty", byte_range=ByteRange(5)) == b""

    async def test_a_range_over_many_chunks_is_exact(self, storage: BaseStorageService) -> None:
        data = bytes(range(251)) * 20_000
        await storage.put("large", data)
        wanted = ByteRange(1_000_003, 4_000_001)
        assert await read(storage, "large", byte_range=wanted) == data[1_000_003:4_000_001]

    async def test_a_read_can_be_left_before_its_end(self, storage: BaseStorageService) -> None:
        data = bytes(3_000_000)
        await storage.put("large", data)
        for _ in range(3):
            async with storage.get("large") as reader:
                assert await anext(reader.chunks)
        assert await read(storage, "large") == data

    async def test_many_calls_at_once_do_not_mix(self, storage: BaseStorageService) -> None:
        async def round_trip(number: int) -> None:
            data = str(number).encode() * (number + 1)
            meta = await storage.put(f"folder{number % 5}/{number}", data)
            assert await read(storage, meta.path) == data
            assert (await storage.head(meta.path)).size == len(data)

        await asyncio.gather(*map(round_trip, range(40)))
