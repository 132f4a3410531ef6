"""What AzureStorage makes of refusals and failures: class, sentence, and whether to try again."""

from __future__ import annotations

import socket
from contextlib import aclosing
from typing import Any

import pytest

from jupyter_nbforge.storage import errors
from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.types import (
    IfAbsent,
    IfMatch,
    ObjectReader,
    Version,
    WriteCondition,
)
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.servers import free_port

from .azure_stub import KEY, azure_at, blob, content_md5, created, refusal, stub_azure
from .conftest import MakeAzure
from .stub import Answer, Request, answer


def fixed(data: bytes) -> Answer:
    """Always that answer."""
    return lambda request, number: data


async def take_all(reader: ObjectReader, shown: list[bytes]) -> None:
    """Add to `shown` what is read, as it comes."""
    async for chunk in reader.chunks:
        shown.append(chunk)


async def put_error(
    data: bytes, *, condition: WriteCondition | None = None, path: str = "a"
) -> errors.StorageError:
    """What a put raises where the server answers with `data`."""
    requests: list[Request] = []
    async with stub_azure(lambda request, number: data, requests=requests) as storage:
        with pytest.raises(errors.StorageError) as caught:
            await storage.put(path, b"data", condition=condition)
    assert len(requests) == 1
    assert "text that may change" not in caught.value.message
    assert KEY not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "AuthenticationFailed", errors.UnauthenticatedError),
        (401, "InvalidAuthenticationInfo", errors.UnauthenticatedError),
        (401, "NoAuthenticationInformation", errors.UnauthenticatedError),
        (403, "AuthorizationFailure", errors.UnauthenticatedError),
        (403, "KeyBasedAuthenticationNotPermitted", errors.UnauthenticatedError),
        (403, "AuthorizationPermissionMismatch", errors.PermissionDeniedError),
        (403, "AuthorizationSourceIPMismatch", errors.PermissionDeniedError),
        (403, "AccountIsDisabled", errors.PermissionDeniedError),
        (403, "SomethingNew", errors.PermissionDeniedError),
        (409, "BlobImmutableDueToPolicy", errors.PermissionDeniedError),
        (412, "LeaseIdMissing", errors.PermissionDeniedError),
        (404, "ContainerNotFound", errors.ConfigurationError),
        (409, "ContainerBeingDeleted", errors.ConfigurationError),
        (404, "ResourceNotFound", errors.ConfigurationError),
        (400, "InvalidBlobTier", errors.ConfigurationError),
        (403, "KeyVaultEncryptionKeyNotFound", errors.ConfigurationError),
        (413, "RequestBodyTooLarge", errors.TooLargeError),
        (413, "SomethingNew", errors.TooLargeError),
        (400, "InvalidResourceName", errors.InvalidPathError),
        (400, "OutOfRangeInput", errors.InvalidPathError),
        (409, "BlobArchived", errors.NotSupportedError),
        (409, "InvalidBlobType", errors.NotSupportedError),
        (501, "APINotImplemented", errors.NotSupportedError),
        (405, "UnsupportedHttpVerb", errors.NotSupportedError),
        (409, "ResourceTypeMismatch", errors.AlreadyExistsError),
        (400, "InvalidHeaderValue", errors.StorageError),
        (409, "SomethingNew", errors.StorageError),
    ],
)
async def test_a_refusal_is_final(
    status: int, code: str, expected: type[errors.StorageError]
) -> None:
    error = await put_error(refusal(status, code))
    assert type(error) is expected
    assert not error.retryable
    assert not error.outcome_unknown
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequests"),
        (400, "Md5Mismatch"),
        (409, "PendingCopyOperation"),
        (409, "AccountBeingCreated"),
    ],
)
async def test_a_request_to_come_back_is_retryable_and_surely_not_done(
    status: int, code: str
) -> None:
    error = await put_error(refusal(status, code))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (500, "OperationTimedOut"),
        (503, "ServerBusy"),
        (502, "New"),
        (408, "New"),
    ],
)
async def test_a_failed_server_leaves_the_outcome_of_a_write_open(status: int, code: str) -> None:
    error = await put_error(refusal(status, code))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert error.outcome_unknown


async def test_a_failed_server_leaves_no_outcome_of_a_read() -> None:
    async with stub_azure(lambda request, number: refusal(503, "ServerBusy")) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            async with storage.get("a"):
                pass
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_the_store_says_when_to_come_back() -> None:
    assert (await put_error(refusal(503, "ServerBusy"))).retry_after is None
    assert (await put_error(refusal(503, "ServerBusy", retry_after="7"))).retry_after == 7.0
    assert (await put_error(refusal(503, "ServerBusy", retry_after="soon"))).retry_after is None


