"""What of the environment counts on the way to Azure: its proxy, and nobody's password."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import UnavailableError

from .azure_stub import azure_at, blob, stub_azure
from .stub import Request, stub_server

SAS = "sv=2024-08-04&sr=c&sp=racwdl&sig=U0lHTkFUVVJF"


@pytest.mark.parametrize("secret", [{}, {"sas_token": SAS}, {"anonymous": True}])
async def test_a_password_of_netrc_is_not_sent(
    secret: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login me password netrc-secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests: list[Request] = []
    async with stub_azure(lambda request, number: blob(), requests=requests, **secret) as storage:
        await storage.head("a")
    (request,) = requests
    signed = request.headers.get("authorization", "")
    assert signed.startswith("SharedKey account:") if not secret else not signed


@pytest.mark.parametrize("bypass", ["", "account.blob.example.test"])
async def test_the_proxy_of_the_environment_is_used(
    bypass: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests: list[Request] = []
    async with stub_server(lambda request, number: blob(), requests=requests) as proxy:
        monkeypatch.setenv("http_proxy", proxy.replace("//", "//me:secret@"))
        monkeypatch.setenv("no_proxy", bypass)
        storage = azure_at("http://account.blob.example.test")
        async with aclosing(storage):
            if bypass:
                with pytest.raises(UnavailableError, match="cannot be reached"):
                    await storage.head("a")
                assert requests == []
                return
            await storage.head("a")
    (request,) = requests
    assert request.target == "http://account.blob.example.test/container/a"
    assert request.headers["proxy-authorization"].startswith("Basic ")
