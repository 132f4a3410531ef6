"""Credentials for S3 that are exchanged under a running storage, at a server that checks them."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import UnauthenticatedError
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.testing.servers import REGION, MotoServer

from .saving import Saver

BUCKET = "credentials"
_NUMBERS = itertools.count(1)
_SOON = 60.0
"""Seconds; the SDK asks anew for each request within ten minutes of the end."""
_EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
_ALLOWED = {"Version": "2012-10-17", "Statement": [_EVERYTHING]}


class Keys:
    """The access keys of a user at a server that asks for them; of two the older one goes."""

    def __init__(self, server: MotoServer, admin: Any) -> None:
        self.server = server
        self.issued: list[dict[str, str]] = []
        self._iam = admin
        self._user = f"user-{next(_NUMBERS)}"
        self._iam.create_user(UserName=self._user)
        self._iam.put_user_policy(
            UserName=self._user, PolicyName="all", PolicyDocument=json.dumps(_ALLOWED)
        )

    def issue(self) -> dict[str, str]:
        """A new key, as STS names its parts."""
        made = self._iam.create_access_key(UserName=self._user)["AccessKey"]
        keys = {name: made[name] for name in ("AccessKeyId", "SecretAccessKey")}
        self.issued.append(keys)
        return keys

    def revoke(self, keys: dict[str, str]) -> None:
        """From now on the server refuses this key, and says so."""
        self._iam.delete_access_key(UserName=self._user, AccessKeyId=keys["AccessKeyId"])
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            client_with(self.server, keys).list_objects_v2(Bucket=BUCKET)

    def issue_for(self, seconds: float) -> dict[str, Any]:
        """A new key with an end, at which it is refused; of more than two the oldest goes."""
        if len(self.issued) > 1:
            self.revoke(self.issued[-2])
        ends = datetime.fromtimestamp(time.time() + seconds, timezone.utc)
        return {**self.issue(), "Expiration": ends}

    def assume_role(self, seconds: float) -> dict[str, Any]:
        """Temporary credentials of a role, with the token that belongs to them."""
        name = f"role-{next(_NUMBERS)}"
        policy = json.dumps(_ALLOWED)
        role = self._iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy)["Role"]
        self._iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=policy)
        own = {"AccessKeyId": self.server.access_key, "SecretAccessKey": self.server.secret_key}
        sts = client_with(self.server, own, "sts")
        found = sts.assume_role(RoleArn=role["Arn"], RoleSessionName=name)["Credentials"]
        return {**found, "Expiration": datetime.fromtimestamp(time.time() + seconds, timezone.utc)}


def client_with(server: MotoServer, keys: dict[str, str], service: str = "s3") -> Any:
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
    )


@pytest.fixture(scope="module")
def server() -> Iterator[MotoServer]:
    """moto, which from here on knows who may do what."""
    with MotoServer() as server:
        server.create_bucket(BUCKET)
        own = {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}
        iam = client_with(server, own, "iam")
        iam.create_user(UserName="admin")
        iam.put_user_policy(UserName="admin", PolicyName="all", PolicyDocument=json.dumps(_ALLOWED))
        made = iam.create_access_key(UserName="admin")["AccessKey"]
        server.access_key, server.secret_key = made["AccessKeyId"], made["SecretAccessKey"]
        url = f"{server.endpoint_url}/moto-api/reset-auth"
        plain = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(url, data=b"0", headers=plain, method="POST")
        with urllib.request.urlopen(asked):
            pass
        yield server


@pytest.fixture
def keys(server: MotoServer) -> Keys:
    own = {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key}
    return Keys(server, client_with(server, own, "iam"))


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PROFILE", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT_URL"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@asynccontextmanager
async def storage_at(server: MotoServer, **options: Any) -> AsyncIterator[BaseStorageService]:
    usual = {"endpoint_url": server.endpoint_url, "region_name": REGION}
    # Probes would make the number of saves before an exchange of keys a matter of luck.
    more = {"conditional_put": True, "conditional_copy": False, "conditional_delete": True}
    storage = create_storage_service(
        f"s3://{BUCKET}/{next(_NUMBERS)}", environ={}, **{**usual, **more, **options}
    )
    try:
        yield storage
    finally:
        await storage.aclose()


async def test_keys_of_a_function_are_exchanged_before_their_end_and_no_save_fails(
    keys: Keys,
) -> None:
    function = partial(keys.issue_for, 1.0)
    async with storage_at(keys.server, credentials_provider=function) as storage:
        saver = Saver(storage)
        await saver.save_until(lambda: len(keys.issued) >= 4)
        await saver.save()


async def test_keys_of_a_function_that_are_refused_are_exchanged_for_the_same_save(
    keys: Keys,
) -> None:
    async with storage_at(keys.server, credentials_provider=keys.issue) as storage:
        saver = Saver(storage)
        await saver.save()
        await asyncio.to_thread(keys.revoke, keys.issued[0])
        await saver.save()
    assert len(keys.issued) == 2


async def test_a_function_that_fails_for_a_while_costs_no_save(keys: Keys) -> None:
    fails = 2

    async def function() -> dict[str, Any]:
        nonlocal fails
        if keys.issued and fails:
            fails -= 1
            raise OSError("the secret is hunter2")
        return keys.issue()

    async with storage_at(keys.server, credentials_provider=function) as storage:
        saver = Saver(storage)
        await saver.save()
        await asyncio.to_thread(keys.revoke, keys.issued[0])
        await saver.save()
    assert fails == 0


def write_profile(file: Path, keys: dict[str, str]) -> None:
    lines = ("[default]", f"aws_access_key_id = {keys['AccessKeyId']}")
    file.write_text("\n".join((*lines, f"aws_secret_access_key = {keys['SecretAccessKey']}\n")))


async def test_a_profile_that_is_rewritten_under_the_server_is_used_for_the_same_save(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    write_profile(file, keys.issue())
    async with storage_at(keys.server) as storage:
        saver = Saver(storage)
        for _ in range(3):
            await saver.save()
            write_profile(file, keys.issue())
            await asyncio.to_thread(keys.revoke, keys.issued[-2])
            await saver.save()


async def test_all_requests_that_are_under_way_at_an_exchange_are_made_again(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    write_profile(file, keys.issue())
    async with storage_at(keys.server) as storage:
        paths = [f"{number}.txt" for number in range(8)]
        await asyncio.gather(*(storage.put(path, b"old") for path in paths))
        write_profile(file, keys.issue())
        await asyncio.to_thread(keys.revoke, keys.issued[0])
        await asyncio.gather(*(storage.put(path, b"new") for path in paths))


async def test_keys_that_are_wrong_from_the_beginning_are_told_at_once(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "credentials"
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    write_profile(file, {"AccessKeyId": "AKIAWRONG", "SecretAccessKey": "wrong"})
    async with storage_at(keys.server) as storage:
        with pytest.raises(UnauthenticatedError, match="does not accept the access key") as raised:
            await Saver(storage).save()
    assert not raised.value.retryable


async def test_a_command_that_gives_credentials_is_run_again_before_their_end(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = tmp_path / "answer.json"
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = /bin/cat {answer}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))

    def renew() -> None:
        found = keys.issue_for(_SOON)
        ends = found["Expiration"].isoformat()
        answer.write_text(json.dumps({"Version": 1, **found, "Expiration": ends}))

    renew()
    async with storage_at(keys.server) as storage:
        saver = Saver(storage)
        for _ in range(3):
            await saver.save()
            await asyncio.to_thread(renew)
        await saver.save()
    assert len(keys.issued) == 4


async def test_the_token_file_of_a_pod_is_read_again_for_each_new_credential(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for IRSA: Kubernetes writes a new token there long before the old one ends.

    moto gives no credentials for less than a quarter of an hour, so what stands before its
    STS tells of an earlier end.
    """
    token = tmp_path / "token"
    token.write_text("token-0")
    told: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked = parse_qs(await request.text())
        told.append(asked["WebIdentityToken"][0])
        return web.Response(text=_sts_answer(await asyncio.to_thread(keys.assume_role, _SOON)))

    async with _served(answer) as sts:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", sts)
        monkeypatch.setenv("AWS_REGION", REGION)
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
        monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/my-notebooks")
        async with storage_at(keys.server) as storage:
            saver = Saver(storage)
            for number in range(1, 4):
                await saver.save()
                token.write_text(f"token-{number}")
            await saver.save()
    assert list(dict.fromkeys(told)) == [f"token-{number}" for number in range(4)]


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


def _sts_answer(found: dict[str, Any]) -> str:
    """https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html"""
    ends = found["Expiration"].isoformat().replace("+00:00", "Z")
    parts = {**found, "Expiration": ends}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items())
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials>"
        "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
    )
