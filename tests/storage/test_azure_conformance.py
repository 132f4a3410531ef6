"""AzureStorage keeps the rules of the storage interface, on Azurite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import pytest

from jupyter_nbforge.storage import BaseStorageService, create_storage_service
from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.types import Capabilities
from jupyter_nbforge.testing.azure_server import AzuriteServer
from jupyter_nbforge.testing.conformance import StorageConformance

from .conftest import MakeAzure

PLAIN = Capabilities(presigned_urls=True, presigned_content_type=False, checked_writes=True)

NAMES = (
    "https://learn.microsoft.com/rest/api/storageservices/"
    "naming-and-referencing-containers--blobs--and-metadata#blob-names"
)

WEAK: Mapping[str, str] = {
    f"test_an_odd_name_round_trips[{name}]": f"{NAMES}: Azure would store another name"
    for name in ("backslash", "trailing-dot", "three-dots")
}


class TestAzurite(StorageConformance):
    # A hierarchical namespace, of which it is not told, would list in another order.
    capabilities = replace(PLAIN, ordered_listing=False)
    many = 350
    known_weaknesses: ClassVar[Mapping[str, str]] = WEAK

    @pytest.fixture
    def storage(self, azurite_server: AzuriteServer, make_azure: MakeAzure) -> AzureStorage:
        storage = make_azure(azurite_server)
        # Azurite takes a minute for more than a page of Azure's.
        storage.max_page_size = 100
        return storage


class TestAzuriteByFactory(StorageConformance):
    """The same through the URL and the standard stack, below a prefix, on a plain account."""

    capabilities = PLAIN
    many = 350
    known_weaknesses: ClassVar[Mapping[str, str]] = WEAK

    @pytest.fixture
    def storage(
        self, azurite_server: AzuriteServer, make_azure: MakeAzure, monkeypatch: pytest.MonkeyPatch
    ) -> BaseStorageService:
        monkeypatch.setattr(AzureStorage, "max_page_size", 100)
        return create_storage_service(
            f"az://{make_azure(azurite_server).container}/pre/fix",
            account_url=azurite_server.endpoint_url,
            account_key=azurite_server.account_key,
            hierarchical_namespace=False,
        )
