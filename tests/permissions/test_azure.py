"""A shared access signature with the documented permissions is enough, and each is needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from jupyter_nbforge.testing.azure_server import AzuriteServer

from .day import NOTEBOOK, live_a_day, manager_on, read_everything, refusal

DOCS = Path(__file__).parents[2] / "docs/azure.md"
CONTAINER = "permissions"


def documented_permissions() -> str:
    """The letters that stand in the documentation."""
    found = re.search(r"`sp=([a-z]+)`", DOCS.read_text())
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def server() -> Iterator[AzuriteServer]:
    with AzuriteServer() as server:
        server.create_container(CONTAINER)
        yield server


def granted(server: AzuriteServer, permissions: str) -> dict[str, dict[str, Any]]:
    """Traits with a signature that allows just this, for an hour."""
    token = generate_container_sas(
        server.account_name,
        CONTAINER,
        account_key=server.account_key,
        permission=ContainerSasPermissions.from_string(permissions),
        expiry=datetime.now(timezone.utc) + timedelta(hours=1),
    )
    options = {"account_url": server.endpoint_url, "sas_token": token}
    return {"AzureStorage": {**options, "hierarchical_namespace": False}}


async def test_the_documented_permissions_are_enough_for_a_whole_day(
    server: AzuriteServer,
) -> None:
    options = granted(server, documented_permissions())
    async with manager_on(f"az://{CONTAINER}/people/ada", options) as manager:
        await live_a_day(manager)


@pytest.mark.parametrize("letter", ["r", "w", "d", "l"])
async def test_without_one_of_the_documented_permissions_the_day_fails(
    server: AzuriteServer, letter: str
) -> None:
    # `a` and `c` are contained in `w` for all that is done here.
    options = granted(server, documented_permissions().replace(letter, ""))
    async with manager_on(f"az://{CONTAINER}/people/ada-{letter}", options) as manager:
        with pytest.raises(Exception, match="does not allow"):
            await live_a_day(manager)


async def test_who_may_only_read_can_read_everything_and_is_told_why_not_more(
    server: AzuriteServer,
) -> None:
    writer = granted(server, documented_permissions())
    async with manager_on(f"az://{CONTAINER}/people/eve", writer) as manager:
        await live_a_day(manager)
    async with manager_on(f"az://{CONTAINER}/people/eve", granted(server, "rl")) as manager:
        await read_everything(manager)
        for act in (
            manager.save(NOTEBOOK, "folder/n.ipynb"),
            manager.delete("folder/n.ipynb"),
            manager.create_checkpoint("folder/n.ipynb"),
        ):
            assert "does not allow" in await refusal(act)
