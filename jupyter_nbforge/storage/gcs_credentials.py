"""Credentials for Google Cloud Storage from a function of the administrator's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from .credentials import Lease, RenewedCredentials, moment_of, text_of

GoogleSource = RenewedCredentials[Any]
"""Of the SDK's credentials, or of tokens."""


def credentials_from(function: Callable[[], Any]) -> GoogleSource:
    """What `function` returns: google.auth credentials, or a dict with token and expiry."""
    return RenewedCredentials(function, _lease_of, option="GCSStorage.credentials_provider")


def _lease_of(found: Any) -> Lease[Any]:
    from google.auth.credentials import Credentials

    if isinstance(found, Credentials):
        # They renew themselves.
        return Lease(found, None)
    if not isinstance(found, Mapping):
        raise TypeError(type(found).__name__)
    return Lease(text_of(found, "token"), moment_of(found.get("expiry")))


def provided(source: GoogleSource, scope: str) -> Any:
    """The SDK's credentials, for a thread; `UnauthenticatedError`."""
    from google.auth.credentials import with_scopes_if_required

    first = source.now()
    if not isinstance(first, str):
        return with_scopes_if_required(first, [scope])
    return _token_class()(source)


@cache
def _token_class() -> type[Any]:
    from google.auth.credentials import Credentials

    base: Any = Credentials

    class Provided(base):  # type: ignore[misc] # the SDK's is not typed
        """A token that the source has at each request, and a new one where it was refused."""

        def __init__(self, source: GoogleSource) -> None:
            super().__init__()
            self._source = source

        def refresh(self, request: Any) -> None:
            self._source.refuse()
            self.token = self._source.now()

        def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
            self.token = self._source.now()
            self.apply(headers)

    return Provided
