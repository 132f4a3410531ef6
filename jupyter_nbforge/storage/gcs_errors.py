"""The one table from what Cloud Storage and its SDK answer to the errors of the storage interface.

Decided by reason, HTTP status and exception type, never by message text. The reasons are
those of https://cloud.google.com/storage/docs/json_api/v1/status-codes and the codes those of
https://cloud.google.com/storage/docs/xml-api/reference-status, which answers a read.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from functools import cache
from typing import Any

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


class About(Enum):
    """What was asked about, and so what is missing where the answer is a 404."""

    OBJECT = "object"
    BUCKET = "bucket"
    UPLOAD = "upload"
    SIGNER = "signer"


class RefusedError(Exception):
    """An answer that is no success; its text, which may have a secret, is not shown."""

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        about: About = About.OBJECT,
    ) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers or {}
        self.reason = _reason_of(body)
        self.about = about


class GarbledError(Exception):
    """An answer that is a success and not what Cloud Storage would say."""


class DamagedError(Exception):
    """A body whose checksum is another than the store's."""


_CHECK_ACCOUNT = "check the server's Google credentials (GCSStorage.credentials_file or default)."

_NO_BUCKET = Rule(
    ConfigurationError, "The bucket {bucket!r} does not exist at {endpoint}; check storage_url."
)
_NO_OBJECT = Rule(NotFoundError, "{path} does not exist.")
_NO_UPLOAD = Rule(NotFoundError, "The upload of {path} has ended or was aborted.")
_NO_SIGNER = Rule(
    PermissionDeniedError,
    "The server's account may not sign presigned URLs ({code}); grant it the role Service Account "
    "Token Creator on the account that signs (GCSStorage.signing_account or its own).",
)
_DENIED = Rule(
    PermissionDeniedError,
    "The store does not allow this on {path} in the bucket {bucket!r}, or there is no such bucket; "
    "check storage_url and ask your administrator for the permission ({code}).",
)
_RETAINED = Rule(
    PermissionDeniedError,
    "{path} may not be replaced or deleted yet: a hold or the bucket's retention policy protects "
    "it ({code}).",
)
_POLICY = Rule(
    PermissionDeniedError,
    "A policy of the organisation does not allow this on {path} ({code}); ask your administrator.",
)
_CHANGED = Rule(PreconditionError, "{path} was changed meanwhile.")
_EXISTS = Rule(AlreadyExistsError, "{path} exists already.")
_NOT_MODIFIED = Rule(NotModifiedError, "{path} has not changed.")
_BAD_ACCOUNT = Rule(
    UnauthenticatedError, "The store does not accept the credentials ({code}); " + _CHECK_ACCOUNT
)
_NO_CREDENTIALS = Rule(
    UnauthenticatedError,
    "The server has no usable Google credentials ({code}); set GCSStorage.credentials_file, "
    "GOOGLE_APPLICATION_CREDENTIALS or an account of the machine, or GCSStorage.anonymous for a "
    "public bucket.",
)
_EXPIRED = Rule(
    UnauthenticatedError,
    "The server's credentials for {endpoint} cannot be renewed ({code}); " + _CHECK_ACCOUNT,
)
_NO_TOKEN = Rule(
    UnavailableError, "The server cannot reach the service that renews its credentials.", True
)
_USER_PROJECT = Rule(
    ConfigurationError,
    "The bucket {bucket!r} wants a project that pays ({code}); check GCSStorage.user_project.",
)
_ENCRYPTION = Rule(
    ConfigurationError,
    "The store refuses the encryption key ({code}); check GCSStorage.kms_key_name and the bucket's "
    "default key.",
)
_NOT_GCS = Rule(
    ConfigurationError,
    "{endpoint} does not answer like Cloud Storage ({code}); check GCSStorage.endpoint_url.",
)
_SLOW_DOWN = Rule(UnavailableError, "The store asks to slow down; try again.", True)
_QUOTA = Rule(
    UnavailableError, "The quota of requests is used up ({code}); try again or ask for more.", True
)
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
_NOT_OFFERED = Rule(NotSupportedError, "The store at {endpoint} does not offer this ({code}).")
_INVALID = Rule(StorageError, "The store refused the request for {path} as invalid ({code}).")

