"""GCSStorage keeps the rules of the storage interface, on fake-gcs-server behind its proxy."""

from __future__ import annotations

import pytest

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.storage.gcs import GCSStorage
from jupyter_nbforge.storage.types import Capabilities
from jupyter_nbforge.testing.conformance import StorageConformance

from .conftest import MakeGCS


class TestFakeGCS(StorageConformance):
    capabilities = Capabilities(
        presigned_urls=True, atomic_move=True, replaceable_parts=False, checked_writes=True
    )
    many = 1100

    @pytest.fixture
    def storage(self, make_gcs: MakeGCS) -> GCSStorage:
        return make_gcs()


class TestTheStandardStack(StorageConformance):
    """As a person gets it: from a URL with a prefix, in the wrappers."""

    capabilities = Capabilities(
        presigned_urls=True, atomic_move=True, replaceable_parts=False, checked_writes=True
    )
    many = 300

    @pytest.fixture
    def storage(self, make_gcs: MakeGCS) -> BaseStorageService:
        made = make_gcs()
        return create_storage_service(
            f"gs://{made.bucket}/a prefix",
            endpoint_url=made.endpoint_url,
            credentials_file=made.credentials_file,
        )
