"""The values for Zero to JupyterHub: what their embedded configuration says; no key is there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from traitlets.config import Config

from jupyter_nbforge.contents.manager import NBForgeContentsManager

FOLDER = Path(__file__).parent.parent / "examples/jupyterhub/kubernetes"
URLS = {
    "aws-irsa": "s3://my-bucket",
    "aws-pod-identity": "s3://my-bucket",
    "google": "gs://my-bucket",
    "azure": "az://my-container",
}
_SECRET = re.compile(
    r"AKIA|ASIA|PRIVATE KEY|AccountKey=|sig=|[A-Za-z0-9+/]{40}"
    r"|(?i:secret|password|access_key|account_key|_token|\btoken)\w*\s*[:=]"
)


def values(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    return found


def executed(text: str) -> Config:
    config = Config()
    exec(text, {"c": config})
    return config


def groups(name: str, *members: str) -> str:
    config = executed(values(name)["hub"]["extraConfig"]["nbforge-groups"])
    environment = config.KubeSpawner.environment.to_dict()["update"]
    user = SimpleNamespace(groups=[SimpleNamespace(name=member) for member in members])
    text: str = environment["NBFORGE_GROUPS"](SimpleNamespace(user=user))
    return text


def test_every_file_is_tested() -> None:
    expected = {f"{name}.yaml" for name in URLS} | {f"service-account-{name}.yaml" for name in URLS}
    assert {path.name for path in FOLDER.iterdir()} == expected


@pytest.mark.parametrize("name", URLS)
def test_the_groups_of_a_user_are_told_in_json_without_braces(name: str) -> None:
    text = groups(name, "physics", "{username}", "biology")
    assert json.loads(text) == ["biology", "physics", "{username}"]
    assert not set("{}") & set(text)


@pytest.mark.parametrize("name", URLS)
def test_the_embedded_configuration_gives_each_user_the_right_storages(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = values(name)["singleuser"]
    file = single["extraFiles"]["jupyter_server_config"]
    assert file["mountPath"] == "/etc/jupyter/jupyter_server_config.py"
    config = executed(file["stringData"])
    assert config.ServerApp.contents_manager_class == "jupyter_nbforge.NBForgeContentsManager"
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    monkeypatch.setenv("NBFORGE_GROUPS", groups(name, "physics"))
    shown = NBForgeContentsManager(config=config).storage.url
    url = URLS[name]
    for part in (f"{url}/users/ada", f"{url}/shared", f"{url}/groups/physics"):
        assert part in shown


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_no_key_stands_in_the_values(path: Path) -> None:
    assert not _SECRET.search(path.read_text())


@pytest.mark.parametrize("name", URLS)
def test_the_pods_have_the_account_and_not_the_metadata_of_the_node(name: str) -> None:
    account = yaml.safe_load((FOLDER / f"service-account-{name}.yaml").read_text())
    single = values(name)["singleuser"]
    assert account["metadata"]["name"] == single["serviceAccountName"]
    assert account["automountServiceAccountToken"] is False
    # Workload Identity's tokens come from the metadata server of GKE itself.
    assert single["cloudMetadata"]["blockWithIptables"] is (name != "google")
