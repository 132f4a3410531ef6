"""Credentials that expire: looked for anew, for the very request that was refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage.errors import UnauthenticatedError
from jupyter_nbforge.storage.wrappers import RetryStorage

from .stub import Answer, Request, answer, refusal, stub_s3

NO_KEYS: dict[str, Any] = {"access_key_id": "", "secret_access_key": ""}
DONE = answer(200, etag='"1"', last_modified="Mon, 01 Jan 2024 00:00:00 GMT")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SDK's own credentials file, with a key that has expired."""
    path = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    write_key(path, "OLDKEY")
    return path


def write_key(file: Path, key: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def refusing_the_old(request: Request, number: int) -> bytes:
    if "Credential=OLDKEY/" not in request.headers["authorization"]:
        return DONE
    # To a HEAD there is no body that could tell why.
    return answer(400) if request.method == "HEAD" else refusal(400, "ExpiredToken")


async def test_credentials_renewed_in_their_file_are_used_without_a_restart(file: Path) -> None:
    async with stub_s3(refusing_the_old, **NO_KEYS) as store:
        storage = RetryStorage(store, max_attempts=2, wait_max=0.0)
        for _ in range(2):
            with pytest.raises(UnauthenticatedError, match="have expired"):
                await storage.put("a", b"1")
        write_key(file, "NEWKEY")
        assert (await storage.put("a", b"1")).version == '"1"'


@pytest.mark.parametrize("operation", ["head", "put", "delete"])
async def test_the_request_that_was_refused_is_made_again_with_renewed_credentials(
    file: Path, operation: str
) -> None:
    requests: list[Request] = []

    def reply(request: Request, number: int) -> bytes:
        data = refusing_the_old(request, number)
        write_key(file, "NEWKEY")
        return data

    async with stub_s3(reply, requests=requests, **NO_KEYS) as store:
        storage = RetryStorage(store, wait_max=0.0)
        if operation == "put":
            await storage.put("a", b"1")
        else:
            await getattr(storage, operation)("a")
    # botocore follows a HEAD that was refused without a reason with a look at the region.
    assert len(requests) <= 3
    assert "Credential=NEWKEY/" in requests[-1].headers["authorization"]


async def test_keys_that_were_configured_are_not_exchanged_for_those_of_the_machine(
    file: Path,
) -> None:
    write_key(file, "NEWKEY")
    expired: Answer = lambda request, number: refusal(400, "ExpiredToken")  # noqa: E731
    requests: list[Request] = []
    keys: dict[str, Any] = {"access_key_id": "OLDKEY", "secret_access_key": "secret"}
    async with stub_s3(expired, requests=requests, **keys) as store:
        with pytest.raises(UnauthenticatedError):
            await RetryStorage(store, max_attempts=3, wait_max=0.0).put("a", b"1")
    assert len(requests) == 3
    assert all("Credential=OLDKEY/" in request.headers["authorization"] for request in requests)
