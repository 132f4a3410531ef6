"""What somebody else does in each window of a gesture is not lost, and nobody is deceived."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from tornado.web import HTTPError

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.faults import Fault, FaultyStorage

from .conftest import Clock, Managers
from .gestures import chunk, contents_of, notebook, source_of, text_file

Hook = Callable[[], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["copying", "moving"])
def store(request: pytest.FixtureRequest) -> MemoryStorage:
    """The bucket, of a store without and with a move of its own."""
    return MemoryStorage(atomic_move=request.param)


async def refused(act: Awaitable[object]) -> str:
    """The sentence of a 409."""
    with pytest.raises(HTTPError) as error:
        await act
    assert error.value.status_code == 409
    return str(error.value.log_message)


def writing(store: MemoryStorage, path: str, data: bytes = b"theirs") -> Hook:
    """Somebody else writes an object."""

    async def write() -> None:
        await store.put(path, data)

    return write


async def look(manager: NBForgeContentsManager, path: str) -> str:
    """JupyterLab's look before and after a save."""
    model = await manager.get(path, content=False, type="notebook", require_hash=True)
    return str(model["hash"])


# Between a look and a save


async def test_what_is_written_between_the_look_for_a_file_and_its_save_is_not_overwritten(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await store.put("f.txt", b"old")
    faults.faults.append(Fault("put", "f.txt", hook=writing(store, "f.txt")))
    assert await manager.file_exists("f.txt")
    await refused(manager.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_what_is_written_between_the_look_and_the_save_is_not_overwritten(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await manager.save(text_file("first"), "f.txt")
    faults.faults.append(Fault("put", "f.txt", hook=writing(store, "f.txt")))
    await look(manager, "f.txt")
    await refused(manager.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_a_refusal_says_when_the_other_version_was_written(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(notebook("first"), "a/n.ipynb")
    await other.get("a/n.ipynb")
    theirs = await other.save(notebook("theirs"), "a/n.ipynb")
    when = theirs["last_modified"].strftime("%Y-%m-%d %H:%M:%S UTC")
    clock.pass_by()
    sentence = await refused(one.save(notebook("mine"), "a/n.ipynb"))
    assert sentence.startswith("n.ipynb was changed in the store since it was opened here")
    assert f" at {when}" in sentence
    assert sentence.endswith("Save again to compare, reload it, or save under another name.")


@pytest.mark.parametrize(("kept", "told"), [(True, " by Ada Ünlü; "), (False, " UTC; ")])
async def test_a_refusal_says_by_whom_the_other_version_was_written_if_that_is_kept(
    managers: Managers, monkeypatch: pytest.MonkeyPatch, kept: bool, told: str
) -> None:
    one = managers()
    monkeypatch.setenv("JUPYTERHUB_USER", "Ada Ünlü")
    other = managers(record_user=kept)
    await one.save(notebook("first"), "n.ipynb")
    await other.get("n.ipynb")
    await other.save(notebook("theirs"), "n.ipynb")
    assert told in await refused(one.save(notebook("mine"), "n.ipynb"))


async def upload_whole(manager: NBForgeContentsManager, path: str) -> None:
    await manager.save({"type": "file", "format": "base64", "content": "b3RoZXI="}, path)


async def upload_small(manager: NBForgeContentsManager, path: str) -> None:
    for number in (1, -1):
        await manager.save(chunk(number, "x"), path)


async def upload_in_parts(manager: NBForgeContentsManager, path: str) -> None:
    for number in (1, 2, -1):
        await manager.save(chunk(number, "x" * 2**20), path)


async def upload_further(manager: NBForgeContentsManager, path: str) -> None:
    for number, text in ((1, "x"), (-1, "y"), (-1, "z")):
        await manager.save(chunk(number, text), path)


UPLOADS = (upload_whole, upload_small, upload_in_parts, upload_further)


@pytest.mark.parametrize("exists", [True, False], ids=["over a file", "new"])
@pytest.mark.parametrize("upload", UPLOADS)
async def test_a_refusal_after_an_upload_of_any_kind_names_who_uploaded(
    managers: Managers,
    store: MemoryStorage,
    monkeypatch: pytest.MonkeyPatch,
    upload: Callable[[NBForgeContentsManager, str], Awaitable[None]],
    exists: bool,
) -> None:
    one = managers()
    monkeypatch.setenv("JUPYTERHUB_USER", "Ada Ünlü")
    other, unnamed = managers(upload_part_size_mb=1), managers(record_user=False)
    if exists:
        await one.save(text_file("first"), "f.txt")
        await other.get("f.txt", content=False)
    else:
        assert not await one.file_exists("f.txt")
    await upload(other, "f.txt")
    sentence = await refused(one.save(text_file("mine"), "f.txt"))
    assert ("was changed" if exists else "was created") in sentence
    assert " by Ada Ünlü; " in sentence
    await upload(unnamed, "g.txt")
    assert (await store.head("g.txt")).saved_by is None


async def test_a_copy_and_a_rename_keep_who_saved_the_source(
    managers: Managers, store: MemoryStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", "Ada")
    await upload_in_parts(managers(upload_part_size_mb=1), "f.txt")
    monkeypatch.setenv("JUPYTERHUB_USER", "Bob")
    other = managers()
    await other.copy("f.txt", "g.txt")
    await other.rename("f.txt", "h.txt")
    assert [(await store.head(path)).saved_by for path in ("g.txt", "h.txt")] == ["Ada", "Ada"]


async def test_two_who_make_a_file_of_one_name_do_not_overwrite_each_other(
    managers: Managers, store: MemoryStorage
) -> None:
    one, other = managers(), managers()
    assert not await one.file_exists("f.txt")
    assert not await other.file_exists("f.txt")
    await other.save(text_file("theirs"), "f.txt")
    assert "was created in the store" in await refused(one.save(text_file("mine"), "f.txt"))
    assert await contents_of(store) == {"f.txt": b"theirs"}


async def test_a_save_of_what_is_there_already_is_no_conflict(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(notebook("first"), "n.ipynb")
    await other.get("n.ipynb")
    saved = await other.save(notebook("same"), "n.ipynb")
    again = await one.save(notebook("same"), "n.ipynb")
    assert (again["hash"], again["last_modified"]) == (saved["hash"], saved["last_modified"])
    clock.pass_by()
    await one.save(notebook("more"), "n.ipynb")
    assert await source_of(one, "n.ipynb") == "more"


async def test_an_upload_sent_as_a_whole_replaces_what_its_sender_was_told_of(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    upload = {"type": "file", "format": "base64", "content": "bWluZQ=="}
    await manager.save(upload, "f.bin")
    await store.put("f.bin", b"theirs")
    clock.pass_by()
    assert "Upload it again" in await refused(manager.save(upload, "f.bin"))
    assert await contents_of(store) == {"f.bin": b"theirs"}
    await manager.save(upload, "f.bin")
    assert await contents_of(store) == {"f.bin": b"mine"}


# Between a save and what follows it


async def test_the_look_after_a_save_shows_what_was_saved_not_what_somebody_wrote_since(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    saved = await manager.save(notebook("mine"), "n.ipynb")
    await store.put("n.ipynb", b"theirs")
    clock.pass_by(5)  # beyond all that the storage remembers
    assert await look(manager, "n.ipynb") == saved["hash"]
    assert await look(manager, "n.ipynb") != saved["hash"]


async def test_the_answer_to_a_save_is_about_what_was_saved(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage, clock: Clock
) -> None:
    first = await manager.save(notebook("mine"), "n.ipynb")
    theirs = Fault("put", "n.ipynb", hook=writing(store, "n.ipynb"), lost_answer=True)
    faults.faults.append(theirs)
    saved = await manager.save(notebook("mine, too"), "n.ipynb")
    assert theirs.befallen
    assert saved["hash"] != first["hash"]
    assert saved["hash"] == await look(manager, "n.ipynb")
    clock.pass_by()
    await refused(manager.save(notebook("more"), "n.ipynb"))
    assert await contents_of(store, "n") == {"n.ipynb": b"theirs"}


async def test_a_checkpoint_made_while_somebody_saves_is_one_whole_version(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage, clock: Clock
) -> None:
    one, other = managers(), managers(store)
    for text in ("first", "mine"):
        await one.save(notebook(text), "n.ipynb")
    await other.get("n.ipynb")

    async def save() -> None:
        await other.save(notebook("theirs"), "n.ipynb")

    faults.faults.append(Fault("copy", ".nbforge/*", hook=save))
    made = await one.create_checkpoint("n.ipynb")
    assert await source_of(other, "n.ipynb") == "theirs"
    clock.pass_by()
    await one.get("n.ipynb")
    await one.restore_checkpoint(made["id"], "n.ipynb")
    assert await source_of(one, "n.ipynb") in ("mine", "theirs")


async def test_restoring_does_not_overwrite_what_somebody_saved_while_it_ran(
    manager: NBForgeContentsManager, store: MemoryStorage, faults: FaultyStorage
) -> None:
    await manager.save(notebook("mine"), "n.ipynb")
    made = await manager.create_checkpoint("n.ipynb")
    faults.faults.append(Fault("copy", "n.ipynb", hook=writing(store, "n.ipynb")))
    await refused(manager.restore_checkpoint(made["id"], "n.ipynb"))
    assert await contents_of(store, "n") == {"n.ipynb": b"theirs"}


async def test_restoring_what_was_deleted_does_not_overwrite_what_was_made_since(
    manager: NBForgeContentsManager, store: MemoryStorage, clock: Clock
) -> None:
    await manager.save(notebook("mine"), "n.ipynb")
    made = await manager.create_checkpoint("n.ipynb")
    await store.delete("n.ipynb")
    clock.pass_by()
    with pytest.raises(HTTPError):
        await manager.get("n.ipynb")
    await store.put("n.ipynb", b"theirs")
    await refused(manager.restore_checkpoint(made["id"], "n.ipynb"))
    assert await contents_of(store, "n") == {"n.ipynb": b"theirs"}


# Renaming


async def test_a_rename_does_not_pass_off_what_somebody_saved_as_seen(
    managers: Managers, clock: Clock
) -> None:
    one, other = managers(), managers()
    mine = await one.save(notebook("mine"), "a.ipynb")
    await other.get("a.ipynb")
    theirs = await other.save(notebook("theirs"), "a.ipynb")
    clock.pass_by()
    renamed = await one.update({"path": "b.ipynb"}, "a.ipynb")
    assert renamed["hash"] == mine["hash"]
    await refused(one.save(notebook("mine, too"), "b.ipynb"))
    assert await look(one, "b.ipynb") == theirs["hash"]
    assert await source_of(one, "b.ipynb") == "theirs"


async def test_what_is_saved_in_the_middle_of_a_rename_is_not_lost(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage
) -> None:
    one, other = managers(), managers(store)
    await one.save(text_file("old"), "a.txt")
    await other.get("a.txt")

    async def save() -> None:
        await other.save(text_file("newer"), "a.txt")

    for operation in ("copy", "move"):
        faults.faults.append(Fault(operation, "b.txt", hook=save))
    await one.rename("a.txt", "b.txt")
    assert await contents_of(store) == {"b.txt": b"newer"}


async def test_a_save_under_the_name_before_a_rename_is_told_of_it_and_loses_nothing(
    managers: Managers, store: MemoryStorage, clock: Clock
) -> None:
    one, other = managers(), managers()
    await one.save(text_file("old"), "a.txt")
    await other.get("a.txt")
    await one.rename("a.txt", "b.txt")
    clock.pass_by()
    assert "deleted or moved" in await refused(other.save(text_file("newer"), "a.txt"))
    assert await contents_of(store) == {"b.txt": b"old"}
    await other.save(text_file("newer"), "c.txt")
    assert await contents_of(store) == {"b.txt": b"old", "c.txt": b"newer"}


async def test_two_who_rename_one_file_leave_it_whole(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage
) -> None:
    one, other = managers(), managers(store)
    await one.save(text_file("text"), "a.txt")

    async def rename() -> None:
        await other.rename("a.txt", "theirs.txt")

    for operation in ("copy", "move"):
        faults.faults.append(Fault(operation, "mine.txt", hook=rename))
    with pytest.raises(HTTPError):
        await one.rename("a.txt", "mine.txt")
    assert await contents_of(store) == {"theirs.txt": b"text"}


async def test_a_copy_is_one_whole_version_and_does_not_count_as_a_look(
    managers: Managers, store: MemoryStorage, faults: FaultyStorage, clock: Clock
) -> None:
    one, other = managers(), managers(store)
    await one.save(text_file("old"), "a.txt")
    await other.get("a.txt")
    clock.pass_by()

    async def save() -> None:
        await other.save(text_file("newer"), "a.txt")

    faults.faults.append(Fault("head", "a.txt", hook=save))
    assert (await one.copy("a.txt"))["path"] == "a-Copy1.txt"
    await refused(one.save(text_file("mine"), "a.txt"))
    assert await contents_of(store) == {"a.txt": b"newer", "a-Copy1.txt": b"newer"}
