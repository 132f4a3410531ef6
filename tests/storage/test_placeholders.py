"""Names of users and groups in a prefix: none leads out of its place, no two share one."""

from __future__ import annotations

import json
import string
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import ConfigurationError
from jupyter_nbforge.storage.local import LocalStorage
from jupyter_nbforge.storage.paths import invalid_reason
from jupyter_nbforge.storage.placeholders import (
    GROUPS_VARIABLE,
    escaped,
    fill_placeholders,
    for_each_group,
    groups_of,
)
from jupyter_nbforge.storage.wrappers import PrefixStorage

from .conftest import MakeAzure, MakeGCS, MakeS3

REFUSED = [
    *("..", ".", "a/../b", "../bob", "a/b", "/bob", "bob/", "a\\b", "a..b", "bob/.."),
    *("a\x00", "a\nb", "a\x7f", "\ud800", "\udcff"),
    *("．．", "․․", "․", "‥", "a…b", "a／b", "a＼b"),
    *("bob ", " bob", "bob.", "bob\u3000", "\u00a0bob", " "),
    *(".nbforge", ".git", "bo\u200bb", "bob\u202e", "a\u2028b", "e\u0301mile", "\u212bbo"),
    *("x" * 256, "é" * 128),
]
ACCEPTED = [
    *("bob", "Bob", "BOB", "bob2", "b ob", "bob@example.org", "b.o.b", "-bob", "bob-2d"),
    *("%2e%2e", "%2e%2e%2fbob", "%00", "bob%20", "b+ob", "b?ob", "b#ob", "b&c=d", "{TEAM}"),
    *("\u00e9mile", "\uff42ob", "b\u043eb", "\u0431\u043e\u0431", "*", "~", "$bob", "x" * 255),
]
"""Among them bob with a full-width letter, with a Cyrillic one, and in Cyrillic."""


def is_half(name: str) -> bool:
    """Whether it has half of a surrogate pair, which is no text."""
    return any(unicodedata.category(character) == "Cs" for character in name)


NAMES = st.text(
    st.one_of(st.sampled_from("./\\%-_~ aAeE2fd0"), st.characters(codec="utf-8")), max_size=12
)


def filled(name: str, template: str = "users/{username}") -> str:
    return fill_placeholders(template, {"JUPYTERHUB_USER": name})


def filled_or_none(name: str, template: str = "users/{username}") -> str | None:
    try:
        return filled(name, template)
    except ConfigurationError:
        return None


@pytest.mark.parametrize("name", REFUSED)
def test_a_name_that_could_lead_to_other_files_is_a_refusal(name: str) -> None:
    with pytest.raises(ConfigurationError, match="could lead to another user's files") as raised:
        filled(name)
    if len(name) > 2:
        assert name not in raised.value.message


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_name_goes_in_as_it_is_and_only_once(name: str) -> None:
    assert filled(name) == f"users/{name}"


@example("bob", "bob.")
@example("bob", "bob ")
@example("\u00e9", "e\u0301")
@given(NAMES, NAMES)
def test_two_names_never_share_a_prefix_not_even_on_a_disk_that_folds(one: str, two: str) -> None:
    prefixes = filled_or_none(one), filled_or_none(two)
    if None not in prefixes and one != two:
        first, second = (str(prefix) for prefix in prefixes)
        assert _on_a_disk(first) != _on_a_disk(second)
    for prefix in prefixes:
        if prefix is not None:
            assert invalid_reason(prefix) is None
            assert prefix.count("/") == 1
            assert not prefix.startswith("users/.")


def _on_a_disk(prefix: str) -> str:
    """What disks make of a name that do not tell everything apart, but letters of two sizes."""
    return unicodedata.normalize("NFD", prefix.rstrip(". "))


@example(" ", "-20")
@example("A", "-41")
@example("-", "-2d")
@example("A", "a")
@given(NAMES, NAMES)
def test_two_escaped_names_are_never_the_same_in_upper_or_lower_case(one: str, two: str) -> None:
    assert set(escaped(one)) <= {*string.ascii_lowercase, *string.digits, "-"}
    if one != two:
        assert escaped(one).casefold() != escaped(two).casefold()


@pytest.mark.parametrize("name", [name for name in REFUSED if len(name) < 80 and not is_half(name)])
def test_the_escaped_placeholder_takes_names_that_the_plain_one_refuses(name: str) -> None:
    assert filled(name, "users/{escaped_username}") == f"users/{escaped(name)}"


@pytest.mark.parametrize("name", ["", "\ud800", "x" * 256, "é" * 128])
def test_the_escaped_placeholder_needs_a_name_that_is_text_and_fits(name: str) -> None:
    with pytest.raises(ConfigurationError):
        filled(name, "users/{escaped_username}")


def test_the_sentence_names_the_placeholder_that_takes_the_name() -> None:
    with pytest.raises(ConfigurationError, match=r"\{escaped_username\} takes names of every kind"):
        filled("CORP\\bob")


@pytest.mark.parametrize(
    "template",
    [
        "users/{username}-{servername}",
        "{username}{servername}",
        "x/{servername}.{escaped_username}/y",
        "{group}-{username}",
    ],
)
def test_two_names_of_the_hub_in_one_segment_are_a_refusal(template: str) -> None:
    """The user a with the server b-c, and the user a-b with the server c."""
    environ = {"JUPYTERHUB_USER": "a", "JUPYTERHUB_SERVER_NAME": "b-c", "NBFORGE_GROUP": "g"}
    with pytest.raises(ConfigurationError, match="put a slash between them"):
        fill_placeholders(template, environ)


