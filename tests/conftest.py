"""Settings shared by all tests: `async def` tests run on pytest-jupyter's event loop."""

from __future__ import annotations

pytest_plugins = ["pytest_jupyter.jupyter_server"]
