"""Everything that is in a store, also what no listing of objects shows."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import boto3
from azure.storage.blob import ContainerClient
from botocore.client import Config

from tests.upstream.clouds import Cloud


def everything(cloud: Cloud) -> set[str]:
    """Objects with their versions and markers, uploads in parts, blocks without an object."""
    if cloud.protocol == "gcs":
        return set(cloud.client().paths())
    return _azure(cloud) if cloud.protocol == "azure" else _s3(cloud)


def _s3(cloud: Cloud) -> set[str]:
    client: Any = boto3.client(
        "s3",
        endpoint_url=cloud.endpoint,
        region_name="us-east-1",
        aws_access_key_id=cloud.credentials["key"],
        aws_secret_access_key=cloud.credentials["secret"],
        config=Config(s3={"addressing_style": "path"}),
    )
    with closing(client):
        versions = client.list_object_versions(Bucket=cloud.container)
        uploads = client.list_multipart_uploads(Bucket=cloud.container)
    found = {f"{one['Key']} {one['VersionId']}" for one in versions.get("Versions", ())}
    found |= {f"{one['Key']} marker" for one in versions.get("DeleteMarkers", ())}
    return found | {f"{one['Key']} upload" for one in uploads.get("Uploads", ())}


def _azure(cloud: Cloud) -> set[str]:
    credential = {
        "account_name": cloud.credentials["account"],
        "account_key": cloud.credentials["key"],
    }
    client = ContainerClient(cloud.endpoint, cloud.container, credential=credential)
    with client:
        blobs = client.list_blobs(include=["uncommittedblobs", "snapshots"])
        return {f"{blob.name} {blob.snapshot or ''}" for blob in blobs}
