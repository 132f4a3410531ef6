"""URLs that carry their own permission: presigned ones, and those of a copy's source."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from .azure_client import AzureClient, AzureConnection
from .errors import ConfigurationError, NotSupportedError

if TYPE_CHECKING:
    from azure.storage.blob import UserDelegationKey

_COPY_SECONDS = 3600.0
MAX_SECONDS = 7 * 24 * 3600
"""How long a URL that the account key signs may live."""

MAX_DELEGATED_SECONDS = 6 * 24 * 3600
"""How long a URL that an identity signs may live, as the key for it lives little longer."""

_KEY_LIFE = timedelta(days=6, hours=12)
"""How long a user delegation key lives. Of 7 days a clock a second behind ours makes too many.

https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key
https://github.com/Azure/azure-powershell/issues/17183
"""

_CLOCK_SKEW = timedelta(minutes=15)
"""By how much a key holds earlier than now, for a clock that is behind ours.

https://learn.microsoft.com/dotnet/api/azure.storage.blobs.blobserviceclient.getuserdelegationkey
"""


class AzureLinks:
    """Signs the URLs of one container."""

    def __init__(self, connection: AzureConnection) -> None:
        self._connection = connection
        self._key: tuple[UserDelegationKey, datetime] | None = None

    async def signed_url(self, path: str, permission: str, expires_in: float, **bound: str) -> str:
        """A URL that allows `permission` on an object to anybody for `expires_in` seconds.

        It is signed with the account key or with one that the identity gets for this; whoever
        was given a SAS can sign nothing. `bound` are headers of the answer. It has no time
        from which on it holds, as clocks differ.
        """
        client = await self._connection.client()
        with self._connection.call(path):
            token = await self._sign(client, path, permission, expires_in, bound)
            return f"{client.blob(path).url}?{token}"

    async def _sign(
        self, client: AzureClient, path: str, permission: str, expires_in: float, bound: Any
    ) -> str:
        from azure.storage.blob import generate_blob_sas

        account = self._connection.account
        if not account.name:
            raise ConfigurationError("A link needs AzureStorage.account_name; set it.", path=path)
        expiry = datetime.now(timezone.utc) + timedelta(seconds=expires_in)
        if account.key:
            secret: dict[str, Any] = {"account_key": account.key}
        elif self._connection.by_token:
            secret = {"user_delegation_key": await self._delegated(client, expiry)}
        else:
            raise NotSupportedError(
                "A SAS cannot sign a presigned URL; give the server an account key or an identity.",
                path=path,
            )
        if not account.is_plain:
            bound = {**bound, "protocol": "https"}
        return generate_blob_sas(
            account.name,
            self._connection.bucket,
            path,
            permission=permission,
            expiry=expiry,
            **secret,
            **bound,
        )

    async def _delegated(self, client: AzureClient, expiry: datetime) -> UserDelegationKey:
        """A key that holds until `expiry`, the last one if it does."""
        if self._key is None or self._key[1] < expiry:
            now = datetime.now(timezone.utc)
            end = now + _KEY_LIFE
            key = await client.service.get_user_delegation_key(now - _CLOCK_SKEW, end)
            self._key = (key, end)
        return self._key[0]

    async def source_of(self, path: str) -> tuple[str, dict[str, Any]]:
        """The URL of a copy's source, and the argument that authorises it where the URL does not.

        https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
        """
        client = await self._connection.client()
        if client.bearer is not None:
            with self._connection.call(path):
                header = await client.bearer.header()
            return client.blob(path).url, {"source_authorization": header}
        if self._connection.account.key:
            return await self.signed_url(path, "r", _COPY_SECONDS), {}
        return client.blob(path).url, {}
