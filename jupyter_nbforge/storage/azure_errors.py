"""The one table from what Azure and its SDK answer to the errors of the storage interface.

Decided by error code, HTTP status and exception type, never by message text. The codes are
those of https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and of
https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes; every answer
has its code in a header, so that of a HEAD too.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

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
    from azure.core.exceptions import HttpResponseError


class DirectoryNotEmptyError(AlreadyExistsError):
    """A directory of a hierarchical namespace that is to be deleted holds something."""


_NO_CONTAINER = Rule(
    ConfigurationError, "The container {bucket!r} does not exist at {endpoint}; check storage_url."
)
_NOT_PUBLIC = Rule(
    ConfigurationError,
    "The container {bucket!r} at {endpoint} does not exist or is not public; check storage_url "
    "and AzureStorage.anonymous.",
)
_NO_OBJECT = Rule(NotFoundError, "{path} does not exist.")
_NO_UPLOAD = Rule(
    NotFoundError,
    "The parts of the upload of {path} are gone: it was written by another meanwhile, or they "
    "are older than a week; upload it again.",
)
_CHANGED = Rule(PreconditionError, "{path} was changed meanwhile.")
_SOURCE_CHANGED = Rule(
    PreconditionError, "What is copied to {path} was changed meanwhile; try again."
)
_EXISTS = Rule(AlreadyExistsError, "{path} exists already.")
_NOT_EMPTY = Rule(DirectoryNotEmptyError, "The folder {path} is not empty.")
_TAKEN = Rule(
    AlreadyExistsError,
    "{path} cannot be made: a file is in the place of a folder, or a folder of it.",
)
_NOT_MODIFIED = Rule(NotModifiedError, "{path} has not changed.")
_DENIED = Rule(
    PermissionDeniedError,
    "The store does not allow this on {path} in the container {bucket!r}; it needs the role "
    "Storage Blob Data Contributor, or a SAS with the permissions racwdl ({code}).",
)
_FIREWALL = Rule(
    PermissionDeniedError,
    "The store does not allow this on {path} in the container {bucket!r}; it needs the role "
    "Storage Blob Data Contributor, and an account whose firewall lets this server in ({code}).",
)
_PROTECTED = Rule(
    PermissionDeniedError, "A policy protects {path} in the store against change ({code})."
)
_LEASED = Rule(
    PermissionDeniedError,
    "{path} is locked by a lease of another program; try again when that has ended it ({code}).",
)
_DISABLED = Rule(
    PermissionDeniedError, "The storage account at {endpoint} is disabled; ask its owner."
)
_BAD_CREDENTIALS = Rule(
    UnauthenticatedError,
    "The store does not accept the server's credentials: the account key is wrong, or the SAS or "
    "token has expired; renew it, and check the server's clock ({code}).",
)
_REFUSED = Rule(
    UnauthenticatedError,
    "The store does not accept the server's account key or SAS, or the account's firewall keeps "
    "this server out; check both ({code}).",
)
_NO_KEYS = Rule(
    UnauthenticatedError,
    "The account at {endpoint} takes no account keys; unset AzureStorage.account_key so that an "
    "identity is used.",
)
_NO_CREDENTIALS = Rule(
    UnauthenticatedError,
    "The server has no usable credentials for Azure ({code}); set AZURE_STORAGE_KEY, give it an "
    "identity (see DefaultAzureCredential), or set AzureStorage.anonymous for a public container.",
)
_WRITE_OPTIONS = Rule(
    ConfigurationError,
    "The store refuses the access tier or the encryption ({code}); check "
    "AzureStorage.access_tier and encryption_scope.",
)
_NOT_AZURE = Rule(
    ConfigurationError,
    "{endpoint} does not answer like Azure Blob Storage ({code}); check AzureStorage.account_url.",
)
# The account's limit of requests is said by the same code as a write that took too long.
_BUSY = Rule(UnavailableError, "The store asks to slow down; try again.", True, False)
_SLOW_DOWN = Rule(UnavailableError, "The store asks to slow down; try again.", True)
_CONFLICT = Rule(UnavailableError, "{path} is being written by another; try again.", True)
_DAMAGED = Rule(UnavailableError, "The data was damaged on the way; try again ({code}).", True)
_BROKEN = Rule(
    UnavailableError, "The store at {endpoint} has a problem ({code}); try again.", True, False
)
_TOO_LARGE = Rule(TooLargeError, "{path} is larger than the store takes ({code}).")
_BAD_NAME = Rule(InvalidPathError, "The store does not take {path} as a path ({code}).")
_FULL = Rule(
    StorageFullError,
    "The storage is full and takes nothing more; delete files or ask for more room ({code}).",
)
_ARCHIVED = Rule(NotSupportedError, "{path} is archived; it must be rehydrated before it is read.")
_NOT_OFFERED = Rule(NotSupportedError, "The store at {endpoint} does not offer this ({code}).")
_INVALID = Rule(StorageError, "The store refused the request for {path} as invalid ({code}).")

_CODES: Mapping[str, Rule] = {
    "ContainerNotFound": _NO_CONTAINER,
    "ContainerBeingDeleted": _NO_CONTAINER,
    "ContainerDisabled": _NO_CONTAINER,
    "ResourceNotFound": _NOT_PUBLIC,
    "BlobNotFound": _NO_OBJECT,
    "BlobAlreadyExists": _EXISTS,
    "DirectoryIsNotEmpty": _NOT_EMPTY,
    "PathAlreadyExists": _TAKEN,
    "PathConflict": _TAKEN,
    "SourceConditionNotMet": _SOURCE_CHANGED,
    "ResourceAlreadyExists": _TAKEN,
    "ResourceTypeMismatch": _TAKEN,
    "OperationNotSupportedOnDirectory": _TAKEN,
    "InvalidBlobOrBlock": _NO_UPLOAD,
    "InvalidBlockList": _NO_UPLOAD,
    "AuthenticationFailed": _BAD_CREDENTIALS,
    "InvalidAuthenticationInfo": _BAD_CREDENTIALS,
    "NoAuthenticationInformation": _NO_CREDENTIALS,
    "KeyBasedAuthenticationNotPermitted": _NO_KEYS,
    "PublicAccessNotPermitted": _NOT_PUBLIC,
    "AuthorizationPermissionMismatch": _DENIED,
    "AuthorizationProtocolMismatch": _DENIED,
    "AuthorizationResourceTypeMismatch": _DENIED,
    "AuthorizationServiceMismatch": _DENIED,
    "AuthorizationSourceIPMismatch": _DENIED,
    "InsufficientAccountPermissions": _DENIED,
    "UnauthorizedBlobOverwrite": _DENIED,
    "AccountIsDisabled": _DISABLED,
    "BlobImmutableDueToLegalHold": _PROTECTED,
    "BlobImmutableDueToPolicy": _PROTECTED,
    "ContainerHasLegalHold": _PROTECTED,
    "SnapshotsPresent": _PROTECTED,
    "LeaseIdMissing": _LEASED,
    "LeaseIdMismatchWithBlobOperation": _LEASED,
    "LeaseLost": _LEASED,
    "LeaseNotPresentWithBlobOperation": _LEASED,
    "AccessTierNotSupportedForAccountType": _WRITE_OPTIONS,
    "BlobAccessTierNotSupportedForAccountType": _WRITE_OPTIONS,
    "BlobTierInadequateForContentLength": _WRITE_OPTIONS,
    "ContentLengthLargerThanTierLimit": _WRITE_OPTIONS,
    "InvalidBlobTier": _WRITE_OPTIONS,
    "DefaultEncryptionScopeOverrideNotAllowed": _WRITE_OPTIONS,
    "EncryptionScopeDisabled": _WRITE_OPTIONS,
    "EncryptionScopeNotFound": _WRITE_OPTIONS,
    "KeyVaultAccessTokenCannotBeAcquired": _WRITE_OPTIONS,
    "KeyVaultEncryptionKeyNotFound": _WRITE_OPTIONS,
    "KeyVaultVaultNotFound": _WRITE_OPTIONS,
    "RequestForbiddenByContainerEncryptionPolicy": _WRITE_OPTIONS,
    "ServerBusy": _BUSY,
    "InternalError": _BROKEN,
    "OperationTimedOut": _BROKEN,
    "AccountBeingCreated": _CONFLICT,
    "PendingCopyOperation": _CONFLICT,
    "Crc64Mismatch": _DAMAGED,
    "Md5Mismatch": _DAMAGED,
    "RequestBodyTooLarge": _TOO_LARGE,
    "BlockCountExceedsLimit": _TOO_LARGE,
    "BlockListTooLong": _TOO_LARGE,
    "MetadataTooLarge": _TOO_LARGE,
    "InvalidResourceName": _BAD_NAME,
    "InvalidUri": _BAD_NAME,
    "OutOfRangeInput": _BAD_NAME,
    "BlobArchived": _ARCHIVED,
    "BlobBeingRehydrated": _ARCHIVED,
    "APINotImplemented": _NOT_OFFERED,
    "BlobOperationNotSupported": _NOT_OFFERED,
    "BlobUsesCustomerSpecifiedEncryption": _NOT_OFFERED,
    "FeatureVersionMismatch": _NOT_OFFERED,
    "InvalidBlobType": _NOT_OFFERED,
    "NotImplemented": _NOT_OFFERED,
    "UnsupportedHeader": _NOT_OFFERED,
    "UnsupportedHttpVerb": _NOT_OFFERED,
}

_STATUSES: Mapping[int, Rule] = {
    400: _INVALID,
    401: _BAD_CREDENTIALS,
    403: _DENIED,
    404: _NO_OBJECT,
    405: _NOT_OFFERED,
    408: _BROKEN,
    412: _CHANGED,
    413: _TOO_LARGE,
    429: _SLOW_DOWN,
    501: _NOT_OFFERED,
    507: _FULL,
}

_UNREACHABLE = Rule(
    UnavailableError,
    "The store at {endpoint} cannot be reached; check AzureStorage.account_name and account_url.",
    True,
)
_TLS = Rule(
    ConfigurationError,
    "The certificate of {endpoint} is not trusted; check AzureStorage.ca_bundle and account_url.",
)
_PROXY = Rule(
    UnavailableError, "The proxy to {endpoint} cannot be reached; check its settings.", True
)
_TIMEOUT = Rule(StorageTimeoutError, "The store at {endpoint} did not answer in time.", True, False)
_LOST = Rule(UnavailableError, "The connection to {endpoint} was lost; try again.", True, False)
_GARBLED = Rule(
    UnavailableError,
    "{endpoint} gave an answer that is not Azure's; check AzureStorage.account_url.",
    True,
    False,
)

_CODE_HEADER = "x-ms-error-code"
_SOURCE_CODE_HEADER = "x-ms-copy-source-error-code"


class GarbledAnswerError(Exception):
    """An answer of success that cannot be read."""


@contextmanager
def translated(call: Call, *, by_token: bool = False) -> Iterator[None]:
    """Turn what the SDK raises inside into storage errors: the one place where that is done.

    `by_token` says that an identity signs the requests: then a refusal is for want of a role.
    """
    try:
        yield
    except _sdk_errors() as error:
        raise _translate(error, call, by_token) from error


def refusal(code: str, status: int, call: Call, *, by_token: bool) -> StorageError:
    """The error that stands for the answer to one request of a batch."""
    return error_of(_rule(code, status, call, by_token=by_token), call, code=code or str(status))


@cache
def _sdk_errors() -> tuple[type[Exception], ...]:
    import aiohttp
    from azure.core.exceptions import AzureError

    own = (AzureError, GarbledAnswerError)
    return (*own, aiohttp.ClientError, asyncio.TimeoutError, OSError)


@cache
def _types() -> tuple[tuple[tuple[type[BaseException], ...], Rule], ...]:
    """What an exception without an answer means; the first match counts."""
    import aiohttp
    from azure.core import exceptions as sdk

    # A connector error comes before a byte was sent; other connection errors may come after.
    unreachable = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, socket.gaierror)
    timeout = (asyncio.TimeoutError, sdk.ServiceResponseTimeoutError)
    lost = (sdk.ServiceRequestError, sdk.ServiceResponseError, sdk.IncompleteReadError)
    return (
        ((sdk.ClientAuthenticationError,), _NO_CREDENTIALS),
        ((aiohttp.ClientConnectorCertificateError, ssl.SSLError), _TLS),
        ((aiohttp.ClientProxyConnectionError, aiohttp.ClientHttpProxyError), _PROXY),
        (unreachable, _UNREACHABLE),
        (timeout, _TIMEOUT),
        ((GarbledAnswerError, sdk.DecodeError, sdk.DeserializationError), _GARBLED),
        ((*lost, aiohttp.ClientError, OSError), _LOST),
    )


def _translate(error: Exception, call: Call, by_token: bool) -> StorageError:
    from azure.core.exceptions import HttpResponseError

    if isinstance(error, HttpResponseError) and _is_answer(error, call):
        return _from_answer(error, call, by_token)
    # The SDK wraps the HTTP library's error, which alone tells whether anything was sent.
    inner = getattr(error, "inner_exception", None)
    for candidate in (inner, error):
        for types, rule in _types():
            if isinstance(candidate, types):
                return error_of(rule, call, code=type(error).__name__)
    return error_of(_LOST, call, code=type(error).__name__)


def _is_answer(error: HttpResponseError, call: Call) -> bool:
    """Whether the store itself answered, and not the service that gives out tokens."""
    request = getattr(error.response, "request", None)
    return request is not None and str(request.url).startswith(call.endpoint)


def _from_answer(error: HttpResponseError, call: Call, by_token: bool) -> StorageError:
    status = error.status_code or 0
    headers: Mapping[str, str] = getattr(error.response, "headers", {})
    code = str(headers.get(_CODE_HEADER) or "")
    if code == "CannotVerifyCopySource":
        code = str(headers.get(_SOURCE_CODE_HEADER) or code)
    rule = _rule(code, status, call, by_token=by_token)
    return error_of(rule, call, code=code or str(status), retry_after=retry_seconds(headers))


def _rule(code: str, status: int, call: Call, *, by_token: bool) -> Rule:
    if status == 304:
        return _NOT_MODIFIED
    if not code and (status < 400 or status in (400, 404, 405)):
        return _NOT_AZURE
    if code == "AuthorizationFailure":
        return _FIREWALL if by_token else _REFUSED
    rule = _CODES.get(code) or _STATUSES.get(status) or (_BROKEN if status >= 500 else _INVALID)
    if rule is _CHANGED and isinstance(call.condition, IfAbsent):
        return _EXISTS
    if rule is _NO_OBJECT and call.write and isinstance(call.condition, IfMatch):
        return _CHANGED
    if rule is _TAKEN and not call.write:
        return _NO_OBJECT
    return rule
