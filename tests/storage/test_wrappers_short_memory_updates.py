"""ShortMemoryStorage: a remembered listing follows our own writes, or is asked for again."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_nbforge.storage import ListPage
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import StorageError
from jupyter_nbforge.storage.wrappers import ShortMemoryStorage

from .helpers import listing, put_all
from .memory_world import World, upload


async def shown(storage: BaseStorageService, prefix: str) -> list[tuple[str, int, str] | str]:
    """All that a listing of a folder shows, but for times."""
    pages: list[ListPage] = [page async for page in storage.list_pages(prefix)]
    objects = [(m.path, m.size, str(m.version)) for page in pages for m in page.objects]
    return [*objects, *sorted(name for page in pages for name in page.prefixes)]


@pytest.mark.parametrize("path", ["f/a", "f/new", "f/b/c", "g", "f/0"])
async def test_after_a_write_in_a_listed_folder_it_is_not_listed_again(path: str) -> None:
    world = World()
    await put_all(world.store, ["f/a", "f/b/c"])
    await listing(world.storage.list_pages("f/"))
    await world.storage.put(path, b"new")
    assert await world.requests(shown(world.storage, "f/")) == []
    assert await shown(world.storage, "f/") == await shown(world.store, "f/")


async def test_after_an_upload_in_parts_its_folder_is_not_listed_again() -> None:
    world = World()
    await put_all(world.store, ["f/a"])
    await listing(world.storage.list_pages("f/"))
    await upload(world.storage, "f/b")
    assert await world.requests(shown(world.storage, "f/")) == []
    assert await shown(world.storage, "f/") == await shown(world.store, "f/")


@pytest.mark.parametrize("path", ["f/", "f/new/", "f/new/a"])
async def test_after_a_folder_was_made_its_folder_is_listed_again(path: str) -> None:
    world = World()
    await put_all(world.store, ["f/a"])
    await listing(world.storage.list_pages("f/"))
    await world.storage.put(path, b"")
    assert await world.requests(shown(world.storage, "f/")) == ["list_pages"]
    assert await shown(world.storage, "f/") == await shown(world.store, "f/")


async def test_a_listing_that_follows_our_writes_grows_old_as_any_other() -> None:
    world = World()
    await put_all(world.store, ["f/a"])
    await listing(world.storage.list_pages("f/"))
    world.now += 1.5
    await world.storage.put("f/b", b"")
    world.now += 1.0
    assert await world.requests(shown(world.storage, "f/")) == ["list_pages"]


async def test_after_a_write_that_failed_its_folder_is_listed_again() -> None:
    world = World()
    await put_all(world.store, ["f/a"])
    await listing(world.storage.list_pages("f/"))
    world.faulty.fail("put")
    with pytest.raises(StorageError):
        await world.storage.put("f/b", b"")
    assert await world.requests(shown(world.storage, "f/")) == ["list_pages"]


NAMES = st.sampled_from(["f/a", "f/b", "f/b/c", "f/b/d", "f/é", "f/", "f/b/", "g", "f", "f/a/x"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "delete", "copy", "upload", "delete_many"]), NAMES, NAMES),
    max_size=8,
)


async def step(storage: ShortMemoryStorage, what: str, one: str, other: str) -> None:
    if what == "put":
        await storage.put(one, other.encode())
    elif what == "delete":
        await storage.delete(one)
    elif what == "delete_many":
        await storage.delete_many([one, other])
    elif what == "upload":
        await upload(storage, one)
    elif one != other:
        await storage.copy(one, other)


@settings(deadline=None)
@given(STEPS)
def test_whatever_we_write_a_listing_shows_what_is_in_the_store(
    steps: list[tuple[str, str, str]],
) -> None:
    async def run() -> None:
        world = World()
        await put_all(world.store, ["f/a", "f/b/c"])
        for what, one, other in steps:
            for prefix in ("", "f/", "f/b/"):
                assert await shown(world.storage, prefix) == await shown(world.store, prefix)
            with contextlib.suppress(StorageError):  # a copy of what is not there
                await step(world.storage, what, one, other)
        for prefix in ("", "f/", "f/b/"):
            assert await shown(world.storage, prefix) == await shown(world.store, prefix)

    asyncio.run(run())
