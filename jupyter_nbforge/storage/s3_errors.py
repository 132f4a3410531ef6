"""The one table from what S3 and its SDK answer to the errors of the storage interface.

Decided by error code, HTTP status and exception type, never by message text. The codes are
those of https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and of stores
that speak S3.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from .errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidPathError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    StorageFullError,
    StorageTimeoutError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from .refusals import Call, Rule, error_of, retry_seconds
from .types import IfAbsent, IfMatch

if TYPE_CHECKING:
    from botocore.exceptions import ClientError


_CHECK_KEYS = "check the server's AWS credentials (environment, profile or role)."

_NO_BUCKET = Rule(
    ConfigurationError, "The bucket {bucket!r} does not exist at {endpoint}; check storage_url."
)
_NO_OBJECT = Rule(NotFoundError, "{path} does not exist.")
_NO_UPLOAD = Rule(NotFoundError, "The upload of {path} has ended or was aborted.")
_DENIED = Rule(
    PermissionDeniedError,
    "The store does not allow this on {path} in the bucket {bucket!r}; "
    "ask your administrator for the permission ({code}).",
)
_CHANGED = Rule(PreconditionError, "{path} was changed meanwhile.")
_EXISTS = Rule(AlreadyExistsError, "{path} exists already.")
_NOT_MODIFIED = Rule(NotModifiedError, "{path} has not changed.")
_BAD_KEY = Rule(UnauthenticatedError, "The store does not accept the access key; " + _CHECK_KEYS)
_BAD_SECRET = Rule(
    UnauthenticatedError, "The secret key does not belong to the access key; " + _CHECK_KEYS
)
_EXPIRED = Rule(
    UnauthenticatedError, "The server's credentials for {endpoint} have expired; renew them.", True
)
"""Retryable: they are looked for anew before the next attempt."""
_CLOCK = Rule(
    UnauthenticatedError,
    "The clock of this server differs too much from the store's; set it right.",
)
_NO_CREDENTIALS = Rule(
    UnauthenticatedError,
    "The server has no usable credentials for S3 ({code}); set AWS_ACCESS_KEY_ID and "
    "AWS_SECRET_ACCESS_KEY, a profile or a role, or S3Storage.anonymous for a public bucket.",
)
_REGION = Rule(
    ConfigurationError,
    "The bucket {bucket!r} is in another region ({region}); set S3Storage.region_name to it.",
)
_BAD_BUCKET = Rule(ConfigurationError, "{bucket!r} is not a bucket name; check storage_url.")
_ENCRYPTION = Rule(
    ConfigurationError,
    "The store refuses the encryption key or storage class ({code}); check "
    "S3Storage.sse_kms_key_id, server_side_encryption and storage_class.",
)
_NOT_S3 = Rule(
    ConfigurationError,
    "{endpoint} does not answer like S3 ({code}); check S3Storage.endpoint_url.",
)
_UNEXPLAINED = Rule(
    UnauthenticatedError,
    "The store refused to look at {path} without a reason (HTTP 400); the session token may "
    "have expired or S3Storage.region_name be wrong.",
    True,
)
_SLOW_DOWN = Rule(UnavailableError, "The store asks to slow down; try again.", True)
_CONFLICT = Rule(UnavailableError, "{path} is being written by another; try again.", True)
_DAMAGED = Rule(UnavailableError, "The data was damaged on the way; try again ({code}).", True)
_DAMAGED_BODY = Rule(UnavailableError, "{path} arrived damaged; open it again ({code}).")
"""Not retryable: a read that goes on behind the damage would never see it again."""
_BROKEN = Rule(
    UnavailableError, "The store at {endpoint} has a problem ({code}); try again.", True, False
)
_TOO_LARGE = Rule(TooLargeError, "{path} is larger than the store takes ({code}).")
_TOO_LONG = Rule(InvalidPathError, "The store does not take {path} as a path ({code}).")
_FULL = Rule(
    StorageFullError,
    "The storage is full and takes nothing more; delete files or ask for more room ({code}).",
)
_ARCHIVED = Rule(NotSupportedError, "{path} is archived; it must be restored before it is read.")
_NOT_OFFERED = Rule(NotSupportedError, "The store at {endpoint} does not offer this ({code}).")
_INVALID = Rule(StorageError, "The store refused the request for {path} as invalid ({code}).")

_CODES: Mapping[str, Rule] = {
    "NoSuchBucket": _NO_BUCKET,
    "NoSuchKey": _NO_OBJECT,
    "NoSuchVersion": _NO_OBJECT,
    "NoSuchUpload": _NO_UPLOAD,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "AccountProblem": _DENIED,
    "InvalidAccessKeyId": _BAD_KEY,
    "InvalidToken": _BAD_KEY,
    "InvalidSecurity": _BAD_KEY,
    "NotSignedUp": _BAD_KEY,
    "SignatureDoesNotMatch": _BAD_SECRET,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "RequestTimeTooSkewed": _CLOCK,
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "IncorrectEndpoint": _REGION,
    "InvalidBucketName": _BAD_BUCKET,
    "InvalidStorageClass": _ENCRYPTION,
    "InvalidEncryptionAlgorithmError": _ENCRYPTION,
    "KMS.DisabledException": _ENCRYPTION,
    "KMS.InvalidKeyUsageException": _ENCRYPTION,
    "KMS.KMSInvalidStateException": _ENCRYPTION,
    "KMS.NotFoundException": _ENCRYPTION,
    "KMS.ThrottlingException": _SLOW_DOWN,
    "SlowDown": _SLOW_DOWN,
    "RequestLimitExceeded": _SLOW_DOWN,
    "RequestThrottled": _SLOW_DOWN,
    "RequestThrottledException": _SLOW_DOWN,
    "Throttling": _SLOW_DOWN,
    "ThrottlingException": _SLOW_DOWN,
    "ThrottledException": _SLOW_DOWN,
    "TooManyRequests": _SLOW_DOWN,
    "TooManyRequestsException": _SLOW_DOWN,
    "BandwidthLimitExceeded": _SLOW_DOWN,
    "ConditionalRequestConflict": _CONFLICT,
    "OperationAborted": _CONFLICT,
    "BadDigest": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "XAmzContentSHA256Mismatch": _DAMAGED,
    "XAmzContentChecksumMismatch": _DAMAGED,
    "RequestTimeout": _DAMAGED,
    "InternalError": _BROKEN,
    "ServiceUnavailable": _BROKEN,
    "EntityTooLarge": _TOO_LARGE,
    "MetadataTooLarge": _TOO_LARGE,
    "KeyTooLongError": _TOO_LONG,
    "InvalidURI": _TOO_LONG,
    "XMinioInvalidObjectName": _TOO_LONG,
    "QuotaExceeded": _FULL,
    "QuotaExceededException": _FULL,
    "XMinioStorageFull": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "InvalidObjectState": _ARCHIVED,
    "NotImplemented": _NOT_OFFERED,
    "MethodNotAllowed": _NOT_OFFERED,
}

# A HEAD has no body and so no code: botocore then puts the status in its place.
_STATUSES: Mapping[int, Rule] = {
    301: _REGION,
    307: _REGION,
    400: _INVALID,
    401: _BAD_KEY,
    403: _DENIED,
    405: _NOT_OFFERED,
    409: _CONFLICT,
    413: _TOO_LARGE,
    429: _SLOW_DOWN,
    501: _NOT_OFFERED,
    507: _FULL,
}

_UNREACHABLE = Rule(
    UnavailableError,
    "The store at {endpoint} cannot be reached; check S3Storage.endpoint_url.",
    True,
)
_TLS = Rule(
    ConfigurationError,
    "The certificate of {endpoint} is not trusted; check S3Storage.ca_bundle and endpoint_url.",
)
_PROXY = Rule(
    UnavailableError, "The proxy to {endpoint} cannot be reached; check its settings.", True
)
_TIMEOUT = Rule(StorageTimeoutError, "The store at {endpoint} did not answer in time.", True, False)
_LOST = Rule(UnavailableError, "The connection to {endpoint} was lost; try again.", True, False)
_GARBLED = Rule(
    UnavailableError,
    "{endpoint} gave an answer that is not S3's; check S3Storage.endpoint_url.",
    True,
    False,
)
_MISCONFIGURED = Rule(
    ConfigurationError, "The S3 client is configured wrongly ({code}); check region and endpoint."
)
_REFUSED_HERE = Rule(StorageError, "The request for {path} cannot be sent to S3 ({code}).")

_CREDENTIAL_OPERATIONS = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "CreateOAuth2Token",
        "CreateToken",
        "GetRoleCredentials",
        "GetSessionToken",
    }
)
"""Calls that the SDK makes to get credentials; their AccessDenied is not about an object."""

_BODILESS_OPERATIONS = frozenset({"HeadObject", "HeadBucket", "DeleteObject"})


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Turn what the SDK raises inside into storage errors: the one place where that is done."""
    try:
        yield
    except _sdk_errors() as error:
        raise _translate(error, call) from error


