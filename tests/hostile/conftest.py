"""The servers of `tests/server`, with secrets in their configuration that nobody may see again."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from traitlets.config import Config

from tests.server.api import Store
from tests.server.conftest import (
    api,
    clouds,
    jp_server_config,
    pytest_configure,
    pytest_generate_tests,
    store,
)

from .world import World

__all__ = [
    "api",
    "clouds",
    "jp_server_config",
    "pytest_configure",
    "pytest_generate_tests",
    "store",
]

SECRETS = {
    "token": "token-that-nobody-may-see-0123456789",
    "cookie_secret": "cookie-secret-that-nobody-may-see",
    "password": "argon2:password-hash-that-nobody-may-see",
}

_OF_STORES = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


@pytest.fixture
def secrets(store: Store, jp_server_config: Config, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is secret in the configuration of the server."""
    jp_server_config.IdentityProvider.token = SECRETS["token"]
    jp_server_config.PasswordIdentityProvider.hashed_password = SECRETS["password"]
    jp_server_config.ServerApp.cookie_secret = SECRETS["cookie_secret"].encode()
    of_store = [os.environ[name] for name in _OF_STORES if name in os.environ]
    return [*SECRETS.values(), *of_store]


@pytest.fixture
def world(
    secrets: list[str],
    store: Store,
    jp_serverapp: Any,
    http_server_client: Any,
    jp_asyncio_loop: asyncio.AbstractEventLoop,
) -> Iterator[World]:
    """A server with everything that must stay so, whatever it is sent."""
    root = logging.getLogger()
    level = root.level
    made = World(jp_serverapp, store, http_server_client.get_http_port(), jp_asyncio_loop, secrets)
    root.addHandler(made.log)
    root.setLevel(logging.DEBUG)
    yield made
    root.setLevel(level)
    root.removeHandler(made.log)
    made.close()
