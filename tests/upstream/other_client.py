"""Another program in the same store: it reads and writes plain objects and knows nothing of us."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import cache
from typing import Any

import aiobotocore.httpsession
import boto3
import botocore.session
import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import ContainerClient
from botocore.client import Config as BotoConfig
from botocore.exceptions import ClientError
from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.auth.crypt import RSASigner
from google.cloud import storage as gcs

from jupyter_nbforge.storage.memory import MemoryStorage, _Stored
from jupyter_nbforge.storage.metadata import MTIME, format_mtime, parse_mtime
from jupyter_nbforge.storage.types import ContentHash, ObjectMeta

from .plain_http import Puts


def share_sdk_data(patch: pytest.MonkeyPatch) -> None:
    """Let all clients of the SDKs read once what they read from files: most of making a client.

    That is botocore's description of S3, the certificates of the world's authorities, of which no
    server here has one, and a service account's key, which is checked as it is read.
    """
    patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))
    path_of, key_of = aiobotocore.httpsession.get_cert_path, RSASigner.from_string
    patch.setattr(
        aiobotocore.httpsession,
        "get_cert_path",
        lambda verify: None if verify is True else path_of(verify),
    )
    patch.setattr(RSASigner, "from_string", staticmethod(cache(key_of)))


class OtherClient(abc.ABC):
    """Synchronous; every path is a whole key of the store, whatever it looks like."""

    @abc.abstractmethod
    def close(self) -> None:
        """Close the connections."""

    @abc.abstractmethod
    def write(self, path: str, data: bytes) -> None:
        """Put an object, replacing."""

    @abc.abstractmethod
    def read(self, path: str) -> bytes | None:
        """The bytes of an object, None where there is none."""

    @abc.abstractmethod
    def delete(self, path: str) -> None:
        """Delete an object."""

    @abc.abstractmethod
    def paths(self, prefix: str = "") -> list[str]:
        """Every key that starts with `prefix`, sorted."""

    @abc.abstractmethod
    def backdate(self, path: str, seconds: float) -> None:
        """Move the time kept with an object into the past; the bytes stay.

        The version does too, except on Azure, where each change of metadata makes a new one.
        """


class MemoryClient(OtherClient):
    """Puts its hands into the dictionary that every `MemoryStorage` shares meanwhile."""

    def __init__(self) -> None:
        self.storage = MemoryStorage()

    def close(self) -> None:
        pass

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Every `MemoryStorage` made inside is a view of the same objects."""
        original = MemoryStorage.__init__

        def init(storage: MemoryStorage, **kwargs: Any) -> None:
            original(storage, **kwargs)
            storage._objects = self.storage._objects
            storage._versions = self.storage._versions

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MemoryStorage, "__init__", init)
            yield

    def write(self, path: str, data: bytes) -> None:
        version = self.storage._next_version()
        now = datetime.now(timezone.utc)
        meta = ObjectMeta(
            path=path,
            size=len(data),
            last_modified=now,
            version=version,
            content_hash=ContentHash("md5", hashlib.md5(data).hexdigest()),
        )
        self.storage._objects[path] = _Stored(meta, data)

    def read(self, path: str) -> bytes | None:
        stored = self.storage._objects.get(path)
        return None if stored is None else stored.data

    def delete(self, path: str) -> None:
        self.storage._objects.pop(path, None)

    def paths(self, prefix: str = "") -> list[str]:
        return sorted(path for path in self.storage._objects if path.startswith(prefix))

    def backdate(self, path: str, seconds: float) -> None:
        stored = self.storage._objects[path]
        moment = stored.meta.last_modified - timedelta(seconds=seconds)
        meta = replace(stored.meta, last_modified=moment)
        self.storage._objects[path] = _Stored(meta, stored.data)


