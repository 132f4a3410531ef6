"""What a diagnosis finds out about S3: credentials, region, conditions, versions, permissions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from .diagnosis import Action, Diagnosis, Endpoint, Finding, Policy
from .errors import ConfigurationError, PermissionDeniedError, StorageError
from .s3_client import S3Connection
from .s3_options import S3Options
from .s3_probe import (
    Feature,
    Trial,
    try_batches,
    try_copies,
    try_deletes,
    try_joins,
    try_puts,
)
from .trials import COPIED, DELETED, OVERWRITTEN, Condition

_SOURCES: Mapping[str, str] = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "shared-credentials-file": "the credentials file of the AWS tools",
    "config-file": "the configuration file of the AWS tools",
    "custom-process": "the credential_process of the profile",
    "assume-role": "a role that the profile assumes",
    "assume-role-with-web-identity": "a web identity (the service account of the pod)",
    "sso": "an AWS sign-in (SSO)",
    "login": "an AWS sign-in",
    "container-role": "the role of the container",
    "iam-role": "the role of the machine",
    "explicit": "S3Storage.access_key_id",
}
"""By the SDK's word for a source of credentials."""

_TOLD: Mapping[Feature, tuple[str, str, str]] = {
    "put_absent": ("write if nothing is there", OVERWRITTEN, "conditional_put"),
    "put_match": ("write over one version", OVERWRITTEN, "conditional_put"),
    "copy_absent": ("copy if nothing is there", OVERWRITTEN, "conditional_copy"),
    "copy_match": ("copy over one version", OVERWRITTEN, "conditional_copy"),
    "copy_source": ("copy of one version", COPIED, "conditional_copy"),
    "delete_match": ("delete of one version", DELETED, "conditional_delete"),
    "complete_absent": (
        "complete an upload if nothing is there",
        OVERWRITTEN,
        "conditional_put",
    ),
    "complete_match": ("complete an upload over one version", OVERWRITTEN, "conditional_put"),
    "batch_match": ("delete of many at one version each", "", "conditional_delete_many"),
}
"""Of each condition that a probe tries: its name, what is weaker without it, and its trait."""

_ACTIONS: Mapping[Action, str] = {
    "list": "s3:ListBucket",
    "read": "s3:GetObject",
    "write": "s3:PutObject",
    "delete": "s3:DeleteObject",
    "copy": "s3:GetObject and s3:PutObject",
    "multipart": "s3:PutObject and s3:AbortMultipartUpload",
    "sign": "s3:GetObject",
}


