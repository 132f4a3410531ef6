"""What an account with a hierarchical namespace does in its own way, as far as is documented."""

from __future__ import annotations

import pytest

from jupyter_nbforge.storage.errors import AlreadyExistsError, NotSupportedError
from jupyter_nbforge.storage.types import IfAbsent
from jupyter_nbforge.storage.wrappers.retry import RetryStorage
from jupyter_nbforge.testing.suite import listing

from .azure_stub import blob, created, refusal, stub_azure
from .stub import Request, answer

TREE_ORDER = ["A/dat1", "A-B", "A-B-C", "A.C/dat3", "AB/dat4", "AB.txt"]
"""https://github.com/Azure/azure-sdk-for-go/issues/24210"""


def page(names: list[str], following: str) -> bytes:
    entries = "".join(
        f"<Blob><Name>{name}</Name><Properties><Etag>0x1</Etag>"
        "<Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>"
        "<Content-Length>0</Content-Length></Properties></Blob>"
        for name in names
    )
    body = f"<Blobs>{entries}</Blobs><NextMarker>{following}</NextMarker>"
    return blob(f"<EnumerationResults>{body}</EnumerationResults>".encode())


@pytest.mark.parametrize("known", [None, True])
@pytest.mark.parametrize("broken", range(1, 7))
async def test_a_listing_in_tree_order_that_breaks_loses_nothing(
    known: bool | None, broken: int
) -> None:
    asked = 0

    def reply(request: Request, number: int) -> bytes:
        nonlocal asked
        asked += 1
        if asked == broken:
            return refusal(503, "ServerBusy", retry_after="0")
        at = int(request.target.partition("marker=")[2].partition("&")[0] or 0)
        return page(TREE_ORDER[at : at + 1], str(at + 1) if at + 1 < len(TREE_ORDER) else "")

    async with stub_azure(reply, hierarchical_namespace=known) as storage:
        retrying = RetryStorage(storage, wait_initial=0.0, wait_max=0.0)
        found = await listing(retrying.list_pages("", delimiter=None))
        assert sorted(found.paths) == sorted(TREE_ORDER)
        with pytest.raises(NotSupportedError, match="order"):
            await listing(storage.list_pages("", start_after="A"))


@pytest.mark.parametrize("code", ["AuthorizationPermissionMismatch", "APINotImplemented"])
async def test_who_is_not_told_knows_nothing_of_the_order(code: str) -> None:
    def reply(request: Request, number: int) -> bytes:
        if "comp=properties" in request.target:
            return refusal(501 if "API" in code else 403, code)
        return created()

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests, hierarchical_namespace=None) as storage:
        await storage.put("a/", b"")
        await storage.put("b/", b"")
        assert storage.capabilities.file_beside_folder
        assert not storage.capabilities.ordered_listing
    assert [request.target for request in requests][1:] == ["/container/a/", "/container/b/"]


async def test_a_refusal_that_may_be_of_the_credentials_is_not_remembered() -> None:
    """A SAS for objects only, and an expired one, are refused by the same code."""
    answers = [refusal(403, "AuthorizationFailure"), blob(x_ms_is_hns_enabled="true")]

    def reply(request: Request, number: int) -> bytes:
        return answers.pop(0) if "comp=properties" in request.target else created()

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests, hierarchical_namespace=None) as storage:
        await storage.put("a/", b"")
        await storage.put("b/", b"")
    assert [request.target for request in requests][1::2] == ["/container/a/", "/container/b"]


@pytest.mark.parametrize("copied", [False, True])
async def test_there_a_marker_is_never_written_over_a_file(copied: bool) -> None:
    """Nor over a directory, which stays as it is: only what says `IfAbsent` is sent."""

    def reply(request: Request, number: int) -> bytes:
        name = request.target.removeprefix("/container/")
        if request.method == "HEAD":
            kind = "file" if name == "file" else "directory"
            return blob(x_ms_resource_type=kind) if name != "new" else answer(404)
        if name != "new" and request.headers.get("if-none-match") == "*":
            return refusal(409, "BlobAlreadyExists")
        return created()

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests, hierarchical_namespace=True) as storage:

        async def write(path: str) -> str:
            if copied:
                return (await storage.copy("source/", path)).path
            return (await storage.put(path, b"")).path

        assert await write("new/") == "new/"
        assert await write("folder/") == "folder/"
        with pytest.raises(AlreadyExistsError):
            await write("file/")
        with pytest.raises(AlreadyExistsError):
            await storage.put("folder/", b"", condition=IfAbsent())
    written = [request for request in requests if request.method == "PUT"]
    assert [request.headers.get("if-none-match") for request in written] == ["*"] * 4