_REASONS: Mapping[str, Rule] = {
    "NoSuchBucket": _NO_BUCKET,
    "NoSuchUpload": _NO_UPLOAD,
    "AccessDenied": _DENIED,
    "AccountProblem": _DENIED,
    "accessNotConfigured": _DENIED,
    "accountDisabled": _DENIED,
    "countryBlocked": _DENIED,
    "forbidden": _DENIED,
    "insufficientPermissions": _DENIED,
    "usageLimits.accessNotConfigured": _DENIED,
    "ObjectUnderActiveHold": _RETAINED,
    "objectUnderActiveHold": _RETAINED,
    "RetentionPolicyNotMet": _RETAINED,
    "retentionPolicyNotMet": _RETAINED,
    "OrgPolicyConstraintFailed": _POLICY,
    "orgPolicyConstraintFailed": _POLICY,
    "AuthenticationRequired": _BAD_ACCOUNT,
    "ExpiredToken": _BAD_ACCOUNT,
    "InvalidSecurity": _BAD_ACCOUNT,
    "authError": _BAD_ACCOUNT,
    "AuthenticationRequiredRequesterPays": _USER_PROJECT,
    "UserProjectAccessDenied": _USER_PROJECT,
    "UserProjectAccountProblem": _USER_PROJECT,
    "UserProjectInconsistent": _USER_PROJECT,
    "UserProjectInvalid": _USER_PROJECT,
    "UserProjectMissing": _USER_PROJECT,
    "authenticationRequiredRequesterPays": _USER_PROJECT,
    "userProjectAccessDenied": _USER_PROJECT,
    "userProjectAccountProblem": _USER_PROJECT,
    "userProjectInconsistent": _USER_PROJECT,
    "userProjectInvalid": _USER_PROJECT,
    "userProjectMissing": _USER_PROJECT,
    "cloudKmsBadKey": _ENCRYPTION,
    "cloudKmsCannotChangeKeyName": _ENCRYPTION,
    "cloudKmsDecryptionKeyNotFound": _ENCRYPTION,
    "cloudKmsDisabledKey": _ENCRYPTION,
    "cloudKmsEncryptionKeyNotFound": _ENCRYPTION,
    "cloudKmsKeyLocationNotAllowed": _ENCRYPTION,
    "SlowDown": _SLOW_DOWN,
    "dailyLimitExceeded": _QUOTA,
    "quotaExceeded": _QUOTA,
    "rateLimitExceeded": _SLOW_DOWN,
    "usageLimits.rateLimitExceeded": _SLOW_DOWN,
    "userRateLimitExceeded": _SLOW_DOWN,
    "conflict": _CONFLICT,
    "BadDigest": _DAMAGED,
    "IncompleteBody": _DAMAGED,
    "uploadBrokenConnection": _DAMAGED,
    "EntityTooLarge": _TOO_LARGE,
    "uploadTooLarge": _TOO_LARGE,
    "KeyTooLong": _TOO_LONG,
    "KeyTooLongError": _TOO_LONG,
    "sslRequired": _NOT_GCS,
}

_STATUSES: Mapping[int, Rule] = {
    301: _NOT_GCS,
    302: _NOT_GCS,
    307: _NOT_GCS,
    400: _INVALID,
    401: _BAD_ACCOUNT,
    403: _DENIED,
    405: _NOT_OFFERED,
    408: _BROKEN,
    409: _CONFLICT,
    410: _NO_UPLOAD,
    413: _TOO_LARGE,
    429: _SLOW_DOWN,
    501: _NOT_OFFERED,
    507: _FULL,
}

_UNREACHABLE = Rule(
    UnavailableError,
    "The store at {endpoint} cannot be reached; check GCSStorage.endpoint_url.",
    True,
)
_TLS = Rule(
    ConfigurationError,
    "The certificate of {endpoint} is not trusted; check GCSStorage.ca_bundle and endpoint_url.",
)
_PROXY = Rule(
    UnavailableError, "The proxy to {endpoint} cannot be reached; check its settings.", True
)
_TIMEOUT = Rule(StorageTimeoutError, "The store at {endpoint} did not answer in time.", True, False)
_LOST = Rule(UnavailableError, "The connection to {endpoint} broke off; try again.", True, False)
_GARBLED = Rule(
    UnavailableError,
    "{endpoint} gave an answer that is not Cloud Storage's; check GCSStorage.endpoint_url.",
    True,
    False,
)
_REFUSED_HERE = Rule(StorageError, "The request for {path} cannot be sent ({code}).")


@contextmanager
def translated(call: Call) -> Iterator[None]:
    """Turn what the SDK raises inside into storage errors: the one place where that is done."""
    try:
        yield
    except _sdk_errors() as error:
        raise _translate(error, call) from error


