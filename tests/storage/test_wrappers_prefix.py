"""PrefixStorage: nothing gets out, nothing strange comes in, errors speak the user's language."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from jupyter_nbforge.storage import (
    ConfigurationError,
    IfAbsent,
    IfMatch,
    InvalidPathError,
    NotFoundError,
    PreconditionError,
    StorageError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import PrefixStorage, ShortMemoryStorage
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage
from tests.storage.helpers import listing, put_all, read

INVALID = [
    "",
    "/a",
    "a//b",
    "../b",
    "a/../b",
    "a/..",
    ".",
    "a/./b",
    "a\nb",
    "a\x00",
    "a\\..\\..\\b",
]


class Lenient(MemoryStorage):
    """A store that takes any key and has some that no path can name."""

    def add(self, *keys: str) -> None:
        seed = self._objects["seed"]
        for key in keys:
            self._objects[key] = replace(seed, meta=replace(seed.meta, path=key))


async def lenient(*keys: str) -> Lenient:
    store = Lenient()
    await store.put("seed", b"1")
    store.add(*keys)
    return store


async def test_every_operation_stays_within_the_prefix() -> None:
    store = MemoryStorage()
    storage = PrefixStorage(store, "team/alice")
    await put_all(store, ["team/alice2/x", "team/x", "x"])
    await storage.put("x", b"mine")
    await storage.copy("x", "w")
    await storage.move(await storage.head("w"), "y")
    async with await storage.create_multipart_upload("z") as upload:
        await upload.upload_part(1, b"part")
        await upload.complete()
    await storage.delete_many(["x", "missing"])
    await storage.delete("y")
    assert (await listing(store.list_pages("", delimiter=None))).paths == [
        "team/alice/z",
        "team/alice2/x",
        "team/x",
        "x",
    ]
    assert (await listing(storage.list_pages("", delimiter=None))).paths == ["z"]


@pytest.mark.parametrize("path", INVALID)
async def test_an_invalid_path_is_refused_before_anything_is_sent(path: str) -> None:
    counting = CountingStorage(MemoryStorage())
    storage = PrefixStorage(counting, "team")
    with pytest.raises(InvalidPathError):
        await storage.head(path)
    with pytest.raises(InvalidPathError):
        await read(storage, path)
    with pytest.raises(InvalidPathError):
        await storage.put(path, b"")
    with pytest.raises(InvalidPathError):
        await storage.delete(path)
    with pytest.raises(InvalidPathError):
        await storage.copy(path, "target")
    with pytest.raises(InvalidPathError):
        await storage.copy("source", path)
    with pytest.raises(InvalidPathError):
        await storage.move(replace(await MemoryStorage().put("s", b""), path=path), "target")
    with pytest.raises(InvalidPathError):
        await storage.move(await MemoryStorage().put("source", b""), path)
    with pytest.raises(InvalidPathError):
        await storage.create_multipart_upload(path)
    with pytest.raises(InvalidPathError):
        await storage.get_presigned_url(path)
    assert storage.recall(path) is None
    assert counting.calls == []


async def test_an_empty_prefix_still_checks_paths() -> None:
    with pytest.raises(InvalidPathError):
        await PrefixStorage(await lenient("a//b")).head("a//b")


async def test_delete_many_deletes_the_valid_ones_and_then_tells_of_the_invalid() -> None:
    store = MemoryStorage()
    storage = PrefixStorage(store, "team")
    await put_all(storage, ["a", "b"])
    with pytest.raises(InvalidPathError):
        await storage.delete_many(["a", "../b", "b"])
    assert (await listing(store.list_pages("", delimiter=None))).paths == []


async def test_delete_many_passes_versions_on() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    meta = await storage.put("a", b"1")
    with pytest.raises(PreconditionError) as raised:
        await storage.delete_many(["a"], versions={"a": Version("other")})
    assert raised.value.path == "a"
    await storage.delete_many(["a"], versions={"a": meta.version})
    with pytest.raises(NotFoundError):
        await storage.head("a")


async def test_metadata_shows_the_path_without_the_prefix() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    put = await storage.put("a", b"1")
    async with storage.get("a") as reader:
        assert put == await storage.head("a") == reader.meta
    assert put.path == "a"
    assert (await storage.copy("a", "b")).path == "b"
    upload = await storage.create_multipart_upload("c")
    assert upload.path == "c"
    await upload.upload_part(1, b"1")
    assert (await upload.complete()).path == "c"


async def test_keys_that_are_no_path_are_left_out_of_listings() -> None:
    store = await lenient(
        "team/a//b", "team/../c", "team//d", "team/.", "team/e\x07", "team/good", "team/f/", "team/"
    )
    storage = PrefixStorage(store, "team")
    flat = await listing(storage.list_pages("", delimiter=None))
    assert flat.paths == ["f/", "good"]
    folded = await listing(storage.list_pages(""))
    assert (folded.paths, folded.prefixes) == (["good"], ["a/", "f/"])
    assert await listing(storage.list_pages("a/")) == await listing(storage.list_pages("none/"))


async def test_keys_left_out_are_counted_in_one_line_then_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    storage = PrefixStorage(await lenient("team/", "team/a//b", "team/a//c", "team/x\x07"), "team")
    log = logging.getLogger("test_prefix")
    storage.log = log
    with caplog.at_level(logging.DEBUG, log.name):
        await listing(storage.list_pages("", delimiter=None))
        await listing(storage.list_pages("", delimiter=None))
        await listing(storage.list_pages("a/"))
    assert [(record.levelname, record.getMessage()[:7]) for record in caplog.records] == [
        ("WARNING", "3 names"),
        ("DEBUG", "3 names"),
        ("WARNING", "1 names"),
    ]


async def test_a_listing_of_what_no_path_begins_with_is_empty_and_sends_nothing() -> None:
    counting = CountingStorage(MemoryStorage())
    storage = PrefixStorage(counting, "team")
    for prefix in ("../", "/", "a//", "a/../"):
        assert (await listing(storage.list_pages(prefix))).paths == []
    assert counting.calls == []


async def test_a_listing_prefix_may_end_within_a_name() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    await put_all(storage, ["a/.git", "a/b", "abc"])
    assert (await listing(storage.list_pages("a/."))).paths == ["a/.git"]
    assert (await listing(storage.list_pages("ab"))).paths == ["abc"]


async def test_start_after_counts_within_the_prefix() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    await put_all(storage, ["a", "b", "c"])
    assert (await listing(storage.list_pages("", start_after="a"))).paths == ["b", "c"]


async def test_errors_name_the_path_that_the_user_gave() -> None:
    storage = PrefixStorage(MemoryStorage(), "team/it's")
    with pytest.raises(NotFoundError) as raised:
        await storage.head("x'y")
    error = raised.value
    assert error.path == "x'y"
    assert error.message == str(error) == '"x\'y" does not exist.'
    with pytest.raises(PreconditionError) as conflict:
        await storage.put("a", b"", condition=IfMatch(Version("1")))
    assert str(conflict.value) == "'a' was changed meanwhile."
    with pytest.raises(NotFoundError) as missing:
        await storage.copy("source", "target", condition=IfAbsent())
    assert (missing.value.path, str(missing.value)) == ("source", "'source' does not exist.")


async def test_errors_in_the_middle_of_a_body_name_the_path_that_the_user_gave() -> None:
    def broken() -> UnavailableError:
        return UnavailableError("The read of 'team/a' broke.", path="team/a")

    faulty = FaultyStorage(MemoryStorage(), Fault("chunk", error=broken))
    storage = PrefixStorage(faulty, "team")
    await storage.put("a", b"1")
    with pytest.raises(UnavailableError) as raised:
        await read(storage, "a")
    assert (raised.value.path, str(raised.value)) == ("a", "The read of 'a' broke.")


async def test_an_error_of_the_reader_of_a_body_is_left_as_it_is() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    await storage.put("a", b"1")
    with pytest.raises(StorageError) as raised:
        async with storage.get("a"):
            raise StorageError("'team/b' of another storage", path="team/b")
    assert raised.value.path == "team/b"


async def test_a_path_that_leaves_no_room_for_the_prefix_is_refused() -> None:
    storage = PrefixStorage(MemoryStorage(), "team")
    limit = storage.capabilities.max_path_bytes
    assert limit == MemoryStorage().capabilities.max_path_bytes - len("team/")
    longest = "ä" * (limit // 2) + "a" * (limit % 2)
    await storage.put(longest, b"")
    with pytest.raises(InvalidPathError, match="too long"):
        await storage.put(longest + "a", b"")


@pytest.mark.parametrize("prefix", ["..", "a/../b", "a//b", "a\tb", "./a"])
def test_a_prefix_that_is_no_path_is_a_configuration_error(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="prefix"):
        PrefixStorage(MemoryStorage(), prefix)


def test_url_shows_the_prefix() -> None:
    assert PrefixStorage(MemoryStorage(), "/team/alice/").url == "memory://team/alice"
    assert PrefixStorage(MemoryStorage()).url == "memory://"


async def test_what_inner_remembers_is_recalled_under_the_users_path() -> None:
    storage = PrefixStorage(ShortMemoryStorage(MemoryStorage()), "team")
    meta = await storage.put("a/b", b"1")
    await storage.delete("c")
    assert storage.recall("a/b") == meta
    assert storage.recall("c") is False
    assert storage.recall("unknown") is None
    assert storage.recall_folder("a") is True
    assert storage.recall_folder("unknown") is None
    assert storage.recall_folder("../team/a") is None


class Straying(MemoryStorage):
    """A store with a fault: it answers with keys that nobody asked for."""

    async def head(self, path: str):  # type: ignore[no-untyped-def]
        return await super().head("elsewhere")

    def _entries(self, prefix, delimiter, start_after):  # type: ignore[no-untyped-def]
        return super()._entries("", delimiter, start_after)


async def test_what_a_store_shows_of_elsewhere_is_not_passed_on() -> None:
    store = Straying()
    await store.put("elsewhere", b"secret")
    storage = PrefixStorage(store, "team")
    assert (await listing(storage.list_pages(""))).paths == []
    with pytest.raises(StorageError):
        await storage.head("a")
