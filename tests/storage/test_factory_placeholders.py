"""Placeholders in a storage URL or a prefix: filled from the environment, or refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge.storage.placeholders import fill_placeholders

from .kept_provider import create, installed, provider_of, refusal


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path, monkeypatch):
        yield


HUB = {"JUPYTERHUB_USER": "alice", "JUPYTERHUB_SERVER_NAME": "gpu", "TEAM": "blue", "USER": "root"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{username}", "alice"),
        ("users/{username}/{servername}", "users/alice/gpu"),
        ("{TEAM}-{TEAM}", "blue-blue"),
        ("plain", "plain"),
    ],
)
def test_placeholders_are_filled_from_the_environment(template: str, filled: str) -> None:
    assert fill_placeholders(template, HUB) == filled
    assert create(f"kept://b/{template}", environ=HUB).url == f"kept://b/{filled}"
    assert create("kept://b", prefix=template, environ=HUB).url == f"kept://b/{filled}"
    config = Config({"PrefixStorage": {"prefix": template}})
    assert create("kept://b", config=config, environ=HUB).url == f"kept://b/{filled}"
    environ = {**HUB, "KEPT_PREFIX": template}
    assert create("kept://b", environ=environ).url == f"kept://b/{filled}"


def test_a_placeholder_may_stand_in_every_part_of_a_url() -> None:
    assert create("kept://team-{TEAM}/x", environ=HUB).url == "kept://team-blue/x"


@pytest.mark.parametrize(
    ("template", "variable"),
    [("{username}", "JUPYTERHUB_USER"), ("a/{servername}", "JUPYTERHUB_SERVER_NAME"), ("{X}", "X")],
)
@pytest.mark.parametrize("environ", [{}, {"JUPYTERHUB_SERVER_NAME": "", "USER": "jovyan"}])
def test_a_placeholder_that_cannot_be_filled_is_a_refusal(
    template: str, variable: str, environ: dict[str, str]
) -> None:
    """Never the name of the account in the container, which all users share."""
    assert variable in refusal(f"kept://b/{template}", environ=environ)
    assert variable in refusal("kept://b", prefix=template, environ=environ)


@pytest.mark.parametrize(
    "value",
    ["../bob", "..", ".", "a/b", "/", "a\\b", "a\nb", "a\x00", "bob/..", "a..b", "\ud800", "/bob"],
)
def test_a_value_that_leads_elsewhere_is_a_refusal(value: str) -> None:
    environ = {"JUPYTERHUB_USER": value}
    for text in (
        refusal("kept://b/users/{username}", environ=environ),
        refusal("kept://b", prefix="{username}", environ=environ),
        refusal("file:///home/{username}", environ=environ),
    ):
        assert "JUPYTERHUB_USER" in text
        if len(value) > 1:
            assert value not in text


@pytest.mark.parametrize("value", ["a?b", "a#b", "a@b:c", "%2e%2e%2fbob", "{TEAM}", "a b"])
def test_a_value_is_taken_as_it_is(value: str) -> None:
    """Nothing in it ends the path, is decoded, or is filled in again."""
    storage: Any = create("kept://b/users/{username}", environ={**HUB, "JUPYTERHUB_USER": value})
    assert storage.inner.prefix == f"users/{value}"
    root = provider_of(
        create("file:///home/{username}", environ={**HUB, "JUPYTERHUB_USER": value})
    ).root
    assert root == f"/home/{value}"


@pytest.mark.parametrize("template", ["{username", "username}", "{{username}}", "{a{b}c}", "{}"])
def test_a_brace_that_is_no_placeholder_is_a_refusal(template: str) -> None:
    assert template in refusal(f"kept://b/{template}", environ=HUB)
