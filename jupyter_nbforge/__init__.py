"""Jupyter notebooks and files kept directly in an object store."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "BaseStorageService": "jupyter_nbforge.storage.base",
    "NBForgeCheckpoints": "jupyter_nbforge.contents.checkpoints",
    "NBForgeContentsManager": "jupyter_nbforge.contents.manager",
    "create_storage_service": "jupyter_nbforge.storage.factory",
}

__all__ = [
    "BaseStorageService",
    "NBForgeCheckpoints",
    "NBForgeContentsManager",
    "__version__",
    "create_storage_service",
]


def __getattr__(name: str) -> Any:
    # Loaded when asked for: the storage layer is of use without a Jupyter server.
    if name in _PUBLIC:
        from importlib import import_module

        return getattr(import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .extension import NBForgeExtension

    return [{"module": "jupyter_nbforge", "app": NBForgeExtension}]
