"""What an administrator can set of Azure storage, and how it becomes an account to talk to."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from traitlets import Bool, Enum, Float, Int, Unicode

from .base import BaseStorageService
from .credentials import CredentialsFunction, check_alone
from .errors import ConfigurationError
from .values import is_endpoint

_CONTAINER_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}|\$root|\$web", re.ASCII)
_ACCOUNT_NAME = re.compile(r"[a-z0-9]{3,24}", re.ASCII)
_SUFFIX = "core.windows.net"
_EMULATOR = "UseDevelopmentStorage=true"
_FROM_ENVIRONMENT = "(the variables AZURE_STORAGE_* count too)"


@dataclass(frozen=True, slots=True)
class Account:
    """Where to send requests, and with which secret; neither key nor SAS: a token, or none."""

    url: str
    name: str
    key: str = field(default="", repr=False)
    sas: str = field(default="", repr=False)

    @property
    def is_plain(self) -> bool:
        """Whether it is reached without TLS: an emulator."""
        return self.url.startswith("http://")

    def tool_variables(self, *, credentials: bool) -> dict[str, str]:
        """By which other tools find the account and, asked for, its key or SAS; no tokens."""
        found = {"AZURE_STORAGE_ACCOUNT_NAME": self.name} if self.name else {}
        if not credentials or not (self.key or self.sas):
            return found
        parts = {"BlobEndpoint": self.url, "AccountName": self.name, "AccountKey": self.key}
        parts["SharedAccessSignature"] = self.sas
        return found | {
            "AZURE_STORAGE_KEY" if self.key else "AZURE_STORAGE_SAS_TOKEN": self.key or self.sas,
            # The only variable that can carry another endpoint than Microsoft's.
            "AZURE_STORAGE_CONNECTION_STRING": ";".join(
                f"{name}={value}" for name, value in parts.items() if value
            ),
        }


class AzureOptions(BaseStorageService):
    """The traits of `AzureStorage`."""

    container = Unicode(config=True, help="Name of the container.")

    account_name = Unicode(
        config=True,
        help="Name of the storage account; not needed where account_url or connection_string "
        "has it.",
    )

    account_url = Unicode(
        config=True,
        help="URL of the account's blob service; empty: https://ACCOUNT.blob.core.windows.net. "
        "An emulator has the account's name in the path.",
    )

    connection_string = Unicode(
        config=True, help="Account and key, or SAS, as the Azure portal shows them in one line."
    )

    account_key = Unicode(
        config=True,
        help="Key of the account. Better leave it empty: the SDK then finds an identity "
        "(environment, workload or managed identity, Azure CLI) and renews its tokens.",
    )

    sas_token = Unicode(
        config=True,
        help="Shared access signature of the account or the container. It is never renewed.",
    )

    credentials_provider = CredentialsFunction(
        config=True,
        help="A function without arguments, or its name (package.module.function), that returns a "
        "TokenCredential of azure-identity, or a dict with token and expires_on. Called in a "
        "thread when a token is needed, and again before the token ends.",
    )

    anonymous = Bool(False, config=True, help="Send requests unsigned: for a public container.")

    managed_identity_client_id = Unicode(
        config=True, help="Which managed identity to use, where the machine or pod has several."
    )

    ca_bundle = Unicode(
        config=True, help="File of the certificates to trust; empty: those of the system."
    )

    verify_tls = Bool(
        True, config=True, help="Check the store's certificate. Turn off in experiments only."
    )

    access_tier = Enum(
        ("", "Hot", "Cool", "Cold"),
        default_value="",
        config=True,
        help="Access tier of what is written; empty: the account's default. The archive tier "
        "does not work: a notebook must be readable at once.",
    )

    encryption_scope = Unicode(
        config=True, help="Encryption scope of what is written; empty: the container's default."
    )

    hierarchical_namespace = Bool(
        None,
        allow_none=True,
        config=True,
        help="Whether the account has a hierarchical namespace (Data Lake Storage), with real "
        "directories. Unset: it is asked when the first folder is made or deleted, which a SAS "
        "or a role may not allow; set it then. Off also means that no tool leaves directories "
        "there, which saves looking for them.",
    )

    max_connections = Int(32, min=1, config=True, help="Connections to the store at most.")

    connect_timeout = Float(10.0, min=0.1, config=True, help="Seconds to wait for a connection.")

    read_timeout = Float(60.0, min=0.1, config=True, help="Seconds to wait for the next bytes.")

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        container, at, host = url.netloc.partition("@")
        if url.query or url.fragment or ":" in url.netloc or (at and ".blob." not in host):
            raise ConfigurationError(
                "storage_url is az://container/prefix or "
                "az://container@account.blob.core.windows.net/prefix; other servers are set with "
                "AzureStorage.account_url."
            )
        found = {"container": container, "prefix": url.path.strip("/")}
        return {**found, "account_url": f"https://{host}"} if at else found

    @classmethod
    def options_from_environment(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        """As the Azure CLI and adlfs read it; a connection string goes over the rest of it."""
        names = {
            "account_name": ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"),
            "account_url": ("AZURE_STORAGE_ACCOUNT_URL",),
            "account_key": ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY"),
            "sas_token": ("AZURE_STORAGE_SAS_TOKEN",),
        }
        if environ.get("AZURE_STORAGE_CONNECTION_STRING"):
            names = {"connection_string": ("AZURE_STORAGE_CONNECTION_STRING",)}
        names |= {"container": ("AZURE_CONTAINER",), "prefix": ("AZURE_PREFIX",)}
        return {
            trait: value
            for trait, variables in names.items()
            if (value := next(filter(None, map(environ.get, variables)), None))
        }

    def check_options(self) -> Account:
        """The account that is meant.

        `ConfigurationError` with one sentence on the first option that cannot be meant so.
        """
        if self.credentials_provider is not None:
            names = ("connection_string", "account_key", "sas_token", "anonymous")
            more = ("managed_identity_client_id",)
            others = {f"AzureStorage.{name}": getattr(self, name) for name in (*names, *more)}
            check_alone("AzureStorage.credentials_provider", others)
        for wrong, sentence in self._faults():
            if wrong:
                raise ConfigurationError(sentence)
        account = self._account()
        for wrong, sentence in self._account_faults(account):
            if wrong:
                raise ConfigurationError(sentence)
        return account

    def _faults(self) -> tuple[tuple[bool, str], ...]:
        secrets = [self.connection_string, self.account_key, self.sas_token, self.anonymous]
        return (
            (
                not self.container,
                "No container is configured; set storage_url to az://container/prefix.",
            ),
            (
                not _CONTAINER_NAME.fullmatch(self.container),
                f"{self.container!r} is not a container name (lower-case letters, digits and "
                "single hyphens); check storage_url.",
            ),
            (
                sum(map(bool, secrets)) > 1,
                "AzureStorage.connection_string, account_key, sas_token and anonymous exclude "
                f"one another; set one of them {_FROM_ENVIRONMENT}.",
            ),
            (
                bool(self.managed_identity_client_id) and any(secrets),
                "AzureStorage.managed_identity_client_id has no use with a key or SAS; "
                f"unset one of them {_FROM_ENVIRONMENT}.",
            ),
            (
                bool(self.account_url) and not is_endpoint(self.account_url),
                "AzureStorage.account_url must be a URL with http:// or https:// and a host, "
                "without container, credentials, ? and #.",
            ),
            (
                bool(self.account_name) and not _ACCOUNT_NAME.fullmatch(self.account_name),
                f"{self.account_name!r} is not the name of a storage account; check "
                f"AzureStorage.account_name {_FROM_ENVIRONMENT}.",
            ),
            (
                bool(self.ca_bundle) and not os.path.isfile(self.ca_bundle),
                f"AzureStorage.ca_bundle names no file: {self.ca_bundle!r}.",
            ),
            (
                bool(self.ca_bundle) and not self.verify_tls,
                "AzureStorage.ca_bundle has no use with verify_tls off; unset one of them.",
            ),
        )

    def _account_faults(self, account: Account) -> tuple[tuple[bool, str], ...]:
        named = _account_in_host(account.url)
        return (
            (
                bool(account.key) and not _is_base64(account.key),
                "The account key is not base64; copy it whole, from AzureStorage.account_key or "
                "connection_string to the last =.",
            ),
            (
                bool(account.key) and not account.name,
                "AzureStorage.account_key needs account_name; set that too.",
            ),
            (
                bool(account.sas) and "sig" not in parse_qs(account.sas),
                "AzureStorage.sas_token has no signature (sig=...); copy it whole.",
            ),
            (
                bool(named and account.name) and named != account.name,
                f"The account is {account.name!r} and, by its URL, {named!r}; set "
                f"AzureStorage.account_name or account_url right {_FROM_ENVIRONMENT}.",
            ),
            (
                bool(named) and bool(urlsplit(account.url).path),
                "AzureStorage.account_url must end with the host; the container goes into "
                "storage_url.",
            ),
            (
                account.is_plain and not (account.key or account.sas or self.anonymous),
                "Tokens are not sent over http://; set AzureStorage.account_url to https://, or "
                "an account_key.",
            ),
        )

    def _account(self) -> Account:
        if self.connection_string:
            return _from_connection_string(self.connection_string)
        if not (self.account_url or self.account_name):
            raise ConfigurationError(
                "No storage account is configured; set AzureStorage.account_name, or "
                "AZURE_STORAGE_ACCOUNT in the environment."
            )
        url = self.account_url or f"https://{self.account_name}.blob.{_SUFFIX}"
        name = self.account_name or _account_in_host(url) or urlsplit(url).path.strip("/")
        return Account(url.rstrip("/"), name, self.account_key, self.sas_token.lstrip("?"))

    def write_options(self) -> dict[str, Any]:
        """How the store is to keep what is written."""
        options = {
            "standard_blob_tier": self.access_tier,
            "encryption_scope": self.encryption_scope,
        }
        return {name: value for name, value in options.items() if value}


def _from_connection_string(text: str) -> Account:
    """https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string"""
    if text.strip().rstrip(";").lower() == _EMULATOR.lower():
        raise ConfigurationError(
            "AzureStorage.connection_string names no account; for an emulator set account_url, "
            "account_name and account_key."
        )
    parts = (part.partition("=") for part in text.strip().split(";") if part.strip())
    found = {name.strip().lower(): value.strip() for name, _, value in parts}
    name = found.get("accountname", "")
    url = found.get("blobendpoint", "")
    if not url and name:
        scheme = found.get("defaultendpointsprotocol", "https")
        url = f"{scheme}://{name}.blob.{found.get('endpointsuffix', _SUFFIX)}"
    key, sas = found.get("accountkey", ""), found.get("sharedaccesssignature", "")
    if not is_endpoint(url) or bool(key) == bool(sas):
        raise ConfigurationError(
            "AzureStorage.connection_string cannot be read; copy it whole: it has AccountName or "
            "BlobEndpoint, and AccountKey or SharedAccessSignature."
        )
    return Account(url.rstrip("/"), name or _account_in_host(url), key, sas.lstrip("?"))


def _account_in_host(url: str) -> str:
    """The account's name where it is in the host's, as in Microsoft's clouds; else ""."""
    host = urlsplit(url).hostname or ""
    name, found, _ = host.partition(".blob.")
    return name.removesuffix("-secondary") if found else ""


def _is_base64(text: str) -> bool:
    try:
        return bool(b64decode(text, validate=True))
    except ValueError:
        return False
