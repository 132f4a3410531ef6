"""Puts by plain HTTP: the SDKs take several times as long, and tests put thousands of objects."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import quote

from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from urllib3 import PoolManager, Retry

Put = Callable[[str, bytes], None]
"""Puts an object at a key, replacing."""


class Puts:
    """Connections to one server."""

    def __init__(self) -> None:
        self._pool = PoolManager(maxsize=4)

    def close(self) -> None:
        self._pool.clear()

    def s3(self, bucket: str, *, endpoint: str, key: str, secret: str) -> Put:
        """Into a bucket, each request signed."""
        sign: Callable[[Any], None] = S3SigV4Auth(
            Credentials(key, secret), "s3", "us-east-1"
        ).add_auth

        def put(path: str, data: bytes) -> None:
            url = f"{endpoint}/{bucket}/{quote(path)}"
            digest = {"x-amz-content-sha256": hashlib.sha256(data).hexdigest()}
            request = AWSRequest("PUT", url, headers=digest, data=data)
            sign(request)
            self._send("PUT", url, data, dict(request.headers.items()))

        return put

    def gcs(self, bucket: str, *, endpoint: str) -> Put:
        """Into a bucket, with no credentials."""
        url = f"{endpoint}/upload/storage/v1/b/{bucket}/o?uploadType=media&name="
        kind = {"Content-Type": "application/octet-stream"}

        def put(path: str, data: bytes) -> None:
            self._send("POST", url + quote(path, safe=""), data, kind)

        return put

    def azure(self, container: str, *, endpoint: str, account: str, key: str) -> Put:
        """Into a container, with a signature that serves for all of them."""
        signature: str = generate_container_sas(
            account,
            container,
            account_key=key,
            permission=ContainerSasPermissions(write=True, create=True),
            expiry=datetime.now(timezone.utc) + timedelta(days=1),
        )
        kind = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}

        def put(path: str, data: bytes) -> None:
            self._send("PUT", f"{endpoint}/{container}/{quote(path)}?{signature}", data, kind)

        return put

    def _send(self, method: str, url: str, data: bytes, headers: Mapping[str, str]) -> None:
        # What the server has dropped meanwhile is opened anew; a put can be put twice.
        again = Retry(2, allowed_methods=None, redirect=False)
        answer = self._pool.request(method, url, body=data, headers=headers, retries=again)
        if answer.status >= 300:
            raise OSError(f"{method} of an object: {answer.status}: {answer.data[:300]!r}")
