"""Hash, time and conflict: what a client compares, and that no update is ever lost."""

from __future__ import annotations

from typing import Any

from nbformat import reads, writes
from nbformat.v4 import new_markdown_cell, new_notebook

from .api import Answer, Api, Model, Store, notebook_model, text_model


async def _hash(api: Api, path: str) -> tuple[str, str]:
    model = await api.get(path, content=0, hash=1)
    return model["hash"], model["hash_algorithm"]


async def test_the_hash_changes_with_a_save_and_only_with_the_bytes(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    first = await _hash(api, "a.txt")
    assert await _hash(api, "a.txt") == first
    await api.save_text("a.txt", "two")
    assert await _hash(api, "a.txt") != first
    await api.save_text("a.txt", "one")
    assert await _hash(api, "a.txt") == first


async def test_the_hash_changes_when_another_program_writes(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    first = await _hash(api, "a.txt")
    assert (await api.get("a.txt", hash=1))["hash"] == first[0]
    store.put("a.txt", "two")
    assert (await api.get("a.txt", hash=1))["hash"] != first[0]


async def test_the_hash_survives_a_rename_of_the_file_and_of_its_folder(
    api: Api, store: Store
) -> None:
    await api.make_folder("d")
    await api.save("d/book.ipynb", notebook_model("text"))
    first = await _hash(api, "d/book.ipynb")
    renamed = await api.rename("d/book.ipynb", "d/moved.ipynb")
    assert (renamed["hash"], renamed["hash_algorithm"]) == first
    assert await _hash(api, "d/moved.ipynb") == first
    await api.rename("d", "e")
    assert await _hash(api, "e/moved.ipynb") == first


async def test_the_hash_of_another_programs_object_survives_a_rename(
    api: Api, store: Store
) -> None:
    store.put("d/a.txt", "not written by us")
    first = await _hash(api, "d/a.txt")
    await api.rename("d/a.txt", "d/b.txt")
    assert await _hash(api, "d/b.txt") == first
    await api.rename("d", "e")
    assert await _hash(api, "e/b.txt") == first


async def test_get_with_and_without_content_tell_the_same_hash_and_time(
    api: Api, store: Store
) -> None:
    store.put("foreign.txt", "x")
    await api.save_text("own.txt", "y")
    for path in ("foreign.txt", "own.txt"):
        short, full = await api.get(path, content=0, hash=1), await api.get(path, hash=1)
        for key in ("hash", "hash_algorithm", "last_modified", "created", "size"):
            assert short[key] == full[key], key


async def test_the_time_that_a_save_returns_is_what_later_gets_return(
    api: Api, store: Store
) -> None:
    for path, model in (("a.txt", text_model("x")), ("b.ipynb", notebook_model("y"))):
        for _ in range(2):
            saved = (await api.save(path, model))["last_modified"]
            for content in (0, 1):
                assert (await api.get(path, content=content))["last_modified"] == saved


async def test_the_time_survives_a_rename_of_the_file_and_of_its_folder(
    api: Api, store: Store
) -> None:
    await api.make_folder("d")
    saved = (await api.save_text("d/a.txt", "x"))["last_modified"]
    assert (await api.rename("d/a.txt", "d/b.txt"))["last_modified"] == saved
    assert (await api.get("d/b.txt"))["last_modified"] == saved
    await api.rename("d", "e")
    assert (await api.get("e/b.txt"))["last_modified"] == saved


async def test_time_goes_forward_with_each_save(api: Api, store: Store) -> None:
    times = [(await api.save_text("a.txt", text))["last_modified"] for text in "abc"]
    assert times == sorted(set(times))


async def _refused(api: Api, path: str, model: Model) -> Answer:
    answer = await api.contents("PUT", path, model)
    assert answer.status == 409, (answer.status, answer.body)
    assert path.rpartition("/")[2] in answer.message
    assert "Traceback" not in answer.body.decode()
    return answer


async def test_a_save_over_what_another_program_wrote_is_a_409(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    assert await api.text("a.txt") == "mine"
    store.put("a.txt", "theirs")
    await _refused(api, "a.txt", text_model("mine, edited"))
    assert store.get("a.txt") == b"theirs"


async def test_a_notebook_save_over_what_another_program_wrote_is_a_409(
    api: Api, store: Store
) -> None:
    store.put("book.ipynb", writes(new_notebook()))
    opened = (await api.get("book.ipynb"))["content"]
    theirs = writes(new_notebook(cells=[new_markdown_cell("theirs")]))
    store.put("book.ipynb", theirs)
    mine = {"type": "notebook", "format": "json", "content": opened}
    await _refused(api, "book.ipynb", mine)
    assert store.get("book.ipynb") == theirs.encode()


async def test_after_a_conflict_a_person_may_overwrite_or_reload(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    store.put("a.txt", "theirs")
    await _refused(api, "a.txt", text_model("mine, edited"))
    # JupyterLab looks before it saves again, shows "File Changed" and lets the person decide.
    look = await api.get("a.txt", content=0, hash=1)
    assert look["size"] == len("theirs")
    await api.save_text("a.txt", "mine, edited")
    assert store.get("a.txt") == b"mine, edited"
    store.put("a.txt", "theirs again")
    assert await api.text("a.txt") == "theirs again"
    await api.save_text("a.txt", "merged")
    assert store.get("a.txt") == b"merged"


async def test_a_refused_save_stays_refused_until_somebody_looks(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    store.put("a.txt", "theirs")
    for _ in range(2):
        await _refused(api, "a.txt", text_model("mine, edited"))
    assert store.get("a.txt") == b"theirs"


async def test_a_listing_does_not_count_as_a_look(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save_text("d/a.txt", "mine")
    store.put("d/a.txt", "theirs")
    assert await api.names("d") == ["a.txt"]
    await _refused(api, "d/a.txt", text_model("mine, edited"))
    assert store.get("d/a.txt") == b"theirs"


async def test_a_save_of_what_another_program_deleted_is_a_409(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    assert await api.text("a.txt") == "mine"
    store.remove("a.txt")
    await _refused(api, "a.txt", text_model("mine, edited"))
    assert store.get("a.txt") is None
    # The next look finds nothing, and then the person may create it anew.
    assert (await api.contents("GET", "a.txt", content=0, hash=1)).status == 404
    await api.save_text("a.txt", "mine, edited")
    assert store.get("a.txt") == b"mine, edited"


async def test_a_file_that_appeared_after_the_last_look_is_not_overwritten(
    api: Api, store: Store
) -> None:
    assert (await api.contents("GET", "a.txt", content=0)).status == 404
    store.put("a.txt", "theirs")
    await _refused(api, "a.txt", text_model("mine"))
    assert store.get("a.txt") == b"theirs"


async def test_a_file_that_was_never_looked_at_is_replaced(api: Api, store: Store) -> None:
    store.put("a.txt", "theirs")
    await api.save_text("a.txt", "mine")
    assert store.get("a.txt") == b"mine"


async def test_saves_one_after_the_other_are_no_conflict(api: Api, store: Store) -> None:
    for number in range(5):
        await api.save("book.ipynb", notebook_model(str(number)))
    saved = reads((store.get("book.ipynb") or b"").decode(), as_version=4)
    assert saved.cells[0].source == "4"


async def test_a_save_after_a_rename_is_no_conflict(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save_text("d/a.txt", "one")
    await api.rename("d/a.txt", "d/b.txt")
    await api.save_text("d/b.txt", "two")
    await api.rename("d", "e")
    await api.save_text("e/b.txt", "three")
    assert store.get("e/b.txt") == b"three"


async def test_a_conflict_is_noticed_after_a_rename_too(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    await api.rename("a.txt", "b.txt")
    store.put("b.txt", "theirs")
    await _refused(api, "b.txt", text_model("mine, edited"))
    assert store.get("b.txt") == b"theirs"


async def test_a_file_that_was_deleted_here_may_be_made_again(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    await api.delete("a.txt")
    await api.save_text("a.txt", "two")
    assert store.get("a.txt") == b"two"


async def test_an_upload_over_what_another_program_wrote_is_a_409(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "mine")
    model: dict[str, Any] = {"type": "file", "format": "text", "name": "a.txt", "path": "a.txt"}
    await api.contents("PUT", "a.txt", {**model, "content": "up", "chunk": 1})
    store.put("a.txt", "theirs")
    await _refused(api, "a.txt", {**model, "content": "load", "chunk": -1})
    assert store.get("a.txt") == b"theirs"
