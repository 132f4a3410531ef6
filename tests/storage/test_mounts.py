"""What an administrator writes into `mounts`, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.cli.lab import configured_storage, read_configuration
from jupyter_nbforge.storage import (
    BaseStorageService,
    ConfigurationError,
    PermissionDeniedError,
    create_mounted_storage,
)
from jupyter_nbforge.storage.factory import STACK
from jupyter_nbforge.storage.wrappers import MountedStorage, ReadOnlyStorage, WrapperStorage

from .helpers import listing, read
from .kept_provider import installed, provider_of


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path, monkeypatch):
        yield


def mounted(mounts: dict[str, Any], **options: Any) -> BaseStorageService:
    return create_mounted_storage(mounts, **{"environ": {}, **options})


def urls(storage: BaseStorageService) -> dict[str, str]:
    return {folder: part.url for folder, part in storage.parts().items()}


def stack_of(storage: BaseStorageService) -> list[type[BaseStorageService]]:
    found: list[type[BaseStorageService]] = []
    while isinstance(storage, WrapperStorage):
        found.insert(0, type(storage))
        storage = storage.inner
    return found


def test_each_mount_has_a_stack_and_a_provider_of_its_own() -> None:
    parts = mounted({"": "kept://root", "a": "kept://b/p", "a/b": "kept://b/q"}).parts()
    assert [stack_of(part) for part in parts.values()] == [list(STACK)] * 3
    layers = {id(layer) for part in parts.values() for layer in (part, provider_of(part))}
    assert len(layers) == 6


def test_urls_prefixes_and_folders_are_those_of_the_table() -> None:
    environ = {"JUPYTERHUB_USER": "ada", "TEAM": "blue"}
    storage = mounted(
        {"": "kept://b/{username}", "/teams/{TEAM}/": "kept://teams/{TEAM}"}, environ=environ
    )
    assert urls(storage) == {"": "kept://b/ada", "teams/blue": "kept://teams/blue"}
    assert storage.url == "kept://b/ada with kept://teams/blue in 'teams/blue'"


def test_a_group_has_a_mount_of_its_own() -> None:
    environ = {"NBFORGE_GROUPS": '["red", "blue"]'}
    storage = mounted({"": "kept://b", "groups/{group}": "kept://g/{group}"}, environ=environ)
    assert urls(storage) == {
        "": "kept://b",
        "groups/blue": "kept://g/blue",
        "groups/red": "kept://g/red",
    }


def test_options_of_a_mount_are_for_it_alone_and_those_of_the_class_for_all() -> None:
    config = Config({"KeptStorage": {"region": "north", "depth": 7}})
    parts = mounted(
        {"": "kept://b", "south": {"url": "kept://b", "region": "south"}}, config=config
    ).parts()
    found = {folder: provider_of(part) for folder, part in parts.items()}
    assert {folder: (one.region, one.depth) for folder, one in found.items()} == {
        "": ("north", 7),
        "south": ("south", 7),
    }


def test_a_prefix_meant_for_one_storage_moves_no_mount() -> None:
    """Neither the environment's nor the one configured for all would be expected there."""
    config = Config({"PrefixStorage": {"prefix": "configured"}})
    environ = {"KEPT_PREFIX": "of-the-environment"}
    storage = mounted({"": "kept://b", "a": "kept://b/own"}, config=config, environ=environ)
    assert urls(storage) == {"": "kept://b", "a": "kept://b/own"}


async def test_a_read_only_mount_is_one_and_no_other() -> None:
    storage = mounted({"": "kept://b", "ro": {"url": "kept://b", "read_only": True}})
    parts = storage.parts()
    assert isinstance(parts["ro"], ReadOnlyStorage)
    await storage.put("x", b"x")
    for path in ("ro/x", "ro/sub/x"):
        with pytest.raises(PermissionDeniedError, match="read-only"):
            await storage.put(path, b"x")
    assert await read(provider_of(parts[""]), "x") == b"x"


async def test_without_a_root_there_are_only_the_folders_of_the_mounts() -> None:
    storage = mounted({"shared": "kept://b", "a/b": "kept://b"})
    assert (await listing(storage.list_pages(""))).prefixes == ["a/", "shared/"]
    await storage.put("shared/x", b"x")
    for path in ("x", "a/x", ".nbforge/moves/1"):
        with pytest.raises(PermissionDeniedError, match="only the folders here have a storage"):
            await storage.put(path, b"x")
    assert storage.write_refusal("a/x") is not None
    assert storage.write_refusal("a/b/x") is None


