"""A manager on a store that fails by chance, and what another program sees of that store."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from traitlets.config import Config

from jupyter_nbforge import NBForgeContentsManager
from jupyter_nbforge.testing.fault_proxy import FaultKind, FaultProxy
from jupyter_nbforge.testing.random_faults import ChanceKind, RandomFaultStorage
from tests.server.files_world import limit_of
from tests.upstream.clouds import Cloud, cloud_at
from tests.upstream.other_client import MemoryClient, OtherClient

_PROXY_RATES: dict[FaultKind, float] = {
    "slow_down": 0.05,
    "throttled": 0.03,
    "broken": 0.03,
    "expired": 0.004,
    "reset_before": 0.03,
    "reset_after": 0.04,
    "silence": 0.005,
    "cut": 0.06,
    "drip": 0.05,
    "damage": 0.06,
    "damage_sent": 0.04,
}
_STORAGE_RATES: dict[ChanceKind, float] = {
    "slow_down": 0.05,
    "broken": 0.03,
    "reset_before": 0.03,
    "reset_after": 0.05,
    "stall": 0.004,
    "silence": 0.004,
    "cut": 0.05,
    "break": 0.05,
    "damage": 0.05,
}
_SETTINGS: dict[str, dict[str, Any]] = {
    "RetryStorage": {
        "max_attempts": 3,
        "attempt_timeout": 1.0,
        "in_store_timeout": 1.5,
        "total_timeout": 10.0,
        "wait_initial": 0.0,
        "wait_max": 0.0,
    },
    # A cache would answer for the store.
    "CacheStorage": {"max_bytes": 0},
    # What a probe would find out, in more time than an attempt has here.
    "S3Storage": dict.fromkeys(
        (
            "conditional_put",
            "conditional_copy",
            "conditional_delete",
            "conditional_delete_many",
        ),
        True,
    ),
    "NBForgeContentsManager": {"always_delete_dir": True, "upload_part_size_mb": 1},
}


@dataclass
class World:
    """`manager` is what users have; `files` and `tokens_below` is what the store has."""

    name: str
    manager: NBForgeContentsManager
    client: OtherClient
    prefix: str
    faults: FaultProxy | RandomFaultStorage

    @property
    def injected(self) -> Counter[str]:
        """How many faults there were, by kind."""
        return Counter({str(kind): count for kind, count in self.faults.injected.items()})

    @contextmanager
    def calm(self) -> Iterator[None]:
        """Inside, nothing fails."""
        self.faults.active = False
        try:
            yield
        finally:
            self.faults.active = True

    def paths(self, folder: str = "") -> list[str]:
        """Every object of the store, or of a folder."""
        found = self.client.paths(self.prefix + folder)
        return [path[len(self.prefix) :] for path in found]

    def token(self, path: str) -> str | None:
        """What stands for the content of an object; None where none is."""
        data = self.client.read(self.prefix + path)
        return None if data is None else token_of(data)


def token_of(data: bytes) -> str:
    """Equal for equal content: of a notebook its cells' text, else a digest."""
    if data.startswith(b"{"):
        # What is no whole JSON fails here: it is half written.
        document = json.loads(data)
        return "notebook " + "".join("".join(cell["source"]) for cell in document["cells"])
    return hashlib.sha256(data).hexdigest()


@asynccontextmanager
async def world_on(name: str, clouds: Callable[[str], Cloud], seed: int) -> AsyncIterator[World]:
    """A fresh place on the memory or on the server of that name."""
    area = f"faults-{uuid.uuid4().hex[:12]}"
    async with AsyncExitStack() as stack:
        if name == "memory":
            client: OtherClient = MemoryClient()
            assert isinstance(client, MemoryClient)
            stack.enter_context(client.shared())
            manager = _manager(f"memory://{area}", {})
            faults: FaultProxy | RandomFaultStorage = _befall(manager, seed)
        else:
            cloud = clouds(name)
            client = cloud.client()
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            for variable, value in cloud.environ.items():
                patch.setenv(variable, value)
            if name == "seaweedfs":
                proxy = FaultProxy(cloud.endpoint, seed=seed, rates=_PROXY_RATES)
                faults = await stack.enter_async_context(proxy)
                cloud = cloud_at(cloud, proxy.endpoint_url)
                manager = _manager(f"{cloud.url}/{area}", cloud.options)
            else:
                manager = _manager(f"{cloud.url}/{area}", cloud.options)
                faults = _befall(manager, seed)
        stack.callback(manager.notary.close)
        stack.push_async_callback(manager.aclose)
        try:
            yield World(name, manager, client, f"{area}/", faults)
        finally:
            faults.active = False


def _manager(url: str, options: Any) -> NBForgeContentsManager:
    config = Config(_SETTINGS)
    config.merge(Config(options))
    config.NBForgeContentsManager.storage_url = url
    return NBForgeContentsManager(config=config)


def _befall(manager: NBForgeContentsManager, seed: int) -> RandomFaultStorage:
    """Faults between the retries and the provider."""
    limit = limit_of(manager)
    limit.inner = faults = RandomFaultStorage(limit.inner, rates=_STORAGE_RATES, seed=seed)
    return faults
