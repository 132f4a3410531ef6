"""Credentials for Google that end and are renewed under a running storage."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from google.oauth2.credentials import Credentials

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.testing.gcs_server import FakeGCSServer

from .gate import TokenGate
from .saving import Saver

BUCKET = "credentials"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeGCSServer]:
    with FakeGCSServer() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


@asynccontextmanager
async def storage_at(gate: TokenGate, **options: Any) -> AsyncIterator[BaseStorageService]:
    storage = create_storage_service(
        f"gs://{BUCKET}/{next(_NUMBERS)}", environ={}, endpoint_url=gate.endpoint_url, **options
    )
    try:
        yield storage
    finally:
        await storage.aclose()


async def test_a_token_of_a_function_is_exchanged_before_its_end_and_nothing_is_refused(
    server: FakeGCSServer,
) -> None:
    async with TokenGate(server.endpoint_url) as gate:
        function = partial(gate.issue, 1.0)
        async with storage_at(gate, credentials_provider=function) as storage:
            saver = Saver(storage)
            await saver.save_until(lambda: len(gate.issued) >= 4)
            await saver.save()
        assert gate.refused == 0


async def test_a_token_of_a_function_that_is_refused_is_exchanged_for_the_same_save(
    server: FakeGCSServer,
) -> None:
    async with TokenGate(server.endpoint_url) as gate:
        function = partial(gate.issue, 3600.0)
        async with storage_at(gate, credentials_provider=function) as storage:
            saver = Saver(storage)
            await saver.save()
            gate.revoke()
            await saver.save()
        assert len(gate.issued) == 2


async def test_credentials_of_the_sdk_that_a_function_returns_renew_themselves(
    server: FakeGCSServer,
) -> None:
    async with TokenGate(server.endpoint_url) as gate:
        base: Any = Credentials

        class Own(base):  # type: ignore[misc] # the SDK's is not typed
            def refresh(self, request: Any) -> None:
                self.token = gate.issue(3600.0)["token"]

        async with storage_at(gate, credentials_provider=lambda: Own(None)) as storage:
            saver = Saver(storage)
            await saver.save()
            gate.revoke()
            await saver.save()
        assert len(gate.issued) == 2


async def test_the_token_file_of_an_external_account_is_read_again_for_each_new_token(
    server: FakeGCSServer, tmp_path: Path
) -> None:
    """Workload identity federation: the subject's token is exchanged for one of Google's."""
    subject = tmp_path / "token"
    subject.write_text("subject-0")
    told: list[str] = []
    async with TokenGate(server.endpoint_url) as gate:

        async def exchange(request: web.Request) -> web.Response:
            told.append(str((await request.post())["subject_token"]))
            token = gate.issue(1.0)["token"]
            kind = "urn:ietf:params:oauth:token-type:access_token"
            return web.json_response(
                {"access_token": token, "issued_token_type": kind, "token_type": "Bearer"}
                | {"expires_in": 1}
            )

        async with _served(exchange) as address:
            file = tmp_path / "account.json"
            file.write_text(json.dumps(_external_account(address, subject)))
            async with storage_at(gate, credentials_file=str(file)) as storage:
                saver = Saver(storage)
                for number in range(1, 4):
                    await saver.save()
                    subject.write_text(f"subject-{number}")
                await saver.save()
    assert list(dict.fromkeys(told)) == [f"subject-{number}" for number in range(4)]


def _external_account(address: str, subject: Path) -> dict[str, Any]:
    pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p"
    return {
        "type": "external_account",
        "audience": pool,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{address}/v1/token",
        "credential_source": {"file": str(subject)},
    }


@asynccontextmanager
async def _served(handler: Callable[[web.Request], Any]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
