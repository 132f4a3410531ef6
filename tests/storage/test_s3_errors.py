"""What S3Storage makes of refusals and failures: class, sentence, and whether to try again."""

from __future__ import annotations

import socket
from contextlib import aclosing
from typing import Any

import pytest

from jupyter_nbforge.storage import errors
from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.types import IfAbsent, IfMatch, Version, WriteCondition
from jupyter_nbforge.testing.servers import MotoServer, SeaweedServer, free_port

from .conftest import MakeS3
from .sdk import record
from .stub import KEYS, Request, answer, refusal, s3_at, stub_s3, stub_server


async def put_error(data: bytes, *, condition: WriteCondition | None = None) -> errors.StorageError:
    """What a put raises where the server answers with `data`."""
    requests: list[Request] = []
    async with stub_s3(lambda request, number: data, requests=requests) as storage:
        with pytest.raises(errors.StorageError) as caught:
            await storage.put("a", b"data", condition=condition)
    assert len(requests) == 1
    assert "text that may change" not in caught.value.message
    assert "SECRETSECRET" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "InvalidToken", errors.UnauthenticatedError),
        (403, "InvalidAccessKeyId", errors.UnauthenticatedError),
        (403, "SignatureDoesNotMatch", errors.UnauthenticatedError),
        (403, "RequestTimeTooSkewed", errors.UnauthenticatedError),
        (403, "AccessDenied", errors.PermissionDeniedError),
        (403, "SomethingNew", errors.PermissionDeniedError),
        (404, "NoSuchBucket", errors.ConfigurationError),
        (400, "InvalidBucketName", errors.ConfigurationError),
        (400, "KMS.DisabledException", errors.ConfigurationError),
        (400, "InvalidStorageClass", errors.ConfigurationError),
        (400, "EntityTooLarge", errors.TooLargeError),
        (413, "SomethingNew", errors.TooLargeError),
        (400, "KeyTooLongError", errors.InvalidPathError),
        (403, "QuotaExceeded", errors.StorageFullError),
        (501, "NotImplemented", errors.NotSupportedError),
        (405, "MethodNotAllowed", errors.NotSupportedError),
        (400, "SomethingNew", errors.StorageError),
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
        (503, "SlowDown"),
        (429, "TooManyRequests"),
        (503, "RequestLimitExceeded"),
        (400, "KMS.ThrottlingException"),
        (409, "ConditionalRequestConflict"),
        (409, "OperationAborted"),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
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
    ("status", "code"), [(500, "InternalError"), (503, "ServiceUnavailable"), (502, "New")]
)
async def test_a_failed_server_leaves_the_outcome_of_a_write_open(status: int, code: str) -> None:
    error = await put_error(refusal(status, code))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert error.outcome_unknown


async def test_a_failed_server_leaves_no_outcome_of_a_read() -> None:
    async with stub_s3(lambda request, number: refusal(500, "InternalError")) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            async with storage.get("a"):
                pass
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_the_store_says_when_to_come_back() -> None:
    assert (await put_error(refusal(503, "SlowDown"))).retry_after is None
    assert (await put_error(refusal(503, "SlowDown", retry_after="7"))).retry_after == 7.0
    past = await put_error(refusal(503, "SlowDown", retry_after="Mon, 01 Jan 2024 00:00:00 GMT"))
    assert past.retry_after == 0.0
    assert (await put_error(refusal(503, "SlowDown", retry_after="soon"))).retry_after is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (IfAbsent(), errors.AlreadyExistsError),
        (IfMatch(Version('"1"')), errors.PreconditionError),
    ],
)
async def test_a_failed_condition_says_which(
    condition: WriteCondition, expected: type[errors.StorageError]
) -> None:
    error = await put_error(refusal(412, "PreconditionFailed"), condition=condition)
    assert type(error) is expected
    assert not error.retryable


async def test_a_write_over_a_version_of_nothing_is_a_failed_condition() -> None:
    error = await put_error(refusal(404, "NoSuchKey"), condition=IfMatch(Version('"1"')))
    assert type(error) is errors.PreconditionError


