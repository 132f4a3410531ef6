"""The outputs in docs/check.md are those of the program, as far as they are always the same."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from jupyter_nbforge.testing.processes import free_port
from jupyter_nbforge.testing.servers import MotoServer
from tests.docs import DOCS
from tests.permissions.test_aws import Grant, documented_policy, without
from tests.upstream.clouds import cloud_at

from . import test_refusals
from .conftest import PREFIX, Check, Checked, Clouds, beside, options
from .proxies import Expired, OtherRegion

server = test_refusals.server
bucket = test_refusals.bucket
grant = test_refusals.grant

On = Callable[..., list[str]]

_BLOCK = re.compile(r"^```text\n(Checking .*?)\(exit status (\d)\)\n```$", re.MULTILINE | re.DOTALL)

_VARYING = (
    (r"\.nbforge-check-[0-9a-f]{16}", ".nbforge-check-X"),
    (r"access key …\w*(?:-key)?\.", "access key …."),
    (r"(?<=\d)\.\d+\.\d+(?=[,.])", ""),
    (r"there is nothing below the prefix yet|\d+ entries on the first page", "ENTRIES"),
    (r"\d+", "N"),
)
"""Versions, ports, times, counts, names at random: what is another in each run."""


def documented(section: str, number: int = 0) -> tuple[str, int]:
    """An output below that heading, without what varies, and its exit status."""
    page = (DOCS / "check.md").read_text()
    text = page.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    output, status = _BLOCK.findall(text)[number]
    return steady(output, "my-bucket"), int(status)


def steady(output: str, bucket: str) -> str:
    text = output.replace(bucket, "BUCKET")
    for pattern, stands_for in _VARYING:
        text = re.sub(pattern, stands_for, text, flags=re.MULTILINE)
    return text


def agrees(found: Checked, section: str, number: int = 0, bucket: str = "check-bucket") -> None:
    assert (steady(found.out, bucket), found.code) == documented(section, number)


def test_a_healthy_store(check: Check, clouds: Clouds, on: On) -> None:
    agrees(check(*on(clouds("seaweedfs")), plain=True), "A healthy store")


@pytest.mark.parametrize(("number", "told"), [(0, True), (1, False)])
def test_a_wrong_region(check: Check, clouds: Clouds, on: On, number: int, told: bool) -> None:
    cloud = clouds("seaweedfs")
    with beside(OtherRegion(cloud.endpoint, "eu-west-1", told=told)) as proxy:
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)), plain=True)
    agrees(found, "A wrong region", number)


def test_a_missing_permission(check: Check, server: MotoServer, grant: Grant, bucket: str) -> None:
    granted = grant(without(documented_policy(), "s3:DeleteObject"))
    found = check(f"s3://{bucket}/{PREFIX}", *options(granted), plain=True)
    agrees(found, "A missing permission", bucket=bucket)


def test_a_store_that_ignores_conditions(check: Check, clouds: Clouds, on: On) -> None:
    cloud = clouds("seaweedfs")
    with beside(test_refusals.weaker(cloud)) as proxy:
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)), plain=True)
    agrees(found, "A store that ignores conditions")


def test_an_expired_credential(check: Check, clouds: Clouds, on: On) -> None:
    cloud = clouds("seaweedfs")
    with beside(Expired(cloud.endpoint)) as proxy:
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)), plain=True)
    agrees(found, "An expired credential")


def test_a_dead_endpoint(check: Check, clouds: Clouds, on: On) -> None:
    dead = cloud_at(clouds("seaweedfs"), f"http://127.0.0.1:{free_port()}")
    agrees(check(*on(dead), plain=True), "A dead endpoint")
