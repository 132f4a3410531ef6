"""What a store refuses: a region, a credential, a bucket, each single permission, a condition."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from jupyter_nbforge.storage import s3_diagnosis
from jupyter_nbforge.testing.s3_dialects import WeakerS3
from jupyter_nbforge.testing.servers import MotoServer
from tests.permissions import test_aws
from tests.permissions.test_aws import Grant, documented_policy, without
from tests.upstream.clouds import Cloud, cloud_at, cloud_on

from .conftest import PREFIX, Check, Clouds, beside, options, secrets_of
from .proxies import Expired, OtherRegion
from .stores import everything

server = test_aws.server
bucket = test_aws.bucket
grant = test_aws.grant

On = Callable[..., list[str]]


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    "url",
    ["s3://key:c0nfidential@bucket/a", "az://sets?sv=1&sig=c0nfidential", "s3://b#c0nfidential"],
)
def test_a_secret_in_a_url_that_is_refused_is_not_shown(
    check: Check, url: str, plain: bool
) -> None:
    found = check(url, plain=plain)
    assert found.code == 2
    assert "c0nfidential" not in found.out + found.err


@pytest.mark.parametrize("name", ["ada", "../bob"])
def test_a_placeholder_in_root_dir_is_filled_or_refused(
    check: Check, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    monkeypatch.setenv("JUPYTERHUB_USER", name)
    found = check(tmp_path.as_uri(), "--NBForgeContentsManager.root_dir=/users/{username}")
    assert found.storage["url"] == f"{tmp_path.as_uri()}/users/ada" or found.code == 2
    assert (found.code == 2) == (name != "ada")


@pytest.mark.parametrize("redirects", [False, True])
def test_a_wrong_region_is_told_with_the_right_one(
    check: Check, clouds: Clouds, on: On, redirects: bool
) -> None:
    cloud = clouds("moto")
    with beside(OtherRegion(cloud.endpoint, "eu-west-1", redirects=redirects)) as proxy:
        there = cloud_at(cloud, proxy.endpoint_url)
        found = check(*on(there))
        right = check(*on(there, region_name="eu-west-1"))
    # The SDK signs anew for the region that it is told: all works, with more requests.
    assert (found.code, found.bad) == (0, set())
    assert found.results["bucket"] == "warning"
    message = found.step("bucket")["message"]
    assert "is in the region eu-west-1, and the server is set to us-east-1" in message
    assert found.step("bucket")["remedy"] == "Set S3Storage.region_name to 'eu-west-1'."
    assert right.results["bucket"] == "ok"


def test_a_wrong_region_that_the_store_does_not_name_ends_the_check(
    check: Check, clouds: Clouds, on: On
) -> None:
    cloud = clouds("moto")
    proxy = OtherRegion(cloud.endpoint, "eu-west-1", told=False)
    with beside(proxy):
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)))
    assert (found.code, found.bad) == (1, {"bucket"})
    assert "in another region (the store does not say which)" in found.step("bucket")["message"]
    assert "S3Storage.region_name" in found.step("bucket")["message"]
    assert found.results["list"] == found.results["write"] == "skipped"


@pytest.mark.parametrize("name", ["seaweedfs", "gcs", "azure"])
def test_a_bucket_that_is_not_there_is_told_with_its_name(
    check: Check, clouds: Clouds, on: On, name: str
) -> None:
    cloud = clouds(name)
    found = check(cloud.url.replace("check-bucket", "absent"), *on(cloud)[1:])
    assert (found.code, found.bad) == (1, {"bucket"})
    assert "'absent' does not exist at" in found.step("bucket")["message"]


def test_an_expired_credential_is_told_as_that(check: Check, clouds: Clouds, on: On) -> None:
    cloud = clouds("moto")
    with beside(Expired(cloud.endpoint)) as proxy:
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)))
    assert (found.code, found.bad) == (1, {"bucket"})
    assert "credentials for http://127.0.0.1" in found.step("bucket")["message"]
    assert "have expired; renew them" in found.step("bucket")["message"]
    assert found.step("credentials")["message"].endswith("access key …-key.")
    assert secrets_of(cloud)[0] not in found.out


def test_a_wrong_secret_is_told_as_that(check: Check, clouds: Clouds, on: On) -> None:
    cloud = clouds("seaweedfs")
    keys = {"access_key_id": cloud.credentials["key"], "secret_access_key": "wrong-secret-wrong"}
    found = check(*on(cloud, **keys))
    assert (found.code, found.bad) == (1, {"bucket"})
    assert "does not belong to the access key" in found.step("bucket")["message"]
    assert "S3Storage.access_key_id" in found.step("credentials")["message"]
    assert "wrong-secret" not in found.out + found.err


def test_no_credentials_are_told_with_the_ways_to_give_some(check: Check, clouds: Clouds) -> None:
    cloud = clouds("seaweedfs")
    found = check(f"{cloud.url}/{PREFIX}", *options(cloud.options))
    assert (found.code, found.bad) == (1, {"credentials"})
    assert "AWS_ACCESS_KEY_ID" in found.step("credentials")["remedy"]
    assert found.results["bucket"] == "skipped"


def test_temporary_keys_of_the_environment_are_a_warning(
    check: Check, clouds: Clouds, on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-session-token")
    found = check(*on(clouds("moto")), "--read-only")
    assert found.results["credentials"] == "warning"
    assert "temporary and never renewed" in found.step("credentials")["message"]
    assert "a-session-token" not in found.out


EXPECTED: dict[str, tuple[str, set[str]]] = {
    "s3:ListBucket": ("list", {"list"}),
    # Amazon S3 asks for it on the source of a copy too; the emulator does not.
    "s3:GetObject": ("read", {"read"}),
    "s3:PutObject": ("write", {"write"}),
    "s3:DeleteObject": ("delete", {"delete", "cleanup"}),
    "s3:AbortMultipartUpload": ("multipart", {"multipart"}),
}
"""Of each action that is missing: the step that names it, and all that fail."""


@pytest.mark.parametrize("action", EXPECTED)
def test_a_missing_permission_on_aws_is_named_with_the_policy_to_paste(
    check: Check, server: MotoServer, grant: Grant, bucket: str, action: str
) -> None:
    step, failing = EXPECTED[action]
    granted = grant(without(documented_policy(), action))
    found = check(f"s3://{bucket}/{PREFIX}", *options(granted))
    assert (found.code, found.bad) == (1, failing), found.out
    assert f"arn:aws:s3:::{bucket}" in found.step(step)["remedy"]
    assert action in found.step(step)["remedy"]
    assert found.storage["policy"]["text"] == s3_diagnosis.policy_text(bucket, f"{PREFIX}/")
    assert granted["S3Storage"]["secret_access_key"] not in found.out + found.err
    left = found.storage["left"]
    _enforced_no_more(server)
    there = everything(_as_root(server, bucket))
    assert {entry.partition(" ")[0] for entry in there} == set(left)
    if action == "s3:DeleteObject":
        (key,) = left
        assert key.startswith(f"{PREFIX}/.nbforge-check-")
        assert found.step("cleanup")["details"] == left
        assert found.results["copy"] == found.results["conditions"] == "skipped"
    else:
        assert left == []


def test_the_documented_policy_passes_the_check(check: Check, grant: Grant, bucket: str) -> None:
    found = check(f"s3://{bucket}/{PREFIX}", *options(grant(documented_policy())))
    assert (found.code, found.bad) == (0, set()), found.out


def _enforced_no_more(server: MotoServer) -> None:
    test_aws._enforce(server, False)


def _as_root(server: MotoServer, bucket: str) -> Cloud:
    keys = {"key": server.access_key, "secret": server.secret_key}
    return Cloud("moto", f"s3://{bucket}", server.endpoint_url, keys, {})


AZURE: dict[str, tuple[str, set[str]]] = {
    "l": ("list", {"bucket"}),
    "r": ("read", {"read", "copy"}),
    "w": ("write", {"write"}),
    "d": ("delete", {"delete", "cleanup"}),
}


@pytest.mark.parametrize("letter", AZURE)
def test_a_missing_permission_of_a_sas_is_named(check: Check, clouds: Clouds, letter: str) -> None:
    cloud = clouds("azure")
    before = everything(cloud)
    left_out = "wca" if letter == "w" else letter
    sas = signature(cloud, "".join(one for one in "racwdl" if one not in left_out))
    found = check(f"{cloud.url}/sas-{letter}", *_with(cloud, sas))
    step, _ = AZURE[letter]
    assert found.code == 1
    assert step in found.bad
    assert f"{letter} " in found.step(step)["remedy"]
    assert "Storage Blob Data Contributor" in found.storage["policy"]["text"]
    assert sas not in found.out + found.err
    assert "sig=" not in found.out
    left = found.storage["left"]
    assert {entry.strip() for entry in everything(cloud) - before} == set(left)
    assert len(left) == (1 if letter == "d" else 0)


def test_a_sas_with_the_documented_permissions_passes(check: Check, clouds: Clouds) -> None:
    cloud = clouds("azure")
    found = check(f"{cloud.url}/sas", *_with(cloud, signature(cloud, "racwdl")))
    assert (found.code, found.bad) == (0, set()), found.out
    assert found.results["link"] == "not applicable"
    assert found.results["credentials"] == "warning"


def test_an_expired_sas_is_told_before_any_request(check: Check, clouds: Clouds) -> None:
    cloud = clouds("azure")
    found = check(f"{cloud.url}/sas", *_with(cloud, signature(cloud, "racwdl", hours=-1)))
    assert (found.code, found.bad) == (1, {"credentials"})
    assert "it has expired" in found.step("credentials")["message"]


def signature(cloud: Cloud, permissions: str, hours: int = 1) -> str:
    """A SAS on the container."""
    return generate_container_sas(
        cloud.credentials["account"],
        cloud.container,
        account_key=cloud.credentials["key"],
        permission=ContainerSasPermissions.from_string(permissions),
        expiry=datetime.now(timezone.utc) + timedelta(hours=hours),
    )


def _with(cloud: Cloud, sas: str) -> list[str]:
    traits = {**cloud.options["AzureStorage"], "sas_token": sas, "hierarchical_namespace": False}
    return options({"AzureStorage": traits})


IGNORED = ("PUT If-None-Match", "PUT If-Match", "DELETE If-Match")


def test_a_store_that_ignores_conditions_is_a_warning_that_says_what_is_weaker(
    check: Check, clouds: Clouds, on: On
) -> None:
    cloud = clouds("seaweedfs")
    before = everything(cloud)
    with beside(weaker(cloud)) as proxy:
        there = cloud_at(cloud, proxy.endpoint_url)
        found = check(*on(there))
        strict = check(*on(there), "--strict")
        trusted = check(*on(there, conditional_put=True))
    assert everything(cloud) == before
    assert (found.code, strict.code) == (0, 1)
    step = found.step("conditions")
    assert step["result"] == "warning"
    assert "ignores 3 of 9 conditions" in step["message"]
    told = [line for line in step["details"] if line.startswith("IGNORED")]
    assert [line.partition("(")[0].split(maxsplit=1)[1].strip() for line in told] == [
        "write if nothing is there",
        "write over one version",
        "delete of one version",
    ]
    assert "overwritten" in told[0]
    # Who says that the store honours them gets no look before the write.
    assert (trusted.code, trusted.bad) == (1, {"conditions"})
    assert "files can be overwritten silently" in trusted.step("conditions")["message"]
    assert "conditional_" in trusted.step("conditions")["remedy"]


def weaker(cloud: Cloud) -> WeakerS3:
    """In front of the store, without some conditions."""
    server = MotoServer()  # not started: of it only the address and the keys count
    server.endpoint_url = cloud.endpoint
    server.access_key, server.secret_key = cloud.credentials["key"], cloud.credentials["secret"]
    return WeakerS3(server, ignored=IGNORED)


def test_a_read_only_check_writes_nothing_and_reads_a_file_of_people(
    check: Check, clouds: Clouds, on: On
) -> None:
    cloud = clouds("moto")
    client = cloud.client()
    client.write("reading/a.txt", b"theirs")
    before = everything(cloud)
    found = check(*on(cloud, "reading"), "--read-only")
    assert everything(cloud) == before
    assert found.code == 0
    assert found.results["read"] == found.results["link"] == "ok"
    for name in ("write", "delete", "copy", "multipart", "conditions"):
        assert found.results[name] == "skipped"
        assert "--read-only" in found.step(name)["message"]


def test_a_bucket_that_keeps_versions_keeps_none_of_the_check(
    check: Check, server: MotoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    _enforced_no_more(server)
    server.create_bucket("versioned", versioned=True)
    cloud = cloud_on(server, "versioned", None)  # type: ignore[arg-type] # no key file for S3
    for name, value in cloud.environ.items():
        monkeypatch.setenv(name, value)
    found = check(f"{cloud.url}/{PREFIX}", *options(cloud.options))
    assert "On: deleted and replaced files can be had back" in found.step("versioning")["message"]
    assert everything(cloud) == set()


def test_a_link_that_cannot_be_fetched_is_a_warning_without_the_link(
    check: Check, clouds: Clouds, on: On, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = clouds("seaweedfs")

    async def altered(*args: Any, **kwargs: Any) -> str:
        return f"{cloud.endpoint}/check-bucket/a?X-Amz-Signature=secret-signature"

    monkeypatch.setattr("jupyter_nbforge.storage.s3.S3Storage.get_presigned_url", altered)
    found = check(*on(cloud))
    assert found.results["link"] == "warning"
    assert "HTTP 403" in found.step("link")["message"]
    assert "secret-signature" not in found.out + found.err


def test_plain_lines_say_the_same_as_the_document(check: Check, clouds: Clouds, on: On) -> None:
    cloud = clouds("moto")
    with beside(Expired(cloud.endpoint)) as proxy:
        arguments = on(replace(cloud_at(cloud, proxy.endpoint_url)))
        document = check(*arguments)
        plain = check(*arguments, plain=True)
    assert plain.code == document.code
    for step in document.storage["steps"]:
        lines = [line for line in plain.out.splitlines() if f" {step['title']} " in line]
        assert len(lines) == 1
        if not step["message"].startswith("127."):
            assert step["message"] in lines[0]
    assert json.loads(document.out)["exit_code"] == 1
