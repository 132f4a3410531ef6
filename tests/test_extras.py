"""Each provider needs its own SDK and no other, and says in one sentence if it is not there."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

CLOUDS: dict[str, dict[str, Any]] = {
    "s3": {
        "url": "s3://bucket/prefix",
        "options": {"endpoint_url": "http://127.0.0.1:9", "access_key_id": "a"},
        "secret": {"secret_access_key": "b"},
        "sdk": ["aiobotocore", "botocore", "aiohttp"],
    },
    "gcs": {
        "url": "gs://bucket/prefix",
        "options": {"endpoint_url": "http://127.0.0.1:9", "anonymous": True},
        "sdk": ["google.cloud.storage", "google.auth", "google_crc32c"],
    },
    "azure": {
        "url": "az://container/prefix",
        "options": {"account_url": "http://127.0.0.1:9/account"},
        "secret": {"account_key": "YQ=="},
        "sdk": ["azure.storage.blob", "azure.core", "azure.identity", "aiohttp"],
    },
}

CHILD = """
import asyncio, json, sys
from importlib.machinery import PathFinder

hidden, url, options = json.loads(sys.argv[1])
find = PathFinder.find_spec

def find_spec(name, path=None, target=None):
    gone = any(name == module or name.startswith(module + ".") for module in hidden)
    return None if gone else find(name, path, target)

PathFinder.find_spec = find_spec
for name in [name for name in sys.modules if name.partition(".")[0] in ("google", "azure")]:
    del sys.modules[name]  # namespaces that the start of the interpreter may have made

from jupyter_nbforge import create_storage_service
from jupyter_nbforge.contents.manager import NBForgeContentsManager
from jupyter_nbforge.storage import StorageError, UnavailableError

async def main():
    storage = create_storage_service(url, wrap=False, environ={}, **options)
    before = sorted(sys.modules)
    try:
        await storage.head("a")
    except UnavailableError as error:
        return {"before": before, "after": sorted(sys.modules), "said": error.message}
    finally:
        await storage.aclose()

try:
    print(json.dumps(asyncio.run(main())))
except StorageError as error:
    print(json.dumps({"refused": error.message, "kind": type(error).__name__}))
"""


def _run(cloud: str, hidden: list[str]) -> dict[str, Any]:
    """What a new interpreter says that finds none of the `hidden` modules."""
    known = CLOUDS[cloud]
    arguments = json.dumps([hidden, known["url"], known["options"] | known.get("secret", {})])
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    return found


def _sdks(*clouds: str) -> set[str]:
    return {module for cloud in clouds for module in CLOUDS[cloud]["sdk"]}


def _loaded(modules: list[str], sdks: set[str]) -> set[str]:
    return {sdk for sdk in sdks if any(f"{name}.".startswith(f"{sdk}.") for name in modules)}


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_provider_works_where_no_other_sdk_is_installed(cloud: str) -> None:
    others = _sdks(*CLOUDS) - _sdks(cloud)
    found = _run(cloud, sorted(others))
    assert "127.0.0.1:9" in found["said"]
    assert _loaded(found["after"], others) == set()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_provider_loads_no_other_sdk_where_all_are_installed(cloud: str) -> None:
    found = _run(cloud, [])
    assert _loaded(found["after"], _sdks(*CLOUDS) - _sdks(cloud)) == set()


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_provider_loads_its_sdk_with_the_first_request(cloud: str) -> None:
    found = _run(cloud, [])
    assert _loaded(found["before"], _sdks(*CLOUDS)) == set()
    assert _loaded(found["after"], _sdks(cloud))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_a_missing_extra_is_one_sentence_that_names_it(cloud: str) -> None:
    found = _run(cloud, CLOUDS[cloud]["sdk"])
    assert found["kind"] == "MissingExtraError"
    assert f"pip install 'jupyter-nbforge[{cloud}]'" in found["refused"]
    assert found["refused"].count(".") <= 2
