"""What GCSStorage makes of refusals and failures: class, sentence, and whether to try again."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import errors
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.gcs_session import load_credentials
from jupyter_nbforge.storage.types import IfAbsent, IfMatch, Version, WriteCondition
from jupyter_nbforge.testing.certificates import write_certificate
from jupyter_nbforge.testing.gcs_server import FakeGCSServer, SigningKey, service_account_info
from jupyter_nbforge.testing.processes import free_port

from .conftest import MakeGCS
from .gcs_stub import (
    BODY_HEADERS,
    found,
    gcs_at,
    place,
    refusal,
    resource,
    stub_gcs,
    xml_refusal,
)
from .stub import Request, answer, stub_server

SIGNER = "tests%40nbforge.iam.gserviceaccount.com"


async def put_error(data: bytes, *, condition: WriteCondition | None = None) -> errors.StorageError:
    """What a put raises where the server answers with `data`."""
    requests: list[Request] = []
    async with stub_gcs(lambda request, number: data, requests=requests) as storage:
        with pytest.raises(errors.StorageError) as caught:
            await storage.put("a", b"data", condition=condition)
    assert len(requests) == 1
    assert "text that may change" not in caught.value.message
    return caught.value


async def get_error(data: bytes) -> errors.StorageError:
    """What a get raises where the server answers with `data`."""
    async with stub_gcs(lambda request, number: data) as storage:
        with pytest.raises(errors.StorageError) as caught:
            async with storage.get("a"):
                pass
    assert "text that may change" not in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (401, "authError", errors.UnauthenticatedError),
        (401, "required", errors.UnauthenticatedError),
        (403, "forbidden", errors.PermissionDeniedError),
        (403, "insufficientPermissions", errors.PermissionDeniedError),
        (403, "accountDisabled", errors.PermissionDeniedError),
        (403, "somethingNew", errors.PermissionDeniedError),
        (403, "retentionPolicyNotMet", errors.PermissionDeniedError),
        (403, "objectUnderActiveHold", errors.PermissionDeniedError),
        (412, "orgPolicyConstraintFailed", errors.PermissionDeniedError),
        (404, "notFound", errors.ConfigurationError),
        (400, "userProjectMissing", errors.ConfigurationError),
        (400, "required", errors.ConfigurationError),
        (403, "userProjectAccessDenied", errors.ConfigurationError),
        (400, "cloudKmsBadKey", errors.ConfigurationError),
        (400, "cloudKmsDisabledKey", errors.ConfigurationError),
        (403, "cloudKmsEncryptionKeyNotFound", errors.ConfigurationError),
        (403, "sslRequired", errors.ConfigurationError),
        (302, "", errors.ConfigurationError),
        (413, "uploadTooLarge", errors.TooLargeError),
        (413, "somethingNew", errors.TooLargeError),
        (405, "methodNotAllowed", errors.NotSupportedError),
        (501, "notImplemented", errors.NotSupportedError),
        (400, "invalid", errors.StorageError),
        (400, "somethingNew", errors.StorageError),
    ],
)
async def test_a_refusal_is_final(
    status: int, reason: str, expected: type[errors.StorageError]
) -> None:
    error = await put_error(refusal(status, reason))
    assert type(error) is expected
    assert not error.retryable
    assert not error.outcome_unknown
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (429, "rateLimitExceeded"),
        (429, "somethingNew"),
        (403, "rateLimitExceeded"),
        (403, "userRateLimitExceeded"),
        (403, "quotaExceeded"),
        (403, "dailyLimitExceeded"),
        (409, "conflict"),
    ],
)
async def test_a_request_to_come_back_is_retryable_and_surely_not_done(
    status: int, reason: str
) -> None:
    error = await put_error(refusal(status, reason))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "internalError"),
        (502, "backendError"),
        (503, "backendError"),
        (504, "gatewayTimeout"),
        (408, "requestTimeout"),
        (599, ""),
    ],
)
async def test_a_failed_server_leaves_the_outcome_of_a_write_open(status: int, reason: str) -> None:
    error = await put_error(refusal(status, reason))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert error.outcome_unknown


async def test_a_failed_server_leaves_no_outcome_of_a_read() -> None:
    error = await get_error(xml_refusal(500, "InternalError"))
    assert type(error) is errors.UnavailableError
    assert error.retryable
    assert not error.outcome_unknown


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (404, "NoSuchKey", errors.NotFoundError),
        (404, "NoSuchBucket", errors.ConfigurationError),
        (403, "AccessDenied", errors.PermissionDeniedError),
        (401, "AuthenticationRequired", errors.UnauthenticatedError),
        (400, "ExpiredToken", errors.UnauthenticatedError),
        (400, "UserProjectMissing", errors.ConfigurationError),
        (429, "SlowDown", errors.UnavailableError),
        (503, "SlowDown", errors.UnavailableError),
        (400, "KeyTooLong", errors.InvalidPathError),
        (304, "", errors.NotModifiedError),
    ],
)
async def test_the_xml_api_has_words_of_its_own(
    status: int, code: str, expected: type[errors.StorageError]
) -> None:
    error = await get_error(xml_refusal(status, code) if code else answer(status))
    assert type(error) is expected


async def test_the_store_says_when_to_come_back() -> None:
    slow = "rateLimitExceeded"
    assert (await put_error(refusal(429, slow))).retry_after is None
    assert (await put_error(refusal(429, slow, retry_after="7"))).retry_after == 7.0
    assert (await put_error(refusal(503, slow, retry_after="soon"))).retry_after is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (IfAbsent(), errors.AlreadyExistsError),
        (IfMatch(Version("1")), errors.PreconditionError),
    ],
)
async def test_a_failed_condition_says_which(
    condition: WriteCondition, expected: type[errors.StorageError]
) -> None:
    error = await put_error(refusal(412, "conditionNotMet"), condition=condition)
    assert type(error) is expected
    assert not error.retryable


async def test_a_write_over_a_version_of_nothing_is_a_failed_condition() -> None:
    error = await put_error(refusal(404, "notFound"), condition=IfMatch(Version("1")))
    assert type(error) is errors.PreconditionError


@pytest.mark.parametrize("version", ["", "0", "-1", "01x", '"etag"', "9" * 19, "9" * 30, "²"])
async def test_what_is_no_generation_matches_nothing_and_is_not_sent(version: str) -> None:
    requests: list[Request] = []
    condition = IfMatch(Version(version))
    async with stub_gcs(lambda request, number: answer(500), requests=requests) as storage:
        with pytest.raises(errors.PreconditionError):
            await storage.put("a", b"", condition=condition)
        with pytest.raises(errors.PreconditionError):
            await storage.delete("a", condition=condition)
        with pytest.raises(errors.PreconditionError):
            await storage.copy("a", "b", condition=condition)
        with pytest.raises(errors.PreconditionError):
            await storage.copy("a", "b", source_version=condition.version)
    assert requests == []


async def test_a_denial_says_that_the_bucket_may_be_wrong() -> None:
    error = await put_error(refusal(403, "forbidden"))
    assert "no such bucket" in error.message
    assert "storage_url" in error.message


async def test_a_web_server_is_not_taken_for_a_store_without_the_object() -> None:
    page = answer(404, b"<html>Not here</html>", content_type="text/html")
    async with stub_gcs(lambda request, number: page) as storage:
        with pytest.raises(errors.ConfigurationError, match="does not answer like Cloud Storage"):
            await storage.head("a")
        with pytest.raises(errors.ConfigurationError, match="does not answer like Cloud Storage"):
            async with storage.get("a"):
                pass
        with pytest.raises(errors.ConfigurationError, match="does not answer like Cloud Storage"):
            _ = [page async for page in storage.list_pages("")]


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"[]", b'"text"', b"{}", b"\xff"])
async def test_a_success_that_says_something_else_is_an_error(body: bytes) -> None:
    page = answer(200, body, content_type="text/html")
    async with stub_gcs(lambda request, number: page) as storage:
        with pytest.raises(errors.UnavailableError, match="endpoint_url"):
            _ = [page async for page in storage.list_pages("")]
        with pytest.raises(errors.UnavailableError, match="endpoint_url"):
            await storage.head("a")
        with pytest.raises(errors.UnavailableError, match="endpoint_url"):
            async with storage.get("a"):
                pass
        with pytest.raises(errors.UnavailableError, match="endpoint_url") as caught:
            await storage.put("a", b"")
        assert caught.value.outcome_unknown


async def test_a_redirect_is_not_followed() -> None:
    requests: list[Request] = []
    moved = answer(302, location="http://127.0.0.1:9/elsewhere")
    async with stub_gcs(lambda request, number: moved, requests=requests) as storage:
        for action in (storage.head("a"), storage.put("a", b""), storage.delete("a")):
            with pytest.raises(errors.ConfigurationError):
                await action
    assert len(requests) == 3


async def test_a_store_out_of_reach_is_retryable_and_named() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    async with aclosing(gcs_at(endpoint)) as storage:
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("a", b"")
    assert endpoint in caught.value.message
    assert "endpoint_url" in caught.value.message
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_a_host_without_address_is_out_of_reach() -> None:
    async with aclosing(gcs_at("http://no-such-host.invalid")) as storage:
        with pytest.raises(errors.UnavailableError, match=r"no-such-host\.invalid") as caught:
            await storage.put("a", b"")
    assert not caught.value.outcome_unknown


async def test_a_proxy_out_of_reach_is_named_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    async with aclosing(gcs_at("http://store.invalid")) as storage:
        with pytest.raises(errors.UnavailableError, match="proxy") as caught:
            await storage.put("a", b"")
    assert caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_a_silent_store_is_a_timeout_with_an_open_outcome() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        async with aclosing(gcs_at(endpoint, read_timeout=0.3)) as storage:
            with pytest.raises(errors.StorageTimeoutError) as caught:
                await storage.put("a", b"")
    assert caught.value.retryable
    assert caught.value.outcome_unknown


async def test_a_lost_answer_leaves_the_outcome_open_and_nothing_is_sent_again() -> None:
    def reply(request: Request, number: int) -> bytes:
        return found(resource()) if number == 1 else b""

    requests: list[Request] = []
    async with stub_gcs(reply, requests=requests) as storage:
        await storage.put("a", b"")
        with pytest.raises(errors.UnavailableError) as caught:
            await storage.put("b", b"", condition=IfAbsent())
    assert [place(request) for request in requests] == ["POST /upload/o", "POST /upload/o"]
    assert caught.value.retryable
    assert caught.value.outcome_unknown


@pytest.mark.parametrize("sent", [0, 3])
async def test_a_body_cut_short_is_an_error(sent: int) -> None:
    def reply(request: Request, number: int) -> bytes:
        return answer(200, b"12345678", **BODY_HEADERS)[: sent - 8]

    async with stub_gcs(reply, hang_up=True) as storage, storage.get("a") as reader:
        with pytest.raises(errors.UnavailableError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_a_body_cut_short_is_an_error_without_a_length_too() -> None:
    def reply(request: Request, number: int) -> bytes:
        body = answer(200, b"", transfer_encoding="chunked", **BODY_HEADERS)
        return body.replace(b"content-length: 0\r\n", b"") + b"3\r\n123\r\n0\r\n\r\n"

    async with stub_gcs(reply) as storage, storage.get("a") as reader:
        with pytest.raises(errors.UnavailableError) as caught:
            await reader.read()
    assert caught.value.retryable


async def test_a_body_with_another_checksum_is_an_error_and_never_whole() -> None:
    damaged = answer(200, b"damaged!", x_goog_hash="crc32c=AAAAAA==,md5=AA==", **BODY_HEADERS)
    seen = b""
    async with (
        stub_gcs(lambda request, number: damaged) as storage,
        storage.get("a") as reader,
    ):
        with pytest.raises(errors.UnavailableError, match="damaged") as caught:  # noqa: PT012
            async for chunk in reader.chunks:
                seen += chunk
    assert not caught.value.retryable
    assert seen == b""


async def test_a_body_that_stops_coming_is_a_timeout() -> None:
    def reply(request: Request, number: int) -> bytes:
        return answer(200, b"12345678", **BODY_HEADERS)[:-2]

    async with stub_gcs(reply, read_timeout=0.3) as storage, storage.get("a") as reader:
        with pytest.raises(errors.StorageTimeoutError) as caught:
            await reader.read()
    assert caught.value.retryable


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_a_certificate_of_nobody_known_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = write_certificate(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with stub_server(lambda request, number: found(resource()), tls=tls) as endpoint:
        async with aclosing(gcs_at(endpoint)) as storage:
            with pytest.raises(errors.ConfigurationError, match="ca_bundle") as caught:
                await storage.put("a", b"")
        assert not caught.value.retryable
        # What is configured counts more than the variable, which names another file.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
        trusting = {"ca_bundle": str(certificate)}
        for options in (trusting, {"verify_tls": False}):
            async with aclosing(gcs_at(endpoint, **options)) as storage:
                assert (await storage.put("a", b"")).path == "a"


# Credentials.


async def test_no_credentials_are_asked_for_by_name() -> None:
    async with aclosing(GCSStorage(bucket="bucket")) as storage:
        with pytest.raises(errors.UnauthenticatedError, match="credentials_file"):
            await storage.head("a")


async def test_the_sdks_default_credentials_are_used(
    make_gcs: MakeGCS, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = make_gcs()
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", usual.credentials_file)
    options = {"bucket": usual.bucket, "endpoint_url": usual.endpoint_url}
    async with aclosing(GCSStorage(**options)) as storage:
        await storage.put("a", b"")
        assert SIGNER in await storage.get_presigned_url("a")


async def test_a_file_that_holds_no_credentials_is_the_servers_credentials(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    for text in (
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"type": "service_account", "private_key": "SECRETSECRET"}',
        b'{"type": "impersonated_service_account"}',
        b'{"type": "external_account", "audience": 1, "token_url": 2}',
    ):
        file.write_bytes(text)
        async with aclosing(GCSStorage(bucket="bucket", credentials_file=str(file))) as storage:
            with pytest.raises(errors.UnauthenticatedError) as caught:
                await storage.head("a")
        assert "SECRETSECRET" not in str(caught.value)


def account_at(tmp_path: Path, token_uri: str) -> dict[str, Any]:
    """The options of a storage whose tokens come from there."""
    file = tmp_path / "account.json"
    account = {**service_account_info(SigningKey.generate()), "token_uri": token_uri}
    file.write_text(json.dumps(account))
    return {"credentials_file": str(file)}


def test_an_account_may_change_data_and_not_who_may(tmp_path: Path) -> None:
    storage = GCSStorage(bucket="bucket", **account_at(tmp_path, "http://127.0.0.1:9/token"))
    scope = "https://www.googleapis.com/auth/devstorage.read_write"
    assert load_credentials(storage.client_options()).scopes == [scope]


async def test_a_refused_account_is_the_servers_credentials(tmp_path: Path) -> None:
    denied = answer(400, b'{"error": "invalid_grant", "error_description": "text"}')
    async with (
        stub_server(lambda request, number: denied) as tokens,
        stub_gcs(lambda request, number: answer(500), **account_at(tmp_path, tokens)) as storage,
    ):
        with pytest.raises(errors.UnauthenticatedError, match="renewed") as caught:
            await storage.put("a", b"")
    assert not caught.value.retryable
    assert not caught.value.outcome_unknown


async def test_a_service_of_tokens_that_fails_may_come_back(tmp_path: Path) -> None:
    failing = answer(503, b'{"error": "temporarily_unavailable"}')
    async with (
        stub_server(lambda request, number: failing) as tokens,
        stub_gcs(lambda request, number: answer(500), **account_at(tmp_path, tokens)) as storage,
    ):
        with pytest.raises(errors.UnavailableError, match="credentials") as caught:
            await storage.put("a", b"")
    assert caught.value.retryable


async def test_tokens_out_of_reach_may_come_back(tmp_path: Path) -> None:
    requests: list[Request] = []
    options = account_at(tmp_path, f"http://127.0.0.1:{free_port()}")
    async with stub_gcs(
        lambda request, number: answer(500), requests=requests, **options
    ) as storage:
        with pytest.raises(errors.UnavailableError, match="credentials") as caught:
            await storage.put("a", b"")
    assert caught.value.retryable
    assert not caught.value.outcome_unknown
    assert requests == []


async def test_an_expired_token_is_renewed_and_the_body_sent_again(tmp_path: Path) -> None:
    tokens = iter(["first", "second"])

    def grant(request: Request, number: int) -> bytes:
        granted = {"access_token": next(tokens), "expires_in": 3600, "token_type": "Bearer"}
        return found(granted)

    def reply(request: Request, number: int) -> bytes:
        expired = request.headers["authorization"] == "Bearer first"
        return refusal(401, "authError") if expired else found(resource())

    requests: list[Request] = []
    async with (
        stub_server(grant) as endpoint,
        stub_gcs(reply, requests=requests, **account_at(tmp_path, endpoint)) as storage,
    ):
        await storage.put("a", b"data")
    assert [b"data" in request.body for request in requests] == [True, True]


async def test_many_first_calls_ask_for_one_token(tmp_path: Path) -> None:
    def grant(request: Request, number: int) -> bytes:
        return found({"access_token": "token", "expires_in": 3600, "token_type": "Bearer"})

    asked: list[Request] = []
    async with (
        stub_server(grant, requests=asked) as endpoint,
        stub_gcs(
            lambda request, number: found(resource()), **account_at(tmp_path, endpoint)
        ) as storage,
    ):
        await asyncio.gather(*(storage.head(f"a{number}") for number in range(20)))
    assert len(asked) == 1


async def test_a_password_for_the_host_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("default login me password SECRETSECRET\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests: list[Request] = []
    async with stub_gcs(lambda request, number: found(resource()), requests=requests) as storage:
        await storage.head("a")
    assert "authorization" not in requests[0].headers


# Buckets, on a real server.


async def test_a_missing_bucket_is_a_fault_and_no_missing_object(
    gcs_server: FakeGCSServer, gcs_account: Path
) -> None:
    options = {
        "bucket": "no-such-bucket",
        "endpoint_url": gcs_server.endpoint_url,
        "credentials_file": str(gcs_account),
    }

    async def check(action: Any) -> None:
        async with aclosing(GCSStorage(**options)) as storage:
            with pytest.raises(errors.ConfigurationError, match="'no-such-bucket' does not exist"):
                await action(storage)

    async def read(storage: GCSStorage) -> None:
        async with storage.get("a"):
            pass

    async def look_twice(storage: GCSStorage) -> None:
        with pytest.raises(errors.ConfigurationError):
            await storage.head("a")
        await storage.head("a")

    async def list_all(storage: GCSStorage) -> None:
        _ = [page async for page in storage.list_pages("")]

    for action in (read, look_twice, list_all):
        await check(action)
    await check(lambda storage: storage.put("a", b""))
    await check(lambda storage: storage.copy("a", "b"))
    await check(lambda storage: storage.delete("a"))
    await check(lambda storage: storage.delete_many(["a"]))


async def test_an_upload_into_a_missing_bucket_is_a_fault() -> None:
    async with stub_gcs(lambda request, number: refusal(404, "notFound")) as storage:
        with pytest.raises(errors.ConfigurationError, match="'bucket' does not exist"):
            await storage.create_multipart_upload("a")


async def test_the_bucket_is_looked_for_once() -> None:
    requests: list[Request] = []

    def reply(request: Request, number: int) -> bytes:
        listing = place(request) == "GET /o"
        return found({"kind": "storage#objects"}) if listing else refusal(404, "notFound")

    async with stub_gcs(reply, requests=requests) as storage:
        for _ in range(3):
            with pytest.raises(errors.NotFoundError, match="'a' does not exist"):
                await storage.head("a")
    assert [place(request) for request in requests] == [
        "GET /o/a",
        "GET /o",
        "GET /o/a",
        "GET /o/a",
    ]


async def test_who_may_not_list_is_told_of_a_missing_object() -> None:
    def reply(request: Request, number: int) -> bytes:
        listing = place(request) == "GET /o"
        return refusal(403, "forbidden") if listing else refusal(404, "notFound")

    async with stub_gcs(reply) as storage:
        with pytest.raises(errors.NotFoundError):
            await storage.head("a")


async def test_an_unknown_account_is_the_servers_credentials(
    gcs_server: FakeGCSServer, tmp_path: Path
) -> None:
    options = account_at(tmp_path, f"{gcs_server.endpoint_url}/oauth2/token")
    async with aclosing(gcs_at(gcs_server.endpoint_url, **options)) as storage:
        with pytest.raises(errors.UnauthenticatedError):
            await storage.put("a", b"")
