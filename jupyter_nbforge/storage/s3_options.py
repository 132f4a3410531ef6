"""What an administrator can set of S3 storage, and how it becomes the SDK's configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult

from traitlets import Bool, Enum, Float, Int, Unicode

from .base import BaseStorageService
from .credentials import CredentialsFunction, check_alone
from .errors import ConfigurationError
from .values import is_endpoint

_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]|arn:[\w:/.-]+", re.ASCII)
_ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


class S3Options(BaseStorageService):
    """The traits of `S3Storage`."""

    bucket = Unicode(config=True, help="Name of the bucket, or ARN of an access point.")

    region_name = Unicode(
        config=True, help="Region of the bucket; empty: what the SDK's configuration says."
    )

    endpoint_url = Unicode(
        config=True,
        help="URL of a store other than Amazon's, with http:// or https://; empty: Amazon S3, "
        "or AWS_ENDPOINT_URL.",
    )

    profile_name = Unicode(
        config=True, help="Profile of the AWS configuration files; empty: AWS_PROFILE or default."
    )

    addressing_style = Enum(
        ("auto", "path", "virtual"),
        default_value="auto",
        config=True,
        help="Whether the bucket goes into the path or the host name of a URL. auto: the path "
        "where endpoint_url is set, else as the SDK decides.",
    )

    anonymous = Bool(False, config=True, help="Send requests unsigned: for a public bucket.")

    access_key_id = Unicode(
        config=True,
        help="Access key. Better leave it empty: the SDK then finds credentials (environment, "
        "profile, role of the machine or pod) and renews them.",
    )

    secret_access_key = Unicode(
        config=True, help="Secret of access_key_id. Better use the SDK's own sources of it."
    )

    session_token = Unicode(
        config=True,
        help="Token of a temporary access_key_id. It is never renewed: better use a role.",
    )

    credentials_provider = CredentialsFunction(
        config=True,
        help="A function without arguments, or its name (package.module.function), that returns "
        "credentials as STS does: a dict with AccessKeyId, SecretAccessKey, SessionToken and "
        "Expiration. Called in a thread when they are needed and again before they end.",
    )

    ca_bundle = Unicode(
        config=True, help="File of the certificates to trust; empty: AWS_CA_BUNDLE or the SDK's."
    )

    verify_tls = Bool(
        True, config=True, help="Check the store's certificate. Turn off in experiments only."
    )

    server_side_encryption = Enum(
        ("", "AES256", "aws:kms", "aws:kms:dsse"),
        default_value="",
        config=True,
        help="Encryption at rest to ask for with each write; empty: the bucket's default.",
    )

    sse_kms_key_id = Unicode(
        config=True, help="KMS key for server_side_encryption aws:kms; empty: the account's."
    )

    storage_class = Unicode(
        config=True,
        help="Storage class of what is written, STANDARD_IA say; empty: the bucket's default. "
        "Archive classes do not work: a notebook must be readable at once.",
    )

    max_connections = Int(32, min=1, config=True, help="Connections to the store at most.")

    connect_timeout = Float(10.0, min=0.1, config=True, help="Seconds to wait for a connection.")

    read_timeout = Float(60.0, min=0.1, config=True, help="Seconds to wait for the next bytes.")

    sign_payload = Bool(
        False,
        config=True,
        help="Sign the content of each write with SHA-256, where a bucket policy demands it; "
        "else its checksum is signed. Costs time of the event loop.",
    )

    conditional_put = Bool(
        None,
        allow_none=True,
        config=True,
        help="Whether the store honours If-Match and If-None-Match when an object is written or "
        "an upload in parts completed. Off: a look before the write, which can miss another "
        "writer. Unset: on for Amazon S3, found out by a probe for another store.",
    )

    conditional_copy = Bool(
        None,
        allow_none=True,
        config=True,
        help="As conditional_put, for a copy and its source.",
    )

    conditional_delete = Bool(
        None,
        allow_none=True,
        config=True,
        help="As conditional_put, when an object is deleted.",
    )

    conditional_delete_many = Bool(
        None,
        allow_none=True,
        config=True,
        help="Whether the store honours the ETags in a DeleteObjects request. Off: conditional "
        "deletes go one by one. Unset: as for conditional_put.",
    )

    ordered_listing = Bool(
        True,
        config=True,
        help="Whether the store lists keys in byte order and honours StartAfter (SeaweedFS and "
        "directory buckets do not).",
    )

    @classmethod
    def options_from_url(cls, url: SplitResult) -> dict[str, Any]:
        if url.query or url.fragment:
            raise ConfigurationError("storage_url is s3://bucket/prefix, without ? and #.")
        if "@" in url.netloc or ":" in url.netloc:
            raise ConfigurationError(
                "storage_url is s3://bucket/prefix; the server and the keys are set with "
                "S3Storage.endpoint_url and the AWS credentials."
            )
        return super().options_from_url(url)

    @classmethod
    def options_from_environment(cls, environ: Mapping[str, str]) -> dict[str, Any]:
        names = {
            "bucket": "S3_BUCKET",
            "prefix": "S3_PREFIX",
            "endpoint_url": "S3_ENDPOINT_URL",
            "region_name": "S3_REGION",
        }
        return {trait: environ[name] for trait, name in names.items() if environ.get(name)}

    def check_options(self) -> None:
        """`ConfigurationError` with one sentence on the first option that cannot be meant so."""
        if self.credentials_provider is not None:
            names = ("access_key_id", "profile_name", "anonymous")
            others = {f"S3Storage.{name}": getattr(self, name) for name in names}
            check_alone("S3Storage.credentials_provider", others)
        for wrong, sentence in self._faults():
            if wrong:
                raise ConfigurationError(sentence)

    def _faults(self) -> tuple[tuple[bool, str], ...]:
        keys = bool(self.access_key_id), bool(self.secret_access_key)
        return (
            (not self.bucket, "No bucket is configured; set storage_url to s3://bucket/prefix."),
            (
                not _BUCKET_NAME.fullmatch(self.bucket),
                f"{self.bucket!r} is not a bucket name; check storage_url.",
            ),
            (
                bool(self.endpoint_url) and not is_endpoint(self.endpoint_url),
                "S3Storage.endpoint_url must be a URL with http:// or https:// and a host, "
                "without credentials, ? and #.",
            ),
            (
                keys[0] != keys[1],
                "S3Storage.access_key_id and secret_access_key go together; set both or none.",
            ),
            (
                bool(self.session_token) and not all(keys),
                "S3Storage.session_token belongs to an access_key_id; set that too.",
            ),
            (
                self.anonymous and (any(keys) or bool(self.profile_name)),
                "S3Storage.anonymous goes without keys and profile_name; unset one of them.",
            ),
            (
                bool(self.sse_kms_key_id) and "kms" not in self.server_side_encryption,
                "S3Storage.sse_kms_key_id needs server_side_encryption = 'aws:kms'.",
            ),
            (
                bool(self.ca_bundle) and not os.path.isfile(self.ca_bundle),
                f"S3Storage.ca_bundle names no file: {self.ca_bundle!r}.",
            ),
            (
                bool(self.ca_bundle) and not self.verify_tls,
                "S3Storage.ca_bundle has no use with verify_tls off; unset one of them.",
            ),
        )

    @property
    def is_elsewhere(self) -> bool:
        """Whether the store is another than Amazon's."""
        return bool(self.endpoint_url) or any(map(os.environ.get, _ENDPOINT_VARIABLES))

    def client_options(self) -> dict[str, Any]:
        """Arguments of `create_client`; None leaves a choice to the SDK."""
        return {
            "region_name": self.region_name or None,
            "endpoint_url": self.endpoint_url or None,
            "aws_access_key_id": self.access_key_id or None,
            "aws_secret_access_key": self.secret_access_key or None,
            "aws_session_token": self.session_token or None,
            "verify": (self.ca_bundle or None) if self.verify_tls else False,
        }

    def client_config(self) -> dict[str, Any]:
        """Arguments of the SDK's Config."""
        style = self.addressing_style
        if style == "auto" and self.is_elsewhere:
            # Most stores other than Amazon's have no host name for each bucket.
            style = "path"
        return {
            "max_pool_connections": self.max_connections,
            "connect_timeout": self.connect_timeout,
            "read_timeout": self.read_timeout,
            "s3": {"addressing_style": style, "payload_signing_enabled": self.sign_payload},
        }

    def tool_variables(self) -> dict[str, str]:
        """By which other tools find the store; empty where they find it as this one does."""
        found = {"AWS_ENDPOINT_URL_S3": self.endpoint_url, "AWS_DEFAULT_REGION": self.region_name}
        return {name: value for name, value in found.items() if value}

    def write_options(self) -> dict[str, str]:
        """How the store is to keep what is written."""
        options = {
            "ServerSideEncryption": self.server_side_encryption,
            "SSEKMSKeyId": self.sse_kms_key_id,
            "StorageClass": self.storage_class,
        }
        return {name: value for name, value in options.items() if value}
