"""Every wrapper of ours, and the standard stack, keeps the rules of the storage interface."""

from __future__ import annotations

import pytest

from jupyter_nbforge.storage import BaseStorageService, create_storage_service
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.wrappers import (
    AttemptMetricsStorage,
    CacheStorage,
    LimitStorage,
    LoggingStorage,
    MetricsStorage,
    MountedStorage,
    PrefixStorage,
    RetryStorage,
    ShortMemoryStorage,
)
from jupyter_nbforge.testing.conformance import StorageConformance
from jupyter_nbforge.testing.faults import CountingStorage, FaultyStorage


class TestPrefix(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return PrefixStorage(MemoryStorage(), "team/alice")


class TestEmptyPrefix(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return PrefixStorage(MemoryStorage())


class TestLimit(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return LimitStorage(MemoryStorage(), max_concurrency=1)


class TestRetry(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return RetryStorage(MemoryStorage())


class TestLogging(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return LoggingStorage(MemoryStorage())


class TestMetrics(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return MetricsStorage(AttemptMetricsStorage(MemoryStorage()))


class TestShortMemory(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return ShortMemoryStorage(MemoryStorage())


class TestCache(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return CacheStorage(MemoryStorage())


class TestCacheOfSmallObjects(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return CacheStorage(MemoryStorage(), max_bytes=2048)


class TestCacheOfNothing(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return CacheStorage(MemoryStorage(), max_bytes=0)


class TestWithinAMount(StorageConformance):
    many = 1200

    """Of the reserved prefix and of markers of its own a mount has more than the suite knows."""

    @pytest.fixture
    def storage(self) -> BaseStorageService:
        mounts = {"": MemoryStorage(), "a": MemoryStorage(), "a/shared": MemoryStorage()}
        return PrefixStorage(MountedStorage(mounts), "a/shared")


class TestBesideMounts(StorageConformance):
    many = 1200

    @pytest.fixture
    def storage(self) -> BaseStorageService:
        mounts = {"": MemoryStorage(), "data": MemoryStorage(), "work/x": MemoryStorage()}
        return PrefixStorage(MountedStorage(mounts), "work/y")


class TestFaultTools(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return CountingStorage(FaultyStorage(MemoryStorage()))


class TestStandardStack(StorageConformance):
    @pytest.fixture
    def storage(self) -> BaseStorageService:
        return create_storage_service("memory://team/alice")
