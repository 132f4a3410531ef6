"""ShortMemoryStorage: what a listing of a moment ago answers, and what drops it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from jupyter_nbforge.storage import (
    ListPage,
    ObjectMeta,
)
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage
from jupyter_nbforge.storage.wrappers.remembered import ListingInProgress

from .helpers import listing, put_all
from .memory_world import World, upload


@pytest.fixture
def world() -> World:
    return World()


async def test_a_remembered_listing_answers_recall_for_its_folder(world: World) -> None:
    await put_all(world.store, ["f/a", "f/sub/b", "f/"])
    await listing(world.storage.list_pages("f/"))
    recalled = world.storage.recall("f/a")
    assert isinstance(recalled, ObjectMeta)
    assert recalled.path == "f/a"
    assert world.storage.recall("f/other") is False
    assert isinstance(world.storage.recall("f/"), ObjectMeta)
    assert world.storage.recall("f/sub") is False
    assert world.storage.recall("f/sub/b") is None
    assert world.storage.recall("g") is None
    world.now += 2.0
    assert world.storage.recall("f/other") is None


async def test_a_listing_of_the_parent_tells_nothing_of_the_marker_of_a_folder(
    world: World,
) -> None:
    await world.store.put("f/", b"")
    await listing(world.storage.list_pages("f/"))
    world.now += 1
    await listing(world.storage.list_pages(""))
    assert isinstance(world.storage.recall("f/"), ObjectMeta)


async def test_the_same_listing_asked_again_is_answered_from_memory(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b", "f/sub/c"])
    first = await listing(world.storage.list_pages("f/"))
    assert await world.requests(listing(world.storage.list_pages("f/"))) == []
    assert await listing(world.storage.list_pages("f/")) == first
    for other in (
        world.storage.list_pages("f/", delimiter=None),
        world.storage.list_pages("f/sub/"),
        world.storage.list_pages("f/", start_after="f/a"),
    ):
        assert await world.requests(listing(other)) == ["list_pages"]
    world.now += 2.0
    assert await world.requests(listing(world.storage.list_pages("f/"))) == ["list_pages"]


async def test_a_listing_from_some_place_on_is_not_taken_for_a_whole_one(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    await listing(world.storage.list_pages("f/", start_after="f/a"))
    assert (await listing(world.storage.list_pages("f/"))).paths == ["f/a", "f/b"]
    assert world.storage.recall_folder("other") is None


async def test_a_listing_that_was_not_read_to_its_end_is_not_remembered(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    async for _ in world.storage.list_pages("f/", page_size=1):
        break
    assert world.storage.recall("f/b") is None
    assert (await listing(world.storage.list_pages("f/"))).paths == ["f/a", "f/b"]


WRITES: dict[str, Callable[[ShortMemoryStorage], Awaitable[object]]] = {
    "put": lambda storage: storage.put("f/new", b""),
    "delete": lambda storage: storage.delete("f/a"),
    "delete_many": lambda storage: storage.delete_many(["f/a", "f/b"]),
    "copy": lambda storage: storage.copy("f/a", "f/new"),
    "complete": lambda storage: upload(storage, "f/new"),
}


@pytest.mark.parametrize("write", WRITES)
async def test_our_own_writes_drop_the_listings_above_them(world: World, write: str) -> None:
    storage = world.storage
    await put_all(world.store, ["f/a", "f/b", "g/c"])

    async def list_all() -> list[object]:
        prefixes = ("", "f/", "f", "g/", "f/a")
        return [await listing(storage.list_pages(prefix)) for prefix in prefixes]

    await list_all()
    await WRITES[write](storage)
    remembered = await list_all()
    storage._forget_all()
    assert remembered == await list_all()
    assert await world.requests(listing(storage.list_pages("g/"))) == []


@pytest.mark.parametrize("write", WRITES)
async def test_a_listing_during_which_we_wrote_is_not_remembered(world: World, write: str) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    pages = world.storage.list_pages("f/", page_size=1)
    await anext(pages)
    await WRITES[write](world.storage)
    await listing(pages)
    assert await world.requests(listing(world.storage.list_pages("f/"))) == ["list_pages"]


async def test_a_listing_during_which_we_wrote_elsewhere_is_remembered(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    pages = world.storage.list_pages("f/", page_size=1)
    await anext(pages)
    await world.storage.put("g/c", b"")
    await listing(pages)
    assert await world.requests(listing(world.storage.list_pages("f/"))) == []


async def test_a_listing_that_is_too_long_is_not_remembered(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_nbforge.storage.wrappers.short_memory._LISTED_ENTRIES", 4)
    world.storage._forget_all()
    await put_all(world.store, [f"f/{number}" for number in range(5)])
    assert len((await listing(world.storage.list_pages("f/", page_size=2))).paths) == 5
    again = listing(world.storage.list_pages("f/", page_size=2))
    assert await world.requests(again) == ["list_pages"] * 3


def test_the_pages_of_a_listing_that_is_too_long_are_let_go() -> None:
    listing = ListingInProgress(0.0, limit=1)
    listing.add(ListPage(prefixes=("a/",)))
    assert len(listing.pages) == 1
    listing.add(ListPage(prefixes=("b/",)))
    assert (listing.pages, listing.done()) == ([], None)


async def test_recall_folder_answers_from_a_listing_of_the_folder(world: World) -> None:
    await put_all(world.store, ["full/a", "marked/"])
    for folder in ("full/", "marked/", "empty/"):
        await listing(world.storage.list_pages(folder))
    assert world.storage.recall_folder("full") is True
    assert world.storage.recall_folder("marked/") is True
    assert world.storage.recall_folder("empty") is False
    assert world.storage.recall_folder("unknown") is None


async def test_recall_folder_answers_from_the_beginning_of_a_listing(world: World) -> None:
    await put_all(world.store, ["f/a", "f/b"])
    async for _ in world.storage.list_pages("f/", delimiter=None, page_size=1):
        break
    assert world.storage.recall_folder("f") is True


async def test_recall_folder_answers_from_a_listing_of_the_parent(world: World) -> None:
    await put_all(world.store, ["f/sub/a", "f/b"])
    await listing(world.storage.list_pages("f/"))
    assert world.storage.recall_folder("f/sub") is True
    assert world.storage.recall_folder("f/none") is False
    assert world.storage.recall_folder("f/b") is False
    assert world.storage.recall_folder("f/sub/deeper") is None


async def test_recall_folder_answers_from_a_listing_of_what_begins_with_its_name(
    world: World,
) -> None:
    await put_all(world.store, ["f/a", "file"])
    await listing(world.storage.list_pages("f"))
    await listing(world.storage.list_pages("g"))
    await world.store.put("house", b"")
    await listing(world.storage.list_pages("h"))
    assert world.storage.recall_folder("f") is True
    assert world.storage.recall("f") is False
    assert world.storage.recall_folder("g") is False
    assert world.storage.recall_folder("h") is False


async def test_the_root_always_exists(world: World) -> None:
    await listing(world.storage.list_pages(""))
    assert world.storage.recall_folder("") is True


async def test_recall_folder_goes_back_as_far_as_it_is_asked_to(world: World) -> None:
    await world.store.put("f/a", b"")
    await listing(world.storage.list_pages(""))
    world.now += 10
    assert world.storage.recall_folder("f") is None
    assert world.storage.recall_folder("f", max_age=11) is True
    assert await world.requests(listing(world.storage.list_pages(""))) == ["list_pages"]
    world.now += 15
    assert world.storage.recall_folder("f", max_age=60) is None


async def test_recall_folder_prefers_what_was_learnt_last(world: World) -> None:
    await listing(world.storage.list_pages(""))
    assert world.storage.recall_folder("f") is False
    world.now += 1
    await world.store.put("f/a", b"")
    await listing(world.storage.list_pages("f/"))
    assert world.storage.recall_folder("f") is True


async def test_our_own_write_in_a_folder_makes_all_folders_above_it_exist(world: World) -> None:
    await listing(world.storage.list_pages(""))
    await world.storage.put("f/sub/a", b"")
    assert world.storage.recall_folder("f") is True
    assert world.storage.recall_folder("f/sub") is True
    await world.storage.put("g/", b"")
    assert world.storage.recall_folder("g") is True


async def test_our_own_delete_in_a_folder_leaves_its_existence_unknown(world: World) -> None:
    await world.storage.put("f/sub/a", b"")
    await listing(world.storage.list_pages("f/"))
    await world.storage.delete("f/sub/a")
    assert world.storage.recall_folder("f") is None
    assert world.storage.recall_folder("f/sub", max_age=15) is None
