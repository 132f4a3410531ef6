"""Folders that stand in a container as blobs: how other tools and hierarchical accounts have them.

No local server has a hierarchical namespace. What its blobs look like is data, which Azurite
takes as well; what else it does is a stub's, after
https://learn.microsoft.com/azure/storage/blobs/data-lake-storage-known-issues#blob-storage-apis
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    NotModifiedError,
    PreconditionError,
)
from jupyter_nbforge.storage.paths import FOLDER_CONTENT_TYPE
from jupyter_nbforge.storage.types import ByteRange, IfAbsent, IfMatch, Version
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.proxy import CountingProxy
from jupyter_nbforge.testing.suite import Listing, listing

from .azure_stub import blob, created, record, refusal, stub_azure
from .conftest import MakeAzure
from .stub import Request, answer

OTHER = Version('"0x0"')


@asynccontextmanager
async def with_directories(
    server: AzuriteServer, make: MakeAzure, *names: str, **options: Any
) -> AsyncIterator[AzureStorage]:
    """A storage whose container has these directories, as other tools make them."""
    async with aclosing(make(server, **options)) as storage:
        for name in names:
            await raw(storage, name).upload_blob(b"", metadata={"hdi_isfolder": "true"})
        yield storage


class raw:  # noqa: N801  reads as a function
    """Calls of the SDK on a blob, past our code."""

    def __init__(self, storage: AzureStorage, name: str) -> None:
        self._storage, self._name = storage, name

    def __getattr__(self, operation: str) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            client = (await self._storage._connection.client()).blob(self._name)
            return await getattr(client, operation)(*args, **options)

        return call


async def every(storage: AzureStorage, prefix: str = "", **options: Any) -> Listing:
    return await listing(storage.list_pages(prefix, **options))


async def test_a_marker_is_a_directory_to_other_tools(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a/", b"")
        await storage.put("b/", b"", content_type=FOLDER_CONTENT_TYPE, metadata={"other": "kept"})
        for path in ("a/", "b/"):
            found = await raw(storage, path).get_blob_properties()
            assert found.metadata["hdi_isfolder"] == "true"
            assert found.content_settings.content_type == FOLDER_CONTENT_TYPE
        assert (await raw(storage, "b/").get_blob_properties()).metadata["other"] == "kept"


async def test_a_directory_is_a_folder_and_no_file(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with with_directories(azurite_server, make_azure, "folder", "in/folder") as storage:
        await storage.put("file", b"1")
        assert await every(storage) == Listing(
            [await storage_entry(storage, "file")], ["folder/", "in/"]
        )
        assert (await every(storage, "folder")).prefixes == ["folder/"]
        assert (await every(storage, "folder/")).paths == ["folder/"]
        assert (await every(storage, delimiter=None)).paths == ["file", "folder/", "in/folder/"]
        assert (await every(storage, "folder/", delimiter=None, page_size=1)).paths == ["folder/"]
        with pytest.raises(NotFoundError):
            await storage.head("folder")
        with pytest.raises(NotFoundError):
            async with storage.get("folder"):
                pass
        meta = await storage.head("folder/")
        assert (meta.path, meta.size) == ("folder/", 0)
        async with storage.get("folder/") as reader:
            assert reader.meta == meta
            assert await reader.read() == b""
        for missing in ("file/", "none/"):
            with pytest.raises(NotFoundError):
                await storage.head(missing)


async def storage_entry(storage: AzureStorage, path: str) -> Any:
    """The entry of a listing for an object."""
    found = [meta async for page in storage.list_pages(path) for meta in page.objects]
    return found[0]


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_a_folder_is_listed_once_and_in_its_place(
    page_size: int, azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    """Between ``a`` and ``a/`` there are other names."""
    async with with_directories(azurite_server, make_azure, "a", "a/b", "a/c", "z") as storage:
        for path in ("a!", "a-1", "a.txt", "a/b/x", "a/c!", "a0"):
            await storage.put(path, b"1")
        await storage.put("a/c/", b"")
        root = await every(storage, page_size=page_size)
        assert root.prefixes == ["a/", "z/"]
        assert root.paths == ["a!", "a-1", "a.txt", "a0"]
        folder = await every(storage, "a/", page_size=page_size)
        assert folder.prefixes == ["a/b/", "a/c/"]
        assert folder.paths == ["a/c!"]
        flat = (await every(storage, delimiter=None, page_size=page_size)).paths
        expected = ["a!", "a-1", "a.txt", "a/", "a/b/", "a/b/x", "a/c!", "a/c/", "a0", "z/"]
        assert flat == expected
        for start_after in expected:
            left = await every(
                storage, delimiter=None, page_size=page_size, start_after=start_after
            )
            assert left.paths == [path for path in expected if path > start_after]


async def test_the_marker_of_a_folder_with_content_is_listed_with_all_of_it(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with with_directories(azurite_server, make_azure, "a") as storage:
        await storage.put("a/b", b"1")
        found = await every(storage, "a/", delimiter=None)
        assert found.paths == ["a/", "a/b"]
        await storage.delete_many(found.paths)
        assert await every(storage) == Listing([], [])


async def test_a_look_for_a_directory_costs_one_request_where_it_may_matter(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with CountingProxy(azurite_server.endpoint_url, "azure") as proxy:
        storage = make_azure(azurite_server, account_url=proxy.endpoint_url)
        async with aclosing(storage):
            await storage.put("a/b", b"1")
            await storage.put("marked/", b"")
            proxy.take()

            async def cost(prefix: str, **options: Any) -> dict[str, int]:
                await every(storage, prefix, **options)
                return dict(proxy.take())

            look = {"LIST": 1, "HEAD": 1}
            assert await cost("none/") == look
            assert await cost("a/", delimiter=None) == look
            assert await cost("a/", delimiter=None, page_size=1) == {"LIST": 1}
            assert await cost("a/") == {"LIST": 1}
            assert await cost("") == {"LIST": 1}
            assert await cost("none") == {"LIST": 1}
            assert await cost("marked/", delimiter=None) == {"LIST": 1}
            assert await cost("home/.nbforge/checkpoints/none/") == {"LIST": 1}
            storage.hierarchical_namespace = False
            assert await cost("none/") == {"LIST": 1}


async def test_no_page_is_empty_but_the_last(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    """Who asks whether anything is there reads one page."""
    async with with_directories(azurite_server, make_azure, "a/b", "a/c") as storage:
        await storage.put("a/c/x", b"1")
        for delimiter in ("/", None):
            for size in (1, 2, 3):
                pages = storage.list_pages("a/", delimiter=delimiter, page_size=size)
                found = [page async for page in pages]
                assert found
                assert all(page.objects or page.prefixes for page in found)


async def test_deleting_a_marker_deletes_the_directory(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with with_directories(azurite_server, make_azure, "a", "b", "c", "d/e", "d") as storage:
        await storage.delete("a/")
        version = (await storage.head("b/")).version
        with pytest.raises(PreconditionError):
            await storage.delete("b/", condition=IfMatch(OTHER))
        await storage.delete("b/", condition=IfMatch(version))
        assert (await every(storage)).prefixes == ["c/", "d/"]
        await storage.delete_many(["c/", "d/", "d/e/", "none/"])
        assert await every(storage, delimiter=None) == Listing([], [])


async def test_deleting_a_marker_deletes_the_directory_beside_it_too(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    """Else the folder would come back: a marker is written where a directory was not looked for."""
    async with with_directories(azurite_server, make_azure, "a", "b", "c", "c/d") as storage:
        for path in ("a/", "b/", "c/", "c/d/"):
            await storage.put(path, b"", condition=IfAbsent())
        await storage.delete("a/")
        await storage.delete("b/", condition=IfMatch((await storage.head("b/")).version))
        await storage.delete_many(["c/", "c/d/"])
        assert await every(storage, delimiter=None) == Listing([], [])


async def test_deleting_a_marker_deletes_no_file_of_that_name(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        meta = await storage.put("a", b"1")
        await storage.delete("a/")
        await storage.delete_many(["a/", "b/"])
        with pytest.raises(PreconditionError):
            await storage.delete("a/", condition=IfMatch(meta.version))
        assert await storage.head("a") == meta


async def test_a_directory_is_read_under_conditions(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with with_directories(azurite_server, make_azure, "a") as storage:
        version = (await storage.head("a/")).version
        async with storage.get("a/", if_match=version, byte_range=ByteRange(3)) as reader:
            assert await reader.read() == b""
        with pytest.raises(PreconditionError):
            async with storage.get("a/", if_match=OTHER):
                pass
        with pytest.raises(NotModifiedError):
            async with storage.get("a/", if_none_match=version):
                pass
        with pytest.raises(NotFoundError):
            async with storage.get("b/", if_match=OTHER):
                pass


async def test_a_directory_is_copied_and_moved_as_a_marker(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with with_directories(azurite_server, make_azure, "a") as storage:
        source = await storage.head("a/")
        with pytest.raises(PreconditionError):
            await storage.copy("a/", "b/", source_version=OTHER)
        await storage.copy("a/", "b/", source_version=source.version, condition=IfAbsent())
        with pytest.raises(AlreadyExistsError):
            await storage.copy("a/", "b/", condition=IfAbsent())
        assert (await raw(storage, "b/").get_blob_properties()).metadata["hdi_isfolder"] == "true"
        await storage.move(source, "c/")
        assert (await every(storage)).prefixes == ["b/", "c/"]


# An account with a hierarchical namespace.


async def test_there_a_marker_is_written_and_found_as_a_directory(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    storage = make_azure(azurite_server, hierarchical_namespace=True)
    async with aclosing(storage):
        assert not storage.capabilities.file_beside_folder
        put = await storage.put("a/", b"", condition=IfAbsent())
        assert put == await storage.head("a/")
        with pytest.raises(AlreadyExistsError):
            await storage.put("a/", b"", condition=IfAbsent())
        await storage.copy("a/", "b/")
        for name in ("a", "b"):
            found = await raw(storage, name).get_blob_properties()
            assert found.metadata["hdi_isfolder"] == "true"
        assert (await every(storage, delimiter=None)).paths == ["a/", "b/"]
        await storage.delete("a/")
        await storage.delete_many(["b/"])
        assert await every(storage, delimiter=None) == Listing([], [])


@pytest.mark.parametrize("known", [True, False])
async def test_the_account_is_asked_once_and_only_for_markers(known: bool) -> None:
    def reply(request: Request, number: int) -> bytes:
        if "comp=properties" in request.target:
            return blob(b"", x_ms_is_hns_enabled=str(known).lower())
        return created()

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests, hierarchical_namespace=None) as storage:
        await storage.put("file", b"1")
        await storage.put("a/", b"")
        await storage.put("b/", b"")
        assert storage.capabilities.file_beside_folder is not known
    names = ["/container/a", "/container/b"] if known else ["/container/a/", "/container/b/"]
    targets = [request.target for request in requests]
    assert [targets[0], *targets[2:]] == ["/container/file", *names]


async def test_who_may_not_ask_is_taken_to_have_a_plain_account() -> None:
    def reply(request: Request, number: int) -> bytes:
        if "comp=properties" in request.target:
            return refusal(403, "AuthorizationPermissionMismatch")
        return created()

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests, hierarchical_namespace=None) as storage:
        await storage.put("a/", b"")
        await storage.put("a/", b"")
    assert [request.target for request in requests][1:] == ["/container/a/"] * 2


def hierarchical(request: Request, *, full: frozenset[str] = frozenset()) -> bytes:
    """An account where ``a`` and ``a/b`` are directories, those in `full` with content."""
    name = request.target.removeprefix("/container/")
    if request.method == "HEAD":
        if name in ("a", "a/b"):
            return blob(x_ms_resource_type="directory")
        return answer(404, x_ms_error_code="BlobNotFound")
    if request.method == "DELETE" and name in full:
        return refusal(409, "DirectoryIsNotEmpty")
    if request.method == "DELETE":
        return blob().replace(b" 200 ", b" 202 ", 1)
    return refusal(409, "ResourceTypeMismatch")


async def test_there_a_directory_with_content_stays_without_an_error() -> None:
    full = frozenset({"a"})
    requests: list[Request] = []
    async with stub_azure(
        lambda request, number: hierarchical(request, full=full),
        requests=requests,
        hierarchical_namespace=True,
    ) as storage:
        await storage.delete("a/")
        await storage.delete("a")
        await storage.delete_many(["a/"])
        await storage.delete_many(["none/"])
    deleted = [request for request in requests if request.method == "DELETE"]
    assert [request.target for request in deleted] == ["/container/a"] * 3
    assert deleted[0].headers["if-match"] == '"0x1"'
    assert "x-ms-delete-snapshots" not in deleted[0].headers


async def test_there_the_deepest_directories_are_deleted_first_and_files_before_them() -> None:
    requests: list[Request] = []
    async with stub_azure(
        lambda request, number: hierarchical(request),
        requests=requests,
        hierarchical_namespace=True,
    ) as storage:
        await storage.delete_many(["a/", "a/b/", "a/b/file"])
    deleted = [request.target for request in requests if request.method == "DELETE"]
    assert deleted == ["/container/a/b/file", "/container/a/b", "/container/a"]


async def test_there_a_file_in_the_place_of_a_folder_is_an_error_that_says_so() -> None:
    async with stub_azure(
        lambda request, number: hierarchical(request), hierarchical_namespace=True
    ) as storage:
        for path in ("a", "file/x"):
            with pytest.raises(AlreadyExistsError, match="in the place of a folder"):
                await storage.put(path, b"1")
        with pytest.raises(AlreadyExistsError):
            await storage.put("a/", b"", condition=IfAbsent())


async def test_there_a_directory_that_is_written_again_stays_as_it_is() -> None:
    async with stub_azure(
        lambda request, number: hierarchical(request), hierarchical_namespace=True
    ) as storage:
        assert (await storage.put("a/", b"")).version == '"0x1"'


async def test_there_a_listing_may_say_folders_in_several_ways(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As blobs with the metadata, by their resource type, as prefixes, or several of these."""

    def entry(name: str, kind: str = "", metadata: str = "") -> str:
        return (
            f"<Blob><Name>{name}</Name><Properties><Etag>0x1</Etag>"
            "<Last-Modified>Mon, 01 Jan 2024 00:00:00 GMT</Last-Modified>"
            f"<Content-Length>0</Content-Length>{kind}</Properties>"
            f"<Metadata>{metadata}</Metadata></Blob>"
        )

    directory = "<ResourceType>directory</ResourceType>"
    entries = [
        entry("a", directory),
        entry("b", metadata="<hdi_isfolder>true</hdi_isfolder>"),
        entry("c", metadata="<Hdi_isfolder>True</Hdi_isfolder>"),
        entry("d", metadata="<hdi_isfolder>false</hdi_isfolder>"),
        "<BlobPrefix><Name>a/</Name></BlobPrefix><BlobPrefix><Name>e/</Name></BlobPrefix>",
    ]
    page = f"<EnumerationResults><Blobs>{''.join(entries)}</Blobs></EnumerationResults>"
    async with stub_azure(lambda request, number: blob(page.encode())) as storage:
        found = await every(storage)
    assert found.prefixes == ["a/", "b/", "c/", "e/"]
    assert found.paths == ["d"]


async def test_what_is_a_directory_is_not_asked_for_twice(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = make_azure(azurite_server, hierarchical_namespace=True)
    async with aclosing(storage):
        await storage.put("a/", b"")
        sent = record(monkeypatch)
        await storage.head("a/")
        assert [(request.method, request.path) for request in sent] == [("HEAD", "a")]
