"""The policy of the documentation is enough, and each of its actions is needed."""

from __future__ import annotations

import itertools
import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import pytest
from tornado.web import HTTPError

from jupyter_nbforge.storage.errors import PermissionDeniedError
from jupyter_nbforge.testing.servers import REGION, MotoServer

from .day import NOTEBOOK, live_a_day, manager_on, read_everything, refusal, text_file

DOCS = Path(__file__).parents[2] / "docs/s3.md"
BUCKET = "my-bucket"
PREFIX = "people/ada"
_NUMBERS = itertools.count(1)

_PLAIN = {"Content-Type": "text/plain"}

Grant = Callable[..., dict[str, dict[str, Any]]]


def documented_policy() -> dict[str, Any]:
    """The policy that stands in the documentation."""
    section = DOCS.read_text().partition("## Permissions on AWS")[2]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None
    policy: dict[str, Any] = json.loads(found[1])
    return policy


def actions(policy: dict[str, Any]) -> list[str]:
    """All actions that a policy allows."""
    allowed = [statement["Action"] for statement in policy["Statement"]]
    return [name for one in allowed for name in ([one] if isinstance(one, str) else one)]


def without(policy: dict[str, Any], *dropped: str) -> dict[str, Any]:
    """The policy without some of its actions."""
    left: dict[str, Any] = json.loads(json.dumps(policy))
    for statement in left["Statement"]:
        named = statement["Action"]
        named = [named] if isinstance(named, str) else named
        statement["Action"] = [name for name in named if name not in dropped]
    return left


@pytest.fixture(scope="module")
def server() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


@pytest.fixture
def bucket(server: MotoServer) -> str:
    """A new bucket; policies mean it where they say my-bucket."""
    name = f"{BUCKET}-{next(_NUMBERS)}"
    _enforce(server, False)
    server.create_bucket(name)
    return name


@pytest.fixture
def grant(server: MotoServer, bucket: str) -> Iterator[Grant]:
    """Makes a user with a policy and turns the enforcement on; the traits for that user."""
    iam = boto3.client(
        "iam",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )

    def make(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
        _enforce(server, False)
        name = f"user-{next(_NUMBERS)}"
        iam.create_user(UserName=name)
        document = _as_known(policy).replace(BUCKET, bucket)
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        _enforce(server, True)
        options = {
            "endpoint_url": server.endpoint_url,
            "region_name": REGION,
            "access_key_id": key["AccessKeyId"],
            "secret_access_key": key["SecretAccessKey"],
            "conditional_copy": False,
        }
        return {"S3Storage": options}

    with closing(iam):
        yield make
        _enforce(server, False)


def _as_known(policy: dict[str, Any]) -> str:
    """The policy as the emulator needs it, which asks for DeleteObjects on the bucket itself."""
    statements = [statement for statement in policy["Statement"] if statement["Action"]]
    if "s3:DeleteObject" in actions(policy):
        resource = f"arn:aws:s3:::{BUCKET}"
        more = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": resource}
        statements.append(more)
    return json.dumps({**policy, "Statement": statements})


def _enforce(server: MotoServer, on: bool) -> None:
    """Whether the emulator asks for permissions; it does so after a number of requests."""
    url = f"{server.endpoint_url}/moto-api/reset-auth"
    count = b"0" if on else b"1000000000"
    with urllib.request.urlopen(
        urllib.request.Request(url, data=count, headers=_PLAIN, method="POST")
    ):
        pass


async def test_the_documented_policy_is_enough_for_a_whole_day(grant: Grant, bucket: str) -> None:
    options = grant(documented_policy())
    async with manager_on(f"s3://{bucket}/{PREFIX}", options) as manager:
        await live_a_day(manager)


@pytest.mark.parametrize("prefix", ["people/eve", "people/ada2"])
async def test_the_documented_policy_allows_nothing_for_another_prefix(
    grant: Grant, bucket: str, prefix: str
) -> None:
    options = grant(documented_policy())
    async with manager_on(f"s3://{bucket}/{prefix}", options) as manager:
        assert "does not allow" in await refusal(manager.save(NOTEBOOK, "n.ipynb"))
        with pytest.raises(HTTPError) as refused:
            await manager.get("n.ipynb")
        assert refused.value.status_code == 403


async def test_leftovers_of_killed_servers_are_found_with_two_more_permissions(
    grant: Grant, bucket: str
) -> None:
    policy = documented_policy()
    async with manager_on(f"s3://{bucket}/{PREFIX}", grant(policy)) as manager:
        await manager.storage.create_multipart_upload("left.bin")
        with pytest.raises(PermissionDeniedError):
            await manager.storage.abort_stale_uploads("", 0.0)
    listing, objects = policy["Statement"]
    more = {"Effect": "Allow", "Action": "s3:ListBucketMultipartUploads"}
    objects["Action"].append("s3:ListMultipartUploadParts")
    policy["Statement"].append({**more, "Resource": listing["Resource"]})
    async with manager_on(f"s3://{bucket}/{PREFIX}", grant(policy)) as manager:
        assert await manager.storage.abort_stale_uploads("", 0.0) == 1


@pytest.mark.parametrize("action", actions(documented_policy()))
async def test_without_one_action_of_the_documented_policy_the_day_fails(
    grant: Grant, bucket: str, action: str
) -> None:
    options = grant(without(documented_policy(), action))
    async with manager_on(f"s3://{bucket}/{PREFIX}", options) as manager:
        with pytest.raises(Exception, match="does not allow"):
            await live_a_day(manager)


async def test_who_may_only_read_can_read_everything_and_is_told_why_not_more(
    grant: Grant, bucket: str
) -> None:
    writer = grant(documented_policy())
    async with manager_on(f"s3://{bucket}/{PREFIX}", writer) as manager:
        await live_a_day(manager)
    writing = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")
    reader = grant(without(documented_policy(), *writing))
    async with manager_on(f"s3://{bucket}/{PREFIX}", reader) as manager:
        await read_everything(manager)
        for act in (
            manager.save(text_file("mine"), "new.txt"),
            manager.save(NOTEBOOK, "folder/n.ipynb"),
            manager.delete("folder/n.ipynb"),
            manager.rename("folder/n.ipynb", "folder/m.ipynb"),
            manager.create_checkpoint("folder/n.ipynb"),
        ):
            assert "does not allow" in await refusal(act)
        await read_everything(manager)
