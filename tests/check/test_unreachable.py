"""What is wrong on the way to a store: its name, its port, its certificate, its clock, the SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from jupyter_nbforge.testing.certificates import write_certificate
from jupyter_nbforge.testing.processes import free_port
from tests.upstream.clouds import cloud_at

from .conftest import Check, Clouds, beside
from .proxies import OtherClock, TLSFront

On = Callable[..., list[str]]

URLS = {
    "S3Storage.endpoint_url": "s3://bucket/people/ada",
    "GCSStorage.endpoint_url": "gs://bucket/people/ada",
    "AzureStorage.account_url": "az://bucket/people/ada",
}
KEYS = {
    "S3Storage.endpoint_url": ("--S3Storage.access_key_id=a", "--S3Storage.secret_access_key=b"),
    "GCSStorage.endpoint_url": ("--GCSStorage.anonymous=True",),
    "AzureStorage.account_url": ("--AzureStorage.account_key=YQ==",),
}
LATER = ("tls", "clock", "bucket", "list", "write", "read", "delete", "conditions", "latency")


@pytest.mark.parametrize("option", URLS)
def test_a_dead_endpoint_is_told_with_its_option_and_the_rest_is_skipped(
    check: Check, option: str
) -> None:
    port = free_port()
    found = check(URLS[option], f"--{option}=http://127.0.0.1:{port}/account", *KEYS[option])
    assert found.code == 1
    assert found.bad == {"endpoint"}
    step = found.step("endpoint")
    assert step["message"] == f"127.0.0.1:{port} takes no connection: refused."
    assert option in step["remedy"] or "account_url" in step["remedy"]
    for name in LATER:
        assert found.results[name] == "skipped", name
    assert found.step("bucket")["message"] == "Needs “Endpoint”."
    assert found.results["credentials"] == "ok"
    assert "cleanup" not in found.results


def test_a_name_that_nobody_has_is_told_as_that(check: Check) -> None:
    option = "S3Storage.endpoint_url"
    found = check(URLS[option], f"--{option}=https://store.invalid", *KEYS[option])
    assert found.code == 1
    assert "'store.invalid' is not known to the DNS" in found.step("endpoint")["message"]
    assert option in found.step("endpoint")["remedy"]


def test_a_certificate_that_is_not_trusted_is_told_and_no_request_is_sent(
    check: Check, clouds: Clouds, on: On, tmp_path: Path
) -> None:
    certificate = write_certificate(tmp_path)
    cloud = clouds("seaweedfs")
    with beside(TLSFront(cloud.endpoint, certificate)) as front:
        there = cloud_at(cloud, front.endpoint_url)
        found = check(*on(there))
        trusted = check(*on(there, ca_bundle=certificate[0]))
    assert (found.code, found.bad) == (1, {"tls"})
    assert "is not trusted: self-signed certificate" in found.step("tls")["message"]
    assert "S3Storage.ca_bundle" in found.step("tls")["remedy"]
    assert found.results["bucket"] == "skipped"
    # The certificate holds for a day: so it is trusted, and said to end.
    assert (trusted.code, trusted.bad) == (0, set())
    assert "ends soon" in trusted.step("tls")["message"]
    assert trusted.results["write"] == trusted.results["link"] == "ok"


def test_a_certificate_that_is_not_checked_is_a_warning(
    check: Check, clouds: Clouds, on: On, tmp_path: Path
) -> None:
    cloud = clouds("seaweedfs")
    with beside(TLSFront(cloud.endpoint, write_certificate(tmp_path))) as front:
        found = check(*on(cloud_at(cloud, front.endpoint_url), verify_tls=False), "--read-only")
    assert found.code == 0
    assert found.results["tls"] == "warning"
    assert "anybody can pose as the store" in found.step("tls")["message"]


@pytest.mark.parametrize(
    ("minutes", "result", "said"),
    [
        (-20, "failed", "20 min ahead of"),
        (20, "failed", "20 min behind"),
        (5, "warning", "5 min behind"),
    ],
)
def test_a_clock_that_differs_is_told_with_its_difference(
    check: Check, clouds: Clouds, on: On, minutes: int, result: str, said: str
) -> None:
    cloud = clouds("seaweedfs")
    with beside(OtherClock(cloud.endpoint, timedelta(minutes=minutes))) as proxy:
        found = check(*on(cloud_at(cloud, proxy.endpoint_url)), "--read-only")
    assert found.results["clock"] == result
    assert said in found.step("clock")["message"]
    assert "Set the clock" in found.step("clock")["remedy"]
    assert found.code == (1 if result == "failed" else 0)


@pytest.mark.parametrize(
    ("module", "url", "extra"),
    [
        ("s3_client", "s3://bucket", "s3"),
        ("gcs_client", "gs://bucket", "gcs"),
        ("azure_client", "az://bucket", "azure"),
    ],
)
def test_a_missing_sdk_is_told_with_the_extra_to_install(
    check: Check, monkeypatch: pytest.MonkeyPatch, module: str, url: str, extra: str
) -> None:
    monkeypatch.setattr(f"jupyter_nbforge.storage.{module}.is_installed", lambda name: False)
    found = check(url, "--AzureStorage.account_name=ourteam")
    assert found.code == 1
    assert found.results == {"configuration": "ok", "sdk": "failed"}
    assert f"pip install 'jupyter-nbforge[{extra}]'" in found.step("sdk")["message"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("ftp://host/dir",), "no storage provider 'ftp'"),
        (("s3://bucket", "--S3Storage.endpoint_ur=x"), "'endpoint_url'"),
        ((), "No storage is configured"),
        (("az://container",), "AzureStorage.account_name"),
        (("s3://bucket/{nobody}",), "'nobody' is not set"),
    ],
)
def test_a_wrong_configuration_has_a_status_of_its_own(
    check: Check, arguments: tuple[str, ...], said: str
) -> None:
    found = check(*arguments)
    assert found.code == 2
    assert found.results == {"configuration": "failed"}
    assert said in found.step("configuration")["message"]


def test_what_is_no_url_is_wrong_usage(check: Check) -> None:
    found = check("bucket")
    assert (found.code, found.out) == (2, "")
    assert "'bucket' is not a storage URL" in found.err


def test_configuration_files_and_options_count_as_for_lab(
    check: Check, tmp_path: Path, clouds: Clouds, on: On
) -> None:
    cloud = clouds("seaweedfs")
    on(cloud)
    (tmp_path / "config").mkdir()
    settings = {
        "NBForgeContentsManager": {"storage_url": f"{cloud.url}/people/eve", "read_only": True},
        "S3Storage": {**cloud.options["S3Storage"], "endpoint_url": "http://127.0.0.1:9"},
    }
    (tmp_path / "config/jupyter_server_config.json").write_text(json.dumps(settings))
    found = check(f"--S3Storage.endpoint_url={cloud.endpoint}")
    assert found.code == 0, found.out
    assert found.storage["url"] == f"{cloud.url}/people/eve"
    assert found.results["write"] == "skipped"
    assert "S3Storage.region_name" in found.step("configuration")["message"]
