"""Without a URL every mount is checked, each for itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.testing.processes import free_port

from .conftest import Check, Checked, Clouds, secrets_of
from .stores import everything

On = Callable[..., list[str]]


@pytest.fixture
def configure(tmp_path: Path) -> Callable[..., None]:
    """Writes a configuration file of the server, from traits by class."""

    def write(**sections: Any) -> None:
        (tmp_path / "config").mkdir(exist_ok=True)
        (tmp_path / "config/jupyter_server_config.json").write_text(json.dumps(sections))

    return write


def by_mount(found: Checked) -> dict[str, dict[str, Any]]:
    """The parts of the document, by folder."""
    return {one["mount"]: one for one in found.document["storages"]}


def results(storage: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["result"] for step in storage["steps"]}


def test_each_mount_is_checked_and_nothing_is_left_in_any(
    check: Check, clouds: Clouds, on: On, configure: Callable[..., None], tmp_path: Path
) -> None:
    s3, azure = clouds("seaweedfs"), clouds("azure")
    on(s3)
    on(azure)
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch/a.txt").write_text("theirs")
    mounts = {
        "": f"{s3.url}/people/{{NAME_OF_USER}}",
        "data": {"url": f"{azure.url}/sets", "read_only": True, **azure.options["AzureStorage"]},
        "scratch": f"file://{tmp_path}/scratch",
    }
    configure(NBForgeContentsManager={"mounts": mounts}, **s3.options)
    before = everything(s3) | everything(azure)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NAME_OF_USER", "ada")
        found = check()
        plain = check(plain=True)
    assert everything(s3) | everything(azure) == before
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["a.txt"]
    assert (found.code, plain.code) == (0, 0), found.out
    storages = by_mount(found)
    assert list(storages) == ["", "data", "scratch"]
    assert storages[""]["url"] == f"{s3.url}/people/ada"
    assert results(storages[""])["write"] == results(storages["scratch"])["write"] == "ok"
    # As with --read-only.
    assert results(storages["data"])["list"] == "ok"
    for name in ("write", "delete", "copy", "multipart", "conditions"):
        assert results(storages["data"])[name] == "skipped"
    assert "cleanup" not in results(storages["data"])
    headings = [line for line in plain.out.splitlines() if line.startswith("Checking ")]
    assert [heading.split(": ")[0] for heading in headings] == [
        "Checking /",
        "Checking data",
        "Checking scratch",
    ]
    for secret in secrets_of(s3) + secrets_of(azure):
        assert secret not in found.out + found.err


def test_a_mount_that_is_down_fails_the_whole_and_the_others_are_checked(
    check: Check, configure: Callable[..., None], tmp_path: Path
) -> None:
    dead = {
        "url": "s3://bucket",
        "endpoint_url": f"http://127.0.0.1:{free_port()}",
        "access_key_id": "a",
        "secret_access_key": "b",
    }
    configure(NBForgeContentsManager={"mounts": {"far": dead, "near": f"file://{tmp_path}"}})
    found = check()
    assert found.code == found.document["exit_code"] == 1
    storages = by_mount(found)
    assert [storages[name]["result"] for name in ("far", "near")] == ["failed", "ok"]
    assert results(storages["far"])["endpoint"] == "failed"


def test_a_mount_that_is_configured_wrongly_has_the_worst_status_and_the_others_are_checked(
    check: Check, configure: Callable[..., None], tmp_path: Path
) -> None:
    configure(
        NBForgeContentsManager={"mounts": {"bad": "ftp://host", "near": f"file://{tmp_path}"}}
    )
    found = check()
    assert found.code == 2
    storages = by_mount(found)
    assert "The mount 'bad' cannot be used" in storages["bad"]["steps"][0]["message"]
    assert storages["near"]["result"] == "ok"


@pytest.mark.parametrize(
    ("manager", "said"),
    [
        ({"mounts": {"a": "memory://"}, "storage_url": "memory://"}, "are both set"),
        ({"mounts": {"a": "memory://"}, "root_dir": "/b"}, "are both set"),
        ({"mounts": {"a": "memory://", "/a/": "memory://"}}, "belong into the folder"),
        ({"mounts": {".a": "memory://"}}, "No storage can be mounted at '.a'"),
    ],
)
def test_mounts_that_the_server_refuses_are_refused_in_its_words(
    check: Check, configure: Callable[..., None], manager: dict[str, Any], said: str
) -> None:
    configure(NBForgeContentsManager=manager)
    found = check()
    assert found.code == 2
    assert found.results == {"configuration": "failed"}
    assert said in found.step("configuration")["message"]


def test_a_url_is_checked_in_place_of_the_mounts(
    check: Check, configure: Callable[..., None]
) -> None:
    configure(NBForgeContentsManager={"mounts": {"a": "s3://bucket"}})
    found = check("memory://")
    assert (found.code, found.storage["mount"]) == (0, None)


def test_mounts_of_the_command_line_count(check: Check) -> None:
    found = check("--NBForgeContentsManager.mounts=a=memory://")
    assert (found.code, found.storage["mount"]) == (0, "a")


def test_who_is_in_no_group_has_nothing_to_check_and_is_told(
    check: Check, configure: Callable[..., None]
) -> None:
    configure(NBForgeContentsManager={"mounts": {"g/{group}": "s3://bucket/{group}"}})
    found = check()
    assert (found.code, found.out) == (2, "")
    assert "There is nothing to check" in found.err