def test_a_name_of_the_hub_may_stand_beside_other_text_and_itself() -> None:
    environ = {"JUPYTERHUB_USER": "a", "TEAM": "t"}
    assert fill_placeholders("x-{username}/{TEAM}-{username}", environ) == "x-a/t-a"
    assert fill_placeholders("{username}/{username}-{username}", environ) == "a/a-a"


GROUPS = {GROUPS_VARIABLE: json.dumps(["physics", "biology", "physics"])}


def test_a_folder_for_each_group_has_the_storage_of_that_group() -> None:
    storages = {"": "s3://b/users/me", "teams/{group}": "s3://b/groups/{group}"}
    entries = for_each_group(storages, GROUPS)
    assert [entry.folder for entry in entries] == ["", "teams/biology", "teams/physics"]
    urls = [fill_placeholders(entry.spec, entry.environ) for entry in entries]
    assert urls == ["s3://b/users/me", "s3://b/groups/biology", "s3://b/groups/physics"]


def test_a_storage_with_options_is_made_for_each_group_too() -> None:
    spec: dict[str, Any] = {"url": "s3://b/groups/{escaped_group}", "read_only": True}
    entries = for_each_group({"{escaped_group}": spec}, {GROUPS_VARIABLE: '["A/B"]'})
    assert [(entry.folder, entry.spec) for entry in entries] == [("-41-2f-42", spec)]
    assert fill_placeholders(spec["url"], entries[0].environ) == "s3://b/groups/-41-2f-42"


@pytest.mark.parametrize("environ", [{}, {GROUPS_VARIABLE: ""}, {GROUPS_VARIABLE: "[]"}])
def test_without_a_group_there_is_no_folder_for_groups(environ: dict[str, str]) -> None:
    storages = {"": "s3://b", "teams/{group}": "s3://b/groups/{group}"}
    assert [entry.folder for entry in for_each_group(storages, environ)] == [""]


@pytest.mark.parametrize(
    ("folder", "url"),
    [
        ("teams", "s3://b/{group}"),
        ("teams/{group}", "s3://b/groups"),
        ("teams/{group}", "s3://b/{username}"),
        ("teams", "s3://b/{escaped_group}"),
    ],
)
def test_groups_that_would_share_a_folder_are_a_refusal(folder: str, url: str) -> None:
    """Also for a user of no group: a wrong line is found by the first who starts a server."""
    for environ in ({}, GROUPS):
        with pytest.raises(ConfigurationError, match="into both"):
            for_each_group({folder: url}, environ)
        with pytest.raises(ConfigurationError, match="into both"):
            for_each_group({folder: {"url": url}}, environ)


def test_two_storages_in_one_folder_are_a_refusal() -> None:
    storages = {"teams/{group}": "s3://b/{group}", "teams/physics": "s3://other"}
    with pytest.raises(ConfigurationError, match="'teams/physics'"):
        for_each_group(storages, GROUPS)


@pytest.mark.parametrize("name", REFUSED)
def test_a_group_whose_name_could_lead_elsewhere_is_a_refusal(name: str) -> None:
    with pytest.raises(ConfigurationError, match="could lead to another user's files"):
        for_each_group({"teams/{group}": "s3://b/{group}"}, {GROUPS_VARIABLE: json.dumps([name])})


@pytest.mark.parametrize("text", ["physics", "{}", '"physics"', "[1]", "[null]", "[["])
def test_groups_that_are_no_list_of_names_are_a_refusal(text: str) -> None:
    with pytest.raises(ConfigurationError, match=GROUPS_VARIABLE):
        groups_of({GROUPS_VARIABLE: text})


def test_a_group_has_no_place_outside_the_folders_for_groups() -> None:
    with pytest.raises(ConfigurationError, match="'mounts' only"):
        fill_placeholders("s3://b/{group}", GROUPS)


MakeStore = Callable[[], BaseStorageService]


@pytest.fixture(params=["moto", "seaweedfs", "gcs", "azure", "local"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Makes an empty storage without a prefix, on a real server."""
    value = request.getfixturevalue
    if request.param == "local":
        return lambda: LocalStorage(root=str(tmp_path))
    if request.param == "gcs":
        make_gcs: MakeGCS = value("make_gcs")
        return make_gcs
    if request.param == "azure":
        make_azure: MakeAzure = value("make_azure")
        return lambda: make_azure(value("azurite_server"))
    make_s3: MakeS3 = value("make_s3")
    server = "moto_server" if request.param == "moto" else "seaweed_server"
    return lambda: make_s3(value(server))


async def test_every_accepted_name_has_keys_of_its_own_on_every_store(
    make_store: MakeStore,
) -> None:
    store = make_store()
    names = [name for name in ACCEPTED if len(name) < 200]
    try:
        for name in names:
            own = PrefixStorage(store, filled(name))
            assert await paths_in(own) == set(), f"{name!r} sees the files of another"
            await own.put("n.ipynb", name.encode())
        assert await paths_in(store) == {f"users/{name}/n.ipynb" for name in names}
        for name in names:
            async with PrefixStorage(store, filled(name)).get("n.ipynb") as reader:
                assert await reader.read() == name.encode()
    finally:
        await store.aclose()


async def paths_in(storage: BaseStorageService) -> set[str]:
    pages = storage.list_pages("", delimiter=None)
    return {meta.path async for page in pages for meta in page.objects if meta.path[-1] != "/"}
