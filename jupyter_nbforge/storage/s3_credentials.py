"""Credentials for S3 from a function of the administrator's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from .credentials import Lease, RenewedCredentials, moment_of, text_of


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs; `token` is None with keys that do not expire."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(repr=False)


KeysSource = RenewedCredentials[Keys]


def keys_from(function: Callable[[], Any]) -> KeysSource:
    """The keys that `function` returns as STS and credential_process name them."""
    return RenewedCredentials(function, _keys_of, option="S3Storage.credentials_provider")


def _keys_of(found: Any) -> Lease[Keys]:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_Credentials.html"""
    if not isinstance(found, Mapping):
        raise TypeError(type(found).__name__)
    token = found.get("SessionToken")
    if token is not None and not isinstance(token, str):
        raise TypeError("SessionToken")
    keys = Keys(text_of(found, "AccessKeyId"), text_of(found, "SecretAccessKey"), token or None)
    return Lease(keys, moment_of(found.get("Expiration")))


@cache
def _resolver_class() -> type[Any]:
    from aiobotocore.credentials import AioCredentials
    from botocore.credentials import ReadOnlyCredentials

    class Provided(AioCredentials):  # type: ignore[misc] # the SDK has no types
        """The SDK's credentials, which it asks for at each request."""

        def __init__(self, source: KeysSource) -> None:
            super().__init__("unknown", "unknown", method="jupyter-nbforge")
            self._source = source

        async def get_frozen_credentials(self) -> Any:
            keys = await self._source.get()
            return ReadOnlyCredentials(keys.access_key, keys.secret_key, keys.token)

    class Resolver:
        """In place of the SDK's search."""

        def __init__(self, source: KeysSource) -> None:
            self._source = source

        async def load_credentials(self) -> Any:
            return Provided(self._source)

    return Resolver


def provide(session: Any, source: KeysSource) -> None:
    """Let the SDK's `session` use these keys and look for no others."""
    session.register_component("credential_provider", _resolver_class()(source))
