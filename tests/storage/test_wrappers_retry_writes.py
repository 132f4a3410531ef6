"""RetryStorage: a write whose answer was lost is recognised, and only that one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    AlreadyExistsError,
    Capabilities,
    IfAbsent,
    IfMatch,
    MultipartUpload,
    NotFoundError,
    ObjectMeta,
    PermissionDeniedError,
    PreconditionError,
    UnavailableError,
    Version,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.metadata import stamp
from jupyter_nbforge.storage.wrappers.upload import WrapperUpload
from jupyter_nbforge.testing.faults import Fault, unavailable

from .helpers import listing, read
from .retry_world import Small, World, started_upload


@pytest.fixture
def world() -> World:
    return World()


@pytest.mark.parametrize("metadata", [None, stamp(b"new"), {"mtime": "7.5"}, {"mtime": "soon"}])
@pytest.mark.parametrize("kept", ["all", "none", "time"])
async def test_a_put_recognises_its_own_earlier_success(
    metadata: dict[str, str] | None, kept: str
) -> None:
    world = World({"all": Small, "none": Forgetful, "time": KeepsTheTime}[kept]())
    first = await world.store.put("old", b"old")
    for path, condition in (("a", IfAbsent()), ("old", IfMatch(first.version))):
        world.faulty.lose_answer("put", path)
        meta = await world.storage.put(path, b"new", condition=condition, metadata=metadata)
        assert meta == await world.store.head(path)
        assert await read(world.store, path) == b"new"


class Forgetful(Small):
    """A store that keeps no metadata."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, user_metadata=False)

    async def put(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        return await super().put(path, data, **{**options, "metadata": None})


class KeepsTheTime(Small):
    """A store that keeps metadata and has a hash of its own kind, or none."""

    async def put(self, path: str, data: bytes, **options: Any) -> ObjectMeta:
        metadata = options.get("metadata") or {}
        kept = {name: value for name, value in metadata.items() if name == "mtime"}
        return await super().put(path, data, **{**options, "metadata": kept})


OTHERS: dict[str, tuple[bytes, dict[str, str] | None]] = {
    "of another size": (b"other, longer", None),
    "of the same size": (b"xyz", None),
    "with the same bytes at another time": (b"new", {**stamp(b"new"), "mtime": "1.0"}),
    "of the same size and time": (b"xyz", {**stamp(b"xyz"), "mtime": "9.0"}),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("exists", [True, False])
async def test_a_put_does_not_take_anothers_object_for_its_own(
    world: World, other: str, exists: bool
) -> None:
    """Not its own: the answer was lost because it never arrived, and another writer came."""
    condition = IfMatch((await world.store.put("a", b"old")).version) if exists else IfAbsent()
    data, metadata = OTHERS[other]

    async def another_writer() -> None:
        await world.store.put("a", data, metadata=metadata)

    world.faulty.lose_answer("put", hook=another_writer)
    with pytest.raises(PreconditionError if exists else AlreadyExistsError):
        await world.storage.put(
            "a", b"new", condition=condition, metadata={**stamp(b"new"), "mtime": "9.0"}
        )
    assert await read(world.store, "a") == data


@pytest.mark.parametrize("other", [b"newer".ljust(9), b"new".ljust(10), b"new".ljust(8), b""])
async def test_a_put_without_metadata_does_not_take_anothers_bytes_for_its_own(
    world: World, other: bytes
) -> None:
    async def another_writer() -> None:
        await world.store.put("a", other)

    world.faulty.lose_answer("put", hook=another_writer)
    with pytest.raises(AlreadyExistsError):
        await world.storage.put("a", b"new".ljust(9), condition=IfAbsent())


@pytest.mark.parametrize("metadata", [None, stamp(b"new")])
async def test_a_put_whose_object_has_gone_again_is_a_conflict(
    world: World, metadata: dict[str, str] | None
) -> None:
    first = await world.store.put("a", b"old")

    async def deleter() -> None:
        await world.store.delete("a")

    world.faulty.lose_answer("put", hook=deleter)
    with pytest.raises(PreconditionError):
        await world.storage.put("a", b"new", condition=IfMatch(first.version), metadata=metadata)


async def test_a_conflict_without_a_lost_answer_is_told_at_once(world: World) -> None:
    """Also where the object happens to be equal: nobody but another can have written it."""
    await world.store.put("a", b"new", metadata=stamp(b"new"))
    world.faulty.fail("put")
    with pytest.raises(AlreadyExistsError):
        await world.storage.put("a", b"new", condition=IfAbsent(), metadata=stamp(b"new"))
    assert world.counting.counts == {"put": 2}


async def test_a_look_that_fails_while_recognising_is_tried_again(world: World) -> None:
    world.faulty.lose_answer("put")
    world.faulty.fail("head", times=2)
    world.faulty.fail("get")
    meta = await world.storage.put("a", b"new", condition=IfAbsent())
    assert meta == await world.store.head("a")


async def test_a_timeout_of_a_put_that_took_effect_is_recognised() -> None:
    world = World(attempt_timeout=0.03)
    world.faulty.faults.append(Fault("put", lost_answer=True, delay=60))
    meta = await world.storage.put("a", b"new", condition=IfAbsent(), metadata=stamp(b"new"))
    assert meta == await world.store.head("a")


async def test_a_lost_answer_stays_unknown_whatever_fails_later(world: World) -> None:
    world.faulty.lose_answer("put")
    world.faulty.faults.append(Fault("put", error=lambda: PermissionDeniedError("No.")))
    with pytest.raises(PermissionDeniedError) as raised:
        await world.storage.put("a", b"1")
    assert raised.value.outcome_unknown
    world.faulty.fail("put", times=None)
    with pytest.raises(UnavailableError) as known:
        await world.storage.put("a", b"1")
    assert not known.value.outcome_unknown


@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize("condition", [IfAbsent(), "match"])
async def test_a_copy_recognises_its_own_earlier_success(
    world: World, hashes: bool, condition: Any
) -> None:
    await world.store.put("a", b"12345", metadata=stamp(b"12345") if hashes else None)
    if condition == "match":
        condition = IfMatch((await world.store.put("b", b"old")).version)
    world.faulty.lose_answer("copy")
    meta = await world.storage.copy("a", "b", condition=condition)
    assert meta == await world.store.head("b")
    assert await read(world.store, "b") == b"12345"
    assert world.counting.counts["get"] == (0 if hashes else 2)


@pytest.mark.parametrize("other", [b"other, longer", b"54321"])
@pytest.mark.parametrize("hashes", [True, False])
async def test_a_copy_does_not_take_anothers_object_for_its_own(
    world: World, other: bytes, hashes: bool
) -> None:
    await world.store.put("a", b"12345", metadata=stamp(b"12345") if hashes else None)

    async def another_writer() -> None:
        await world.store.put("b", other, metadata=stamp(other) if hashes else None)

    world.faulty.lose_answer("copy", hook=another_writer)
    with pytest.raises(AlreadyExistsError):
        await world.storage.copy("a", "b", condition=IfAbsent())


async def test_a_copy_of_a_source_that_changed_meanwhile_is_a_conflict(world: World) -> None:
    source = await world.store.put("a", b"12345")

    async def change() -> None:
        await world.store.put("a", b"12345")

    world.faulty.lose_answer("copy", hook=change)
    with pytest.raises(PreconditionError):
        await world.storage.copy("a", "b", condition=IfAbsent(), source_version=source.version)


async def test_a_conditional_delete_recognises_its_own_earlier_success(world: World) -> None:
    meta = await world.store.put("a", b"1")
    world.faulty.lose_answer("delete")
    await world.storage.delete("a", condition=IfMatch(meta.version))


async def test_a_conditional_delete_does_not_take_a_new_object_for_its_success(
    world: World,
) -> None:
    meta = await world.store.put("a", b"1")

    async def another_writer() -> None:
        await world.store.put("a", b"2")

    world.faulty.lose_answer("delete", hook=another_writer)
    with pytest.raises(PreconditionError):
        await world.storage.delete("a", condition=IfMatch(meta.version))
    assert await read(world.store, "a") == b"2"


async def test_a_conditional_delete_of_what_was_missing_is_a_conflict(world: World) -> None:
    world.faulty.fail("delete")
    with pytest.raises(PreconditionError):
        await world.storage.delete("a", condition=IfMatch(Version("1")))


async def test_delete_many_recognises_what_a_failed_attempt_has_deleted(world: World) -> None:
    metas = [await world.store.put(path, b"1") for path in ("a", "b", "c")]
    versions = {meta.path: meta.version for meta in metas}
    # One of several batches was refused, after others had succeeded.
    world.faulty.faults.append(Fault("delete_many", lost_answer=True, error=unavailable))
    await world.storage.delete_many(["a", "b", "c", "unknown"], versions=versions)
    assert (await listing(world.store.list_pages(""))).paths == []


async def test_delete_many_still_tells_of_a_true_conflict_after_a_failed_attempt(
    world: World,
) -> None:
    versions = {path: (await world.store.put(path, b"1")).version for path in ("a", "b")}

    async def another_writer() -> None:
        await world.store.put("b", b"2")

    world.faulty.lose_answer("delete_many", hook=another_writer)
    with pytest.raises(PreconditionError) as raised:
        await world.storage.delete_many(["a", "b"], versions=versions)
    assert raised.value.path == "b"
    assert (await listing(world.store.list_pages(""))).paths == ["b"]


@pytest.mark.parametrize("metadata", [None, {"mtime": "7.5"}, stamp(b"abcd")])
@pytest.mark.parametrize("condition", [None, IfAbsent()])
async def test_completing_an_upload_recognises_its_own_earlier_success(
    world: World, metadata: dict[str, str] | None, condition: IfAbsent | None
) -> None:
    upload = await started_upload(world.storage, metadata=metadata)
    world.faulty.lose_answer("complete")
    meta = await upload.complete(condition=condition)
    assert meta == await world.store.head("target")
    assert await read(world.store, "target") == b"abcd"
    await upload.abort()
    assert world.counting.counts["abort"] == 0


class Repeatable(MemoryStorage):
    """A store where joining the parts again meets the object, as S3 does, not a lost upload."""

    async def create_multipart_upload(self, path: str, **options: Any) -> MultipartUpload:
        upload = await super().create_multipart_upload(path, **options)

        class Reopened(WrapperUpload):
            async def _complete(self, condition: Any) -> ObjectMeta:
                meta = await self.inner.complete(condition=condition)
                upload._ended = False
                return meta

        return Reopened(upload)


async def test_completing_an_upload_recognises_the_object_that_is_in_its_way() -> None:
    world = World(Repeatable())
    upload = await started_upload(world.storage)
    world.faulty.lose_answer("complete")
    assert await upload.complete(condition=IfAbsent()) == await world.store.head("target")


@pytest.mark.parametrize("other", [b"other, longer", b"abXd", b"Xbcd"])
@pytest.mark.parametrize("metadata", [None, {"mtime": "7.5"}])
async def test_completing_an_upload_does_not_take_anothers_object_for_its_own(
    world: World, other: bytes, metadata: dict[str, str] | None
) -> None:
    upload = await started_upload(world.storage, metadata=metadata)

    async def another_writer() -> None:
        await world.store.put("target", other)

    world.faulty.lose_answer("complete", hook=another_writer)
    with pytest.raises(NotFoundError) as raised:
        await upload.complete()
    assert raised.value.outcome_unknown


async def test_completing_an_upload_that_has_ended_is_not_found(world: World) -> None:
    upload = await started_upload(world.storage)
    await upload.abort()
    with pytest.raises(NotFoundError):
        await upload.complete()