async def test_an_error_in_a_successful_answer_to_a_copy_is_seen() -> None:
    broken = answer(200, b"<Error><Code>InternalError</Code></Error>")
    async with stub_s3(lambda request, number: broken) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.copy("a", "b")
    assert caught.value.retryable
    assert caught.value.outcome_unknown


async def test_another_region_is_named() -> None:
    refused = refusal(301, "PermanentRedirect", x_amz_bucket_region="eu-west-3")
    async with stub_s3(lambda request, number: refused) as storage:
        with pytest.raises(errors.ConfigurationError, match=r"eu-west-3.*region_name"):
            await storage.put("a", b"")


async def test_a_web_server_is_not_taken_for_a_store_without_the_object() -> None:
    page = answer(404, b"<html>Not here</html>", content_type="text/html")
    async with stub_s3(lambda request, number: page) as storage:
        with pytest.raises(errors.ConfigurationError, match="does not answer like S3"):
            async with storage.get("a"):
                pass
        with pytest.raises(errors.ConfigurationError, match="does not answer like S3"):
            _ = [page async for page in storage.list_pages("")]


async def test_an_answer_that_is_no_listing_is_no_empty_listing() -> None:
    page = answer(200, b"<html>Welcome<html>", content_type="text/html")
    async with stub_s3(lambda request, number: page) as storage:
        with pytest.raises(errors.UnavailableError):
            _ = [page async for page in storage.list_pages("")]


async def test_a_look_refused_without_a_reason_is_no_missing_object() -> None:
    async with stub_s3(lambda request, number: answer(400)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="expired"):
            await storage.head("a")


async def test_a_store_out_of_reach_is_retryable_and_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with aclosing(s3_at(endpoint)) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("a", b"")
    assert endpoint in caught.value.message
    assert "endpoint_url" in caught.value.message
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_a_host_without_address_is_out_of_reach() -> None:
    async with aclosing(s3_at("http://no-such-host.invalid")) as storage:
        with pytest.raises(errors.UnavailableError, match=r"no-such-host\.invalid"):
            await storage.head("a")


async def test_a_silent_store_is_a_timeout_with_an_open_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with aclosing(s3_at(endpoint, read_timeout=0.3)) as storage:
            with pytest.raises(errors.StorageTimeoutError) as caught:
                await storage.put("a", b"")
    assert caught.value.retryable
    assert caught.value.outcome_unknown


async def test_a_lost_answer_leaves_the_outcome_open_and_nothing_is_sent_again() -> None:
    """aiohttp would send a PUT again, and a conditional one would meet itself."""

    def reply(request: Request, number: int) -> bytes:
        return answer(200, etag='"1"') if number == 1 else b""

    requests: list[Request] = []
    async with stub_s3(reply, requests=requests) as storage:
        await storage.put("a", b"")
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("b", b"", condition=IfAbsent())
    assert [request.target for request in requests] == ["/bucket/a", "/bucket/b"]
    assert caught.value.retryable
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("sent", [0, 3])
async def test_a_body_cut_short_is_an_error(sent: int) -> None:
    headers = {"etag": '"1"', "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}

    def reply(request: Request, number: int) -> bytes:
        return answer(200, b"12345678", **headers)[: sent - 8]

    async with stub_s3(reply, hang_up=True) as storage, storage.get("a") as reader:
        with pytest.raises(errors.UnavailableError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_a_body_with_another_checksum_is_an_error() -> None:
    headers = {
        "etag": '"1"',
        "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT",
        "x_amz_checksum_crc32": "AAAAAA==",
    }
    async with (
        stub_s3(lambda request, number: answer(200, b"damaged", **headers)) as storage,
        storage.get("a") as reader,
    ):
        with pytest.raises(errors.UnavailableError) as caught:
            await reader.read()
    assert not caught.value.retryable


async def test_a_body_that_stops_coming_is_a_timeout() -> None:
    headers = {"etag": '"1"', "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"}

    def reply(request: Request, number: int) -> bytes:
        return answer(200, b"12345678", **headers)[:-2]

    async with stub_s3(reply, read_timeout=0.3) as storage, storage.get("a") as reader:
        with pytest.raises(errors.StorageTimeoutError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_no_credentials_are_asked_for_by_name() -> None:
    async with aclosing(S3Storage(bucket="bucket", endpoint_url="http://127.0.0.1:9")) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="AWS_ACCESS_KEY_ID"):
            await storage.head("a")


async def test_an_unknown_profile_is_the_servers_credentials() -> None:
    async with aclosing(S3Storage(bucket="bucket", profile_name="nobody")) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="profile"):
            await storage.head("a")


async def test_a_missing_token_file_is_the_servers_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/file")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/notebooks")
    async with aclosing(S3Storage(bucket="bucket", region_name="us-east-1")) as storage:
        with pytest.raises(errors.UnauthenticatedError):
            await storage.head("a")


