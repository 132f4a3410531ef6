"""Object storage behind one interface; knows nothing of Jupyter."""

from __future__ import annotations

from .base import BaseStorageService, MultipartUpload, Recalled, check_read, check_write
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
    StorageFullError,
    StorageTimeoutError,
    TooLargeError,
    UnauthenticatedError,
    UnavailableError,
)
from .factory import create_storage_service
from .metadata import MTIME, parse_hash, parse_mtime, stamp
from .mounts import create_mounted_storage
from .paths import check_path
from .threads import ThreadBridge, check_call, current_call
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
from .values import chunks_of, fold

__all__ = [
    "MTIME",
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
    "StorageFullError",
    "StorageTimeoutError",
    "ThreadBridge",
    "TooLargeError",
    "UnauthenticatedError",
    "UnavailableError",
    "Version",
    "WriteCondition",
    "check_call",
    "check_path",
    "check_read",
    "check_write",
    "chunks_of",
    "create_mounted_storage",
    "create_storage_service",
    "current_call",
    "fold",
    "parse_hash",
    "parse_mtime",
    "stamp",
]
