"""What a diagnosis finds out about Cloud Storage: credentials, bucket, versions, permissions."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any

from .diagnosis import Action, Diagnosis, Endpoint, Finding, Policy
from .errors import PermissionDeniedError
from .gcs_client import Answer, GCSConnection
from .gcs_errors import About
from .gcs_options import GCSOptions

_KEY_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
_BUCKET_FIELDS = "location,versioning,softDeletePolicy"

_ACTIONS: Mapping[Action, str] = {
    "list": "storage.objects.list",
    "read": "storage.objects.get",
    "write": "storage.objects.create",
    "delete": "storage.objects.delete",
    "copy": "storage.objects.get and storage.objects.create",
    "multipart": "storage.objects.create and storage.objects.delete",
}


class GCSDiagnosis(Diagnosis):
    """The answers for one bucket."""

    sdk_packages = ("google-cloud-storage", "google-auth", "requests")
    keeps_versions = None
    storage: GCSOptions

    def __init__(self, storage: GCSOptions, prefix: str, connection: GCSConnection) -> None:
        super().__init__(storage, prefix)
        self._connection = connection

    async def endpoint(self) -> Endpoint:
        url = self.storage.client_options().endpoint_url or "https://storage.googleapis.com"
        bundle = self.storage.ca_bundle or await asyncio.to_thread(_ca_bundle)
        return Endpoint(url, "GCSStorage.endpoint_url", self.storage.verify_tls, bundle)

    async def credentials(self) -> Finding:
        if self.storage.is_anonymous:
            return Finding("ok", "Requests have no credentials (anonymous, or an emulator).")
        with self._connection.call(None):
            credentials = await self._connection.run(self._credentials_with_token)
        account = getattr(credentials, "service_account_email", None)
        person = f", account {account}" if account else ""
        return Finding("ok", f"From {self._source_of(credentials)}{person}; it gives tokens.")

    def _credentials_with_token(self) -> Any:
        """The client's credentials once they have got a token; to be called in a thread."""
        opened = self._connection.opened()
        self._connection.renew(opened, opened.session)
        return opened.session.credentials

    def _source_of(self, credentials: Any) -> str:
        if self.storage.credentials_file:
            return "GCSStorage.credentials_file"
        if os.environ.get(_KEY_VARIABLE):
            return f"the file of {_KEY_VARIABLE}"
        kinds = {
            "google.auth.compute_engine": "the account of the machine or pod",
            "google.oauth2.credentials": "the login of gcloud",
        }
        module = type(credentials).__module__
        found = (words for name, words in kinds.items() if module.startswith(name))
        return next(found, "the SDK's default credentials")

    async def bucket(self) -> Finding:
        name = f"The bucket {self.storage.bucket!r}"
        try:
            found = await self._described()
        except PermissionDeniedError:
            # The role that is enough for objects does not allow to ask for the bucket itself.
            await self._list()
            return Finding("ok", f"{name} is there.")
        return Finding("ok", f"{name} is there, in the location {found.get('location')}.")

    async def _list(self) -> None:
        one = {"maxResults": "1", "prefix": self.prefix, "fields": "prefixes"}
        with self._connection.call(None):
            await self._connection.send(
                "GET",
                self._connection.places.objects,
                Answer.json,
                parameters=one,
                about=About.BUCKET,
            )

    async def _described(self) -> Mapping[str, Any]:
        with self._connection.call(None):
            return await self._connection.send(
                "GET",
                self._connection.places.objects.removesuffix("/o"),
                Answer.json,
                parameters={"fields": _BUCKET_FIELDS},
                about=About.BUCKET,
            )

    def remedy(self, action: Action) -> str:
        if action == "sign":
            return (
                "Grant the role Service Account Token Creator on the account that signs, or use a "
                "key file."
            )
        return f"Grant {_ACTIONS[action]} on gs://{self.storage.bucket}/{self.prefix}."

    def policy(self) -> Policy:
        text = policy_text(self.storage.bucket, self.prefix)
        return Policy("A command that grants the role, with your own account in it", text)

    async def versioning(self) -> Finding:
        found = await self._described()
        versioned = bool(found.get("versioning", {}).get("enabled"))
        seconds = int(found.get("softDeletePolicy", {}).get("retentionDurationSeconds", 0))
        self.keeps_versions = versioned or seconds > 0
        if versioned:
            return Finding("ok", "On: deleted and replaced files can be had back.")
        if seconds:
            days = f"{seconds / 86400:g}"
            return Finding("ok", f"Soft delete: what is deleted can be had back for {days} days.")
        return Finding(
            "ok",
            "Off: what is deleted or replaced is gone.",
            "Turn soft delete or versioning on for the bucket if people should get files back.",
        )


def policy_text(bucket: str, prefix: str) -> str:
    """The command that grants what is below `prefix` (empty, or ending in ``/``)."""
    name = prefix.rstrip("/").rpartition("/")[2]
    account = f"serviceAccount:{name or 'SERVER'}@my-project.iam.gserviceaccount.com"
    lines = [
        f"gcloud storage buckets add-iam-policy-binding gs://{bucket} \\",
        f"  --member={account} --role=roles/storage.objectUser",
    ]
    if prefix:
        objects = f"projects/_/buckets/{bucket}/objects/{prefix}"
        listed = 'api.getAttribute("storage.googleapis.com/objectListPrefix", "")'
        lines[-1] += " \\"
        lines += [
            f'  --condition=\'title={name},expression=resource.name.startsWith("{objects}") ||',
            f'    {listed}.startsWith("{prefix}")\'',
        ]
    return "\n".join(lines)


def _ca_bundle() -> str:
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    return named or str(DEFAULT_CA_BUNDLE_PATH)
