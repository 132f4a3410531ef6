"""Who signs for AzureStorage: presigned URLs, and what the three kinds of credentials can do."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import aclosing, suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from jupyter_nbforge.storage import azure_copies, azure_links, errors
from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.types import IfAbsent
from jupyter_nbforge.testing.azure_server import AzuriteServer

from .azure_stub import KEY, azure_at, blob, created, record, stub_azure
from .conftest import MakeAzure
from .stub import Request

DAY = 24 * 3600


@pytest.fixture(scope="module")
def oauth_server() -> Iterator[AzuriteServer]:
    """A server that takes bearer tokens."""
    with AzuriteServer(oauth=True) as server:
        yield server


class Identity:
    """Stands in for `DefaultAzureCredential`, which would look for an identity in the network."""

    made: list[Identity]
    token: str
    lifetime = 3600

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.scopes: list[str] = []
        self.closed = False
        self.made.append(self)

    async def __aenter__(self) -> Identity:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.closed = True

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        from azure.core.credentials import AccessToken

        self.scopes += scopes
        if not self.token:
            from azure.identity import CredentialUnavailableError

            raise CredentialUnavailableError("tried this\nand that")
        return AccessToken(self.token, int(time.time()) + self.lifetime)


@pytest.fixture
def identity(monkeypatch: pytest.MonkeyPatch) -> type[Identity]:
    class Made(Identity):
        made: list[Identity] = []  # noqa: RUF012  of this test alone
        token = ""

    monkeypatch.setattr("azure.identity.aio.DefaultAzureCredential", Made)
    return Made


def by_token(server: AzuriteServer, make: MakeAzure, **options: Any) -> AzureStorage:
    """A storage that is given neither key nor SAS."""
    return make(server, account_key="", ca_bundle=str(server.certificate), **options)


def fetch(url: str, data: bytes | None = None, certificate: Any = None, **headers: str) -> bytes:
    method = "GET" if data is None else "PUT"
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    context = None if certificate is None else ssl.create_default_context(cafile=certificate)
    with urllib.request.urlopen(request, timeout=10, context=context) as response:
        return bytes(response.read())


async def read(storage: AzureStorage, path: str) -> bytes:
    async with storage.get(path) as reader:
        return await reader.read()


PUT_HEADERS = {"x-ms-blob-type": "BlockBlob", "Content-Type": "text/plain"}


# With the account key.


async def test_a_presigned_url_reads_and_writes_without_credentials(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a b+%#?\u00e9", b"data")
        url = await storage.get_presigned_url("a b+%#?\u00e9", 60)
        assert await asyncio.to_thread(fetch, url) == b"data"
        url = await storage.get_presigned_url("new", 60.5, method="PUT")
        await asyncio.to_thread(fetch, url, b"written", **PUT_HEADERS)
        await asyncio.to_thread(fetch, url, b"written again", **PUT_HEADERS)
        assert await read(storage, "new") == b"written again"


async def test_a_presigned_url_is_for_one_method_and_one_object(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", b"data")
        await storage.put("b", b"secret")
        get = await storage.get_presigned_url("a")
        put = await storage.get_presigned_url("a", method="PUT")
        for url, data in ((get.replace("/a?", "/b?"), None), (get, b"written"), (put, None)):
            with pytest.raises(urllib.error.HTTPError) as caught:
                await asyncio.to_thread(fetch, url, data, None, **PUT_HEADERS)
            with caught.value:
                assert caught.value.code == 403


async def test_a_presigned_url_holds_at_once_and_for_as_long_as_was_asked() -> None:
    for endpoint, protocol in (
        ("http://127.0.0.1:9/account", None),
        ("https://a.example", ["https"]),
    ):
        async with aclosing(azure_at(endpoint)) as storage:
            before = datetime.now(timezone.utc).replace(microsecond=0)
            query = parse_qs(urlsplit(await storage.get_presigned_url("a", 7 * DAY)).query)
        expiry = datetime.fromisoformat(query["se"][0].replace("Z", "+00:00"))
        assert before + timedelta(days=7) <= expiry <= before + timedelta(days=7, seconds=60)
        assert "st" not in query
        assert query.get("spr") == protocol
        assert query["sp"] == ["r"]


@pytest.mark.parametrize("expires_in", [0, -1, 7 * DAY + 1])
async def test_a_presigned_url_lives_at_most_seven_days(expires_in: float) -> None:
    async with aclosing(azure_at("http://127.0.0.1:9/account")) as storage:
        with pytest.raises(errors.NotSupportedError, match="7 days"):
            await storage.get_presigned_url("a", expires_in)


async def test_the_source_of_a_copy_is_authorised_for_reading_and_not_for_long(
    azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = record(monkeypatch)
    async with aclosing(make_azure(azurite_server)) as storage:
        await storage.put("a", b"1")
        await storage.copy("a", "b")
    source = urlsplit(sent[-1].headers["x-ms-copy-source"])
    query = parse_qs(source.query)
    assert sent[-1].headers["x-ms-requires-sync"] == "True"
    assert source.path.endswith("/a")
    assert query["sp"] == ["r"]
    expiry = datetime.fromisoformat(query["se"][0].replace("Z", "+00:00"))
    assert expiry - datetime.now(timezone.utc) < timedelta(hours=2)


async def test_each_part_of_a_long_copy_is_authorised_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(3600, 7200, 600))

    def reply(request: Request, number: int) -> bytes:
        monkeypatch.setattr(azure_links, "_COPY_SECONDS", float(next(seconds)))
        return blob(content_length=str(3 * 256 * 2**20)) if request.method == "HEAD" else created()

    monkeypatch.setattr(azure_copies, "_COPIES_AT_ONCE", 1)
    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        storage.max_copy_size = 0
        await storage.head("a")
        await storage.copy("a", "b")
    sources = [request.headers.get("x-ms-copy-source") for request in requests]
    assert len({source for source in sources if source}) == 3


async def test_a_connection_string_is_enough(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    container = make_azure(azurite_server).container
    options = {"container": container, "connection_string": azurite_server.connection_string}
    async with aclosing(AzureStorage(**options)) as storage:
        await storage.put("a", b"data")
        url = await storage.get_presigned_url("a", 60)
        assert await asyncio.to_thread(fetch, url) == b"data"


# With a shared access signature.


def sas_of(server: AzuriteServer, container: str, permission: str, hours: float = 1) -> str:
    from azure.storage.blob import generate_container_sas

    return generate_container_sas(
        server.account_name,
        container,
        account_key=server.account_key,
        permission=permission,
        expiry=datetime.now(timezone.utc) + timedelta(hours=hours),
    )


def by_sas(
    server: AzuriteServer, make: MakeAzure, permission: str = "racwdl", hours: float = 1
) -> AzureStorage:
    """A storage that is given a SAS for its container."""
    container = make(server).container
    sas = sas_of(server, container, permission, hours)
    options = {"container": container, "account_url": server.endpoint_url, "sas_token": f"?{sas}"}
    return AzureStorage(**options)


async def test_a_sas_is_enough_for_everything_but_links(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(by_sas(azurite_server, make_azure)) as storage:
        meta = await storage.put("a b", b"1", condition=IfAbsent())
        await storage.copy("a b", "c", source_version=meta.version)
        upload = await storage.create_multipart_upload("d")
        await upload.upload_part(1, b"1")
        await upload.complete()
        await storage.put("folder/", b"")
        assert await read(storage, "c") == b"1"
        found = [meta.path async for page in storage.list_pages("") for meta in page.objects]
        assert found == ["a b", "c", "d"]
        await storage.delete("folder/")
        await storage.delete_many(found)
        assert [page async for page in storage.list_pages("") if page.objects] == []
        with pytest.raises(errors.NotSupportedError, match="account key or an identity"):
            await storage.get_presigned_url("a")


async def test_what_a_sas_does_not_allow_is_denied(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(by_sas(azurite_server, make_azure, "rl")) as storage:
        with pytest.raises(errors.PermissionDeniedError, match="racwdl"):
            await storage.put("a", b"1")


async def test_an_expired_sas_is_the_servers_credentials(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(by_sas(azurite_server, make_azure, hours=-1)) as storage:
        with pytest.raises(errors.UnauthenticatedError) as caught:
            await storage.put("a", b"1")
        assert "sig" not in caught.value.message


async def test_nobody_presigns_without_credentials() -> None:
    storage = azure_at("http://127.0.0.1:9/account", anonymous=True)
    async with aclosing(storage):
        with pytest.raises(errors.NotSupportedError, match="credentials"):
            await storage.get_presigned_url("a")


async def test_an_anonymous_request_to_a_private_container_is_refused(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    storage = make_azure(azurite_server, account_key="", anonymous=True)
    async with aclosing(storage):
        with pytest.raises(
            (errors.UnauthenticatedError, errors.PermissionDeniedError, errors.ConfigurationError)
        ):
            await storage.head("a")


# With an identity.


async def test_an_identity_does_everything(
    oauth_server: AzuriteServer, make_azure: MakeAzure, identity: type[Identity]
) -> None:
    identity.token = oauth_server.token()
    options = {"managed_identity_client_id": "which"}
    async with aclosing(by_token(oauth_server, make_azure, **options)) as storage:
        meta = await storage.put("a", b"1", condition=IfAbsent())
        await storage.copy("a", "b", source_version=meta.version)
        assert await read(storage, "b") == b"1"
        upload = await storage.create_multipart_upload("c")
        await upload.upload_part(1, b"1")
        await upload.complete()
        await storage.delete_many(["a", "b"])
        found = [meta.path async for page in storage.list_pages("") for meta in page.objects]
        assert found == ["c"]
    (made,) = identity.made
    assert made.options == {"managed_identity_client_id": "which"}
    assert set(made.scopes) == {"https://storage.azure.com/.default"}
    assert made.closed


async def test_the_source_of_a_copy_is_authorised_by_the_token(
    oauth_server: AzuriteServer,
    make_azure: MakeAzure,
    identity: type[Identity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity.token = oauth_server.token()
    sent = record(monkeypatch)
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        await storage.put("a", b"1")
        await storage.copy("a", "b")
        storage.max_copy_size = 0
        # For a part Azurite asks the source itself, and does not trust its own certificate.
        with suppress(errors.StorageError):
            await storage.copy("a", "c")
    copies = [request.headers for request in sent if "x-ms-copy-source" in request.headers]
    assert len(copies) == 2
    for headers in copies:
        assert headers["x-ms-copy-source-authorization"] == f"Bearer {identity.token}"
        assert "?" not in headers["x-ms-copy-source"]


async def test_a_token_for_copies_is_asked_for_once_and_again_before_it_ends(
    oauth_server: AzuriteServer, make_azure: MakeAzure, identity: type[Identity]
) -> None:
    """The Azure CLI's identity starts a process each time."""
    identity.token = oauth_server.token()
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        await storage.put("a", b"1")
        await asyncio.gather(*(storage.copy("a", f"b{number}") for number in range(5)))
        asked = len(identity.made[0].scopes)
        assert asked == 2
        identity.lifetime = 200
        bearer = (await storage._connection.client()).bearer
        assert bearer is not None
        bearer._token = await identity.made[0].get_token()
        await storage.copy("a", "c")
        assert len(identity.made[0].scopes) == asked + 1


