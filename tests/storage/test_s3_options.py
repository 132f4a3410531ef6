"""What of S3Storage needs no server: its options, their faults, and what stays hidden."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import ConfigurationError, MissingExtraError
from jupyter_nbforge.storage.s3 import S3Storage

SECRETS = {
    "access_key_id": "AKIAKEYKEYKEY",
    "secret_access_key": "SECRETSECRET",
    "session_token": "TOKENTOKEN",
}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "storage_url"),
        ({"bucket": ""}, "storage_url"),
        ({"bucket": "a"}, "bucket name"),
        ({"bucket": "my/bucket"}, "bucket name"),
        ({"bucket": "my bucket"}, "bucket name"),
        ({"bucket": "bucket", "endpoint_url": "minio:9000"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "minio.example"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "ftp://minio"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://minio:port"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://[minio"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://minio?a=b"}, "endpoint_url"),
        ({"bucket": "bucket", "access_key_id": "key"}, "secret_access_key"),
        ({"bucket": "bucket", "secret_access_key": "secret"}, "access_key_id"),
        ({"bucket": "bucket", "session_token": "token"}, "session_token"),
        ({"bucket": "bucket", "anonymous": True, "profile_name": "work"}, "anonymous"),
        ({"bucket": "bucket", "anonymous": True, **SECRETS}, "anonymous"),
        ({"bucket": "bucket", "sse_kms_key_id": "key"}, "server_side_encryption"),
        ({"bucket": "bucket", "ca_bundle": "/no/such/file"}, "ca_bundle"),
        ({"bucket": "bucket", "ca_bundle": __file__, "verify_tls": False}, "verify_tls"),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_option(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        S3Storage(**options)
    assert named in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


def test_an_endpoint_with_credentials_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        S3Storage(bucket="bucket", endpoint_url="http://user:SECRETSECRET@minio:9000")
    assert "SECRETSECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "bucket",
    ["bucket", "my.bucket-1", "Old_Bucket", "arn:aws:s3:eu-west-1:123456789012:accesspoint/a"],
)
def test_a_bucket_name_of_s3_is_taken(bucket: str) -> None:
    assert S3Storage(bucket=bucket).url == f"s3://{bucket}"


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(TraitError):
        S3Storage(bucket="bucket", max_connections=0)
    with pytest.raises(TraitError):
        S3Storage(bucket="bucket", addressing_style="paths")


def test_options_come_from_traitlets_configuration() -> None:
    config = Config({"S3Storage": {"bucket": "bucket", "conditional_put": False}})
    storage = S3Storage(config=config)
    assert storage.bucket == "bucket"
    assert not storage.capabilities.conditional_put


def test_every_option_explains_itself() -> None:
    own = set(S3Storage.class_traits(config=True)) - set(BaseStorageService.class_traits())
    assert len(own) > 20
    for name in own:
        assert S3Storage.class_traits()[name].help.endswith("."), name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket", {"bucket": "bucket", "prefix": ""}),
        ("s3://bucket/", {"bucket": "bucket", "prefix": ""}),
        ("s3://bucket/a/b c/", {"bucket": "bucket", "prefix": "a/b c"}),
    ],
)
def test_a_url_names_bucket_and_prefix(url: str, expected: dict[str, str]) -> None:
    assert S3Storage.options_from_url(urlsplit(url)) == expected


@pytest.mark.parametrize(
    "url",
    ["s3://KEYKEY:SECRETSECRET@bucket", "s3://minio:9000/bucket", "s3://b/p?x=1", "s3://b/p#x"],
)
def test_a_url_with_more_in_it_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        S3Storage.options_from_url(urlsplit(url))
    assert "SECRETSECRET" not in str(caught.value)


def test_the_environment_names_bucket_prefix_endpoint_and_region() -> None:
    environ = {
        "S3_BUCKET": "bucket",
        "S3_PREFIX": "home",
        "S3_ENDPOINT_URL": "http://minio",
        "S3_REGION": "eu-central-1",
        "S3_SOMETHING": "else",
    }
    assert S3Storage.options_from_environment(environ) == {
        "bucket": "bucket",
        "prefix": "home",
        "endpoint_url": "http://minio",
        "region_name": "eu-central-1",
    }
    assert S3Storage.options_from_environment({"S3_BUCKET": ""}) == {}


def test_no_secret_shows() -> None:
    storage = S3Storage(bucket="bucket", **SECRETS)
    for shown in (repr(storage), str(storage), storage.url, repr(storage._connection)):
        for secret in SECRETS.values():
            assert secret not in shown
    assert repr(storage) == "S3Storage('s3://bucket')"


def test_the_addressing_style_follows_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    def style(**options: Any) -> str:
        return str(S3Storage(bucket="bucket", **options).client_config()["s3"]["addressing_style"])

    assert style() == "auto"
    assert style(endpoint_url="http://minio") == "path"
    assert style(endpoint_url="http://minio", addressing_style="virtual") == "virtual"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://minio")
    assert style() == "path"


def test_capabilities_follow_the_options() -> None:
    usual = S3Storage(bucket="bucket").capabilities
    assert usual.conditional_put
    assert usual.conditional_copy
    assert usual.conditional_delete
    assert usual.ordered_listing
    assert usual.presigned_urls
    assert usual.min_part_size == 5 * 2**20
    assert not S3Storage(bucket="bucket", conditional_copy=False).capabilities.conditional_copy
    assert not S3Storage(bucket="bucket", conditional_delete=False).capabilities.conditional_delete
    assert not S3Storage(bucket="bucket", ordered_listing=False).capabilities.ordered_listing
    assert not S3Storage(bucket="bucket", anonymous=True).capabilities.presigned_urls


def test_a_storage_is_made_without_the_sdk(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from jupyter_nbforge.storage.s3 import S3Storage\n"
        "S3Storage(bucket='bucket')\n"
        "print(sorted(sys.modules.keys() & {'botocore', 'aiobotocore', 'aiohttp'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_sdk_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiobotocore", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'jupyter-nbforge\[s3\]'"):
        S3Storage(bucket="bucket")
