"""The errors of the storage interface. Providers translate every SDK error into one of these."""

from __future__ import annotations


class StorageError(Exception):
    """An operation on the store failed.

    The message is one sentence for a person: what happened and what to do; it never
    carries a secret. `path` is the path concerned, where there is one. `retryable` says
    that the same call may succeed later; `outcome_unknown` that the call may have taken
    effect although it failed (the answer was lost); `retry_after` is what the store asked
    for, in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | None = None,
        retryable: bool = False,
        outcome_unknown: bool = False,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.retryable = retryable
        self.outcome_unknown = outcome_unknown
        self.retry_after = retry_after


class NotFoundError(StorageError):
    """No such object, or (said in the message) no such bucket or container."""


class AlreadyExistsError(StorageError):
    """A write with `IfAbsent` found an object."""


class PreconditionError(StorageError):
    """A write with `IfMatch`, or a read with `if_match`, found another version or nothing."""


class NotModifiedError(StorageError):
    """A read with `if_none_match` found that very version: the caller's copy is current."""


class InvalidPathError(StorageError):
    """The path cannot name an object of this storage."""


class PermissionDeniedError(StorageError):
    """The credentials are valid and do not allow this."""


class UnauthenticatedError(StorageError):
    """The server's own credentials are missing, wrong or expired."""


class TooLargeError(StorageError):
    """The object, or a part of it, is larger than the store takes."""


class StorageFullError(StorageError):
    """There is no room for more: a disk is full, or a quota used up. What was there stays."""


class NotSupportedError(StorageError):
    """This storage cannot honour the operation or the option."""


class StorageTimeoutError(StorageError):
    """The store did not answer in time."""


class UnavailableError(StorageError):
    """The store cannot be reached, is overloaded or asks to slow down."""


class ConfigurationError(StorageError, ValueError):
    """The storage is configured wrongly (bucket, region, endpoint, option): nothing will work."""


class MissingExtraError(ConfigurationError, ImportError):
    """The SDK of a provider is not installed; the message names the extra."""
