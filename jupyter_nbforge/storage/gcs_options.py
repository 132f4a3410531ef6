"""What an administrator can set of Google Cloud Storage, and how it becomes requests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

from traitlets import Bool, Float, Int, Unicode

from .base import BaseStorageService
from .credentials import CredentialsFunction, check_alone
from .errors import ConfigurationError
from .values import is_endpoint

# https://cloud.google.com/storage/docs/buckets#naming
_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", re.ASCII)
_KMS_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
_CREDENTIALS_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How to reach the store, and as whom; an empty value leaves a choice to the SDK."""

    project: str
    endpoint_url: str
    credentials_file: str
    anonymous: bool
    user_project: str
    max_connections: int
    timeout: tuple[float, float]
    """Seconds to wait for a connection, and for the next bytes."""
    verify: str | bool
    """The certificates to trust: a file, True (the usual ones) or False (any)."""
    credentials_provider: Callable[[], Any] | None = None


class GCSOptions(BaseStorageService):
    """The traits of `GCSStorage`."""

    bucket = Unicode(config=True, help="Name of the bucket.")

    project = Unicode(
        config=True, help="Project of the client. Objects need none; to pay, see user_project."
    )

    endpoint_url = Unicode(
        config=True,
        help="URL of another endpoint than Google's, with http:// or https://; empty: Google's, "
        "or STORAGE_EMULATOR_HOST.",
    )

    credentials_file = Unicode(
        config=True,
        help="JSON file of a service account or of an external account (workload identity). "
        "Empty: the SDK's default credentials (GOOGLE_APPLICATION_CREDENTIALS, gcloud, the "
        "account of the machine or pod); none where STORAGE_EMULATOR_HOST is set.",
    )

    credentials_provider = CredentialsFunction(
        config=True,
        help="A function without arguments, or its name (package.module.function), that returns "
        "google.auth credentials, or a dict with token and expiry. Called in a thread when "
        "credentials are needed, and for a token again before it ends.",
    )

    anonymous = Bool(False, config=True, help="Send no credentials: for a public bucket.")

    user_project = Unicode(
        config=True, help="Project that pays for the requests, for a bucket with requester pays."
    )

    ca_bundle = Unicode(
        config=True,
        help="File of the certificates to trust; empty: REQUESTS_CA_BUNDLE or the SDK's.",
    )

    verify_tls = Bool(
        True, config=True, help="Check the store's certificate. Turn off in experiments only."
    )

    kms_key_name = Unicode(
        config=True,
        help="Cloud KMS key to encrypt with what is written, as projects/P/locations/L/keyRings/R/"
        "cryptoKeys/K; empty: the bucket's default.",
    )

    storage_class = Unicode(
        config=True,
        help="Storage class of what is written, NEARLINE say; empty: the bucket's default. A copy "
        "into another class costs one request more.",
    )

    signing_account = Unicode(
        config=True,
        help="E-mail address of the service account that signs presigned URLs, for which the "
        "server's account must have the role Service Account Token Creator. Empty: the server's "
        "own account.",
    )

    max_connections = Int(32, min=1, config=True, help="Connections to the store at most.")

    connect_timeout = Float(10.0, min=0.1, config=True, help="Seconds to wait for a connection.")

    read_timeout = Float(60.0, min=0.1, config=True, help="Seconds to wait for the next bytes.")

    atomic_move = Bool(
        True,
        config=True,
        help="Whether the store moves an object in one step. Off: a copy, then a delete. A store "
        "that refuses to is noticed, and said once in the log.",
    )

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        if url.query or url.fragment:
            raise ConfigurationError("storage_url is gs://bucket/prefix, without ? and #.")
        if "@" in url.netloc or ":" in url.netloc:
            raise ConfigurationError(
                "storage_url is gs://bucket/prefix; the server and the account are set with "
                "GCSStorage.endpoint_url and credentials_file."
            )
        return super().options_from_url(url)

    @classmethod
    def options_from_environment(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        names = {
            "bucket": "GCS_BUCKET",
            "prefix": "GCS_PREFIX",
            "endpoint_url": "GCS_ENDPOINT_URL",
            "project": "GCS_PROJECT",
        }
        return {trait: environ[name] for trait, name in names.items() if environ.get(name)}

    def check_options(self) -> None:
        """`ConfigurationError` with one sentence on the first option that cannot be meant so."""
        if self.credentials_provider is not None:
            names = ("credentials_file", "anonymous")
            others = {f"GCSStorage.{name}": getattr(self, name) for name in names}
            check_alone("GCSStorage.credentials_provider", others)
        for wrong, sentence in self._faults():
            if wrong:
                raise ConfigurationError(sentence)

    def _faults(self) -> tuple[tuple[bool, str], ...]:
        emulator = os.environ.get(_EMULATOR_VARIABLE, "")
        account = self.credentials_file or self.signing_account or self.user_project
        return (
            (not self.bucket, "No bucket is configured; set storage_url to gs://bucket/prefix."),
            (
                not _BUCKET_NAME.fullmatch(self.bucket),
                f"{self.bucket!r} is not a bucket name; check storage_url.",
            ),
            (
                bool(self.endpoint_url) and not is_endpoint(self.endpoint_url),
                "GCSStorage.endpoint_url must be a URL with http:// or https:// and a host, "
                "without credentials, ? and #.",
            ),
            (
                not self.endpoint_url and bool(emulator) and not is_endpoint(emulator),
                f"{_EMULATOR_VARIABLE} must be a URL with http:// or https:// and a host.",
            ),
            (
                bool(self.credentials_file) and not os.path.isfile(self.credentials_file),
                f"GCSStorage.credentials_file names no file: {self.credentials_file!r}.",
            ),
            (
                self.anonymous and bool(account),
                "GCSStorage.anonymous goes without credentials_file, signing_account and "
                "user_project; unset one of them.",
            ),
            (
                bool(self.kms_key_name) and not _KMS_KEY.fullmatch(self.kms_key_name),
                "GCSStorage.kms_key_name must be the whole name of a key: "
                "projects/P/locations/L/keyRings/R/cryptoKeys/K.",
            ),
            (
                bool(self.signing_account) and "@" not in self.signing_account,
                "GCSStorage.signing_account must be the e-mail address of a service account.",
            ),
            (
                bool(self.ca_bundle) and not os.path.isfile(self.ca_bundle),
                f"GCSStorage.ca_bundle names no file: {self.ca_bundle!r}.",
            ),
            (
                bool(self.ca_bundle) and not self.verify_tls,
                "GCSStorage.ca_bundle has no use with verify_tls off; unset one of them.",
            ),
        )

    @property
    def is_anonymous(self) -> bool:
        """Whether no credentials are sent; as in the SDK, an emulator gets none by default."""
        emulated = not self.endpoint_url and bool(os.environ.get(_EMULATOR_VARIABLE))
        own = self.credentials_file or self.credentials_provider
        return self.anonymous or (emulated and not own)

    def client_options(self) -> ClientOptions:
        return ClientOptions(
            project=self.project,
            endpoint_url=(self.endpoint_url or os.environ.get(_EMULATOR_VARIABLE, "")).rstrip("/"),
            credentials_file=self.credentials_file,
            anonymous=self.is_anonymous,
            user_project=self.user_project,
            max_connections=self.max_connections,
            timeout=(self.connect_timeout, self.read_timeout),
            verify=(self.ca_bundle or True) if self.verify_tls else False,
            credentials_provider=self.credentials_provider,
        )

    def tool_variables(self, *, credentials: bool) -> dict[str, str]:
        """By which other tools find the store and, asked for, the file of its credentials.

        The endpoint is told to fsspec alone: STORAGE_EMULATOR_HOST would make the SDK send no
        credentials.
        """
        found = {"FSSPEC_GS_ENDPOINT_URL": self.endpoint_url}
        if credentials and not self.is_anonymous:
            file = self.credentials_file or os.environ.get(_CREDENTIALS_VARIABLE)
            found[_CREDENTIALS_VARIABLE] = os.path.abspath(file) if file else ""
        return {name: value for name, value in found.items() if value}

    def write_options(self) -> dict[str, str]:
        """How the store is to keep what is written: parameters of the request."""
        return {"kmsKeyName": self.kms_key_name} if self.kms_key_name else {}

    def write_properties(self) -> dict[str, str]:
        """The same: properties of the new object."""
        return {"storageClass": self.storage_class} if self.storage_class else {}
