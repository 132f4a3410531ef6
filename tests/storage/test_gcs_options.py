"""What of GCSStorage needs no server: its options, their faults, and what stays hidden."""

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
from jupyter_nbforge.storage.factory import create_storage_service
from jupyter_nbforge.storage.gcs import GCSStorage

KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k"
FILE = __file__


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "storage_url"),
        ({"bucket": ""}, "storage_url"),
        ({"bucket": "a"}, "bucket name"),
        ({"bucket": "my/bucket"}, "bucket name"),
        ({"bucket": "my bucket"}, "bucket name"),
        ({"bucket": "My-bucket"}, "bucket name"),
        ({"bucket": "bucket", "endpoint_url": "server:9000"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "server.example"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "ftp://server"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://server:port"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://[server"}, "endpoint_url"),
        ({"bucket": "bucket", "endpoint_url": "http://server?a=b"}, "endpoint_url"),
        ({"bucket": "bucket", "credentials_file": "/no/such/file"}, "credentials_file"),
        ({"bucket": "bucket", "credentials_file": FILE, "anonymous": True}, "anonymous"),
        ({"bucket": "bucket", "user_project": "payer", "anonymous": True}, "anonymous"),
        ({"bucket": "bucket", "signing_account": "a@b", "anonymous": True}, "anonymous"),
        ({"bucket": "bucket", "signing_account": "me"}, "signing_account"),
        ({"bucket": "bucket", "kms_key_name": "k"}, "kms_key_name"),
        ({"bucket": "bucket", "kms_key_name": f"{KEY}/cryptoKeyVersions/1"}, "kms_key_name"),
        ({"bucket": "bucket", "ca_bundle": "/no/such/file"}, "ca_bundle"),
        ({"bucket": "bucket", "ca_bundle": FILE, "verify_tls": False}, "verify_tls"),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_option(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        GCSStorage(**options)
    assert named in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message


def test_an_endpoint_with_credentials_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        GCSStorage(bucket="bucket", endpoint_url="http://user:SECRETSECRET@server:9000")
    assert "SECRETSECRET" not in str(caught.value)


@pytest.mark.parametrize("bucket", ["bucket", "my.bucket-1", "old_bucket", "a" * 222])
def test_a_bucket_name_of_google_is_taken(bucket: str) -> None:
    assert GCSStorage(bucket=bucket).url == f"gs://{bucket}"


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(TraitError):
        GCSStorage(bucket="bucket", max_connections=0)
    with pytest.raises(TraitError):
        GCSStorage(bucket="bucket", atomic_move="perhaps")


def test_options_come_from_traitlets_configuration() -> None:
    config = Config({"GCSStorage": {"bucket": "bucket", "atomic_move": False}})
    storage = GCSStorage(config=config)
    assert storage.bucket == "bucket"
    assert not storage.capabilities.atomic_move


def test_every_option_explains_itself() -> None:
    own = set(GCSStorage.class_traits(config=True)) - set(BaseStorageService.class_traits())
    assert len(own) == 16
    for name in own:
        assert GCSStorage.class_traits()[name].help.endswith("."), name


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ("bucket", {"bucket": "bucket", "prefix": ""}),
        ("bucket/", {"bucket": "bucket", "prefix": ""}),
        ("bucket/a/b c/", {"bucket": "bucket", "prefix": "a/b c"}),
    ],
)
def test_a_url_names_bucket_and_prefix(scheme: str, rest: str, expected: dict[str, str]) -> None:
    assert GCSStorage.options_from_url(urlsplit(f"{scheme}://{rest}")) == expected


@pytest.mark.parametrize(
    "url",
    ["gs://me:SECRETSECRET@bucket", "gs://server:9000/bucket", "gs://b/p?x=1", "gs://b/p#x"],
)
def test_a_url_with_more_in_it_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        GCSStorage.options_from_url(urlsplit(url))
    assert "SECRETSECRET" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["gs", "gcs"])
def test_a_url_of_either_scheme_makes_a_storage(scheme: str) -> None:
    made = create_storage_service(f"{scheme}://bucket/prefix", environ={})
    assert made.url == "gs://bucket/prefix"


def test_the_environment_names_bucket_prefix_endpoint_and_project() -> None:
    environ = {
        "GCS_BUCKET": "bucket",
        "GCS_PREFIX": "home",
        "GCS_ENDPOINT_URL": "http://server",
        "GCS_PROJECT": "project",
        "GCS_SOMETHING": "else",
    }
    assert GCSStorage.options_from_environment(environ) == {
        "bucket": "bucket",
        "prefix": "home",
        "endpoint_url": "http://server",
        "project": "project",
    }
    assert GCSStorage.options_from_environment({"GCS_BUCKET": ""}) == {}


def test_an_emulator_is_used_as_the_sdk_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://emulator:4443/")
    emulated = GCSStorage(bucket="bucket")
    assert emulated.client_options().endpoint_url == "http://emulator:4443"
    assert emulated.client_options().anonymous
    assert not emulated.capabilities.presigned_urls
    with_account = GCSStorage(bucket="bucket", credentials_file=FILE)
    assert not with_account.client_options().anonymous
    elsewhere = GCSStorage(bucket="bucket", endpoint_url="http://server")
    assert elsewhere.client_options().endpoint_url == "http://server"
    assert not elsewhere.client_options().anonymous
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "emulator:4443")
    with pytest.raises(ConfigurationError, match="STORAGE_EMULATOR_HOST"):
        GCSStorage(bucket="bucket")


def test_no_secret_shows(tmp_path: Path) -> None:
    file = tmp_path / "account.json"
    file.write_text('{"private_key": "SECRETSECRET"}')
    storage = GCSStorage(bucket="bucket", credentials_file=str(file))
    for shown in (repr(storage), str(storage), storage.url, repr(storage._connection)):
        assert "SECRETSECRET" not in shown
    assert repr(storage) == "GCSStorage('gs://bucket')"


def test_capabilities_follow_the_options() -> None:
    usual = GCSStorage(bucket="bucket").capabilities
    assert usual.conditional_put
    assert usual.conditional_copy
    assert usual.conditional_delete
    assert usual.ordered_listing
    assert usual.presigned_urls
    assert usual.atomic_move
    assert not usual.replaceable_parts
    assert usual.min_part_size == 256 * 2**10
    assert usual.max_parts * usual.min_part_size == usual.max_put_size == 5 * 2**40
    assert not GCSStorage(bucket="bucket", atomic_move=False).capabilities.atomic_move
    assert not GCSStorage(bucket="bucket", anonymous=True).capabilities.presigned_urls


def test_a_storage_is_made_without_the_sdk(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from jupyter_nbforge.storage.gcs import GCSStorage\n"
        "GCSStorage(bucket='bucket')\n"
        "names = {'google.auth', 'google.cloud.storage', 'google_crc32c', 'requests', 'urllib3'}\n"
        "print(sorted(sys.modules.keys() & names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["google.cloud.storage", "google.cloud", "google"])
def test_a_missing_sdk_is_named_with_its_extra(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{module}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'jupyter-nbforge\[gcs\]'"):
        GCSStorage(bucket="bucket")