@pytest.mark.parametrize(
    ("status", "code", "condition", "expected"),
    [
        (409, "BlobAlreadyExists", IfAbsent(), errors.AlreadyExistsError),
        (412, "ConditionNotMet", IfAbsent(), errors.AlreadyExistsError),
        (412, "ConditionNotMet", IfMatch(Version('"1"')), errors.PreconditionError),
        (412, "TargetConditionNotMet", IfMatch(Version('"1"')), errors.PreconditionError),
        (404, "BlobNotFound", IfMatch(Version('"1"')), errors.PreconditionError),
        (412, "SourceConditionNotMet", IfAbsent(), errors.PreconditionError),
    ],
)
async def test_a_failed_condition_says_which(
    status: int, code: str, condition: WriteCondition, expected: type[errors.StorageError]
) -> None:
    error = await put_error(refusal(status, code), condition=condition)
    assert type(error) is expected
    assert not error.retryable


async def test_a_look_has_its_code_in_a_header() -> None:
    def reply(request: Request, number: int) -> bytes:
        return answer(404, x_ms_error_code="ContainerNotFound")

    async with stub_azure(reply) as storage:
        with pytest.raises(errors.ConfigurationError, match="'container' does not exist"):
            await storage.head("a")


async def test_what_a_copy_met_at_its_source_is_said() -> None:
    def reply(request: Request, number: int) -> bytes:
        if request.method == "HEAD":
            return answer(404, x_ms_error_code="BlobNotFound")
        inner = {"x_ms_copy_source_error_code": "BlobNotFound"}
        return refusal(404, "CannotVerifyCopySource", **inner)

    async with stub_azure(reply) as storage:
        with pytest.raises(errors.NotFoundError) as caught:
            await storage.copy("a", "b", condition=IfMatch(Version('"1"')))
    assert caught.value.path == "a"


async def test_a_source_that_is_there_is_not_said_to_be_missing() -> None:
    """It may have come meanwhile, or the store could not look at it."""

    def reply(request: Request, number: int) -> bytes:
        return blob(b"") if request.method == "HEAD" else refusal(404, "CannotVerifyCopySource")

    async with stub_azure(reply) as storage:
        with pytest.raises(errors.UnavailableError, match="'a' was being written") as caught:
            await storage.copy("a", "b")
    assert caught.value.retryable


async def test_an_answer_without_a_length_is_not_that_of_an_empty_object() -> None:
    def reply(request: Request, number: int) -> bytes:
        whole = blob(b"").replace(b"content-length: 0\r\n", b"")
        if request.method == "HEAD":
            return whole
        return whole[:-2] + b"transfer-encoding: chunked\r\n\r\n4\r\ndata\r\n0\r\n\r\n"

    async with stub_azure(reply) as storage:
        with pytest.raises(errors.UnavailableError, match="not Azure's"):
            await storage.head("a")
        with pytest.raises(errors.UnavailableError, match="not Azure's"):
            async with storage.get("a"):
                pass


@pytest.mark.parametrize("status", [400, 404, 301, 307, 200])
async def test_a_web_server_is_not_taken_for_a_store(status: int) -> None:
    def reply(request: Request, number: int) -> bytes:
        page = b"<html>Not here</html>"
        return answer(status, page, content_type="text/html", location="http://127.0.0.1:9/")

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        with pytest.raises(errors.StorageError, match="answer"):
            async with storage.get("a"):
                pass
        with pytest.raises(errors.StorageError, match="answer"):
            _ = [page async for page in storage.list_pages("")]
        with pytest.raises(errors.ConfigurationError, match="does not answer like Azure"):
            await storage.put("a", b"")
    assert len(requests) == 3


async def test_an_answer_that_is_no_listing_is_no_empty_listing() -> None:
    for body in (b"<html>Welcome</html>", b"Welcome", b"<EnumerationResults><Blobs><Blob/>"):
        page = answer(200, body, content_type="text/html")
        async with stub_azure(fixed(page)) as storage:
            with pytest.raises(errors.UnavailableError):
                _ = [page async for page in storage.list_pages("")]


async def test_a_store_out_of_reach_is_retryable_and_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with aclosing(azure_at(endpoint)) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("a", b"")
    assert endpoint in caught.value.message
    assert "account_url" in caught.value.message
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_an_account_that_does_not_exist_is_out_of_reach() -> None:
    async with aclosing(azure_at("http://no-such-account.invalid")) as storage:
        with pytest.raises(
            errors.UnavailableError, match=r"no-such-account\.invalid.*account_name"
        ):
            await storage.head("a")


