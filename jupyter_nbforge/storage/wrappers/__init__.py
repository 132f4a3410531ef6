"""Storages around a storage, one concern each."""

from __future__ import annotations

from .base import WrapperStorage
from .cache import CacheStorage
from .limit import LimitStorage
from .logging import LoggingStorage
from .metrics import AttemptMetricsStorage, MetricsStorage
from .mounted import MountedStorage
from .prefix import PrefixStorage
from .read_only import ReadOnlyStorage
from .retry import RetryStorage
from .short_memory import ShortMemoryStorage

__all__ = [
    "AttemptMetricsStorage",
    "CacheStorage",
    "LimitStorage",
    "LoggingStorage",
    "MetricsStorage",
    "MountedStorage",
    "PrefixStorage",
    "ReadOnlyStorage",
    "RetryStorage",
    "ShortMemoryStorage",
    "WrapperStorage",
]