async def test_a_refused_role_is_the_servers_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>"
    async with stub_server(lambda request, number: answer(403, denied)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", endpoint)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", __file__)
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/notebooks")
        async with aclosing(S3Storage(bucket="bucket", region_name="us-east-1")) as storage:
            with pytest.raises(errors.UnauthenticatedError):
                await storage.head("a")


async def test_an_endpoint_of_the_environment_that_is_no_url_is_a_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "minio")
    async with aclosing(S3Storage(bucket="bucket", **KEYS)) as storage:
        with pytest.raises(errors.ConfigurationError, match="AWS_ENDPOINT_URL"):
            await storage.head("a")


async def test_metadata_that_cannot_be_sent_is_refused_here(
    moto_server: MotoServer, make_s3: MakeS3
) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        with pytest.raises(errors.StorageError) as caught:
            await storage.put("a", b"", metadata={"name": "é"})
    assert not caught.value.retryable
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("server", ["moto_server", "seaweed_server"])
async def test_a_missing_bucket_is_a_fault_and_no_missing_object(
    server: str, request: pytest.FixtureRequest
) -> None:
    found = request.getfixturevalue(server)
    keys = {"access_key_id": found.access_key, "secret_access_key": found.secret_key}
    options = {"bucket": "no-such-bucket", "endpoint_url": found.endpoint_url, **keys}

    async def check(action: Any) -> None:
        async with aclosing(S3Storage(**options)) as storage:
            with pytest.raises(errors.ConfigurationError, match="'no-such-bucket' does not exist"):
                await action(storage)

    async def read(storage: S3Storage) -> None:
        async with storage.get("a"):
            pass

    async def look_twice(storage: S3Storage) -> None:
        with pytest.raises(errors.ConfigurationError):
            await storage.head("a")
        await storage.head("a")

    async def list_all(storage: S3Storage) -> None:
        _ = [page async for page in storage.list_pages("")]

    for action in (read, look_twice, list_all):
        await check(action)
    await check(lambda storage: storage.put("a", b""))
    await check(lambda storage: storage.copy("a", "b"))
    await check(lambda storage: storage.delete_many(["a"]))


async def test_the_bucket_is_looked_for_once(moto_server: MotoServer, make_s3: MakeS3) -> None:
    async with aclosing(make_s3(moto_server)) as storage:
        sent = await record(storage)
        for _ in range(3):
            with pytest.raises(errors.NotFoundError, match="'a' does not exist"):
                await storage.head("a")
    assert sent.operations == ["HeadObject", "HeadBucket", "HeadObject", "HeadObject"]


async def test_a_wrong_secret_is_the_servers_credentials(seaweed_server: SeaweedServer) -> None:
    keys = {"access_key_id": seaweed_server.access_key, "secret_access_key": "SECRETSECRET"}
    async with aclosing(s3_at(seaweed_server.endpoint_url, **keys)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="secret key") as caught:
            await storage.put("a", b"")
    assert "SECRETSECRET" not in str(caught.value)


async def test_an_unknown_key_is_the_servers_credentials(seaweed_server: SeaweedServer) -> None:
    async with aclosing(s3_at(seaweed_server.endpoint_url)) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="access key") as caught:
            await storage.put("a", b"")
    for secret in KEYS.values():
        assert secret not in str(caught.value)


async def test_an_anonymous_request_to_a_private_bucket_is_denied(
    seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    async with aclosing(
        make_s3(seaweed_server, anonymous=True, access_key_id="", secret_access_key="")
    ) as storage:
        with pytest.raises(errors.PermissionDeniedError, match="administrator"):
            await storage.put("a", b"")
