"""Tokens for Azure that end and are renewed under a running storage, at a server that checks."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import UnauthenticatedError
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.testing.azure_server import AzuriteServer

from .saving import Saver

CONTAINER = "credentials"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[AzuriteServer]:
    with AzuriteServer(oauth=True) as server:
        server.create_container(CONTAINER)
        yield server


@asynccontextmanager
async def storage_at(server: AzuriteServer, function: Any) -> AsyncIterator[BaseStorageService]:
    storage = create_storage_service(
        f"az://{CONTAINER}/{next(_NUMBERS)}",
        environ={},
        account_url=server.endpoint_url,
        ca_bundle=str(server.certificate),
        hierarchical_namespace=False,
        credentials_provider=function,
    )
    try:
        yield storage
    finally:
        await storage.aclose()


class Tokens:
    """Short-lived tokens, each another one."""

    def __init__(self, server: AzuriteServer, seconds: float) -> None:
        self.issued = 0
        self._server = server
        self._seconds = seconds

    def __call__(self) -> dict[str, Any]:
        self.issued += 1
        # Whole seconds are all that a token tells of its end.
        ends = int(time.time() + self._seconds)
        token = self._server.token(expires_in=ends - time.time(), jti=str(self.issued))
        return {"token": token, "expires_on": ends}


async def test_a_token_of_a_function_is_exchanged_before_its_end_and_no_save_fails(
    server: AzuriteServer,
) -> None:
    tokens = Tokens(server, 3.0)
    async with storage_at(server, tokens) as storage:
        saver = Saver(storage)
        await saver.save_until(lambda: tokens.issued >= 3)
        await saver.save()


async def test_a_token_that_has_ended_before_it_said_is_exchanged_for_the_same_save(
    server: AzuriteServer,
) -> None:
    issued = 0

    async def function() -> AccessToken:
        nonlocal issued
        issued += 1
        real = -60 if issued == 2 else 3600
        return AccessToken(server.token(expires_in=real), int(time.time() + 60))

    async with storage_at(server, function) as storage:
        saver = Saver(storage)
        await saver.save()
    assert issued == 1
    issued = 1
    async with storage_at(server, function) as storage:
        await Saver(storage).save()
    assert issued == 3


async def test_all_requests_that_are_under_way_when_a_token_is_refused_are_made_again() -> None:
    storage = AzureStorage(
        container=CONTAINER, account_name="account", credentials_provider=lambda: {"token": "t"}
    )
    connection = storage._connection
    assert connection._tokens is not None
    await connection._tokens.get()
    refused = []
    for _ in range(3):
        with pytest.raises(UnauthenticatedError) as raised, connection.call("a.txt"):
            raise ClientAuthenticationError("refused")
        refused.append(raised.value.retryable)
    assert refused == [True, True, True]


async def test_a_credential_of_the_sdk_that_a_function_returns_is_asked_for_tokens(
    server: AzuriteServer,
) -> None:
    asked: list[tuple[str, ...]] = []

    class Own:
        def get_token(self, *scopes: str, **options: Any) -> AccessToken:
            asked.append(scopes)
            return AccessToken(server.token(), int(time.time() + 3600))

    class OwnAsync(Own):
        async def get_token(self, *scopes: str, **options: Any) -> AccessToken:  # type: ignore[override]
            return super().get_token(*scopes, **options)

    for kind in (Own, OwnAsync):
        async with storage_at(server, kind) as storage:
            await Saver(storage).save()
    assert set(asked) == {("https://storage.azure.com/.default",)}


async def test_tokens_that_are_never_accepted_are_told_in_one_sentence(
    server: AzuriteServer,
) -> None:
    token = server.token(expires_in=-60)
    found = {"token": token, "expires_on": time.time() + 3600}
    async with storage_at(server, lambda: found) as storage:
        with pytest.raises(UnauthenticatedError, match="does not accept") as raised:
            await Saver(storage).save()
    assert token not in raised.value.message
