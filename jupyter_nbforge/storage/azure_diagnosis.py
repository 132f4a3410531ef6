"""What a diagnosis finds out about Azure: credentials, container, versions, permissions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import parse_qs

from .azure_client import AzureConnection
from .azure_options import AzureOptions
from .diagnosis import Action, Diagnosis, Endpoint, Finding, Policy

_SOON = timedelta(days=3)

_LETTERS: Mapping[Action, str] = {
    "list": "l (list)",
    "read": "r (read)",
    "write": "c, a and w (create, add, write)",
    "delete": "d (delete)",
    "copy": "r and w (read, write)",
    "multipart": "w (write)",
}

_CREDENTIALS: Mapping[str, str] = {
    "EnvironmentCredential": "the environment (AZURE_CLIENT_ID and the like)",
    "WorkloadIdentityCredential": "the workload identity of the pod",
    "ManagedIdentityCredential": "the managed identity of the machine",
    "AzureCliCredential": "the login of the Azure CLI",
    "AzurePowerShellCredential": "the login of Azure PowerShell",
    "AzureDeveloperCliCredential": "the login of the Azure developer CLI",
}
"""By the SDK's class for a source of tokens."""


class AzureDiagnosis(Diagnosis):
    """The answers for one container."""

    sdk_packages = ("azure-storage-blob", "azure-identity", "aiohttp")
    keeps_versions = None
    storage: AzureOptions

    def __init__(self, storage: AzureOptions, prefix: str, connection: AzureConnection) -> None:
        super().__init__(storage, prefix)
        self._connection = connection

    async def endpoint(self) -> Endpoint:
        option = "AzureStorage.account_name and account_url"
        url, verify = self._connection.account.url, self.storage.verify_tls
        return Endpoint(url, option, verify, self.storage.ca_bundle)

    async def credentials(self) -> Finding:
        account = self._connection.account
        if self.storage.anonymous:
            return Finding("ok", "Requests are not signed (AzureStorage.anonymous).")
        if account.key:
            source = "AzureStorage.account_key, a connection string or the environment"
            return Finding("ok", f"The key of the account {account.name!r}, from {source}.")
        if account.sas:
            return _of_sas(account.sas)
        client = await self._connection.client()
        assert client.bearer is not None
        with self._connection.call(None):
            await client.bearer.header()
        # Which of its sources has given a token, the SDK keeps to itself.
        chain = client.bearer._credential
        found: object = getattr(chain, "_successful_credential", None)
        source = _CREDENTIALS.get(type(found).__name__, "the identity that the SDK has found")
        return Finding("ok", f"From {source}; it gives tokens.")

    async def bucket(self) -> Finding:
        async for _ in self.storage.list_pages(self.prefix, page_size=1):
            break
        return Finding("ok", f"The container {self.storage.container!r} is there.")

    def remedy(self, action: Action) -> str:
        if action == "sign":
            return (
                "Assign the role Storage Blob Delegator on the account to the identity, or use an "
                "account key."
            )
        return (
            f"Assign the role Storage Blob Data Contributor on the container "
            f"{self.storage.container!r}, or make a SAS with the permission {_LETTERS[action]}."
        )

    def policy(self) -> Policy:
        account = self._connection.account.name
        text = policy_text(account, self.storage.container)
        return Policy("A command that assigns the role, with the identity's object id in it", text)

    async def versioning(self) -> Finding:
        client = await self._connection.client()
        with self._connection.call(None):
            properties: Mapping[str, Any] = await client.service.get_service_properties()
        kept = properties.get("delete_retention_policy")
        # Whether the account keeps versions, its blob service does not tell.
        self.keeps_versions = True if getattr(kept, "enabled", False) else None
        if getattr(kept, "enabled", False):
            days = getattr(kept, "days", None)
            return Finding("ok", f"Soft delete: what is deleted can be had back for {days} days.")
        return Finding(
            "ok",
            "Soft delete is off: what is deleted is gone, unless the account keeps versions.",
            "Turn soft delete for blobs, or versioning, on if people should get files back.",
        )


def _of_sas(sas: str) -> Finding:
    """What a SAS tells of itself: what it allows, and until when."""
    told = {name: values[0] for name, values in parse_qs(sas).items()}
    message = "A shared access signature (AzureStorage.sas_token or the environment)"
    if "sp" in told:
        message += f" with the permissions {told['sp']}"
    try:
        end = datetime.fromisoformat(told.get("se", "").replace("Z", "+00:00"))
    except ValueError:
        return Finding("ok", f"{message}.")
    end = end if end.tzinfo else end.replace(tzinfo=timezone.utc)
    message += f", valid until {end:%Y-%m-%d %H:%M} UTC"
    now = datetime.now(timezone.utc)
    if end <= now:
        return Finding("failed", f"{message}: it has expired.", "Make a new one.")
    if end < now + _SOON:
        return Finding("warning", f"{message}; it is never renewed.", "Make a new one in time.")
    return Finding("ok", f"{message}; it is never renewed.")


def policy_text(account: str, container: str) -> str:
    """The command that assigns the role on a container; one for a prefix needs a condition."""
    return "\n".join(
        [
            'az role assignment create --role "Storage Blob Data Contributor" \\',
            "  --assignee-object-id IDENTITY --assignee-principal-type ServicePrincipal \\",
            f'  --scope "$(az storage account show --name {account} --query id --output tsv)'
            f'/blobServices/default/containers/{container}"',
        ]
    )