@pytest.mark.parametrize(
    ("mounts", "word"),
    [
        ({"a": "kept"}, "'a'.*storage URL"),
        ({"a": ""}, "'a'.*storage URL"),
        ({"a": {"read_only": True}}, "'a'.*storage URL"),
        ({"a": 5}, "'a'.*dict"),
        ({"a": ["kept://b"]}, "'a'.*dict"),
        ({"a": {"url": "kept://b", "read_only": "yes"}}, "'a'.*'read_only'"),
        ({"a": {"url": "kept://b", "regoin": "x"}}, "'a'.*'regoin'.*'region'"),
        ({"a": {"url": "kept://b", "depth": "deep"}}, "'a'.*depth"),
        ({"a": {"url": "kept://b", "wrap": False}}, "'a'.*'wrap'"),
        ({"a": "nowhere://b"}, "'a'.*'nowhere'"),
        ({"a": "kept://b?x=1"}, "'a'.*after"),
        ({"a": "kept://u:p@b"}, "'a'.*password"),
        ({"a": "kept://b", "a/": "kept://c"}, "'a'"),
        ({"": "kept://b", "/": "kept://c"}, "''"),
        ({".a": "kept://b"}, "'.a'.*hidden"),
        ({"a/../b": "kept://b"}, "'a/../b'"),
        ({".nbforge": "kept://b"}, "'.nbforge'"),
        ({"a": "kept://{NOBODY}"}, "NOBODY"),
        ({"{NOBODY}": "kept://b"}, "NOBODY"),
    ],
)
def test_a_table_that_cannot_be_meant_so_is_refused_with_one_sentence(
    mounts: dict[str, Any], word: str
) -> None:
    with pytest.raises(ConfigurationError, match=f"(?s){word}") as refused:
        mounted(mounts)
    assert "\n" not in refused.value.message
    assert str(refused.value) == refused.value.message


def test_a_secret_of_a_mount_is_in_no_sentence() -> None:
    with pytest.raises(ConfigurationError) as refused:
        mounted({"a": {"url": "kept://b", "secret_token": 987654}})
    assert "987654" not in str(refused.value)


async def test_closing_the_whole_closes_every_mount() -> None:
    storage = mounted({"": "kept://b", "a": "kept://b"}, parent=Configurable())
    await storage.aclose()
    assert all(provider_of(part).closed for part in storage.parts().values())


def test_the_url_of_a_path_is_that_of_its_own_store() -> None:
    storage = mounted({"": "kept://b/p", "shared": "kept://other/q"})
    assert storage.url_of("a/x.ipynb") == "kept://b/p/a/x.ipynb"
    assert storage.url_of("shared/x.ipynb") == "kept://other/q/x.ipynb"
    assert storage.url_of("shared") == "kept://other/q"


async def test_tools_get_the_environment_of_the_store_of_their_path() -> None:
    parts = mounted({"": "kept://b", "shared": "kept://other"}).parts()
    for folder, part in parts.items():

        async def tell(path: str = "", *, credentials: bool = False, at: str = folder) -> Any:
            return {"AT": at, "PATH_THERE": path, "WITH": str(credentials)}

        part.tool_environment = tell  # type: ignore[method-assign]
    storage = MountedStorage(parts)
    assert await storage.tool_environment("shared/x", credentials=True) == {
        "AT": "shared",
        "PATH_THERE": "x",
        "WITH": "True",
    }
    assert (await storage.tool_environment("x"))["AT"] == ""


def test_a_table_on_the_command_line_is_read_as_one_in_a_file() -> None:
    arguments = ["--NBForgeContentsManager.mounts=shared=memory://a"]
    root = "--NBForgeContentsManager.mounts==memory://b"
    for given in (arguments, [*arguments, root]):
        storage = configured_storage(None, read_configuration(given))
        assert set(storage.parts()) == {"", "shared"}
        refusal = storage.write_refusal("x")
        assert (refusal is None) == (root in given)


@pytest.mark.parametrize(
    ("other", "word"),
    [({"storage_url": "memory://a"}, "storage_url and mounts"), ({"root_dir": "a"}, "root_dir")],
)
def test_what_mounts_take_the_place_of_is_refused_beside_them(
    other: dict[str, str], word: str
) -> None:
    config = Config({"NBForgeContentsManager": {"mounts": {"a": "memory://a"}, **other}})
    with pytest.raises(TraitError, match=word):
        NBForgeContentsManager(config=config)
