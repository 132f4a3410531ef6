"""Settings shared by all tests: `async def` tests run on pytest-jupyter's event loop."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

pytest_plugins = ["pytest_jupyter.jupyter_server"]

_OF_CLOUDS = (
    *("AWS_", "S3_", "AZURE_", "GOOGLE_", "GCS_", "CLOUDSDK_", "STORAGE_", "LOCAL_ROOT"),
    *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_"),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--scale",
        type=int,
        default=1,
        help="how many times as many rounds the suites of random operations run",
    )


@pytest.fixture(scope="session")
def scale(pytestconfig: pytest.Config) -> int:
    """How many times as many rounds as usual a suite of random operations is to run."""
    return int(pytestconfig.getoption("--scale"))


@pytest.fixture(scope="session", autouse=True)
def _shared_sdk_data() -> Iterator[None]:
    from tests.upstream.other_client import share_sdk_data

    with pytest.MonkeyPatch.context() as patch:
        share_sdk_data(patch)
        yield


def pytest_configure(config: pytest.Config) -> None:
    """The tests see nothing of the clouds of whoever runs them, and no proxy to this machine.

    A proxy to the rest of the world may be needed: npm fetches Azurite through it.
    """
    # What is found by chance belongs to whoever looks for it, not to the next change that is built.
    settings.register_profile("ci", derandomize=True)
    if os.environ.get("CI"):
        settings.load_profile("ci")
    for name in [name for name in os.environ if name.startswith(_OF_CLOUDS)]:
        del os.environ[name]
    for name in ("no_proxy", "NO_PROXY"):
        known = os.environ.get(name)
        os.environ[name] = ",".join(filter(None, ("127.0.0.1", "localhost", known)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes in one piece goes first, so that no process waits for it at the end."""
    items.sort(key=lambda item: "tests/upstream/" not in item.nodeid)
