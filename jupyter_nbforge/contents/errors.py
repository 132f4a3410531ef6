"""The one table from storage errors to the HTTP errors that Jupyter's handlers understand.

JupyterLab takes 404 as "create it" (a file) or jumps to the root (a folder), and 401 as
"log in again": so only a path that is surely missing is a 404, and nothing is a 401.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from tornado.web import HTTPError

from ..storage import errors

RETRY_AFTER = 5.0
"""Seconds that a client is asked to wait where the store named none."""

_STATUS: tuple[tuple[type[errors.StorageError], int], ...] = (
    (errors.NotModifiedError, 304),
    (errors.NotFoundError, 404),
    (errors.AlreadyExistsError, 409),
    (errors.PreconditionError, 409),
    (errors.InvalidPathError, 400),
    (errors.PermissionDeniedError, 403),
    (errors.UnauthenticatedError, 502),
    (errors.TooLargeError, 413),
    (errors.NotSupportedError, 501),
    (errors.StorageFullError, 507),
    (errors.StorageTimeoutError, 504),
    (errors.UnavailableError, 503),
    (errors.ConfigurationError, 500),
    (errors.StorageError, 500),
)


def status_of(error: errors.StorageError) -> int:
    """The HTTP status that stands for `error`."""
    return next(status for kind, status in _STATUS if isinstance(error, kind))


def http_error(error: errors.StorageError) -> HTTPError:
    """`error` as an `HTTPError` whose `log_message` is the sentence that JupyterLab shows."""
    return HTTPError(status_of(error), error.message)


def retry_after(error: BaseException | None) -> int:
    """Whole seconds to ask a client to wait: as the store did in what led to `error`, else usual.

    An `HTTPError` has no place for headers, and Jupyter's handlers raise their own: the
    storage error is found behind it.
    """
    # An error that was caught and raised again may stand in its own history.
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, errors.StorageError) and error.retry_after is not None:
            return math.ceil(error.retry_after)
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return math.ceil(RETRY_AFTER)


@contextmanager
def http_errors() -> Iterator[None]:
    """Turn storage errors raised inside into HTTP errors."""
    try:
        yield
    except errors.StorageError as error:
        raise http_error(error) from error