def refusal(code: str, call: Call) -> StorageError:
    """The error that stands for an error code inside a successful answer (of DeleteObjects)."""
    return error_of(_rule(code, 0, call), call, code=code)


@cache
def _sdk_errors() -> tuple[type[Exception], ...]:
    import aiohttp
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    own = (ClientError, BotoCoreError, ResponseParserError)
    return (*own, aiohttp.ClientError, asyncio.TimeoutError, OSError)


@cache
def _types() -> tuple[tuple[tuple[type[BaseException], ...], Rule], ...]:
    """What an exception without an answer means; the first match counts."""
    import aiohttp
    from botocore import exceptions as sdk
    from botocore.parsers import ResponseParserError

    credentials = (
        sdk.NoCredentialsError,
        sdk.PartialCredentialsError,
        sdk.CredentialRetrievalError,
        sdk.MetadataRetrievalError,
        sdk.NoAuthTokenError,
        sdk.ProfileNotFound,
        sdk.RefreshWithMFAUnsupportedError,
        sdk.SSOError,
        sdk.TokenRetrievalError,
        sdk.UnknownCredentialError,
        sdk.InvalidConfigError,
    )
    # A connector error comes before a byte was sent; other connection errors may come after.
    unreachable = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, socket.gaierror)
    timeout = (asyncio.TimeoutError, sdk.ReadTimeoutError)
    damaged = (sdk.FlexibleChecksumError, sdk.ChecksumError)
    lost = (sdk.HTTPClientError, sdk.ConnectionError, sdk.IncompleteReadError)
    return (
        (credentials, _NO_CREDENTIALS),
        ((aiohttp.ClientConnectorCertificateError, ssl.SSLError), _TLS),
        ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), _PROXY),
        (unreachable, _UNREACHABLE),
        (timeout, _TIMEOUT),
        ((ResponseParserError,), _GARBLED),
        (damaged, _DAMAGED_BODY),
        ((*lost, aiohttp.ClientError, OSError), _LOST),
        ((sdk.ParamValidationError,), _REFUSED_HERE),
        ((sdk.BotoCoreError,), _MISCONFIGURED),
    )


