"""Rules of copies, moves, batches and notebooks, and of opening and closing."""

from __future__ import annotations

import asyncio
import io

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionError,
    StorageError,
)
from ..storage.metadata import stamp
from ..storage.types import IfAbsent, IfMatch
from .objects import MOMENT
from .suite import StorageSuite, listing, put_all, race, read, requires


class TransferRules(StorageSuite):
    async def test_a_copy_has_the_bytes(self, storage: BaseStorageService) -> None:
        source = await storage.put("a", b"bytes")
        copied = await storage.copy("a", "b/c")
        head = await storage.head("b/c")
        assert (copied.path, copied.size, copied.version) == ("b/c", 5, head.version)
        assert await read(storage, "b/c") == b"bytes"
        assert await storage.head("a") == source

    @requires(user_metadata=True)
    async def test_a_copy_keeps_time_hash_and_content_type(
        self, storage: BaseStorageService
    ) -> None:
        source = await storage.put(
            "a", b"abc", content_type="text/x-forge", metadata=stamp(b"abc", MOMENT)
        )
        await storage.put("b", b"to be replaced", metadata=stamp(b"to be replaced"))
        await storage.copy("a", "b")
        head = await storage.head("b")
        assert (head.last_modified, head.content_type) == (MOMENT, "text/x-forge")
        assert head.content_hash == source.content_hash

    async def test_a_copy_replaces_the_target(self, storage: BaseStorageService) -> None:
        await storage.put("a", b"new")
        await storage.put("b", b"a longer old one")
        assert (await storage.copy("a", "b")).size == 3
        assert await read(storage, "b") == b"new"

    async def test_a_copy_of_a_marker_is_a_marker(self, storage: BaseStorageService) -> None:
        await storage.put("a/", b"")
        await storage.copy("a/", "b/")
        assert (await storage.head("b/")).size == 0

    async def test_a_copy_of_a_missing_source_is_not_found(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("b", b"kept")
        with pytest.raises(NotFoundError):
            await storage.copy("a", "b")
        with pytest.raises(NotFoundError):
            await storage.copy("a", "c")
        assert await read(storage, "b") == b"kept"
        assert (await listing(storage.list_pages(""))).paths == ["b"]

    async def test_copy_if_absent_refuses_an_existing_target(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, ["a", "b"])
        with pytest.raises(AlreadyExistsError):
            await storage.copy("a", "b", condition=IfAbsent())
        assert await read(storage, "b") == b"b"
        await storage.copy("a", "c", condition=IfAbsent())
        assert await read(storage, "c") == b"a"

    async def test_copy_if_match_replaces_only_that_version(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a", b"source")
        old = await storage.put("b", b"1")
        now = await storage.put("b", b"2")
        with pytest.raises(PreconditionError):
            await storage.copy("a", "b", condition=IfMatch(old.version))
        with pytest.raises(PreconditionError):
            await storage.copy("a", "none", condition=IfMatch(old.version))
        assert await read(storage, "b") == b"2"
        await storage.copy("a", "b", condition=IfMatch(now.version))
        assert await read(storage, "b") == b"source"
        assert (await listing(storage.list_pages("none"))).paths == []

    async def test_a_copy_takes_only_the_version_asked_for(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"1")
        now = await storage.put("a", b"2")
        with pytest.raises(PreconditionError):
            await storage.copy("a", "b", source_version=old.version)
        assert (await listing(storage.list_pages(""))).paths == ["a"]
        await storage.copy("a", "b", source_version=now.version, condition=IfAbsent())
        assert await read(storage, "b") == b"2"

    async def test_a_move_leaves_the_object_under_its_new_path_only(
        self, storage: BaseStorageService
    ) -> None:
        source = await storage.put("a", b"bytes", metadata=stamp(b"bytes", MOMENT))
        moved = await storage.move(source, "b/c")
        head = await storage.head("b/c")
        assert (moved.path, moved.size, moved.version) == ("b/c", 5, head.version)
        assert head.last_modified == source.last_modified
        assert head.content_hash == source.content_hash
        assert await read(storage, "b/c") == b"bytes"
        found = await listing(storage.list_pages("", delimiter=None))
        assert found.files == ["b/c"]

    @requires(conditional_delete=True)
    async def test_a_move_takes_only_the_version_asked_for(
        self, storage: BaseStorageService
    ) -> None:
        old = await storage.put("a", b"1")
        await storage.put("a", b"2")
        with pytest.raises(PreconditionError):
            await storage.move(old, "b")
        assert (await listing(storage.list_pages(""))).paths == ["a"]
        assert await read(storage, "a") == b"2"

    @requires(conditional_delete=True)
    async def test_move_if_absent_refuses_an_existing_target(
        self, storage: BaseStorageService
    ) -> None:
        source = await storage.put("a", b"source")
        await storage.put("b", b"target")
        with pytest.raises(AlreadyExistsError):
            await storage.move(source, "b", condition=IfAbsent())
        assert (await read(storage, "a"), await read(storage, "b")) == (b"source", b"target")
        await storage.move(source, "c", condition=IfAbsent())
        assert sorted((await listing(storage.list_pages(""))).paths) == ["b", "c"]

    @requires(conditional_delete=True)
    async def test_a_move_of_a_missing_source_is_not_found(
        self, storage: BaseStorageService
    ) -> None:
        gone = await storage.put("a", b"1")
        await storage.delete("a")
        await storage.put("b", b"kept")
        with pytest.raises((NotFoundError, PreconditionError)):
            await storage.move(gone, "b")
        assert await read(storage, "b") == b"kept"

    async def test_a_move_to_its_own_path_loses_nothing(self, storage: BaseStorageService) -> None:
        source = await storage.put("a", b"bytes", metadata=stamp(b"bytes", MOMENT))
        for condition in (None, IfAbsent(), IfMatch(source.version)):
            with pytest.raises(StorageError):
                await storage.move(source, "a", condition=condition)
        assert await read(storage, "a") == b"bytes"
        assert await storage.head("a") == source

    @requires(conditional_delete=True, atomic_move=True)
    async def test_of_concurrent_moves_of_one_object_one_wins(
        self, storage: BaseStorageService
    ) -> None:
        source = await storage.put("a", b"1")
        won, lost = await race(storage.move(source, f"b{number}") for number in range(8))
        assert {type(error) for error in lost} <= {NotFoundError, PreconditionError}
        assert (await listing(storage.list_pages(""))).paths == [meta.path for meta in won]
        assert len(won) == 1

    @requires(conditional_copy=True)
    async def test_of_concurrent_copies_to_one_target_one_wins(
        self, storage: BaseStorageService
    ) -> None:
        sources = [f"source{number}" for number in range(8)]
        await put_all(storage, sources)
        won, lost = await race(
            storage.copy(source, "target", condition=IfAbsent()) for source in sources
        )
        assert {type(error) for error in lost} == {AlreadyExistsError}
        assert [meta.version for meta in won] == [(await storage.head("target")).version]

    async def test_delete_many_deletes_these_and_no_others(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, ["a", "b", "ab", "c/d", "c/e"])
        await storage.delete_many(path for path in ("a", "b", "none", "c/none", "c/d"))
        found = await listing(storage.list_pages("", delimiter=None))
        assert sorted(found.files) == ["ab", "c/e"]
        await storage.delete_many([])
        await storage.delete_many(["none"])

    @requires(conditional_delete=True)
    async def test_delete_many_refuses_another_version_and_deletes_the_others(
        self, storage: BaseStorageService
    ) -> None:
        paths = ["a", "b", "c", "d"]
        await put_all(storage, paths)
        versions = {path: (await storage.head(path)).version for path in paths[:3]}
        await storage.put("b", b"changed")
        with pytest.raises(PreconditionError):
            await storage.delete_many(paths, versions=versions)
        assert (await listing(storage.list_pages(""))).paths == ["b"]
        assert await read(storage, "b") == b"changed"

    async def test_a_notebook_round_trips(self, storage: BaseStorageService) -> None:
        content = io.BytesIO(b"skipped{}")
        content.seek(7)
        assert await storage.write_notebook("n/a.ipynb", content) == "n/a.ipynb"
        stream = await storage.read_notebook("n/a.ipynb")
        assert stream.tell() == 0
        assert stream.read() == b"{}"
        await storage.delete_notebook("n/a.ipynb")
        await storage.delete_notebook("n/a.ipynb")
        with pytest.raises(NotFoundError):
            await storage.read_notebook("n/a.ipynb")

    async def test_notebooks_are_listed_however_deep(self, storage: BaseStorageService) -> None:
        notebooks = ["a.ipynb", "n/b.ipynb", "n/m/c.ipynb", "n/z.ipynb", "n2/d.ipynb"]
        await put_all(storage, [*reversed(notebooks), "n.ipynb.txt", "n/a.txt", "x.ipynb/y"])
        found = await storage.list_notebooks()
        assert [info["path"] for info in found] == notebooks
        assert {info["size"] for info in found} == {len(path) for path in notebooks} | {7}
        assert all(info["last_modified"].tzinfo for info in found)
        for prefix in ("n", "n/"):
            found = await storage.list_notebooks(prefix)
            assert [info["path"] for info in found] == ["n/b.ipynb", "n/m/c.ipynb", "n/z.ipynb"]

    async def test_a_closed_storage_can_be_used_again(self, storage: BaseStorageService) -> None:
        await storage.aclose()
        await storage.put("a", b"1")
        for _ in range(2):
            await storage.aclose()
        assert await storage.list_notebooks() == []

    def test_a_storage_serves_one_event_loop_after_the_other(
        self, storage: BaseStorageService
    ) -> None:
        async def use(number: int) -> None:
            await storage.put(f"object{number}", b"1")
            assert len((await listing(storage.list_pages(""))).paths) == number

        async def use_and_close(number: int) -> None:
            await use(number)
            await storage.aclose()

        # jupyter_server validates `preferred_dir` on a loop that nobody closes a storage on.
        asyncio.run(use(1))
        asyncio.run(use_and_close(2))
        asyncio.run(use_and_close(3))
