"""What people do with folders that have a storage of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import (
    MountedStorage,
    PrefixStorage,
    ReadOnlyStorage,
    ShortMemoryStorage,
)
from jupyter_nbforge.testing.faults import CountingStorage, Fault, FaultyStorage, unavailable

from .conftest import Clock
from .gestures import chunk, contents_of, notebook, press_ctrl_s, source_of, text_file

CHECKPOINTS = ".nbforge/checkpoints/"


class Shop:
    """A root, a mount, a mount in it and one that may only be read; each has its own store."""

    def __init__(self, clock: Clock) -> None:
        points = ("", "shared", "shared/deep", "ro")
        self.stores = {point: MemoryStorage() for point in points}
        self.requests = {point: CountingStorage(store) for point, store in self.stores.items()}
        self.faults = {point: FaultyStorage(self.requests[point]) for point in points}
        stacks = {
            point: ShortMemoryStorage(PrefixStorage(faults), clock=clock)
            for point, faults in self.faults.items()
        }
        self.storage = MountedStorage({**stacks, "ro": ReadOnlyStorage(stacks["ro"])})

    async def everything(self) -> dict[str, dict[str, bytes]]:
        """All objects of each store."""
        return {point: await contents_of(store) for point, store in self.stores.items()}

    def writes(self) -> list[tuple[str, str, str]]:
        """What has reached any store beside looks: its mount, the call and the path."""
        looks = ("head", "get", "list_pages")
        return [
            (point, call, path)
            for point, requests in self.requests.items()
            for call, path in requests.calls
            if call not in looks
        ]

    def forget_requests(self) -> None:
        for requests in self.requests.values():
            requests.reset()

    def take(self) -> dict[str, list[str]]:
        """The calls that have reached each store since the last time, of those that have any."""
        found = {p: [call for call, _ in r.calls] for p, r in self.requests.items() if r.calls}
        self.forget_requests()
        return found


Shops = Callable[[], tuple[NBForgeContentsManager, Shop]]


@pytest.fixture
def shops(clock: Clock, _own_signatures: None) -> Iterator[Shops]:
    """Makes managers on a fresh shop each."""
    made: list[NBForgeContentsManager] = []

    def make() -> tuple[NBForgeContentsManager, Shop]:
        shop = Shop(clock)
        made.append(NBForgeContentsManager(storage=shop.storage, always_delete_dir=True))
        return made[-1], shop

    yield make
    for manager in made:
        manager.notary.store.close()


@pytest.fixture
def shop_and_manager(shops: Shops) -> tuple[NBForgeContentsManager, Shop]:
    return shops()


@pytest.fixture
def manager(shop_and_manager: tuple[NBForgeContentsManager, Shop]) -> NBForgeContentsManager:
    return shop_and_manager[0]


@pytest.fixture
def shop(shop_and_manager: tuple[NBForgeContentsManager, Shop]) -> Shop:
    return shop_and_manager[1]


async def refused(status: int, word: str, *attempts: object) -> None:
    for attempt in attempts:
        with pytest.raises(HTTPError) as error:
            await attempt  # type: ignore[misc]
        assert error.value.status_code == status, error.value
        assert word in str(error.value.log_message)


async def test_mounts_are_folders_of_one_tree(manager: NBForgeContentsManager, shop: Shop) -> None:
    await manager.save(text_file("x"), "shared/x.txt")
    root = await manager.get("")
    assert {entry["name"] for entry in root["content"]} == {"ro", "shared"}
    inside = await manager.get("shared")
    assert {entry["name"] for entry in inside["content"]} == {"deep", "x.txt"}
    assert inside["last_modified"].year >= 2024
    assert (await manager.get("shared/deep"))["content"] == []
    assert (await shop.everything())["shared"] == {"x.txt": b"x"}


@pytest.mark.parametrize("folder", ["shared", "shared/deep"])
async def test_a_save_with_its_checkpoint_costs_three_requests_to_the_mount_alone(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock, folder: str
) -> None:
    path = f"{folder}/a.ipynb"
    await manager.save(notebook("first"), path)
    clock.pass_by()
    await manager.get(path)
    clock.pass_by()
    shop.forget_requests()
    await press_ctrl_s(manager, path, "second")
    assert shop.take() == {folder: ["head", "put", "copy"]}
    clock.pass_by()
    await manager.get(path)
    await manager.list_checkpoints(path)
    assert shop.take() == {folder: ["get", "list_pages"]}
    kept = (await shop.everything())[folder]
    assert {key.rpartition("/")[0] for key in kept if key != "a.ipynb"} == {f"{CHECKPOINTS}a.ipynb"}


async def test_a_checkpoint_of_a_mount_is_restored_and_deleted_there(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock
) -> None:
    await manager.save(notebook("first"), "shared/a.ipynb")
    (made,) = await manager.list_checkpoints("shared/a.ipynb")
    clock.pass_by()
    await manager.get("shared/a.ipynb")
    await manager.save(notebook("second"), "shared/a.ipynb")
    await manager.restore_checkpoint(made["id"], "shared/a.ipynb")
    assert await source_of(manager, "shared/a.ipynb") == "first"
    await manager.delete("shared/a.ipynb")
    assert await shop.everything() == {"": {}, "shared": {}, "shared/deep": {}, "ro": {}}


async def test_a_file_renamed_within_a_mount_is_copied_by_its_store(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock
) -> None:
    await manager.save(notebook("text"), "shared/a.ipynb")
    clock.pass_by()
    shop.forget_requests()
    await manager.rename("shared/a.ipynb", "shared/b.ipynb")
    calls = shop.take()
    assert set(calls) == {"shared"}
    assert "get" not in calls["shared"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a.ipynb", "shared/b.ipynb"),
        ("shared/a.ipynb", "b.ipynb"),
        ("shared/a.ipynb", "shared/deep/b.ipynb"),
        ("shared/deep/a.ipynb", "shared/b.ipynb"),
    ],
)
async def test_a_notebook_moves_between_mounts_with_its_checkpoints_time_and_hash(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock, old: str, new: str
) -> None:
    await manager.save(notebook("first"), old)
    clock.pass_by()
    before = await manager.get(old, content=False, require_hash=True)
    await manager.save(notebook("second"), old)
    await manager.create_checkpoint(old)
    before = await manager.get(old, content=False, require_hash=True)
    kept = await manager.list_checkpoints(old)
    clock.pass_by()
    answered = await manager.update({"path": new}, old)
    clock.pass_by()
    after = await manager.get(new, content=False, require_hash=True)
    assert (after["hash"], after["last_modified"]) == (before["hash"], before["last_modified"])
    assert answered["hash"] == after["hash"]
    moved = await manager.list_checkpoints(new)
    assert [one["last_modified"] for one in moved] == [
        one["last_modified"].replace(microsecond=one["last_modified"].microsecond // 1000 * 1000)
        for one in kept
    ]
    assert await source_of(manager, new) == "second"
    target = shop.storage.store_at(new)
    assert [point for point, objects in (await shop.everything()).items() if objects] == [target]
    await manager.save(notebook("third"), new)


async def test_a_save_after_a_move_asks_for_what_the_new_store_has(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock
) -> None:
    await manager.save(notebook("first"), "a.ipynb")
    clock.pass_by()
    await manager.get("a.ipynb")
    await manager.rename("a.ipynb", "shared/a.ipynb")
    await shop.stores["shared"].put("a.ipynb", b"{}")
    clock.pass_by()
    await refused(409, "was changed", manager.save(notebook("mine"), "shared/a.ipynb"))


@pytest.mark.parametrize("stopped", ["copy", "put", "get", "delete_many", "head", "list_pages"])
async def test_a_file_move_between_mounts_stopped_anywhere_is_finished_by_a_repeat(
    shops: Shops, clock: Clock, stopped: str
) -> None:
    for skip in range(20):
        manager, shop = shops()
        await manager.save(notebook("text"), "a.ipynb")
        clock.pass_by()
        fault = Fault(stopped, error=unavailable, skip=skip)
        for faults in shop.faults.values():
            faults.faults.append(fault)
        with contextlib.suppress(HTTPError):
            await manager.rename("a.ipynb", "shared/b.ipynb")
        if not fault.befallen:
            break
        objects = await shop.everything()
        assert "a.ipynb" in objects[""] or "b.ipynb" in objects["shared"]
        clock.pass_by()
        again = NBForgeContentsManager(storage=shop.storage)  # of a server started anew
        if "a.ipynb" in objects[""]:
            await again.rename("a.ipynb", "shared/b.ipynb")
        clock.pass_by()
        assert await source_of(again, "shared/b.ipynb") == "text"
        assert len(await again.list_checkpoints("shared/b.ipynb")) == 1
        again.notary.store.close()
        left = await shop.everything()
        assert "a.ipynb" not in left[""]
    else:
        raise AssertionError("the fault never stopped falling")


FILES = {
    "old/a.ipynb": b"a",
    "old/b/c.txt": b"c",
    "old/b/": b"",
    f"{CHECKPOINTS}old/a.ipynb/checkpoint-1-5": b"kept",
}
MOVED = {path.replace("old/", "new/", 1): data for path, data in FILES.items()}


async def test_a_folder_moves_between_mounts_with_its_checkpoints(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    for path, data in FILES.items():
        await shop.stores[""].put(path, data)
    await manager.rename("old", "shared/new")
    objects = await shop.everything()
    assert (objects[""], objects["shared"]) == ({}, MOVED)
    await manager.rename("shared/new", "shared/deep/old")
    objects = await shop.everything()
    assert (objects["shared"], objects["shared/deep"]) == ({}, FILES)


@pytest.mark.parametrize("stopped", ["put", "get", "delete_many", "list_pages", "delete"])
async def test_a_folder_move_between_mounts_stopped_anywhere_is_finished_by_a_repeat(
    shops: Shops, stopped: str
) -> None:
    for skip in range(40):
        manager, shop = shops()
        for path, data in FILES.items():
            await shop.stores[""].put(path, data)
        fault = Fault(stopped, error=unavailable, skip=skip)
        for faults in shop.faults.values():
            faults.faults.append(fault)
        with contextlib.suppress(HTTPError):
            await manager.rename("old", "shared/new")
        if not fault.befallen:
            assert skip > 0
            break
        objects = await shop.everything()
        for path, data in FILES.items():
            there = objects["shared"].get(path.replace("old/", "new/", 1))
            assert data in (objects[""].get(path), there)
        if any(path.startswith("old/") for path in objects[""]):
            await NBForgeContentsManager(storage=shop.storage).rename("old", "shared/new")
            objects = await shop.everything()
            assert (objects[""], objects["shared"]) == ({}, MOVED)
    else:
        raise AssertionError("the fault never stopped falling")


async def test_a_folder_moves_within_a_mount_although_the_root_is_down(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await shop.stores["shared"].put("old/x", b"x")
    shop.faults[""].fail("*", times=None)
    await manager.rename("shared/old", "shared/new")
    assert (await shop.everything())["shared"] == {"new/x": b"x"}


async def test_a_mount_is_copied_out_as_a_folder(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(text_file("x"), "shared/x.txt")
    await manager.save(text_file("y"), "shared/deep/y.txt")
    copied = await manager.copy("shared", "")
    assert copied["path"] == "shared-Copy1"
    files = {path: data for path, data in (await shop.everything())[""].items() if data}
    assert files == {"shared-Copy1/x.txt": b"x", "shared-Copy1/deep/y.txt": b"y"}


async def test_a_file_is_copied_into_a_mount_and_out_of_one(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(text_file("x"), "x.txt")
    assert (await manager.copy("x.txt", "shared"))["path"] == "shared/x.txt"
    assert (await manager.copy("shared/x.txt", ""))["path"] == "x-Copy1.txt"
    assert (await shop.everything())["shared"] == {"x.txt": b"x"}


async def test_a_mount_point_can_be_neither_renamed_nor_deleted_nor_copied_over(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(text_file("x"), "shared/x.txt")
    await manager.save(text_file("y"), "shared/deep/y.txt")
    await manager.save(text_file("z"), "z.txt")
    await shop.stores[""].put("folder/f", b"f")
    shop.forget_requests()
    await refused(
        403,
        "'shared'",
        manager.delete("shared"),
        manager.rename("shared", "other"),
        manager.rename("shared", "ro/other"),
    )
    await refused(403, "'shared/deep'", manager.rename("shared/deep", "other"))
    await refused(409, "shared", manager.rename("z.txt", "shared"))
    await refused(409, "shared", manager.rename("folder", "shared"))
    await refused(400, "shared", manager.save(text_file("no"), "shared"))
    assert shop.writes() == []
    assert (await shop.everything())["shared"] == {"x.txt": b"x"}


async def test_a_folder_with_a_mount_in_it_stays(shops: Shops, clock: Clock) -> None:
    store = MemoryStorage()
    await store.put("a/x", b"x")
    storage = MountedStorage({"": store, "a/b/c": MemoryStorage()})
    manager = NBForgeContentsManager(storage=storage, always_delete_dir=True)
    for folder in ("a", "a/b"):
        await refused(
            403,
            "the folder 'a/b/c' in it",
            manager.delete(folder),
            manager.rename(folder, "other"),
        )
    assert await contents_of(store) == {"a/x": b"x"}
    manager.notary.store.close()


async def test_the_last_file_of_a_mount_leaves_no_marker_behind(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(text_file("x"), "shared/x.txt")
    await manager.delete("shared/x.txt")
    assert (await shop.everything())["shared"] == {}
    assert await manager.dir_exists("shared")


async def test_what_is_in_a_read_only_mount_says_so_and_no_write_is_sent(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await shop.stores["ro"].put("a.ipynb", b"{}")
    await shop.stores["ro"].put("sub/b.txt", b"b")
    await manager.save(text_file("mine"), "mine.txt")
    root = {entry["name"]: entry["writable"] for entry in (await manager.get(""))["content"]}
    assert root == {"ro": False, "shared": True, "mine.txt": True}
    inside = await manager.get("ro")
    assert inside["writable"] is False
    assert {entry["writable"] for entry in inside["content"]} == {False}
    assert (await manager.get("ro/sub/b.txt"))["writable"] is False
    shop.forget_requests()
    await refused(
        403,
        "read-only",
        manager.save(notebook(), "ro/a.ipynb"),
        manager.save(text_file("new"), "ro/new.txt"),
        manager.save(chunk(1, "new"), "ro/chunked.txt"),
        manager.save({"type": "directory"}, "ro/folder"),
        manager.new_untitled("ro"),
        manager.new_untitled("ro", type="directory"),
        manager.delete("ro/sub/b.txt"),
        manager.delete("ro/sub"),
        manager.rename("ro/a.ipynb", "a.ipynb"),
        manager.rename("ro/sub", "sub"),
        manager.rename("mine.txt", "ro/mine.txt"),
        manager.copy("mine.txt", "ro"),
        manager.copy("ro/a.ipynb"),
        manager.create_checkpoint("ro/a.ipynb"),
    )
    assert shop.writes() == []
    assert (await manager.copy("ro/sub/b.txt", ""))["path"] == "b.txt"
    assert (await manager.copy("ro/sub", "shared"))["path"] == "shared/sub"


async def test_a_mount_that_is_down_is_shown_and_says_why_and_the_others_go_on(
    manager: NBForgeContentsManager, shop: Shop, clock: Clock
) -> None:
    await manager.save(notebook("text"), "a.ipynb")
    await manager.save(text_file("x"), "shared/deep/x.txt")
    clock.pass_by()
    shop.faults["shared"].fail("*", times=None)
    names = {entry["name"] for entry in (await manager.get(""))["content"]}
    assert names == {"a.ipynb", "ro", "shared"}
    assert (await manager.get("shared", content=False))["type"] == "directory"
    await refused(
        503,
        "This is about the folder 'shared'.",
        manager.get("shared"),
        manager.get("shared/x.txt"),
        manager.save(text_file("y"), "shared/y.txt"),
        manager.rename("a.ipynb", "shared/a.ipynb"),
    )
    await press_ctrl_s(manager, "a.ipynb", "again")
    assert (await manager.get("shared/deep/x.txt"))["content"] == "x"


async def test_an_upload_into_a_mount_goes_there(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(chunk(1, "one "), "shared/up.txt")
    await manager.save(chunk(-1, "two"), "shared/up.txt")
    assert await shop.everything() == {
        "": {},
        "shared": {"up.txt": b"one two"},
        "shared/deep": {},
        "ro": {},
    }


async def test_nothing_of_a_mount_can_be_reached_that_it_keeps_for_itself(
    manager: NBForgeContentsManager, shop: Shop
) -> None:
    await manager.save(notebook("text"), "shared/a.ipynb")
    manager.allow_hidden = True
    inside = {entry["name"] for entry in (await manager.get("shared"))["content"]}
    assert inside == {"a.ipynb", "deep"}
    hidden = f"shared/{CHECKPOINTS}a.ipynb/checkpoint-1"
    await refused(
        400,
        "checkpoints",
        manager.get(hidden),
        manager.save(text_file("no"), hidden),
        manager.rename("shared/a.ipynb", "shared/.nbforge"),
    )
