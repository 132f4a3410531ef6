"""create_storage_service: from what an administrator wrote to a storage, or to one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from traitlets import Unicode
from traitlets.config import Config, Configurable

from jupyter_nbforge.storage import (
    ConfigurationError,
    NotFoundError,
    StorageError,
    create_storage_service,
)
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.storage.options import check_config_names
from jupyter_nbforge.storage.wrappers import (
    AttemptMetricsStorage,
    CacheStorage,
    LimitStorage,
    LoggingStorage,
    MetricsStorage,
    PrefixStorage,
    RetryStorage,
    ShortMemoryStorage,
)

from .kept_provider import create, installed, provider_of, refusal


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(tmp_path, monkeypatch):
        yield


# The stack


def test_the_standard_stack_is_in_the_order_that_its_reasons_need() -> None:
    storage: Any = create("memory://team")
    for kind in (
        ShortMemoryStorage,
        PrefixStorage,
        CacheStorage,
        MetricsStorage,
        LoggingStorage,
        RetryStorage,
        LimitStorage,
        AttemptMetricsStorage,
        MemoryStorage,
    ):
        assert type(storage) is kind
        storage = getattr(storage, "inner", None)


def test_wrap_false_gives_the_provider_itself() -> None:
    assert type(create("memory://", wrap=False)) is MemoryStorage


async def test_wrap_false_stays_within_the_prefix() -> None:
    storage = create("memory://team", wrap=False)
    await storage.put("a", b"")
    assert (await provider_of(storage).head("team/a")).path == "team/a"


async def test_closing_the_storage_closes_the_provider() -> None:
    storage = create("kept://bucket")
    await storage.aclose()
    assert provider_of(storage).closed


def test_every_wrapper_takes_its_configuration() -> None:
    config = Config(
        {
            "RetryStorage": {"max_attempts": 9},
            "LimitStorage": {"max_concurrency": 7},
            "ShortMemoryStorage": {"seconds": 0.5},
            "CacheStorage": {"max_bytes": 3},
        }
    )
    memory: Any = create("memory", config=config)
    cache = memory.inner.inner
    retry = cache.inner.inner.inner
    assert (memory.seconds, retry.max_attempts, retry.inner.max_concurrency) == (0.5, 9, 7)
    assert cache.max_bytes == 3


def test_the_configuration_of_the_parent_counts() -> None:
    class Parent(Configurable):
        pass

    config = Config({"KeptStorage": {"depth": 2}, "Parent": {"KeptStorage": {"region": "r"}}})
    parent = Parent(config=config)
    provider = provider_of(create("kept://b", parent=parent, environ={"KEPT_REGION": "env"}))
    assert (provider.depth, provider.region) == (2, "r")
    misspelt = Config({"Parent": {"KeptStorage": {"regoin": "r"}}})
    assert "Did you mean 'region'?" in refusal("kept", parent=Parent(config=misspelt))


# Which provider


@pytest.mark.parametrize(
    ("given", "bucket"),
    [
        ({"url": "kept://b/p"}, "b"),
        ({"url": "KEPT://b/p"}, "b"),
        ({"url": "kp://b/p"}, "b"),
        ({"url": "kept", "bucket": "b"}, "b"),
        ({"provider": "kept", "bucket": "b"}, "b"),
        ({"provider": "kept", "url": "kept"}, ""),
        ({"provider": "kept", "url": "https://b/p"}, "b"),
        ({"environ": {"STORAGE_PROVIDER": "kept", "KEPT_BUCKET": "b"}}, "b"),
    ],
)
def test_the_provider_is_named_by_url_option_or_environment(
    given: dict[str, Any], bucket: str
) -> None:
    provider = provider_of(create(**given))
    assert type(provider).__name__ == "KeptStorage"
    assert provider.bucket == bucket


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_PROVIDER", "memory")
    assert isinstance(provider_of(create_storage_service()), MemoryStorage)


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    for given in ({"url": "ftp://host/dir"}, {"provider": "ftp"}, {"url": "ftp"}):
        text = refusal(**given)
        assert "'ftp'" in text
        assert "file" in text
        assert "kept" in text
        assert "memory" in text
        assert "'jupyter_nbforge.storage'" in text


def test_no_provider_at_all_is_refused() -> None:
    text = refusal()
    assert "STORAGE_PROVIDER" in text
    assert "memory" in text


def test_two_providers_are_refused() -> None:
    assert "twice" in refusal("memory", provider="file")


def test_a_provider_that_cannot_be_loaded_is_refused() -> None:
    assert "kept_storage_missing" in refusal("broken://x")


def test_what_is_no_provider_is_refused() -> None:
    assert "BaseStorageService" in refusal("nothing://x")


# Which value


def test_options_come_from_the_url_then_config_then_environment_then_default() -> None:
    environ = {"KEPT_BUCKET": "env", "KEPT_REGION": "env", "KEPT_PREFIX": "env"}
    config = Config(
        {
            "KeptStorage": {"bucket": "config", "region": "config"},
            "PrefixStorage": {"prefix": "conf"},
        }
    )
    everywhere = {"environ": environ, "config": config}

    def found(url: str, **given: Any) -> tuple[str, str, str]:
        storage: Any = create(url, **given)
        provider = provider_of(storage)
        return provider.bucket, provider.region, storage.inner.prefix

    assert found("kept://url/url", bucket="x", region="x", prefix="x", **everywhere) == ("x",) * 3
    assert found("kept://url/url", **everywhere) == ("url", "config", "url")
    assert found("kept", **everywhere) == ("config", "config", "conf")
    assert found("kept", environ=environ) == ("env", "env", "env")
    assert found("kept") == ("", "default", "")


def test_an_empty_part_of_a_url_says_nothing() -> None:
    environ = {"KEPT_PREFIX": "env"}
    assert create("kept://b", environ=environ).url == "kept://b/env"
    config = Config({"PrefixStorage": {"prefix": "conf"}})
    assert create("kept://b", config=config, environ=environ).url == "kept://b/conf"


def test_an_option_that_does_not_exist_is_refused_with_the_one_that_was_meant() -> None:
    assert "Did you mean 'region'?" in refusal("kept", regoin="x")


def test_a_misspelt_option_in_the_configuration_is_refused() -> None:
    text = refusal("kept", config=Config({"KeptStorage": {"regoin": "x"}}))
    assert "c.KeptStorage.regoin" in text
    assert "Did you mean 'region'?" in text
    assert "max_attempts" in refusal("kept", config=Config({"RetryStorage": {"max_attempt": 1}}))


def test_a_prefix_in_the_section_of_the_provider_is_refused_with_where_it_belongs() -> None:
    text = refusal("kept", config=Config({"KeptStorage": {"prefix": "x"}}))
    assert "c.PrefixStorage.prefix" in text


def test_sections_of_other_classes_are_no_concern() -> None:
    create("kept", config=Config({"S3Storage": {"nonsense": 1}, "ServerApp": {"x": 1}}))


def test_a_value_that_does_not_fit_is_refused_in_one_sentence() -> None:
    text = refusal("kept", depth="deep")
    assert "depth" in text
    assert "\n" not in text
    assert "depth" in refusal("kept", config=Config({"KeptStorage": {"depth": "deep"}}))
    assert "max_attempts" in refusal("kept", config=Config({"RetryStorage": {"max_attempts": 0}}))


@pytest.mark.parametrize("value", [81237, ["81237"]])
def test_a_secret_is_never_shown(value: object) -> None:
    for given in (
        {"secret_token": value},
        {"config": Config({"KeptStorage": {"secret_token": value}})},
    ):
        with pytest.raises(ConfigurationError) as raised:
            create("kept", **given)
        assert "secret_token" in str(raised.value)
        assert "81237" not in str(raised.value)
        assert raised.value.__suppress_context__
    assert "81237" not in refusal("kept", secret_tokn="81237")


# The URL


@pytest.mark.parametrize("url", ["kept://user:hush@bucket/p", "kept://:hush@bucket"])
def test_a_url_with_a_password_is_refused_without_showing_it(url: str) -> None:
    text = refusal(url)
    assert "password" in text
    assert "hush" not in text


@pytest.mark.parametrize(
    "url", ["kept://b/p?region=x", "kept://b/p#x", "kept://b/p?", "kept://b/a\tb", "kept://b/a\n"]
)
def test_a_part_of_a_url_that_would_be_ignored_is_refused(url: str) -> None:
    assert "URL" in refusal(url)


def test_a_url_that_cannot_be_read_is_refused() -> None:
    assert "cannot be read" in refusal("kept://[b/p")


def test_a_prefix_that_is_no_path_is_refused() -> None:
    assert "prefix" in refusal("kept://b/a/../c")
    assert "prefix" in refusal("kept://b", prefix="a//b")


# check_config_names, for the contents manager too


class Sectioned(Configurable):
    good = Unicode(config=True)
    internal = Unicode()


@pytest.mark.parametrize("name", ["god", "internal", "traits"])
def test_config_names_are_those_of_configurable_traits(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"c\.Sectioned\.{name} .* Did you mean|It has"):
        check_config_names(Sectioned, Config({"Sectioned": {name: "x"}}))


def test_config_names_that_exist_and_nested_sections_pass() -> None:
    check_config_names(Sectioned, None)
    check_config_names(Sectioned, Config({"Sectioned": {"good": "x", "Other": {"y": 1}}}))


async def test_what_was_created_works() -> None:
    storage = create("memory://team/{username}", environ={"JUPYTERHUB_USER": "alice"})
    await storage.put("a/b.txt", b"1")
    assert [page.prefixes async for page in storage.list_pages("")] == [("a/",)]
    with pytest.raises(NotFoundError) as raised:
        await storage.copy("missing", "b")
    assert (raised.value.path, str(raised.value)) == ("missing", "'missing' does not exist.")
    with pytest.raises(StorageError):
        await storage.get_presigned_url("a/b.txt")
    await storage.aclose()
