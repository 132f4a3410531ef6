"""Several storages in one tree: each path has one store, and no other hears of it."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    Capabilities,
    ConfigurationError,
    IfAbsent,
    IfMatch,
    InvalidPathError,
    ListPage,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    UnauthenticatedError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import MountedStorage, PrefixStorage, ReadOnlyStorage
from jupyter_nbforge.testing.faults import Fault

from .helpers import listing, put_all, read
from .mounted_world import POINTS, World

HOMES = {
    "x": ("", "x"),
    "shared2/x": ("", "shared2/x"),
    "a/x": ("", "a/x"),
    "shared/x": ("shared", "x"),
    "shared/data/x": ("shared", "data/x"),
    "data/x": ("data", "x"),
    "data/rawest/x": ("data", "rawest/x"),
    "data/raw/x": ("data/raw", "x"),
    "a/b/x": ("a/b", "x"),
    ".nbforge/checkpoints/x.txt/1": ("", ".nbforge/checkpoints/x.txt/1"),
    ".nbforge/checkpoints/a/b/x/1": ("a/b", ".nbforge/checkpoints/x/1"),
    ".nbforge/moves/data/raw/1": ("data/raw", ".nbforge/moves/1"),
}
"""Each path, the mount that keeps it, and its path there."""


async def test_each_path_is_kept_by_the_innermost_mount_and_with_it_what_is_reserved_for_it() -> (
    None
):
    world = World()
    await put_all(world.storage, HOMES)
    for path, (point, inside) in HOMES.items():
        assert await read(world.stores[point], inside) == path.encode()
        assert (await world.storage.head(path)).path == path
        assert await read(world.storage, path) == path.encode()
        assert world.storage.store_at(path) == point
    kept = {
        point: sorted((await listing(store.list_pages("", delimiter=None))).paths)
        for point, store in world.stores.items()
    }
    assert kept == {
        point: sorted(inside for home, inside in HOMES.values() if home == point)
        for point in POINTS
    }


async def test_every_operation_on_a_path_asks_its_own_store_alone() -> None:
    world = World()
    storage = world.storage
    await put_all(world.stores["data"], ["x", "y"])
    world.asked()
    await storage.copy("data/x", "data/z", condition=IfAbsent())
    await storage.move(await storage.head("data/y"), "data/w")
    await storage.copy("data/x", ".nbforge/checkpoints/data/x/1")
    upload = await storage.create_multipart_upload("data/up")
    await upload.upload_part(1, b"up")
    assert (await upload.complete()).path == "data/up"
    await storage.delete_many(["data/z", "data/w"])
    await storage.delete("data/x")
    assert (await listing(storage.list_pages(".nbforge/checkpoints/data/"))).prefixes == [
        ".nbforge/checkpoints/data/x/"
    ]
    assert set(world.asked()) == {"data"}
    assert (await listing(storage.list_pages("data/"))).paths == ["data/", "data/up"]


async def test_a_folder_of_mounts_is_listed_without_a_request_to_them() -> None:
    world = World()
    await put_all(world.storage, HOMES)
    world.asked()
    root = await listing(world.storage.list_pages(""))
    assert root.prefixes == [".nbforge/", "a/", "data/", "shared/", "shared2/"]
    assert (await listing(world.storage.list_pages("a/"))).prefixes == ["a/b/"]
    assert (await listing(world.storage.list_pages("sha"))).prefixes == ["shared/", "shared2/"]
    assert set(world.asked()) == {""}


async def test_a_folder_of_mounts_is_known_without_a_request() -> None:
    world = World()
    for folder in ("", "shared", "data", "data/raw", "a", "a/b"):
        assert world.storage.recall_folder(folder) is True
    assert world.storage.recall("shared") is False
    assert world.storage.recall_folder("other") is None
    with pytest.raises(NotFoundError):
        await world.storage.head("shared")
    assert (await world.storage.head("shared/")).size == 0
    assert await read(world.storage, "shared/") == b""
    assert world.asked() == {}


async def test_an_empty_mount_has_its_marker() -> None:
    world = World("", "shared")
    for delimiter in ("/", None):
        found = await listing(world.storage.list_pages("shared/", delimiter=delimiter))
        assert found == (["shared/"], [])
    assert (await listing(world.storage.list_pages(""))).prefixes == ["shared/"]


async def test_what_lies_under_a_mount_point_is_hidden_untouched_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World("", "shared")
    root = world.stores[""]
    await put_all(root, ["shared", "shared/under", "sharing"])
    await world.storage.put("shared/mine", b"")
    for _ in range(2):
        found = await listing(world.storage.list_pages(""))
        assert (found.paths, found.prefixes) == (["sharing"], ["shared/"])
        flat = await listing(world.storage.list_pages("", delimiter=None))
        assert flat.paths == ["shared/", "shared/mine", "sharing"]
    with pytest.raises(NotFoundError):
        await world.storage.head("shared")
    await world.storage.delete_many(["shared/under", "shared/mine"])
    assert (await listing(root.list_pages("", delimiter=None))).paths == [
        *("shared", "shared/under", "sharing")
    ]
    assert caplog.text.count("hidden and left alone") == 1


async def test_what_a_mount_keeps_for_itself_has_no_other_path() -> None:
    world = World("", "shared")
    await put_all(world.storage, [".nbforge/checkpoints/shared/a/1", "shared/a"])
    hidden = "shared/.nbforge/checkpoints/a/1"
    for delimiter in ("/", None):
        found = await listing(world.storage.list_pages("shared/", delimiter=delimiter))
        assert found == (["shared/", "shared/a"], [])
        assert await listing(world.storage.list_pages("shared/.nbforge/", delimiter=delimiter)) == (
            [],
            [],
        )
    for attempt in (
        world.storage.head(hidden),
        world.storage.put(hidden, b""),
        world.storage.delete(hidden),
        world.storage.copy(hidden, "shared/b"),
        world.storage.delete_many([hidden]),
    ):
        with pytest.raises(InvalidPathError):
            await attempt
    assert world.storage.recall(hidden) is None


def model_of(paths: Iterable[str], prefix: str, delimiter: str | None) -> tuple[list[str], ...]:
    """The paths and prefixes that a listing of `paths` shows, each in order."""
    found, folded = list[str](), list[str]()
    for path in sorted(paths, key=str.encode):
        name, slash, _ = path[len(prefix) :].partition("/")
        if not path.startswith(prefix):
            continue
        if delimiter and slash:
            folded += [prefix + name + slash] if prefix + name + slash not in folded else []
        else:
            found.append(path)
    return found, folded


async def test_random_trees_are_listed_as_one_ordered_store_would() -> None:
    chance = random.Random(6)
    names = ("a", "a-", "a0", "b", "shared", "shared.", "data", "raw", "z", "é")
    for _ in range(40):
        world = World(stores={"": MemoryStorage(page_size=chance.choice([1, 3, 1000]))})
        paths = {
            "/".join(chance.choices(names, k=chance.randint(1, 4)))
            for _ in range(chance.randint(0, 30))
        }
        paths = {path for path in paths if path not in POINTS}
        await put_all(world.storage, paths)
        shown = paths | {f"{point}/" for point in POINTS if point}
        for prefix in ("", "a/", "data/", "data/raw/", "sh", "a", "a/b", "data/r"):
            for delimiter in ("/", None):
                size = chance.choice([None, 1, 2])
                pages = world.storage.list_pages(prefix, delimiter=delimiter, page_size=size)
                found = await listing(pages)
                assert (found.paths, found.prefixes) == model_of(shown, prefix, delimiter)
            after = chance.choice(sorted(shown))
            pages = world.storage.list_pages(prefix, delimiter=None, start_after=after)
            later = [path for path in shown if path.encode() > after.encode()]
            assert (await listing(pages)).paths == model_of(later, prefix, None)[0]


class Unordered(MemoryStorage):
    """Lists two objects of a page the wrong way round, as a store without order may."""

    async def list_pages(self, prefix: str, **options: Any) -> AsyncIterator[ListPage]:
        async for page in super().list_pages(prefix, **options):
            first, second, *others = page.objects
            yield ListPage((second, first, *others), page.prefixes)


async def test_nothing_is_missing_where_the_store_around_a_mount_has_no_order() -> None:
    world = World("", "b", "e", stores={"": Unordered()})
    paths = ["a", "b/x", "c", "d", "e/x", "z"]
    await put_all(world.storage, paths)
    found = await listing(world.storage.list_pages("", delimiter=None))
    assert sorted(found.paths) == sorted([*paths, "b/", "e/"])


async def test_a_folded_listing_starts_after_a_path() -> None:
    world = World("", "data", "shared")
    await put_all(world.storage, ["a/x", "data/x", "e/x", "shared/x", "z/x"])
    for after, expected in {
        "a/x": ["data/", "e/", "shared/", "z/"],
        "data/x": ["data/", "e/", "shared/", "z/"],
        "data0": ["e/", "shared/", "z/"],
        "zz": [],
    }.items():
        found = await listing(world.storage.list_pages("", start_after=after))
        assert found.prefixes == expected


async def test_a_mount_is_asked_for_a_flat_listing_when_it_is_its_turn() -> None:
    world = World("", "b", "d")
    await put_all(world.storage, ["a", "b/x", "c", "d/x"])
    pages = world.storage.list_pages("", delimiter=None)
    seen = set[str]()
    async for page in pages:
        seen |= {meta.path for meta in page.objects}
        if "b/x" in seen:
            break
    assert "list_pages" not in world.asked().get("d", [])


async def test_listings_fold_at_nothing_but_folders() -> None:
    with pytest.raises(NotSupportedError):
        await listing(World().storage.list_pages("", delimiter="-"))


async def test_a_mount_point_can_be_neither_written_nor_deleted_nor_replaced() -> None:
    world = World("", "shared")
    storage = world.storage
    other = await storage.put("other", b"other")
    for path in ("shared", "shared/"):
        for attempt in (
            storage.put(path, b""),
            storage.delete(path),
            storage.delete_many([path]),
            storage.copy("other", path),
            storage.move(other, path),
            storage.create_multipart_upload(path),
        ):
            with pytest.raises(PermissionDeniedError, match="storage of its own"):
                await attempt
        for attempt in (
            storage.put(path, b"", condition=IfAbsent()),
            storage.copy("other", path, condition=IfAbsent()),
        ):
            with pytest.raises(AlreadyExistsError):
                await attempt
    assert await read(world.stores[""], "other") == b"other"
    assert "put" not in world.asked().get("shared", [])


async def test_what_holds_a_mount_cannot_go_and_says_so_without_a_request() -> None:
    world = World()
    for path, word in {"a/b": "'a/b'", "data": "'data'", "a": "'a/b'"}.items():
        refusal = world.storage.removal_refusal(path)
        assert refusal is not None
        assert word in refusal
    for path in ("x", "a/x", "shared/x", "data/rawest"):
        assert world.storage.removal_refusal(path) is None
    assert world.storage.write_refusal("shared") is None
    assert world.asked() == {}


async def test_what_a_read_only_mount_refuses_is_told_of_its_own_paths_alone() -> None:
    store = MemoryStorage()
    await put_all(store, ["x"])
    storage = MountedStorage({"": MemoryStorage(), "ro": ReadOnlyStorage(store)})
    for path in ("ro", "ro/x", "ro/new/y"):
        refusal = storage.write_refusal(path)
        assert refusal is not None
        assert refusal.startswith(f"{path!r} ")
    assert storage.write_refusal("x") is None
    assert storage.removal_refusal("ro/x") == storage.write_refusal("ro/x")
    beneath = PrefixStorage(storage, "ro")
    assert (beneath.write_refusal("x") or "").startswith("'x' ")
    assert (beneath.removal_refusal("x") or "").startswith("'x' ")


async def test_many_deletions_reach_all_mounts_although_one_is_down() -> None:
    world = World("", "data", "shared")
    paths = ["x", "data/x", "shared/x", "shared/y"]
    await put_all(world.storage, paths)
    world.go_down("data")
    with pytest.raises(UnavailableError, match="'data'"):
        await world.storage.delete_many(paths)
    left = {p: await listing(store.list_pages("")) for p, store in world.stores.items()}
    assert {point: found.paths for point, found in left.items()} == {
        "": [],
        "data": ["x"],
        "shared": [],
    }


async def test_many_deletions_keep_their_versions() -> None:
    world = World("", "shared")
    await put_all(world.storage, ["x", "shared/x"])
    wrong = {"shared/x": Version("other")}
    with pytest.raises(Exception, match="shared/x"):
        await world.storage.delete_many(["x", "shared/x"], versions=wrong)
    assert await read(world.storage, "shared/x")


async def test_stale_uploads_are_ended_in_every_mount_although_one_is_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World("", "data", "data/raw", "shared")
    world.go_down("data")
    asked = {
        "": {"", "data", "data/raw", "shared"},
        "data/": {"data", "data/raw"},
        "shared/x": {"shared"},
    }
    for prefix, expected in asked.items():
        caplog.clear()
        world.asked()
        assert await world.storage.abort_stale_uploads(prefix, 1.0) == 0
        assert set(world.asked()) == expected - {"data"}
        assert ("'data' could not be looked for" in caplog.text) == ("data" in expected)


async def test_errors_name_the_paths_of_the_whole_and_the_mount_that_is_to_blame() -> None:
    world = World("", "shared")
    with pytest.raises(NotFoundError) as missing:
        await world.storage.head("shared/a/x")
    assert missing.value.path == "shared/a/x"
    assert missing.value.message == "'shared/a/x' does not exist."

    def no_key() -> Exception:
        return UnauthenticatedError("There is no key.", retry_after=3.0)

    world.faults["shared"].faults.append(Fault("*", error=no_key, times=None))
    for attempt in (
        world.storage.head("shared/x"),
        listing(world.storage.list_pages("shared/")),
        listing(world.storage.list_pages("", delimiter=None)),
        world.storage.put("shared/x", b""),
        world.storage.copy("x", "shared/x"),
    ):
        await world.storage.put("x", b"")
        with pytest.raises(UnauthenticatedError) as refused:
            await attempt
        assert refused.value.message == "There is no key. This is about the folder 'shared'."
        assert refused.value.retry_after == 3.0


async def test_a_mount_that_is_down_is_missed_by_nobody_else() -> None:
    world = World("", "data", "shared")
    await put_all(world.storage, ["x", "shared/x"])
    world.go_down("data")
    assert (await listing(world.storage.list_pages(""))).prefixes == ["data/", "shared/"]
    assert await read(world.storage, "shared/x") == b"shared/x"
    await world.storage.copy("x", "shared/y")
    with pytest.raises(UnavailableError):
        await listing(world.storage.list_pages("data/"))


def test_capabilities_are_those_of_the_mount_and_of_all_what_each_has() -> None:
    class Other(MemoryStorage):
        @property
        def capabilities(self) -> Capabilities:
            return Capabilities(
                multipart=False, min_part_size=5, max_put_size=7, max_path_bytes=100
            )

    storage = MountedStorage({"": MemoryStorage(atomic_move=True), "folder": Other()})
    there = storage.capabilities_at("folder/x")
    assert (there.multipart, there.max_put_size, there.max_path_bytes) == (False, 7, 107)
    assert storage.capabilities_at(".nbforge/checkpoints/folder/x").max_path_bytes == 107
    assert storage.capabilities_at("x") == Capabilities(atomic_move=True)
    both = storage.capabilities
    assert (both.multipart, both.atomic_move) == (False, False)
    assert (both.min_part_size, both.max_put_size, both.max_path_bytes) == (5, 7, 107)
    beneath = PrefixStorage(storage, "folder")
    assert beneath.capabilities_at("x").max_path_bytes == 100
    assert beneath.store_at("x") == ""
    assert PrefixStorage(MountedStorage({"": Other(), "a/b": Other()}), "a").store_at("b/x") == "b"


async def test_a_version_of_the_marker_is_met_or_not() -> None:
    storage = World().storage
    marker = await storage.head("shared/")
    async with storage.get("shared/", if_match=marker.version) as reader:
        assert reader.meta == marker
    with pytest.raises(PermissionDeniedError):
        await storage.put("shared/", b"", condition=IfMatch(marker.version))


@pytest.mark.parametrize("point", [".hidden", "a/.b", ".nbforge", "a//b", "a/../b", "a\\b", "a\nb"])
def test_a_folder_that_cannot_be_one_is_refused(point: str) -> None:
    with pytest.raises(ConfigurationError, match="No storage can be mounted at"):
        MountedStorage({"": MemoryStorage(), point: MemoryStorage()})


def test_two_storages_at_one_folder_are_refused(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match="'data'"):
        MountedStorage({"": MemoryStorage(), "data": MemoryStorage(), "/data/": MemoryStorage()})
    with pytest.raises(ConfigurationError, match="root"):
        MountedStorage({"data": MemoryStorage()})
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_link_is_one_to_the_store_of_the_file() -> None:
    class Linking(MemoryStorage):
        async def get_presigned_url(
            self, path: str, expires_in: float = 3600, **options: object
        ) -> str:
            return f"https://store/{path}"

    storage = MountedStorage({"": MemoryStorage(), "shared": Linking()})
    assert await storage.get_presigned_url("shared/x") == "https://store/x"
    with pytest.raises(NotSupportedError):
        await storage.get_presigned_url("x")
