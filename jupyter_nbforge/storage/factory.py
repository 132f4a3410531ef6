"""The one way to a storage: from a URL, from options, from configuration, from the environment."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from traitlets import TraitError
from traitlets.config import Config, Configurable

from .base import BaseStorageService
from .errors import ConfigurationError
from .options import (
    check_config_names,
    check_option_names,
    configured_values,
    trait_sentence,
)
from .placeholders import fill_placeholders
from .wrappers import (
    AttemptMetricsStorage,
    CacheStorage,
    LimitStorage,
    LoggingStorage,
    MetricsStorage,
    PrefixStorage,
    RetryStorage,
    ShortMemoryStorage,
    WrapperStorage,
)

ENTRY_POINTS = "jupyter_nbforge.storage"
PROVIDER_VARIABLE = "STORAGE_PROVIDER"

STACK: tuple[type[WrapperStorage], ...] = (
    AttemptMetricsStorage,
    LimitStorage,
    RetryStorage,
    LoggingStorage,
    MetricsStorage,
    CacheStorage,
    PrefixStorage,
    ShortMemoryStorage,
)
"""The standard stack around a provider, innermost first; the order matters.

Attempts are counted next to the store, so that their time is the store's alone. The limit is
inside the retries, so that nothing that waits for its next attempt holds a
place. The log is outside them: one line for an operation with the time that it took in all
(each retry has a line of its own), and inside the prefix, so that it shows the full paths
of the store; operations are counted there too. The cache is outside the log, which so shows
what the store was asked. The memory is outermost: an answer from it costs nothing below, and
it knows the paths that the caller uses.
"""

Service = TypeVar("Service", bound=BaseStorageService)


def create_storage_service(
    url: str | None = None,
    *,
    provider: str | None = None,
    parent: Configurable | None = None,
    config: Config | None = None,
    environ: Mapping[str, str] | None = None,
    wrap: bool = True,
    **options: Any,
) -> BaseStorageService:
    """A storage, ready for use; nothing is sent before its first call.

    `url` is a storage URL (``s3://bucket/prefix``, ``file:///dir``, ``memory://``) or, like
    `provider`, the name of a provider; with neither, the environment variable
    ``STORAGE_PROVIDER`` names it. `options` are traits of the provider, and ``prefix``. What
    is not given is looked for, in this order, in the URL (an empty part of it says nothing),
    in the traitlets configuration of `config` or `parent`, in the provider's environment
    variables; then the default holds. Placeholders in the URL and in the prefix are filled
    from the environment (`fill_placeholders`).

    With `wrap=False` the storage has no retries, no limit, no log, no figures, no cache and no
    memory, but it stays confined to its prefix. Raises `ConfigurationError`, also a `ValueError`,
    with one sentence that says what to change.
    """
    environ = os.environ if environ is None else environ
    config = parent.config if config is None and parent is not None else config
    name, address = _parse(url, provider, environ)
    cls = _load(name)
    settings = _Settings(config, parent, environ)
    given = settings.gather(cls, address, options)
    prefix = given.pop("prefix", "")
    check_option_names(cls, given)
    storage: BaseStorageService = settings.make(cls, **given)
    if not wrap:
        return PrefixStorage(storage, prefix) if prefix else storage
    for wrapper in STACK:
        extra = {"prefix": prefix} if wrapper is PrefixStorage else {}
        storage = settings.make(wrapper, storage, **extra)
    return storage


@dataclass(frozen=True, slots=True)
class _Settings:
    """Where options come from beside the caller and the URL."""

    config: Config | None
    parent: Configurable | None
    environ: Mapping[str, str]

    def gather(
        self, cls: type[BaseStorageService], address: SplitResult | None, explicit: dict[str, Any]
    ) -> dict[str, Any]:
        """What to give to `cls`, and the ``prefix``, with every placeholder filled."""
        configured = configured_values(cls, self.config, self.parent)
        found = cls.options_from_environment(self.environ)
        found = {name: value for name, value in found.items() if name not in configured}
        prefix = configured_values(PrefixStorage, self.config, self.parent).get("prefix")
        if prefix:
            found["prefix"] = prefix
        found.update(explicit)
        if isinstance(found.get("prefix"), str):
            found["prefix"] = fill_placeholders(str(found["prefix"]), self.environ)
        for name, value in self._from_url(cls, address).items():
            if name not in explicit:
                found[name] = value
        return found

    def _from_url(
        self, cls: type[BaseStorageService], address: SplitResult | None
    ) -> dict[str, Any]:
        # Filled in after the URL was taken apart: no value can end the path or be decoded in it.
        found = {} if address is None else cls.options_from_url(address)
        return {
            name: fill_placeholders(value, self.environ) if isinstance(value, str) else value
            for name, value in found.items()
            if value not in ("", None)
        }

    def make(self, cls: type[Service], *inner: BaseStorageService, **options: Any) -> Service:
        """An instance of `cls`, its names and values checked."""
        check_config_names(cls, self.config, self.parent)
        try:
            return cls(*inner, config=self.config, parent=self.parent, **options)
        except TraitError as error:
            values = {**configured_values(cls, self.config, self.parent), **options}
            raise ConfigurationError(trait_sentence(cls, error, values)) from None


def _parse(
    url: str | None, provider: str | None, environ: Mapping[str, str]
) -> tuple[str, SplitResult | None]:
    """The provider's name, and the URL where there is one."""
    if url is not None and "://" in url:
        address = _split(url)
        return provider or address.scheme, address
    name = provider or url or environ.get(PROVIDER_VARIABLE)
    if not name:
        raise ConfigurationError(
            "No storage is configured: give a URL such as 's3://bucket/prefix', or set the"
            f" environment variable {PROVIDER_VARIABLE}. Known providers: {_known_names()}."
        )
    if provider is not None and url not in (None, provider):
        raise ConfigurationError(
            f"The provider is given twice, as {provider!r} and as {url!r}; leave one of them out."
        )
    return name, None


def _split(url: str) -> SplitResult:
    # urlsplit drops line ends and tabs without a word, and then the prefix is another one.
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in url):
        raise ConfigurationError("The storage URL has a control character; take it out.")
    try:
        address = urlsplit(url)
        has_password = address.password is not None
    except ValueError as error:
        raise ConfigurationError(f"The storage URL cannot be read: {error}.") from None
    if has_password:
        raise ConfigurationError(
            "The storage URL holds a password; take it out and leave credentials to the"
            " environment of the server (the SDK's own chain finds them there)."
        )
    if address.query or address.fragment or url[-1] in "?#":
        raise ConfigurationError(
            f"The storage URL has a part after {'?' if '?' in url else '#'!r}; give options as"
            " traits of the provider (c.S3Storage.endpoint_url, for example) instead."
        )
    return address


def _load(name: str) -> type[BaseStorageService]:
    """The provider class of that name, found through the entry points."""
    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        raise ConfigurationError(
            f"There is no storage provider {name!r}. Known providers: {_known_names()}. Another"
            f" comes with a package that declares it in the entry-point group {ENTRY_POINTS!r}."
        )
    try:
        cls = found[0].load()
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"The storage provider {name!r} ({found[0].value}) cannot be loaded: {error}."
            " Install its package again."
        ) from error
    if not (isinstance(cls, type) and issubclass(cls, BaseStorageService)):
        raise ConfigurationError(
            f"The storage provider {name!r} ({found[0].value}) is no BaseStorageService."
        )
    return cls


def _known_names() -> str:
    return ", ".join(sorted({entry.name for entry in entry_points(group=ENTRY_POINTS)}))