class S3Diagnosis(Diagnosis):
    """The answers for one bucket."""

    sdk_packages = ("aiobotocore", "botocore")
    keeps_versions = None
    storage: S3Options

    def __init__(self, storage: S3Options, prefix: str, connection: S3Connection) -> None:
        super().__init__(storage, prefix)
        self._connection = connection

    async def endpoint(self) -> Endpoint:
        client = await self._connection.client()
        bundle = self.storage.ca_bundle or await asyncio.to_thread(_ca_bundle)
        url = str(client.meta.endpoint_url)
        return Endpoint(url, "S3Storage.endpoint_url", self.storage.verify_tls, bundle)

    async def credentials(self) -> Finding:
        if self.storage.anonymous:
            return Finding("ok", "Requests are not signed (S3Storage.anonymous).")
        client: Any = await self._connection.client()
        found = client._request_signer._credentials
        if found is None:
            return Finding(
                "failed",
                "There are no credentials in the configuration, the environment, the profile, "
                "or from a role.",
                "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role for the "
                "server, or S3Storage.anonymous for a public bucket.",
            )
        with self._connection.call(None):
            keys = await found.get_frozen_credentials()
        source = _SOURCES.get(found.method, f"the SDK's source {found.method!r}")
        message = f"From {source}, access key {shown(keys.access_key)}"
        if not keys.token:
            return Finding("ok", f"{message}.")
        if hasattr(found, "refresh_needed"):
            return Finding("ok", f"{message}, temporary and renewed by the SDK.")
        return Finding(
            "warning",
            f"{message}, temporary and never renewed.",
            "Give the server a role or a profile that the SDK renews by itself.",
        )

    async def bucket(self) -> Finding:
        client: Any = await self._connection.client()
        listing: dict[str, Any] = {"Bucket": self.storage.bucket, "Prefix": self.prefix}
        denied = ""
        try:
            # A HEAD has no body, and so no word for what is wrong: this comes first.
            with self._connection.call(None):
                await client.list_objects_v2(MaxKeys=1, **listing)
        except PermissionDeniedError:
            denied = " It may not be listed."
        except ConfigurationError:
            # The store did answer; whether it says which region is the right one, is seen next.
            await self._check_region(client, must=True)
            raise
        region = await self._check_region(client, must=False)
        where = f" in the region {region}" if region else ""
        signed = client.meta.region_name
        if region and signed not in (region, "aws-global"):
            return Finding(
                "warning",
                f"The bucket {self.storage.bucket!r} is{where}, and the server is set to {signed}: "
                f"the SDK finds its way there by redirects.{denied}",
                f"Set S3Storage.region_name to {region!r}.",
            )
        return Finding("ok", f"The bucket {self.storage.bucket!r} is there{where}.{denied}")

    async def _check_region(self, client: Any, *, must: bool) -> str:
        """The region of the bucket, "" if not told; `must`: an error if it is another."""
        answer = await self._head_bucket(client)
        region = str(answer.get("x-amz-bucket-region", ""))
        if must and region and region != client.meta.region_name:
            raise ConfigurationError(
                f"The bucket {self.storage.bucket!r} is in another region ({region}); set "
                "S3Storage.region_name to it."
            )
        return region

    async def _head_bucket(self, client: Any) -> Mapping[str, Any]:
        """The headers of the answer, whatever it is."""
        from botocore.exceptions import ClientError

        with suppress(StorageError), self._connection.call(None):
            try:
                answer = await client.head_bucket(Bucket=self.storage.bucket)
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    raise
                answer = error.response
            headers: Mapping[str, Any] = answer["ResponseMetadata"].get("HTTPHeaders", {})
            return headers
        return {}

    def remedy(self, action: Action) -> str:
        resource = f"arn:aws:s3:::{self.storage.bucket}"
        if action == "list":
            within = f" for the prefix {self.prefix.rstrip('/')!r}" if self.prefix else ""
            return f"Allow {_ACTIONS[action]} on {resource}{within}."
        return f"Allow {_ACTIONS[action]} on {resource}/{self.prefix}*."

    def policy(self) -> Policy:
        text = policy_text(self.storage.bucket, self.prefix)
        return Policy("A policy of IAM for the server's role or user", text)

    async def conditions(self, folder: str, without: Collection[str]) -> Sequence[Condition]:
        tries: list[Callable[[Trial], Awaitable[None]]] = [try_puts, try_deletes, try_batches]
        tries += [try_copies] if "copy" not in without else []
        tries += [try_joins] if "multipart" not in without else []
        trial = Trial(self._connection, f"{folder}file", self.storage.write_options())
        async with trial:
            for one in tries:
                await one(trial)
        return [
            Condition(name, trial.found[feature].kept, weaker, self._is_compensated(trait))
            for feature, (name, weaker, trait) in _TOLD.items()
            if feature in trial.found
        ]

    def _is_compensated(self, trait: str) -> bool:
        """Whether a look comes before such a write where the condition is ignored."""
        told = getattr(self.storage, trait)
        return told is False or (told is None and bool(self._connection.is_elsewhere))

    async def versioning(self) -> Finding:
        client: Any = await self._connection.client()
        with self._connection.call(None):
            answer = await client.get_bucket_versioning(Bucket=self.storage.bucket)
        # A bucket that kept versions once keeps them still.
        self.keeps_versions = "Status" in answer
        if answer.get("Status") == "Enabled":
            return Finding("ok", "On: deleted and replaced files can be had back.")
        return Finding(
            "ok",
            "Off: what is deleted or replaced is gone.",
            "Turn versioning on for the bucket if people should get files back.",
        )

    async def purge(self, folder: str) -> bool:
        if self.keeps_versions is False:
            return True
        client: Any = await self._connection.client()
        asked: dict[str, Any] = {"Bucket": self.storage.bucket, "Prefix": folder}
        try:
            with self._connection.call(None):
                answer = await client.list_object_versions(**asked)
                for version in (*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())):
                    which = {"Key": version["Key"], "VersionId": version["VersionId"]}
                    await client.delete_object(Bucket=self.storage.bucket, **which)
        except StorageError:
            return False
        return True


def shown(key: str) -> str:
    """The end of an access key's id, enough to tell it from others."""
    return f"…{key[-4:]}" if len(key) > 8 else "…"


def policy_text(bucket: str, prefix: str) -> str:
    """The least policy for what is below `prefix` (empty, or ending in ``/``), as JSON."""
    resource = f"arn:aws:s3:::{bucket}"
    listing: dict[str, Any] = {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": resource}
    if prefix:
        within = [prefix.rstrip("/"), f"{prefix}*"]
        listing["Condition"] = {"StringLike": {"s3:prefix": within}}
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    objects = {"Effect": "Allow", "Action": actions, "Resource": f"{resource}/{prefix}*"}
    statements = ",\n".join(_statement(statement) for statement in (listing, objects))
    return f'{{\n  "Version": "2012-10-17",\n  "Statement": [\n{statements}\n  ]\n}}'


def _statement(statement: Mapping[str, Any]) -> str:
    """One line for each member: so a person reads it."""
    lines = (f'      "{name}": {json.dumps(value)}' for name, value in statement.items())
    return "    {\n" + ",\n".join(lines) + "\n    }"


def _ca_bundle() -> str:
    from botocore.httpsession import get_cert_path
    from botocore.session import Session

    return str(Session().get_config_variable("ca_bundle") or get_cert_path(True))
