"""Rules of listings: complete, each entry once, nothing but what the prefix says."""

from __future__ import annotations

from collections import Counter

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import NotSupportedError
from .suite import Listing, StorageSuite, listing, put_all, requires

TREE = ["a.txt", "data.txt", "data/x", "data/y/1", "data/y/2", "data/y/z/3", "data2/q", "dat"]

# By bytes of UTF-8; a tree walk ("a/" first), any collation and UTF-16 would order otherwise.
ORDERED = ["Z", "a-b", "a.b", "a/z", "a/z/1", "a0", "aa", "z", "é", "日", "\uffee", "🦀"]


def counted(entries: list[str]) -> Counter[str]:
    """The entries without their order, but not without their number."""
    return Counter(entries)


class ListingRules(StorageSuite):
    async def test_a_listing_folds_at_the_delimiter(self, storage: BaseStorageService) -> None:
        await put_all(storage, TREE)
        root = await listing(storage.list_pages(""))
        assert counted(root.paths) == counted(["a.txt", "data.txt", "dat"])
        assert counted(root.prefixes) == counted(["data/", "data2/"])
        folder = await listing(storage.list_pages("data/"))
        assert (folder.files, folder.prefixes) == (["data/x"], ["data/y/"])

    async def test_a_listing_without_delimiter_shows_every_object(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, TREE)
        root = await listing(storage.list_pages("", delimiter=None))
        assert counted(root.files) == counted(TREE)
        assert root.prefixes == []

    async def test_a_prefix_does_not_reach_siblings(self, storage: BaseStorageService) -> None:
        await put_all(storage, TREE)
        for prefix in ("data/", "data/y/", "data2/"):
            found = await listing(storage.list_pages(prefix, delimiter=None))
            assert counted(found.files) == counted([p for p in TREE if p.startswith(prefix)])

    async def test_a_prefix_need_not_end_in_a_slash(self, storage: BaseStorageService) -> None:
        await put_all(storage, TREE)
        found = await listing(storage.list_pages("data"))
        assert counted(found.paths) == counted(["data.txt"])
        assert counted(found.prefixes) == counted(["data/", "data2/"])
        found = await listing(storage.list_pages("data/y/z/", delimiter=None))
        assert found.files == ["data/y/z/3"]
        every = await listing(storage.list_pages("data", delimiter=None))
        assert counted(every.files) == counted([p for p in TREE if p.startswith("data")])

    async def test_a_listing_of_nothing_is_empty(self, storage: BaseStorageService) -> None:
        for delimiter in ("/", None):
            assert await listing(storage.list_pages("", delimiter=delimiter)) == Listing([], [])
        await put_all(storage, ["a", "b/c"])
        for prefix in ("none", "none/", "a/", "b/c/", "b/d"):
            for delimiter in ("/", None):
                found = await listing(storage.list_pages(prefix, delimiter=delimiter))
                assert found == Listing([], [])

    async def test_a_prefix_leads_nowhere_else(self, storage: BaseStorageService) -> None:
        await put_all(storage, ["a/b", "c"])
        for prefix in ("../", "a/../", "./", "/", "a//"):
            assert await listing(storage.list_pages(prefix)) == Listing([], [])

    async def test_a_marker_is_listed_in_its_folder(self, storage: BaseStorageService) -> None:
        await storage.put("a/b/", b"")
        assert (await listing(storage.list_pages("a/b/"))).paths == ["a/b/"]
        assert (await listing(storage.list_pages("a/b/", delimiter=None))).paths == ["a/b/"]
        assert (await listing(storage.list_pages("a/"))).prefixes == ["a/b/"]
        assert "a/b/" in (await listing(storage.list_pages("", delimiter=None))).paths

    async def test_a_marker_is_listed_beside_what_is_in_its_folder(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a/", b"")
        await put_all(storage, ["a/b", "a/c/d"])
        found = await listing(storage.list_pages("a/"))
        assert counted(found.paths) == counted(["a/", "a/b"])
        assert found.prefixes == ["a/c/"]
        assert (await listing(storage.list_pages(""))).prefixes == ["a/"]

    @requires(file_beside_folder=True)
    async def test_no_marker_is_listed_that_nobody_made(self, storage: BaseStorageService) -> None:
        await put_all(storage, TREE)
        for prefix in ("", "data/", "data/y/"):
            found = await listing(storage.list_pages(prefix, delimiter=None))
            assert found.paths == found.files

    async def test_a_listing_shows_size_and_version(self, storage: BaseStorageService) -> None:
        await put_all(storage, ["a", "folder/longer"])
        found = await listing(storage.list_pages("", delimiter=None))
        sizes = {meta.path: (meta.size, meta.version) for meta in found.objects}
        for path in ("a", "folder/longer"):
            head = await storage.head(path)
            assert sizes[path] == (head.size, head.version)

    @pytest.mark.parametrize("page_size", [1, 7, 49, 50, 51])
    async def test_a_listing_is_complete_over_all_pages(
        self, storage: BaseStorageService, page_size: int
    ) -> None:
        paths = [f"f/{number:02}" for number in range(50)]
        await put_all(storage, paths)
        for delimiter in ("/", None):
            pages = storage.list_pages("f/", delimiter=delimiter, page_size=page_size)
            assert counted((await listing(pages)).files) == counted(paths)

    async def test_a_prefix_is_listed_once_over_all_pages(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, [f"folder{n % 5}/{n}" for n in range(25)])
        await put_all(storage, [f"folder{n}" for n in range(5, 9)])
        found = await listing(storage.list_pages("", page_size=2))
        assert counted(found.prefixes) == counted([f"folder{n}/" for n in range(5)])
        assert counted(found.paths) == counted([f"folder{n}" for n in range(5, 9)])

    async def test_many_objects_are_listed_and_deleted(self, storage: BaseStorageService) -> None:
        paths = [f"many/{number % 3}/{number}" for number in range(self.many)]
        await put_all(storage, paths)
        found = await listing(storage.list_pages("many/", delimiter=None))
        assert counted(found.files) == counted(paths)
        folded = await listing(storage.list_pages("many/"))
        assert counted(folded.prefixes) == counted(["many/0/", "many/1/", "many/2/"])
        await storage.delete_many(found.paths)
        assert (await listing(storage.list_pages("", delimiter=None))).files == []

    @requires(ordered_listing=True)
    @pytest.mark.parametrize("page_size", [None, 3])
    async def test_a_listing_is_ordered_by_bytes(
        self, storage: BaseStorageService, page_size: int | None
    ) -> None:
        paths = [path for path in ORDERED if self._allowed(storage, path)]
        await put_all(storage, reversed(paths))
        found = await listing(storage.list_pages("", delimiter=None, page_size=page_size))
        assert found.files == paths
        folded = await listing(storage.list_pages("", page_size=page_size))
        assert folded.paths == [path for path in paths if "/" not in path]

    @staticmethod
    def _allowed(storage: BaseStorageService, path: str) -> bool:
        """Whether `path` can be beside the others of `ORDERED`."""
        return storage.capabilities.file_beside_folder or path != "a/z"

    @requires(ordered_listing=True)
    async def test_a_listing_starts_after_a_path(self, storage: BaseStorageService) -> None:
        await put_all(storage, ["a", "b", "b-", "b1", "c"])
        for start_after, expected in {
            "": ["a", "b", "b-", "b1", "c"],
            "a": ["b", "b-", "b1", "c"],
            "aa": ["b", "b-", "b1", "c"],
            "b": ["b-", "b1", "c"],
            "b-": ["b1", "c"],
            "c": [],
            "d": [],
        }.items():
            for delimiter in ("/", None):
                pages = storage.list_pages(
                    "", delimiter=delimiter, start_after=start_after, page_size=2
                )
                assert (await listing(pages)).paths == expected

    @requires(ordered_listing=True)
    async def test_a_listing_starts_after_a_path_in_a_folder(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, ["a/1", "b/1", "b/2", "b/3/x", "c"])
        for start_after, files, prefixes in (
            ("a/1", ["b/1", "b/2", "b/3/x", "c"], ["b/"]),
            ("b/", ["b/1", "b/2", "b/3/x", "c"], ["b/"]),
            ("b/1", ["b/2", "b/3/x", "c"], ["b/"]),
            ("b/2", ["b/3/x", "c"], ["b/"]),
            ("b/3/x", ["c"], []),
        ):
            found = await listing(storage.list_pages("", delimiter=None, start_after=start_after))
            assert found.files == files
            folded = await listing(storage.list_pages("", start_after=start_after))
            assert folded.prefixes == prefixes
            assert folded.paths == ["c"]

    @requires(ordered_listing=False)
    async def test_a_start_is_not_ignored(self, storage: BaseStorageService) -> None:
        await put_all(storage, ["a", "b"])
        with pytest.raises(NotSupportedError):
            await listing(storage.list_pages("", start_after="a"))

    async def test_deleting_all_that_is_listed_leaves_nothing(
        self, storage: BaseStorageService
    ) -> None:
        await put_all(storage, ["a/1", "a/b/2", "a/b/c/3", "a/d/4"])
        await storage.put("a/empty/", b"")
        found = await listing(storage.list_pages("a/", delimiter=None))
        await storage.delete_many(found.paths)
        for delimiter in ("/", None):
            assert await listing(storage.list_pages("", delimiter=delimiter)) == Listing([], [])