@cache
def _sdk_errors() -> tuple[type[Exception], ...]:
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException
    from urllib3.exceptions import HTTPError

    own = (RefusedError, GarbledError, DamagedError)
    return (*own, GoogleAuthError, RequestException, HTTPError, OSError)


@cache
def _types() -> tuple[tuple[tuple[type[BaseException], ...], Rule], ...]:
    """What an exception without an answer means; the first match counts."""
    import requests.exceptions as http
    import urllib3.exceptions as wire
    from google.auth import exceptions as auth

    # A failure to connect comes before a byte was sent; other failures may come after.
    unreachable = (http.ConnectTimeout, wire.NewConnectionError, wire.ConnectTimeoutError)
    timeout = (http.ReadTimeout, wire.ReadTimeoutError)
    malformed = (http.InvalidHeader, http.InvalidURL, http.MissingSchema, http.InvalidSchema)
    garbled = (GarbledError, http.JSONDecodeError, http.ContentDecodingError)
    return (
        ((auth.TransportError,), _NO_TOKEN),
        ((auth.RefreshError,), _EXPIRED),
        ((auth.GoogleAuthError,), _NO_CREDENTIALS),
        ((http.ProxyError, wire.ProxyError), _PROXY),
        ((ssl.SSLCertVerificationError,), _TLS),
        (unreachable, _UNREACHABLE),
        (timeout, _TIMEOUT),
        (garbled, _GARBLED),
        ((DamagedError,), _DAMAGED_BODY),
        (malformed, _REFUSED_HERE),
        ((http.RequestException, wire.HTTPError), _LOST),
        # Of a credentials file; what sending raises is wrapped.
        ((FileNotFoundError, PermissionError), _NO_CREDENTIALS),
        ((OSError,), _LOST),
    )


def _translate(error: Exception, call: Call) -> StorageError:
    if isinstance(error, RefusedError):
        return _from_answer(error, call)
    # The HTTP libraries wrap each other's errors; the inner ones tell whether anything was sent.
    chain = list(_causes(error))
    rule = next(
        rule for types, rule in _types() if any(isinstance(found, types) for found in chain)
    )
    if rule is _EXPIRED and any(getattr(found, "retryable", False) for found in chain):
        rule = _NO_TOKEN
    return error_of(rule, call, code=type(error).__name__)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it wraps."""
    seen: set[int] = set()
    waiting: list[Any] = [error]
    while waiting:
        found = waiting.pop(0)
        if isinstance(found, BaseException) and id(found) not in seen:
            seen.add(id(found))
            yield found
            waiting += [*found.args, getattr(found, "reason", None), found.__cause__]


def _from_answer(error: RefusedError, call: Call) -> StorageError:
    return error_of(
        _rule(error, call),
        call,
        code=error.reason or str(error.status),
        retry_after=retry_seconds(error.headers),
    )


def _rule(error: RefusedError, call: Call) -> Rule:
    if error.status == 304:
        return _NOT_MODIFIED
    known = _REASONS.get(error.reason)
    if error.about is About.SIGNER and error.status in (400, 403, 404):
        return _NO_SIGNER
    if known is not None:
        return known
    if error.status == 412:
        return _EXISTS if isinstance(call.condition, IfAbsent) else _CHANGED
    if error.status == 404:
        return _missing(error, call)
    if error.status == 400 and error.reason == "required":
        # All that an object needs was given: what a bucket with requester pays needs was not.
        return _USER_PROJECT
    return _STATUSES.get(error.status) or (_BROKEN if error.status >= 500 else _INVALID)


def _missing(error: RefusedError, call: Call) -> Rule:
    if error.about is About.UPLOAD:
        return _NO_UPLOAD
    if not error.reason:
        return _NOT_GCS
    if call.write and isinstance(call.condition, IfMatch):
        return _CHANGED
    return _NO_BUCKET if error.about is About.BUCKET else _NO_OBJECT


def _reason_of(body: bytes) -> str:
    """The store's word for a refusal: of the JSON API, else of the XML API, else nothing."""
    found = re.search(rb"<Error>.*<Code>(\w+)</Code>", body, re.DOTALL)
    if found is not None:
        return found[1].decode()
    try:
        error = json.loads(body)["error"]
        errors = error.get("errors") or [{}]
        return str(errors[0].get("reason") or error.get("status") or "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""