def _translate(error: Exception, call: Call) -> StorageError:
    from botocore.exceptions import ClientError

    if isinstance(error, ClientError):
        return _from_answer(error, call)
    if isinstance(error, FileNotFoundError | PermissionError):
        # Of a token file or a credential process; what sending raises is wrapped.
        return error_of(_NO_CREDENTIALS, call, code=type(error).__name__)
    # The SDK wraps the HTTP library's error, which alone tells whether anything was sent.
    inner = getattr(error, "kwargs", {}).get("error")
    for candidate in (inner, error):
        for types, rule in _types():
            if isinstance(candidate, types):
                return error_of(rule, call, code=type(error).__name__)
    return error_of(_LOST, call, code=type(error).__name__)


def _from_answer(error: ClientError, call: Call) -> StorageError:
    answer: Mapping[str, Any] = error.response
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    if error.operation_name in _CREDENTIAL_OPERATIONS and status < 500:
        rule = _NO_CREDENTIALS
    elif error.operation_name == "HeadBucket" and status == 404:
        rule = _NO_BUCKET
    else:
        rule = _rule(code, status, call, bodiless=error.operation_name in _BODILESS_OPERATIONS)
    region = headers.get("x-amz-bucket-region") or answer.get("Error", {}).get("Region")
    return error_of(
        rule,
        call,
        code=code or str(status),
        region=region or "the store does not say which",
        retry_after=retry_seconds(headers),
    )


def _rule(code: str, status: int, call: Call, *, bodiless: bool = False) -> Rule:
    missing = code == "NoSuchKey" or (code == "404" and bodiless)
    if status == 304:
        return _NOT_MODIFIED
    if status == 412 or code == "PreconditionFailed":
        return _EXISTS if isinstance(call.condition, IfAbsent) else _CHANGED
    if missing:
        # AWS answers a write with If-Match on nothing with 404.
        return _CHANGED if call.write and isinstance(call.condition, IfMatch) else _NO_OBJECT
    if status == 404 and code not in _CODES:
        return _NOT_S3
    if code == "400" and bodiless:
        return _UNEXPLAINED
    return _CODES.get(code) or _STATUSES.get(status) or (_BROKEN if status >= 500 else _INVALID)
