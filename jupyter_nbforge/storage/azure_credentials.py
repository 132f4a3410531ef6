"""Credentials for Azure from a function of the administrator's own."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from .credentials import Lease, RenewedCredentials, moment_of, text_of

AzureSource = RenewedCredentials[Any]
"""Of credentials of azure-identity, or of tokens (text)."""

_ENDLESS = 24 * 3600
"""Seconds that the SDK is told of a token of which no end is known."""


def tokens_from(function: Callable[[], Any]) -> AzureSource:
    """What `function` returns: a TokenCredential, or a dict with token and expires_on."""
    return RenewedCredentials(function, _lease_of, option="AzureStorage.credentials_provider")


def _lease_of(found: Any) -> Lease[Any]:
    if hasattr(found, "get_token"):
        # It renews its tokens by itself.
        return Lease(found, None)
    if isinstance(found, Mapping):
        return Lease(text_of(found, "token"), moment_of(found.get("expires_on")))
    # azure.core.credentials.AccessToken and AccessTokenInfo
    return Lease(text_of({"token": found.token}, "token"), moment_of(found.expires_on))


class ProvidedToken(AbstractAsyncContextManager["ProvidedToken"]):
    """An AsyncTokenCredential of the SDK's, on what a source has at each request."""

    def __init__(self, source: AzureSource) -> None:
        self._source = source

    async def get_token(self, *scopes: str, claims: str | None = None, **options: Any) -> Any:
        """An AccessToken; `claims` come where a token was refused that seemed to be valid."""
        from azure.core.credentials import AccessToken

        if claims:
            self._source.refuse()
        lease = await self._source.lease()
        if not isinstance(lease.value, str):
            return await _token_of(lease.value, scopes, claims=claims, **options)
        ends = lease.expires_at
        return AccessToken(lease.value, int(time.time() + _ENDLESS if ends is None else ends))

    async def close(self) -> None:
        """Nothing is open here; what the function returned is its own."""

    async def __aexit__(self, *details: object) -> None:
        await self.close()


async def _token_of(credential: Any, scopes: tuple[str, ...], **options: Any) -> Any:
    if options["claims"] is None:
        # Not every writer of a credential knows of them.
        del options["claims"]
    if inspect.iscoroutinefunction(credential.get_token):
        return await credential.get_token(*scopes, **options)
    return await asyncio.to_thread(credential.get_token, *scopes, **options)
