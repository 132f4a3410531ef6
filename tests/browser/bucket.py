"""A bucket seen by a plain client of its cloud that knows nothing of our package."""

from __future__ import annotations

from tests.upstream.other_client import OtherClient


class Bucket:
    """The objects below one prefix of a bucket."""

    def __init__(self, client: OtherClient, prefix: str = "") -> None:
        self.prefix = prefix
        self._client = client

    def paths(self) -> set[str]:
        """All keys below the prefix, without it, that no part of begins with a dot."""
        keys = {key.removeprefix(self.prefix) for key in self._client.paths(self.prefix)}
        return {key for key in keys if not key.startswith(".") and "/." not in key}

    def read(self, key: str) -> bytes:
        """The bytes of one object."""
        data = self._client.read(self.prefix + key)
        assert data is not None, f"no object {key} among {sorted(self.paths())}"
        return data

    def put(self, key: str, data: bytes) -> None:
        """Write an object, as another tool would: without metadata of ours."""
        self._client.write(self.prefix + key, data)

    def backdate(self, key: str, seconds: float) -> None:
        """Move the time kept with an object into the past, as a tool that copies it may."""
        self._client.backdate(self.prefix + key, seconds)
