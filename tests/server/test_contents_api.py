"""Every endpoint of the contents API: statuses and models."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode, encodebytes
from datetime import datetime
from typing import Any

import pytest
from nbformat import writes
from nbformat.v4 import new_markdown_cell, new_notebook

from .api import Api, Store, notebook_model, notebook_with_output, text_model

MODEL_KEYS = {
    *("name", "path", "type", "writable", "created", "last_modified", "mimetype"),
    *("content", "format", "size", "hash", "hash_algorithm"),
}


async def test_the_empty_root_is_a_folder_without_entries(api: Api, store: Store) -> None:
    model = await api.get("")
    assert (model["name"], model["path"], model["type"]) == ("", "", "directory")
    assert (model["content"], model["format"]) == ([], "json")
    assert datetime.strptime(model["last_modified"], "%Y-%m-%dT%H:%M:%S%z")


async def test_a_folder_shows_its_own_entries_without_their_content(api: Api, store: Store) -> None:
    store.put("here.txt", "text")
    store.put("book.ipynb", writes(new_notebook()))
    store.put("sub/deep/er.txt", "not to be listed here")
    entries = {entry["name"]: entry for entry in (await api.get(""))["content"]}
    assert {name: entry["type"] for name, entry in entries.items()} == {
        "here.txt": "file",
        "book.ipynb": "notebook",
        "sub": "directory",
    }
    assert all(entry["content"] is None for entry in entries.values())
    assert entries["here.txt"]["size"] == 4
    assert entries["sub"]["path"] == "sub"


@pytest.mark.parametrize("content", [0, 1])
async def test_every_model_has_every_key(api: Api, store: Store, content: int) -> None:
    store.put("d/file.txt", "text")
    store.put("d/book.ipynb", writes(new_notebook()))
    for path in ("", "d", "d/file.txt", "d/book.ipynb"):
        model = await api.get(path, content=content)
        assert set(model) >= MODEL_KEYS
        assert (model["content"] is None) == (content == 0)
        for entry in model["content"] if content and model["type"] == "directory" else ():
            assert set(entry) >= MODEL_KEYS


async def test_text_is_text_and_other_bytes_are_base64(api: Api, store: Store) -> None:
    store.put("ü.txt", "grüße")
    store.put("blob.bin", b"\xff\x00")
    text, blob = await api.get("ü.txt"), await api.get("blob.bin")
    assert (text["format"], text["content"], text["mimetype"]) == ("text", "grüße", "text/plain")
    assert (blob["format"], b64decode(blob["content"])) == ("base64", b"\xff\x00")
    assert blob["mimetype"] == "application/octet-stream"


async def test_a_client_may_choose_the_format(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    store.put("blob.bin", b"\xff\x00")
    assert b64decode((await api.get("a.txt", format="base64"))["content"]) == b"text"
    refused = await api.contents("GET", "blob.bin", format="text")
    assert refused.status == 400
    assert (await api.contents("GET", "a.txt", format="jpeg")).status == 400


async def test_a_client_may_choose_the_type(api: Api, store: Store) -> None:
    text = writes(new_notebook())
    store.put("d/book.ipynb", text)
    as_file = await api.get("d/book.ipynb", type="file")
    assert (as_file["type"], as_file["format"], as_file["content"]) == ("file", "text", text)
    assert (await api.get("d/book.ipynb", type="notebook"))["type"] == "notebook"
    for path, kind in (("d", "file"), ("d", "notebook"), ("d/book.ipynb", "directory")):
        assert (await api.contents("GET", path, type=kind)).status == 400


async def test_a_text_file_may_be_asked_for_as_a_notebook(api: Api, store: Store) -> None:
    store.put("book.json", writes(new_notebook(cells=[new_markdown_cell("hello")])))
    model = await api.get("book.json", type="notebook")
    assert model["type"] == "notebook"
    assert model["content"]["cells"][0]["source"] == "hello"


async def test_what_is_no_notebook_is_a_400_with_a_sentence(api: Api, store: Store) -> None:
    store.put("broken.ipynb", "{not json")
    answer = await api.contents("GET", "broken.ipynb")
    assert answer.status == 400
    assert "broken.ipynb" in answer.message
    assert (await api.get("broken.ipynb", type="file"))["content"] == "{not json"


@pytest.mark.parametrize(
    "path", ["missing.txt", "missing.ipynb", "no/such/folder", "no/such/f.txt"]
)
async def test_what_is_missing_is_a_404(api: Api, store: Store, path: str) -> None:
    for content in (0, 1):
        assert (await api.contents("GET", path, content=content)).status == 404


async def test_the_hash_is_there_when_it_is_asked_for(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    for content in (0, 1):
        model = await api.get("a.txt", content=content, hash=1)
        assert model["hash"]
        assert model["hash_algorithm"]
    store.put("foreign.txt", "not written by us")
    foreign = await api.get("foreign.txt", content=0, hash=1)
    assert foreign["hash"]
    assert foreign["hash_algorithm"]


async def test_a_folder_answers_when_its_hash_is_asked_for(api: Api, store: Store) -> None:
    store.put("d/a.txt", "x")
    assert (await api.get("d", hash=1))["type"] == "directory"


@pytest.mark.parametrize(
    ("body", "names", "kind"),
    [
        ({"type": "notebook"}, ["Untitled.ipynb", "Untitled1.ipynb"], "notebook"),
        ({"ext": ".ipynb"}, ["Untitled.ipynb", "Untitled1.ipynb"], "notebook"),
        ({"type": "file", "ext": ".py"}, ["untitled.py", "untitled1.py"], "file"),
        ({"ext": ".tar.gz"}, ["untitled.tar.gz", "untitled1.tar.gz"], "file"),
        ({"type": "directory"}, ["Untitled Folder", "Untitled Folder 1"], "directory"),
        (None, ["untitled", "untitled1"], "file"),
    ],
)
async def test_what_is_new_gets_the_next_free_name(
    api: Api, store: Store, body: Any, names: list[str], kind: str
) -> None:
    await api.make_folder("d")
    for name in names:
        answer = await api.contents("POST", "d", body)
        assert answer.status == 201, answer.body
        assert answer.json["path"] == f"d/{name}"
        assert answer.json["type"] == kind
        assert answer.headers["Location"].endswith("/api/contents/d/" + name.replace(" ", "%20"))
    assert await api.names("d") == sorted(names)


async def test_a_new_name_avoids_what_another_program_wrote(api: Api, store: Store) -> None:
    store.put("d/Untitled.ipynb", writes(new_notebook()))
    answer = await api.contents("POST", "d", {"type": "notebook"})
    assert answer.json["name"] == "Untitled1.ipynb"


async def test_what_is_new_at_the_same_time_gets_different_names(api: Api, store: Store) -> None:
    await api.make_folder("d")
    asked = [api.contents("POST", "d", {"type": "notebook"}) for _ in range(4)]
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {201}
    names = ["Untitled.ipynb", "Untitled1.ipynb", "Untitled2.ipynb", "Untitled3.ipynb"]
    assert sorted(answer.json["name"] for answer in answers) == names
    assert await api.names("d") == names


async def test_nothing_new_is_made_in_a_folder_that_is_missing(api: Api, store: Store) -> None:
    assert (await api.contents("POST", "missing", {"type": "notebook"})).status == 404
    assert store.paths(hidden=True) == []


async def test_a_post_to_a_file_is_a_400(api: Api, store: Store) -> None:
    store.put("a.txt", "x")
    assert (await api.contents("POST", "a.txt", {"type": "notebook"})).status == 400


async def test_a_copy_of_a_file_is_whole_and_numbered(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    store.put("d/other.txt", "x")
    for folder, path in (("", "a-Copy1.txt"), ("", "a-Copy2.txt"), ("d", "d/a.txt")):
        answer = await api.contents("POST", folder, {"copy_from": "a.txt"})
        assert answer.status == 201, answer.body
        assert answer.json["path"] == path
        assert store.get(path) == b"text"
    assert store.get("a.txt") == b"text"


async def test_a_copy_of_a_copy_goes_on_with_the_number(api: Api, store: Store) -> None:
    for name in ("a.txt", "a-Copy1.txt"):
        store.put(name, name)
    answer = await api.contents("POST", "", {"copy_from": "a-Copy1.txt"})
    assert answer.json["name"] == "a-Copy2.txt"
    assert store.get("a-Copy2.txt") == b"a-Copy1.txt"


async def test_a_copy_of_what_is_missing_is_a_404(api: Api, store: Store) -> None:
    assert (await api.contents("POST", "", {"copy_from": "missing.txt"})).status == 404
    assert store.paths() == []


async def test_a_copy_of_a_folder_holds_all_that_is_in_it(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    store.put("d/deep/er/b.bin", b"\xff")
    store.put("d2/not.txt", "not to be copied")
    await api.make_folder("d/empty")
    for target in ("d-Copy1", "d-Copy2"):
        answer = await api.contents("POST", "", {"copy_from": "d"})
        assert answer.status == 201, answer.body
        assert (answer.json["path"], answer.json["type"]) == (target, "directory")
        assert store.get(f"{target}/a.txt") == b"a"
        assert store.get(f"{target}/deep/er/b.bin") == b"\xff"
        assert await api.names(target) == ["a.txt", "deep", "empty"]
    assert store.get("d/a.txt") == b"a"


@pytest.mark.settings({"NBForgeContentsManager": {"max_copy_folder_size_mb": 1}})
async def test_a_folder_over_the_limit_is_not_copied_at_all(api: Api, store: Store) -> None:
    store.put("d/a.bin", b"x" * 700_000)
    store.put("d/b.bin", b"x" * 700_000)
    answer = await api.contents("POST", "", {"copy_from": "d"})
    assert answer.status == 400
    assert "1" in answer.message
    assert store.paths() == ["d/a.bin", "d/b.bin"]


async def test_a_put_makes_and_then_replaces_a_file(api: Api, store: Store) -> None:
    made = await api.contents("PUT", "a.txt", text_model("one"))
    assert made.status == 201
    assert made.headers["Location"].endswith("/api/contents/a.txt")
    replaced = await api.contents("PUT", "a.txt", text_model("two"))
    assert replaced.status == 200
    assert (replaced.json["content"], replaced.json["size"]) == (None, 3)
    assert store.get("a.txt") == b"two"


async def test_a_put_of_base64_stores_the_bytes(api: Api, store: Store) -> None:
    data = bytes(range(256))
    for encode in (b64encode, encodebytes):
        content = encode(data).decode()
        await api.save("a.bin", {"type": "file", "format": "base64", "content": content})
        assert store.get("a.bin") == data


async def test_a_put_of_a_notebook_stores_what_jupyter_would_write(api: Api, store: Store) -> None:
    model = notebook_model("# grüße")
    saved = await api.save("book.ipynb", model)
    assert saved["type"] == "notebook"
    assert store.get("book.ipynb") == (writes(model["content"]) + "\n").encode()
    opened = await api.get("book.ipynb")
    assert opened["content"]["cells"][0]["source"] == "# grüße"
    assert opened["format"] == "json"


async def test_a_put_of_an_invalid_notebook_saves_it_and_says_so(api: Api, store: Store) -> None:
    model = notebook_model("text")
    model["content"]["cells"].append({"cell_type": "wrong", "id": "x", "metadata": {}})
    saved = await api.save("book.ipynb", model)
    assert "validation failed" in saved["message"].lower()
    assert "validation failed" in (await api.get("book.ipynb"))["message"].lower()


async def test_a_put_of_a_folder_makes_it_once(api: Api, store: Store) -> None:
    made = await api.contents("PUT", "d", {"type": "directory"})
    assert made.status == 201
    assert made.json["type"] == "directory"
    assert await api.names("") == ["d"]
    assert await api.names("d") == []
    assert store.paths() == ["d/"]


@pytest.mark.parametrize(
    ("model", "status"),
    [
        ({"type": "file", "format": "text"}, 400),
        ({"format": "text", "content": "x"}, 400),
        ({"type": "file", "content": "x", "format": "json"}, 400),
        ({"type": "file", "content": "not base64!", "format": "base64"}, 400),
        ({"type": "file", "content": 5, "format": "text"}, 400),
        ({"type": "notebook", "content": "no notebook", "format": "json"}, 400),
        ({"type": "file", "content": "x", "format": "text", "copy_from": "b.txt"}, 400),
    ],
)
async def test_a_put_that_makes_no_sense_is_a_400_and_changes_nothing(
    api: Api, store: Store, model: Any, status: int
) -> None:
    await api.save_text("a.txt", "before")
    answer = await api.contents("PUT", "a.txt", model)
    assert answer.status == status, answer.body
    assert store.get("a.txt") == b"before"


async def test_a_put_over_a_folder_is_refused(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    answer = await api.contents("PUT", "d", text_model("x"))
    assert answer.status in (400, 409), answer.body
    assert store.paths() == ["d/a.txt"]


async def test_a_folder_is_not_made_over_a_file(api: Api, store: Store) -> None:
    store.put("a", "text")
    answer = await api.contents("PUT", "a", {"type": "directory"})
    assert answer.status in (400, 409), answer.body
    assert store.paths() == ["a"]


async def test_a_save_below_a_folder_that_is_gone_brings_the_folder_back(
    api: Api, store: Store
) -> None:
    await api.save_text("gone/a.txt", "not to be lost")
    assert await api.names("") == ["gone"]
    assert await api.text("gone/a.txt") == "not to be lost"


async def test_a_rename_moves_the_bytes(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    answer = await api.contents("PATCH", "a.txt", {"path": "b.txt"})
    assert answer.status == 200
    assert answer.json["path"] == "b.txt"
    assert answer.headers["Location"].endswith("/api/contents/b.txt")
    assert store.paths() == ["b.txt"]
    assert store.get("b.txt") == b"text"


async def test_a_rename_of_what_is_missing_is_a_404(api: Api, store: Store) -> None:
    assert (await api.contents("PATCH", "missing.txt", {"path": "b.txt"})).status == 404


async def test_a_rename_into_a_folder_that_is_missing_is_refused(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    answer = await api.contents("PATCH", "a.txt", {"path": "missing/a.txt"})
    assert answer.status == 404, answer.body
    assert store.paths() == ["a.txt"]


@pytest.mark.parametrize("source", ["a.txt", "d"])
@pytest.mark.parametrize("target", ["b.txt", "e"])
async def test_a_rename_onto_what_exists_is_a_409(
    api: Api, store: Store, source: str, target: str
) -> None:
    for path in ("a.txt", "b.txt", "d/x.txt", "e/y.txt"):
        store.put(path, path)
    answer = await api.contents("PATCH", source, {"path": target})
    assert answer.status == 409, answer.body
    assert store.paths() == ["a.txt", "b.txt", "d/x.txt", "e/y.txt"]
    assert store.get("b.txt") == b"b.txt"


async def test_a_rename_to_the_same_name_changes_nothing(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    assert (await api.rename("a.txt", "a.txt"))["path"] == "a.txt"
    assert store.get("a.txt") == b"text"


async def test_a_delete_deletes_one_file(api: Api, store: Store) -> None:
    store.put("d/a.txt", "a")
    store.put("d/b.txt", "b")
    await api.delete("d/a.txt")
    assert store.paths() == ["d/b.txt"]
    assert (await api.contents("GET", "d/a.txt")).status == 404
    assert (await api.contents("DELETE", "d/a.txt")).status == 404


async def test_the_root_is_not_deleted(api: Api, store: Store) -> None:
    store.put("a.txt", "a")
    assert (await api.contents("DELETE", "")).status == 400
    assert store.paths() == ["a.txt"]


async def test_a_checkpoint_is_made_listed_restored_and_deleted(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save_text("d/a.txt", "one")
    made = await api.contents("POST", "d/a.txt/checkpoints")
    assert made.status == 201
    checkpoint = made.json
    assert set(checkpoint) == {"id", "last_modified"}
    assert made.headers["Location"].endswith(f"/d/a.txt/checkpoints/{checkpoint['id']}")
    await api.save_text("d/a.txt", "two")
    assert (await api.contents("GET", "d/a.txt/checkpoints")).json == [checkpoint]
    one = f"d/a.txt/checkpoints/{checkpoint['id']}"
    assert (await api.contents("POST", one)).status == 204
    assert await api.text("d/a.txt") == "one"
    assert store.get("d/a.txt") == b"one"
    assert (await api.contents("DELETE", one)).status == 204
    assert (await api.contents("GET", "d/a.txt/checkpoints")).json == []
    assert (await api.contents("POST", one)).status == 404
    assert (await api.contents("DELETE", one)).status == 404


async def test_checkpoints_are_not_shown_among_the_files(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    await api.contents("POST", "a.txt/checkpoints")
    assert await api.names("") == ["a.txt"]


async def test_checkpoints_follow_a_file_and_a_folder(api: Api, store: Store) -> None:
    await api.make_folder("d")
    await api.save_text("d/a.txt", "one")
    made = (await api.contents("POST", "d/a.txt/checkpoints")).json
    await api.rename("d/a.txt", "d/b.txt")
    await api.rename("d", "e")
    await api.save_text("e/b.txt", "two")
    (moved,) = (await api.contents("GET", "e/b.txt/checkpoints")).json
    assert moved["last_modified"][:19] == made["last_modified"][:19]
    assert (await api.contents("POST", f"e/b.txt/checkpoints/{moved['id']}")).status == 204
    assert await api.text("e/b.txt") == "one"
    own = [path for path in store.paths(hidden=True) if path.startswith(".nbforge/")]
    assert not [path for path in own if "/a.txt/" in path or "/d/" in path]


async def test_a_new_file_does_not_inherit_the_checkpoints_of_a_deleted_one(
    api: Api, store: Store
) -> None:
    await api.save_text("a.txt", "one")
    await api.contents("POST", "a.txt/checkpoints")
    await api.delete("a.txt")
    await api.save_text("a.txt", "another")
    assert (await api.contents("GET", "a.txt/checkpoints")).json == []


async def test_a_save_after_a_restore_is_no_conflict(api: Api, store: Store) -> None:
    await api.save_text("a.txt", "one")
    checkpoint = (await api.contents("POST", "a.txt/checkpoints")).json
    await api.save_text("a.txt", "two")
    await api.contents("POST", f"a.txt/checkpoints/{checkpoint['id']}")
    await api.save_text("a.txt", "three")
    assert store.get("a.txt") == b"three"


async def test_a_checkpoint_of_what_is_missing_is_a_404(api: Api, store: Store) -> None:
    assert (await api.contents("POST", "missing.txt/checkpoints")).status == 404


async def test_a_notebook_of_another_program_is_untrusted_until_it_is_trusted(
    api: Api, store: Store
) -> None:
    store.put("book.ipynb", writes(notebook_with_output()["content"]))
    cell = (await api.get("book.ipynb"))["content"]["cells"][0]
    assert cell["metadata"]["trusted"] is False
    assert (await api.contents("POST", "book.ipynb/trust")).status == 201
    cell = (await api.get("book.ipynb"))["content"]["cells"][0]
    assert cell["metadata"]["trusted"] is True


async def test_trust_survives_a_save_and_a_rename(api: Api, store: Store) -> None:
    model = notebook_with_output()
    model["content"]["cells"][0]["metadata"]["trusted"] = True
    await api.save("book.ipynb", model)
    await api.rename("book.ipynb", "moved.ipynb")
    cell = (await api.get("moved.ipynb"))["content"]["cells"][0]
    assert cell["metadata"]["trusted"] is True


async def test_trust_of_what_is_missing_is_a_404(api: Api, store: Store) -> None:
    assert (await api.contents("POST", "missing.ipynb/trust")).status == 404


async def test_checkpoints_of_the_same_text_are_told_apart(api: Api, store: Store) -> None:
    """On S3 they have the same version."""
    await api.save_text("a.txt", "the same")
    made = list[str]()
    for _ in range(3):
        answer = await api.contents("POST", "a.txt/checkpoints")
        assert answer.status == 201, answer.body
        made.append(answer.json["id"])
        listed = (await api.contents("GET", "a.txt/checkpoints")).json
        assert [one["id"] for one in listed] == made


async def test_nothing_is_made_below_a_file_however_deep(api: Api, store: Store) -> None:
    store.put("a.txt", "text")
    store.put("d/b.txt", "x")
    for method, path, body in (
        ("PUT", "a.txt/new/deep.txt", text_model("x")),
        ("PUT", "a.txt/new/deep", {"type": "directory"}),
        ("POST", "a.txt/new/deep", {"copy_from": "d"}),
    ):
        assert (await api.contents(method, path, body)).status == 400, (method, path)
    assert store.paths() == ["a.txt", "d/b.txt"]
