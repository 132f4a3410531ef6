"""Names that Azure would store under another one are refused, not written over something else."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from jupyter_nbforge.storage.errors import InvalidPathError
from jupyter_nbforge.storage.types import IfAbsent
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.suite import read

from .azure_stub import created, stub_azure
from .conftest import MakeAzure
from .stub import Request


@pytest.mark.parametrize("path", ["a\\b", "a.", "a..", "a./b", "a.b./", "...", "a\\b/"])
async def test_a_name_that_azure_would_change_is_refused_before_it_is_sent(path: str) -> None:
    requests: list[Request] = []
    async with stub_azure(lambda request, number: created(), requests=requests) as storage:
        for refused in (
            storage.put(path, b"1"),
            storage.put(path, b"1", condition=IfAbsent()),
            storage.head(path),
            storage.delete(path),
            storage.delete_many([path, "x"]),
            storage.copy("x", path),
            storage.copy(path, "x"),
            storage.create_multipart_upload(path),
            storage.get_presigned_url(path, method="PUT"),
        ):
            with pytest.raises(InvalidPathError, match="Azure"):
                await refused
    # Of the two that were to be deleted the other is.
    assert [(request.method, request.target) for request in requests] == [
        ("DELETE", "/container/x")
    ]


@pytest.mark.parametrize("path", [".a", "..a", "a.b", "a..b/c", ". .a", "a/.b/"])
async def test_other_dots_are_taken(path: str) -> None:
    async with stub_azure(lambda request, number: created()) as storage:
        assert (await storage.put(path, b"1")).path == path


async def test_a_backslash_overwrites_no_object_in_a_folder(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a/b", b"kept")
        with pytest.raises(InvalidPathError):
            await storage.put("a\\b", b"lost")
        assert await read(storage, "a/b") == b"kept"
