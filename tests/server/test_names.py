"""Names: every one that a person may give works, and none reaches out of the root."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest

from .api import Api, Store, text_model

NAMES = [
    "with space.txt",
    " leading and trailing ",
    unicodedata.normalize("NFC", "é composed.txt"),
    unicodedata.normalize("NFD", "é decomposed.txt"),
    "日本語 🎉.txt",
    "100%.txt",
    "%2F%2e%2e.txt",
    "a+b.txt",
    "c#.txt",
    "what?.txt",
    "q&a=1;2.txt",
    'it\'s "quoted".txt',
    "~tilde`^{}[]|<>.txt",
]
DOTTED = "no.extension."


async def use_a_file(api: Api, store: Store, name: str) -> None:
    await api.make_folder("d")
    assert (await api.save_text(f"d/{name}", "text"))["path"] == f"d/{name}"
    assert store.get(f"d/{name}") == b"text"
    assert await api.names("d") == [name]
    assert await api.text(f"d/{name}") == "text"
    assert (await api.rename(f"d/{name}", f"d/x{name}"))["name"] == f"x{name}"
    assert (await api.rename(f"d/x{name}", f"d/{name}"))["name"] == name
    copy = (await api.contents("POST", "", {"copy_from": f"d/{name}"})).json
    assert copy["path"] == name
    await api.delete(f"d/{name}")
    assert sorted(store.paths()) == sorted(["d/", name])


async def use_a_folder(api: Api, store: Store, name: str) -> None:
    assert (await api.make_folder(name))["type"] == "directory"
    await api.save_text(f"{name}/a.txt", "text")
    assert (await api.get(name))["type"] == "directory"
    assert await api.names(name) == ["a.txt"]
    assert [(e["name"], e["type"]) for e in (await api.get(""))["content"]] == [(name, "directory")]
    assert (await api.rename(name, "plain"))["type"] == "directory"
    assert await api.text("plain/a.txt") == "text"
    await api.rename("plain", name)
    await api.delete(f"{name}/a.txt")
    await api.delete(name)
    assert store.paths() == []


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_of_any_name_is_saved_listed_opened_renamed_copied_and_deleted(
    api: Api, store: Store, name: str
) -> None:
    await use_a_file(api, store, name)


@pytest.mark.parametrize("name", [*NAMES, "looks.like.a.notebook.ipynb"])
async def test_a_folder_of_any_name_is_made_used_renamed_and_deleted(
    api: Api, store: Store, name: str
) -> None:
    await use_a_folder(api, store, name)


@pytest.mark.stores("memory", "seaweedfs", "gcs")
@pytest.mark.parametrize("use", [use_a_file, use_a_folder])
async def test_a_name_may_end_in_a_dot(api: Api, store: Store, use: Any) -> None:
    await use(api, store, DOTTED)


@pytest.mark.stores("azure")
@pytest.mark.parametrize("name", [DOTTED, "a\\b.txt"])
async def test_azure_is_given_no_name_that_it_would_change(
    api: Api, store: Store, name: str
) -> None:
    await api.save_text("no.extension", "kept")
    for answer in (
        await api.contents("PUT", name, text_model("lost")),
        await api.contents("PUT", name, {"type": "directory"}),
        await api.contents("PUT", f"{name}/a.txt", text_model("lost")),
        await api.contents("PATCH", "no.extension", {"path": name}),
    ):
        assert answer.status == 400
        assert "Azure" in answer.json["message"]
    assert await api.names("") == ["no.extension"]
    assert await api.text("no.extension") == "kept"


async def test_the_two_unicode_forms_of_a_name_are_two_files(api: Api, store: Store) -> None:
    composed, decomposed = (unicodedata.normalize(form, "é.txt") for form in ("NFC", "NFD"))
    await api.save_text(composed, "composed")
    await api.save_text(decomposed, "decomposed")
    assert await api.text(composed) == "composed"
    assert await api.text(decomposed) == "decomposed"
    assert len(await api.names("")) == 2


@pytest.mark.parametrize("path", [".hidden.txt", ".secret/a.txt", "d/.hidden/deep/a.txt"])
async def test_what_is_hidden_is_not_shown_and_not_served(
    api: Api, store: Store, path: str
) -> None:
    store.put(path, "hidden")
    store.put("d/seen.txt", "seen")
    assert await api.names("") == ["d"]
    assert await api.names("d") == ["seen.txt"]
    assert (await api.contents("GET", path)).status == 404
    assert (await api.contents("PUT", path, text_model("x"))).status == 400
    assert (await api.contents("PATCH", path, {"path": "shown.txt"})).status == 400
    assert (await api.contents("PATCH", "d/seen.txt", {"path": path})).status == 400
    assert (await api.contents("DELETE", path)).status == 400
    assert (await api.contents("POST", "", {"copy_from": path})).status == 400
    assert store.get(path) == b"hidden"


async def test_hidden_files_are_ordinary_where_they_are_allowed(
    api: Api, store: Store, manager: Any
) -> None:
    manager.allow_hidden = True
    await api.make_folder(".config")
    await api.save_text(".config/.rc", "text")
    assert await api.names("") == [".config"]
    assert await api.names(".config") == [".rc"]
    await api.rename(".config", ".settings")
    assert await api.text(".settings/.rc") == "text"


async def test_our_own_keys_are_nobodys_even_where_hidden_files_are_allowed(
    api: Api, store: Store, manager: Any
) -> None:
    manager.allow_hidden = True
    await api.save_text("a.txt", "one")
    await api.contents("POST", "a.txt/checkpoints")
    before = store.paths(hidden=True)
    own = [path for path in before if path.startswith(".nbforge/")]
    assert own
    assert await api.names("") == ["a.txt"]
    for path in (".nbforge", own[0]):
        assert (await api.contents("GET", path)).status == 404
        assert (await api.contents("DELETE", path)).status == 404
        assert (await api.contents("PATCH", path, {"path": "b"})).status == 404
        assert (await api.contents("PATCH", "a.txt", {"path": path})).status == 404
        assert (await api.contents("PUT", path, text_model("x"))).status == 404
    assert store.paths(hidden=True) == before


@pytest.mark.settings({"ContentsManager": {"hide_globs": ["*.pyc", "__pycache__", "*~"]}})
async def test_hide_globs_leave_names_out_of_listings(api: Api, store: Store) -> None:
    for path in ("a.py", "a.pyc", "a.py~", "__pycache__/a.pyc", "d/b.pyc", "d/b.py"):
        store.put(path, "x")
    assert await api.names("") == ["a.py", "d"]
    assert await api.names("d") == ["b.py"]


ESCAPES = [
    "..",
    "../witness.txt",
    "d/../../witness.txt",
    "d/..",
    "../root2/x.txt",
]


@pytest.mark.parametrize("path", ESCAPES)
async def test_no_path_climbs_out_of_the_root(api: Api, store: Store, path: str) -> None:
    store.put("d/a.txt", "a")
    before = store.paths(hidden=True)
    for method, target, body in (
        ("GET", path, None),
        ("PUT", path, text_model("x")),
        ("DELETE", path, None),
        ("PATCH", path, {"path": "taken.txt"}),
        ("PATCH", "d/a.txt", {"path": path}),
        ("POST", path, {"type": "notebook"}),
        ("POST", "", {"copy_from": path}),
        ("POST", f"{path}/checkpoints", None),
        ("GET", f"{path}/checkpoints", None),
        ("POST", f"{path}/checkpoints/checkpoint", None),
        ("POST", f"{path}/trust", None),
    ):
        answer = await api.contents(method, target, body)
        assert answer.status == 404, (method, target, body, answer.status, answer.body)
        assert b'outside"' not in answer.body
    assert (await api.call("GET", "files", path)).status == 404
    assert store.paths(hidden=True) == before


@pytest.mark.parametrize(
    "encoded", ["%2e%2e/witness.txt", "%2e%2e%2fwitness.txt", "d/%2E%2E/%2E%2E/witness.txt"]
)
async def test_no_encoded_path_climbs_out_of_the_root(
    api: Api,
    store: Store,
    http_server_client: Any,
    jp_base_url: str,
    jp_auth_header: Any,
    encoded: str,
) -> None:
    store.put("d/a.txt", "a")
    for start in ("api/contents/", "files/"):
        answer = await http_server_client.fetch(
            jp_base_url + start + encoded, headers=jp_auth_header, raise_error=False
        )
        assert answer.code == 404
        assert b'outside"' not in answer.body


@pytest.mark.parametrize("path", ["a\nb.txt", "a\x00b.txt", "tab\there.txt"])
async def test_a_name_with_a_control_character_is_refused(
    api: Api, store: Store, path: str
) -> None:
    answer = await api.contents("PUT", path, text_model("x"))
    assert answer.status == 400, answer.body
    assert store.paths() == []


async def test_a_name_that_is_too_long_for_a_key_is_a_400_with_a_sentence(
    api: Api, store: Store
) -> None:
    answer = await api.contents("PUT", "ü" * 700 + ".txt", text_model("x"))
    assert answer.status == 400, answer.body
    assert "long" in answer.message
    assert store.paths() == []


@pytest.mark.stores("memory", "moto")
async def test_keys_that_are_no_paths_are_not_shown_and_not_touched(
    api: Api, store: Store, manager: Any
) -> None:
    strange = ["d//b.txt", "../up.txt", "/lead.txt", "d/../x.txt", "d/./y.txt", "d/\x01.txt", "//"]
    for key in strange:
        store.put(key, "strange")
    store.put("d/a.txt", "a")
    store.put("e/b.txt", "b")
    assert await api.names("") == ["d", "e"]
    assert await api.names("d") == ["a.txt"]
    manager.always_delete_dir = True
    await api.delete("e")
    await api.rename("d/a.txt", "d/c.txt")
    assert [key for key in strange if store.get(key) != b"strange"] == []
