"""A package of somebody else that brings a provider, and ways to make storages of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from jupyter_nbforge.storage import (
    BaseStorageService,
    ConfigurationError,
    create_storage_service,
)
from jupyter_nbforge.storage.wrappers import (
    WrapperStorage,
)

PROVIDER = '''
from traitlets import Bool, Int, Unicode
from jupyter_nbforge.storage.memory import MemoryStorage

class KeptStorage(MemoryStorage):
    """A provider of somebody else, with options of its own."""

    bucket = Unicode(config=True)
    region = Unicode("default", config=True)
    secret_token = Unicode(config=True)
    depth = Int(1, config=True)
    closed = Bool(False)

    @classmethod
    def options_from_url(cls, url):
        return {"bucket": url.netloc, "prefix": url.path.strip("/")}

    @classmethod
    def options_from_environment(cls, environ):
        names = {"bucket": "KEPT_BUCKET", "region": "KEPT_REGION", "prefix": "KEPT_PREFIX"}
        return {trait: environ[name] for trait, name in names.items() if name in environ}

    @property
    def url(self):
        return f"kept://{self.bucket}"

    async def aclose(self):
        self.closed = True

NOT_A_PROVIDER = object()
'''


@contextmanager
def installed(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package of somebody else that brings a provider."""
    (directory / "kept_storage.py").write_text(PROVIDER)
    info = directory / "kept_storage-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kept-storage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[jupyter_nbforge.storage]\n"
        "kept = kept_storage:KeptStorage\n"
        "kp = kept_storage:KeptStorage\n"
        "broken = kept_storage_missing:Storage\n"
        "nothing = kept_storage:NOT_A_PROVIDER\n"
    )
    monkeypatch.syspath_prepend(str(directory))
    yield
    sys.modules.pop("kept_storage", None)


def create(
    url: str | None = None, *, environ: Mapping[str, str] | None = None, **options: Any
) -> BaseStorageService:
    return create_storage_service(url, environ=environ or {}, **options)


def provider_of(storage: BaseStorageService) -> Any:
    while isinstance(storage, WrapperStorage):
        storage = storage.inner
    return storage


def refusal(url: str | None = None, **options: Any) -> str:
    """The sentence with which the configuration is refused."""
    with pytest.raises(ConfigurationError) as raised:
        create(url, **options)
    assert isinstance(raised.value, ValueError)
    return str(raised.value)
