"""What is special to the memory of the process."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.types import ByteRange
from jupyter_nbforge.testing.suite import listing, read


@pytest.mark.parametrize(
    ("url", "prefix"),
    [("memory://", ""), ("memory:///", ""), ("memory://a", "a"), ("memory:///a/b/", "a/b")],
)
def test_a_url_names_a_prefix(url: str, prefix: str) -> None:
    assert MemoryStorage.options_from_url(urlsplit(url)) == {"prefix": prefix}


async def test_two_storages_share_nothing() -> None:
    one, other = MemoryStorage(), MemoryStorage()
    await one.put("a", b"1")
    assert (await listing(other.list_pages(""))).paths == []


async def test_closing_forgets_nothing() -> None:
    storage = MemoryStorage()
    await storage.put("a", b"1")
    await storage.aclose()
    assert await read(storage, "a") == b"1"


async def test_a_listing_has_pages_of_the_configured_size() -> None:
    storage = MemoryStorage(page_size=2)
    for name in "abcde":
        await storage.put(name, b"")
    for asked in (None, 3):
        sizes = [len(page.objects) async for page in storage.list_pages("", page_size=asked)]
        assert sizes == [2, 2, 1]
    assert len([page async for page in storage.list_pages("", page_size=1)]) == 5


async def test_a_listing_survives_writes_between_its_pages() -> None:
    storage = MemoryStorage(page_size=1)
    for name in "abc":
        await storage.put(name, b"")
    pages = storage.list_pages("")
    seen = (await anext(pages)).objects
    await storage.delete("b")
    await storage.put("d", b"")
    found = await listing(pages)
    assert seen[0].path == "a"
    assert "c" in found.paths
    assert "b" not in found.paths


async def test_a_read_goes_on_while_the_object_is_replaced() -> None:
    storage = MemoryStorage()
    await storage.put("a", b"1" * 3_000_000)
    async with storage.get("a", byte_range=ByteRange(1)) as reader:
        await storage.put("a", b"2")
        assert await reader.read() == b"1" * 2_999_999
