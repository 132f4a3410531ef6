"""Jupyter notebooks and files kept directly in an object store."""

from __future__ import annotations

__version__ = "0.1.0"