async def test_a_silent_store_is_a_timeout_with_an_open_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with aclosing(azure_at(endpoint, read_timeout=0.3)) as storage:
            with pytest.raises(errors.StorageTimeoutError) as caught:
                await storage.put("a", b"")
    assert caught.value.retryable
    assert caught.value.outcome_unknown


async def test_a_lost_answer_leaves_the_outcome_open_and_nothing_is_sent_again() -> None:
    """aiohttp would send a PUT again, and a conditional one would meet itself."""

    def reply(request: Request, number: int) -> bytes:
        return created() if number == 1 else b""

    requests: list[Request] = []
    async with stub_azure(reply, requests=requests) as storage:
        await storage.put("a", b"")
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("b", b"", condition=IfAbsent())
    assert [request.target for request in requests] == ["/container/a", "/container/b"]
    assert caught.value.retryable
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("sent", [0, 3])
async def test_a_body_cut_short_is_an_error(sent: int) -> None:
    def reply(request: Request, number: int) -> bytes:
        return blob(b"12345678")[: sent - 8]

    async with stub_azure(reply, hang_up=True) as storage, storage.get("a") as reader:
        with pytest.raises(errors.UnavailableError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_a_damaged_body_is_an_error_and_never_shown_whole() -> None:
    data = bytes(3 * 2**20)
    damaged = blob(data[:-1] + b"x", content_md5=content_md5(data))
    async with stub_azure(lambda request, number: damaged) as storage, storage.get("a") as reader:
        shown: list[bytes] = []
        with pytest.raises(errors.UnavailableError) as caught:
            await take_all(reader, shown)
    assert 0 < sum(map(len, shown)) < len(data)
    assert not caught.value.retryable


async def test_a_range_is_not_held_against_the_checksum_of_the_whole() -> None:
    headers = {"content_range": "bytes 2-4/8", "content_md5": content_md5(b"12345678")}
    part = blob(b"345", **headers).replace(b" 200 ", b" 206 ", 1)
    async with stub_azure(lambda request, number: part) as storage, storage.get("a") as reader:
        assert await reader.read() == b"345"


async def test_a_body_that_stops_coming_is_a_timeout() -> None:
    def reply(request: Request, number: int) -> bytes:
        return blob(b"12345678")[:-2]

    async with stub_azure(reply, read_timeout=0.3) as storage, storage.get("a") as reader:
        with pytest.raises(errors.StorageTimeoutError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_metadata_that_cannot_be_sent_is_refused_here() -> None:
    requests: list[Request] = []
    async with stub_azure(lambda request, number: b"", requests=requests) as storage:
        for value in ("\u00e9", "a\nb"):
            with pytest.raises(errors.StorageError) as caught:
                await storage.put("a", b"", metadata={"name": value})
            assert not caught.value.retryable
            assert not caught.value.outcome_unknown
    assert not requests


async def test_a_certificate_file_without_certificates_is_a_fault() -> None:
    async with aclosing(azure_at("https://127.0.0.1:9", ca_bundle=__file__)) as storage:
        with pytest.raises(errors.ConfigurationError, match="ca_bundle"):
            await storage.head("a")


async def test_a_missing_container_is_a_fault_and_no_missing_object(
    azurite_server: AzuriteServer,
) -> None:
    options = {
        "container": "no-such-container",
        "account_url": azurite_server.endpoint_url,
        "account_key": azurite_server.account_key,
    }

    async def read(storage: AzureStorage) -> None:
        async with storage.get("a"):
            pass

    async def list_all(storage: AzureStorage) -> None:
        _ = [page async for page in storage.list_pages("")]

    async def upload(storage: AzureStorage) -> None:
        await (await storage.create_multipart_upload("a")).upload_part(1, b"1")

    actions: list[Any] = [
        read,
        list_all,
        upload,
        lambda storage: storage.head("a"),
        lambda storage: storage.head("a/"),
        lambda storage: storage.put("a", b""),
        lambda storage: storage.put("a/", b""),
        lambda storage: storage.delete("a"),
        lambda storage: storage.delete_many(["a", "b"]),
        lambda storage: storage.copy("a", "b"),
    ]
    for action in actions:
        async with aclosing(AzureStorage(**options)) as storage:
            with pytest.raises(
                errors.ConfigurationError, match="'no-such-container' does not exist"
            ):
                await action(storage)


async def test_a_wrong_key_is_the_servers_credentials(
    azurite_server: AzuriteServer, make_azure: MakeAzure
) -> None:
    async with aclosing(make_azure(azurite_server, account_key=KEY)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="account key") as caught:
            await storage.put("a", b"")
    assert KEY not in str(caught.value)
