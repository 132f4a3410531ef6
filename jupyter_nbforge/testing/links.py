"""Rules of presigned URLs: for whom, for what and for how long."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest

from ..storage.base import BaseStorageService
from ..storage.errors import (
    NotSupportedError,
)
from .suite import StorageSuite, read, requires


def _fetch(url: str, data: bytes | None = None, **headers: str) -> tuple[bytes, dict[str, str]]:
    """The body and, by their lower-case names, the headers of the answer to a plain request."""
    request = urllib.request.Request(url, data=data, method="GET" if data is None else "PUT")
    # Given explicitly because urllib names another type for a body.
    for name, value in {"Content-Type": "", **headers}.items():
        request.add_unredirected_header(name.capitalize(), value)
    with urllib.request.urlopen(request, timeout=30) as response:
        found = {name.lower(): value for name, value in response.headers.items()}
        return bytes(response.read()), found


class LinkRules(StorageSuite):
    @requires(presigned_urls=True)
    async def test_a_presigned_url_serves_anybody(self, storage: BaseStorageService) -> None:
        await storage.put("a b/é+%.bin", b"shared")
        url = await storage.get_presigned_url("a b/é+%.bin", 60)
        assert (await asyncio.to_thread(_fetch, url))[0] == b"shared"

    @requires(presigned_urls=True)
    async def test_a_presigned_url_lets_anybody_write(self, storage: BaseStorageService) -> None:
        url = await storage.get_presigned_url("new", 60, method="PUT")
        headers = dict(storage.capabilities.presigned_put_headers)
        await asyncio.to_thread(_fetch, url, b"sent", **headers)
        assert await read(storage, "new") == b"sent"

    @requires(presigned_urls=True)
    async def test_a_link_for_reading_binds_content_type_and_file_name(
        self, storage: BaseStorageService
    ) -> None:
        await storage.put("a", b"shared", content_type="text/plain")
        url = await storage.get_presigned_url(
            "a", 60, content_type="text/x-forge", filename='é "q" %.txt'
        )
        body, headers = await asyncio.to_thread(_fetch, url)
        assert (body, headers["content-type"]) == (b"shared", "text/x-forge")
        disposition = headers["content-disposition"]
        assert disposition.startswith("attachment")
        assert disposition.endswith("filename*=utf-8''%C3%A9%20%22q%22%20%25.txt")

    @requires(presigned_urls=True, presigned_content_type=True)
    async def test_a_link_for_writing_binds_the_content_type(
        self, storage: BaseStorageService
    ) -> None:
        url = await storage.get_presigned_url("a", 60, method="PUT", content_type="text/x-forge")
        headers = dict(storage.capabilities.presigned_put_headers)
        headers["Content-Type"] = "text/x-forge"
        await asyncio.to_thread(_fetch, url, b"sent", **headers)
        assert (await storage.head("a")).content_type == "text/x-forge"

    @requires(presigned_urls=True)
    async def test_what_a_link_cannot_bind_is_refused(self, storage: BaseStorageService) -> None:
        with pytest.raises(NotSupportedError):
            await storage.get_presigned_url("a", method="PUT", filename="b")
        if not storage.capabilities.presigned_content_type:
            with pytest.raises(NotSupportedError):
                await storage.get_presigned_url("a", method="PUT", content_type="text/plain")
        for expires_in in (0, -1, storage.capabilities.max_link_seconds + 1):
            with pytest.raises(NotSupportedError):
                await storage.get_presigned_url("a", expires_in)

    @requires(presigned_urls=False)
    async def test_a_presigned_url_is_refused(self, storage: BaseStorageService) -> None:
        await storage.put("a", b"")
        with pytest.raises(NotSupportedError):
            await storage.get_presigned_url("a")
