"""Kernels of the server under test: started as JupyterLab does it, and asked what they have."""

from __future__ import annotations

import json
from typing import Any

from .api import Api

_READY = 60


async def start_session(api: Api, path: str) -> dict[str, Any]:
    """What JupyterLab sends when a notebook is opened; the answer."""
    body = {
        "path": path,
        "name": path.rpartition("/")[2],
        "type": "notebook",
        "kernel": {"name": "python3"},
    }
    answer = await api.call("POST", "api", "sessions", body=body)
    assert answer.status == 201, answer.body
    return dict(answer.json)


async def run(serverapp: Any, kernel_id: str, code: str) -> str:
    """What the code prints in that kernel."""
    client = serverapp.kernel_manager.get_kernel(kernel_id).client()
    client.start_channels()
    printed: list[str] = []

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        printed.append(content.get("text") or "\n".join(content.get("traceback", ())))

    try:
        await client.wait_for_ready(timeout=_READY)
        await client.execute_interactive(code, output_hook=show, timeout=_READY)
    finally:
        client.stop_channels()
    return "".join(printed)


async def environment_of(serverapp: Any, kernel_id: str) -> dict[str, str]:
    """The environment variables of that kernel."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found: dict[str, str] = json.loads(await run(serverapp, kernel_id, code))
    return found
