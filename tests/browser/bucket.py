"""A bucket seen by a plain S3 client that knows nothing of our package."""

from __future__ import annotations

from typing import Any

import botocore.session

from jupyter_nbforge.testing.servers import SeaweedServer


class Bucket:
    """The objects below one prefix of a bucket."""

    def __init__(self, server: SeaweedServer, name: str, prefix: str = "") -> None:
        self.name = name
        self.prefix = prefix
        self._client: Any = botocore.session.Session().create_client(
            "s3",
            endpoint_url=server.endpoint_url,
            region_name=server.region,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
        )

    def paths(self) -> set[str]:
        """All keys below the prefix, without it, that no part of begins with a dot."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=self.prefix
        )
        found = [item["Key"] for page in pages for item in page.get("Contents", ())]
        keys = {key.removeprefix(self.prefix) for key in found}
        return {key for key in keys if not key.startswith(".") and "/." not in key}

    def read(self, key: str) -> bytes:
        """The bytes of one object."""
        answer = self._client.get_object(Bucket=self.name, Key=self.prefix + key)
        return bytes(answer["Body"].read())

    def put(self, key: str, data: bytes) -> None:
        """Write an object, as another tool would: without metadata of ours."""
        self._client.put_object(Bucket=self.name, Key=self.prefix + key, Body=data)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
