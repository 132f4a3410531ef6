"""A store that is as it should be: every step is well, and nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Check, Clouds, secrets_of
from .stores import everything

STEPS = [
    *("configuration", "sdk", "endpoint", "tls", "clock", "credentials", "bucket", "versioning"),
    *("list", "write", "read", "delete", "copy", "multipart", "link", "conditions", "latency"),
    "cleanup",
]

On = Callable[..., list[str]]


@pytest.mark.parametrize("name", ["seaweedfs", "gcs", "azure"])
def test_a_healthy_store_passes_every_step_and_nothing_is_left(
    check: Check, clouds: Clouds, on: On, name: str
) -> None:
    cloud = clouds(name)
    arguments = on(cloud)
    before = everything(cloud)
    found = check(*arguments)
    assert everything(cloud) == before
    assert found.code == 0, found.out
    assert list(found.results) == STEPS
    for step in found.storage["steps"]:
        assert step["result"] in ("ok", "not applicable"), step
    assert found.step("conditions")["message"].startswith("All ")
    assert found.step("link")["result"] == "ok"
    assert found.storage["policy"] is None
    assert found.storage["left"] == []
    for secret in secrets_of(cloud):
        assert secret not in found.out + found.err


@pytest.mark.parametrize("url", ["memory://", "file://{folder}"])
def test_what_is_no_server_has_no_endpoint_and_passes_the_rest(
    check: Check, tmp_path: Path, url: str
) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    found = check(url.format(folder=folder))
    assert found.code == 0, found.out
    assert found.results["endpoint"] == found.results["link"] == "not applicable"
    for name in ("list", "write", "read", "delete", "copy", "multipart", "conditions", "cleanup"):
        assert found.results[name] == "ok", name
    assert list(folder.rglob("*")) == []
