"""What the fault suite stands on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.server.conftest import clouds

__all__ = ["clouds"]


@pytest.fixture(autouse=True)
def _own_signatures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