class S3Client(OtherClient):
    """boto3 on one bucket; the bucket is made if it is missing."""

    def __init__(self, bucket: str, *, endpoint: str, key: str, secret: str) -> None:
        self.bucket = bucket
        self.endpoint, self.key, self.secret = endpoint, key, secret
        self._s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=BotoConfig(
                max_pool_connections=4, s3={"addressing_style": "path"}, retries={"max_attempts": 2}
            ),
        )
        try:
            self._s3.create_bucket(Bucket=bucket)
        except ClientError as error:
            if not error.response["Error"]["Code"].startswith("BucketAlready"):
                raise
        self._puts = Puts()
        self._put = self._puts.s3(bucket, endpoint=endpoint, key=key, secret=secret)

    def close(self) -> None:
        self._s3.close()
        self._puts.close()

    def write(self, path: str, data: bytes) -> None:
        if {".", ".."} & set(path.split("/")):
            # Plain HTTP takes them out of a URL before it sends it.
            self._s3.put_object(Bucket=self.bucket, Key=path, Body=data)
        else:
            self._put(path, data)

    def read(self, path: str) -> bytes | None:
        try:
            answer = self._s3.get_object(Bucket=self.bucket, Key=path)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return None
            raise
        data: bytes = answer["Body"].read()
        return data

    def delete(self, path: str) -> None:
        self._s3.delete_object(Bucket=self.bucket, Key=path)

    def paths(self, prefix: str = "") -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", ()))

    def backdate(self, path: str, seconds: float) -> None:
        found = self._s3.head_object(Bucket=self.bucket, Key=path)
        moment = parse_mtime(found["Metadata"].get(MTIME)) or found["LastModified"]
        kept: Mapping[str, str] = found["Metadata"]
        self._s3.copy_object(
            Bucket=self.bucket,
            Key=path,
            CopySource={"Bucket": self.bucket, "Key": path},
            ContentType=found["ContentType"],
            Metadata={**kept, MTIME: format_mtime(moment - timedelta(seconds=seconds))},
            MetadataDirective="REPLACE",
        )


class GCSClient(OtherClient):
    """google-cloud-storage on one bucket; the bucket is made if it is missing."""

    def __init__(self, bucket: str, *, endpoint: str) -> None:
        self._client: Any = gcs.Client(
            project="tests",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": endpoint},
        )
        self._bucket = self._client.bucket(bucket)
        with suppress(Conflict):
            self._bucket.create()
        self._puts = Puts()
        self._put = self._puts.gcs(bucket, endpoint=endpoint)

    def close(self) -> None:
        self._client.close()
        self._puts.close()

    def write(self, path: str, data: bytes) -> None:
        self._put(path, data)

    def read(self, path: str) -> bytes | None:
        try:
            data: bytes = self._bucket.blob(path).download_as_bytes(retry=None)
        except NotFound:
            return None
        return data

    def delete(self, path: str) -> None:
        with suppress(NotFound):
            self._bucket.blob(path).delete(retry=None)

    def paths(self, prefix: str = "") -> list[str]:
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))

    def backdate(self, path: str, seconds: float) -> None:
        blob = self._bucket.get_blob(path)
        kept = dict(blob.metadata or {})
        moment = parse_mtime(kept.get(MTIME)) or blob.updated
        blob.metadata = {**kept, MTIME: format_mtime(moment - timedelta(seconds=seconds))}
        blob.patch(retry=None)


class AzureClient(OtherClient):
    """azure-storage-blob on one container; the container is made if it is missing."""

    def __init__(self, container: str, *, endpoint: str, account: str, key: str) -> None:
        self._container: Any = ContainerClient(
            endpoint,
            container,
            credential={"account_name": account, "account_key": key},
            retry_total=0,
        )
        with suppress(ResourceExistsError):
            self._container.create_container()
        self._puts = Puts()
        self._put = self._puts.azure(container, endpoint=endpoint, account=account, key=key)

    def close(self) -> None:
        self._container.close()
        self._puts.close()

    def write(self, path: str, data: bytes) -> None:
        self._put(path, data)

    def read(self, path: str) -> bytes | None:
        try:
            data: bytes = self._container.download_blob(path).readall()
        except ResourceNotFoundError:
            return None
        return data

    def delete(self, path: str) -> None:
        with suppress(ResourceNotFoundError):
            self._container.delete_blob(path)

    def paths(self, prefix: str = "") -> list[str]:
        return sorted(self._container.list_blob_names(name_starts_with=prefix))

    def backdate(self, path: str, seconds: float) -> None:
        blob = self._container.get_blob_client(path)
        found = blob.get_blob_properties()
        moment = parse_mtime(found.metadata.get(MTIME)) or found.last_modified
        moved = format_mtime(moment - timedelta(seconds=seconds))
        blob.set_blob_metadata({**found.metadata, MTIME: moved})
