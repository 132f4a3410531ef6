"""What the package gives to writers of providers beside the interface."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    BaseStorageService,
    Capabilities,
    IfAbsent,
    IfMatch,
    ListPage,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    ObjectMeta,
    PreconditionError,
    Version,
    check_read,
    check_write,
    chunks_of,
    fold,
)
from jupyter_nbforge.storage.memory import MemoryStorage, _Stored
from jupyter_nbforge.testing.conformance import StorageConformance

PATHS = ["a", "a b/1", "a/", "a/1", "a/2", "a/b/3", "a0", "b/1", "b/2", "c"]
FOLDED = ["a", "a b/", "a/", "a0", "b/", "c"]
ONE, OTHER = Version("1"), Version("2")


def meta(path: str, version: Version = ONE) -> ObjectMeta:
    return ObjectMeta(path, 1, datetime(2024, 2, 29, tzinfo=timezone.utc), version)


def entries(page: ListPage) -> list[str]:
    return sorted([*(found.path for found in page.objects), *page.prefixes])


def pages(prefix: str, delimiter: str | None, limit: int) -> Iterator[ListPage]:
    """A listing of `PATHS` as a store without delimiters makes it, `limit` objects at a time."""
    start = prefix
    while True:
        below = (path for path in PATHS if path >= start and path.startswith(prefix))
        batch = [meta(path) for path in islice(below, limit)]
        if not batch:
            return
        page, start = fold(batch, prefix, delimiter)
        yield page


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
@pytest.mark.parametrize(
    ("prefix", "delimiter", "expected"),
    [
        ("", "/", FOLDED),
        ("", None, PATHS),
        ("a/", "/", ["a/", "a/1", "a/2", "a/b/"]),
        ("a", "/", ["a", "a b/", "a/", "a0"]),
        ("b/", None, ["b/1", "b/2"]),
        ("", " b", ["a", "a b", "a/", "a/1", "a/2", "a/b/3", "a0", "b/1", "b/2", "c"]),
        ("none/", "/", []),
    ],
)
def test_folded_pages_have_each_entry_once(
    prefix: str, delimiter: str | None, expected: list[str], limit: int
) -> None:
    found = [entry for page in pages(prefix, delimiter, limit) for entry in entries(page)]
    assert found == expected


ODD_NAMES = st.text(st.sampled_from("ab/.\0\x7f\uffff\U0010ffffé"), min_size=1, max_size=6)


@given(
    names=st.sets(ODD_NAMES, max_size=12),
    prefix=st.sampled_from(["", "a", "a/", "a/b"]),
    delimiter=st.sampled_from(["/", "b", None]),
    limit=st.integers(1, 5),
)
def test_folded_pages_are_a_listing_of_the_reference(
    names: set[str], prefix: str, delimiter: str | None, limit: int
) -> None:
    """Whatever is in the store: other tools write keys that are no path here."""
    reference = MemoryStorage()
    reference._objects = {name: _Stored(meta(name), b"1") for name in names}
    expected = list(reference._entries(prefix, delimiter, None))
    ordered, start, found = sorted(names), prefix, list[str]()
    while batch := [name for name in ordered if name >= start and name.startswith(prefix)][:limit]:
        page, start = fold(map(meta, batch), prefix, delimiter)
        found += entries(page)
    assert found == [entry if isinstance(entry, str) else entry.path for entry in expected]


def test_a_folded_folder_is_passed_over_by_the_next_page() -> None:
    page, start = fold([meta("b/1")], "", "/")
    assert (entries(page), start) == (["b/"], "b0")
    assert fold([], "", "/") == (ListPage(), "")


async def test_chunks_are_the_bytes_in_their_order() -> None:
    data = bytes(range(256)) * 10_000
    chunks = [chunk async for chunk in chunks_of(data)]
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) == 2**20
    assert [chunk async for chunk in chunks_of(b"")] == []


def test_a_read_of_what_was_found_is_that_or_its_error() -> None:
    found = meta("a")
    assert check_read("a", found) is check_read("a", found, ONE, OTHER) is found
    with pytest.raises(NotFoundError, match="'a' does not exist"):
        check_read("a", None, ONE, ONE)
    with pytest.raises(PreconditionError):
        check_read("a", found, OTHER)
    with pytest.raises(NotModifiedError):
        check_read("a", found, None, ONE)


def test_a_write_over_what_was_found_is_allowed_or_its_error() -> None:
    check_write("a", None, None)
    check_write("a", meta("a"), None)
    check_write("a", None, IfAbsent())
    check_write("a", meta("a"), IfMatch(ONE))
    with pytest.raises(AlreadyExistsError):
        check_write("a", meta("a"), IfAbsent())
    for found in (None, meta("a", OTHER)):
        with pytest.raises(PreconditionError) as raised:
            check_write("a", found, IfMatch(ONE))
        assert raised.value.path == "a"


class WithoutUploads(MemoryStorage):
    """A provider that leaves out what it has not."""

    create_multipart_upload = BaseStorageService.create_multipart_upload

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(multipart=False)


class TestWithoutUploads(StorageConformance):
    capabilities = Capabilities(multipart=False)
    many = 50

    @pytest.fixture
    def storage(self) -> WithoutUploads:
        return WithoutUploads()


async def test_what_has_no_uploads_says_what_to_do() -> None:
    with pytest.raises(NotSupportedError, match="WithoutUploads takes no uploads in parts") as told:
        await WithoutUploads().create_multipart_upload("a")
    assert told.value.path == "a"
