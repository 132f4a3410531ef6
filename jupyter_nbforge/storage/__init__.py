"""Object storage behind one interface; knows nothing of Jupyter."""

from __future__ import annotations

from .base import BaseStorageService, MultipartUpload, Recalled
from .errors import (
    AlreadyExistsError,
    ConfigurationError,
    InvalidPathError,
    MissingExtraError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
    StorageTimeoutError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from .factory import create_storage_service
from .types import (
    ByteRange,
    Capabilities,
    ContentHash,
    IfAbsent,
    IfMatch,
    LinkOptions,
    ListPage,
    NotebookInfo,
    ObjectMeta,
    ObjectReader,
    Version,
    WriteCondition,
)

__all__ = [
    "AlreadyExistsError",
    "BaseStorageService",
    "ByteRange",
    "Capabilities",
    "ConfigurationError",
    "ContentHash",
    "IfAbsent",
    "IfMatch",
    "InvalidPathError",
    "LinkOptions",
    "ListPage",
    "MissingExtraError",
    "MultipartUpload",
    "NotFoundError",
    "NotModifiedError",
    "NotSupportedError",
    "NotebookInfo",
    "ObjectMeta",
    "ObjectReader",
    "PermissionDeniedError",
    "PreconditionError",
    "Recalled",
    "StorageError",
    "StorageTimeoutError",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "Version",
    "WriteCondition",
    "create_storage_service",
]