async def test_an_identity_signs_links_with_one_delegated_key(
    oauth_server: AzuriteServer,
    make_azure: MakeAzure,
    identity: type[Identity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity.token = oauth_server.token()
    sent = record(monkeypatch)
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        await storage.put("a", b"data")
        for _ in range(3):
            url = await storage.get_presigned_url("a", 60)
        assert await asyncio.to_thread(fetch, url, None, oauth_server.certificate) == b"data"
        url = await storage.get_presigned_url("b", 60, method="PUT")
        await asyncio.to_thread(fetch, url, b"sent", oauth_server.certificate, **PUT_HEADERS)
        assert await read(storage, "b") == b"sent"
        asked = [request for request in sent if request.query.get("comp") == "userdelegationkey"]
        assert len(asked) == 1
        # A link that outlives the key needs another one.
        links = storage._copies.links
        assert links._key is not None
        key, end = links._key
        links._key = (key, end - timedelta(days=6))
        await storage.get_presigned_url("a", DAY)
        asked = [request for request in sent if request.query.get("comp") == "userdelegationkey"]
        assert len(asked) == 2


async def test_a_delegated_key_suits_a_store_whose_clock_is_a_bit_behind(
    oauth_server: AzuriteServer,
    make_azure: MakeAzure,
    identity: type[Identity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes no key that lives longer than 7 days by its clock, and none before its time."""
    identity.token = oauth_server.token()
    sent = record(monkeypatch)
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        now = datetime.now(timezone.utc)
        longest = storage.capabilities.max_link_seconds
        url = await storage.get_presigned_url("a", longest)
        with pytest.raises(errors.NotSupportedError, match="at most 6 days"):
            await storage.get_presigned_url("a", longest + 1)
    (asked,) = [request for request in sent if request.query.get("comp") == "userdelegationkey"]
    start, end = (
        datetime.fromisoformat(text.replace("Z", "+00:00"))
        for text in re.findall(r"\d{4}-[\dT:-]+Z", asked.body.decode())
    )
    assert start < now - timedelta(minutes=5)
    assert now + timedelta(seconds=longest) < end < now + timedelta(days=7, hours=-1)
    assert parse_qs(urlsplit(url).query)["ske"] == [end.strftime("%Y-%m-%dT%H:%M:%SZ")]


async def test_an_account_without_a_name_signs_nothing(identity: type[Identity]) -> None:
    storage = AzureStorage(container="notebooks", account_url="https://files.team.example")
    async with aclosing(storage):
        with pytest.raises(errors.ConfigurationError, match="account_name"):
            await storage.get_presigned_url("a")


async def test_a_token_that_is_refused_is_the_servers_credentials(
    oauth_server: AzuriteServer, make_azure: MakeAzure, identity: type[Identity]
) -> None:
    identity.token = oauth_server.token(expires_in=-60)
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="expired") as caught:
            await storage.put("a", b"1")
    assert identity.token not in str(caught.value)


async def test_a_missing_identity_is_asked_for_by_name(
    oauth_server: AzuriteServer, make_azure: MakeAzure, identity: type[Identity]
) -> None:
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="AZURE_STORAGE_KEY") as caught:
            await storage.head("a")
    assert not caught.value.retryable
    assert "\n" not in caught.value.message


async def test_what_refuses_the_identity_is_not_taken_for_the_store(
    oauth_server: AzuriteServer,
    make_azure: MakeAzure,
    identity: type[Identity],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The service that gives out tokens answers by HTTP too."""
    from azure.core.exceptions import ClientAuthenticationError

    async def refuse(self: Identity, *scopes: str, **options: Any) -> Any:
        request = SimpleNamespace(url="https://login.example/token")
        response: Any = SimpleNamespace(
            status_code=404, reason="", headers={}, request=request, text=lambda: "{}"
        )
        raise ClientAuthenticationError("no tenant", response=response)

    monkeypatch.setattr(Identity, "get_token", refuse)
    async with aclosing(by_token(oauth_server, make_azure)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="no usable credentials"):
            await storage.head("a")


async def test_a_server_whose_certificate_is_not_known_is_not_trusted(
    oauth_server: AzuriteServer, make_azure: MakeAzure, identity: type[Identity]
) -> None:
    identity.token = oauth_server.token()
    async with aclosing(make_azure(oauth_server, account_key="")) as storage:
        with pytest.raises(errors.ConfigurationError, match="ca_bundle"):
            await storage.head("a")
    async with aclosing(make_azure(oauth_server, verify_tls=False)) as storage:
        await storage.put("a", b"1")


async def test_an_identity_that_the_environment_describes_wrongly_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://login.example")
    monkeypatch.setenv("AZURE_CLIENT_ID", "id")
    monkeypatch.setenv("AZURE_TENANT_ID", "not a tenant!")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", KEY)
    async with aclosing(AzureStorage(container="notebooks", account_name="team")) as storage:
        with pytest.raises(errors.ConfigurationError, match="AZURE_") as caught:
            await storage.head("a")
    assert KEY not in caught.value.message
