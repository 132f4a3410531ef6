"""Kernels of a Jupyter process: started as JupyterLab does it, and given code to run."""

from __future__ import annotations

from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.browser.server import JupyterProcess

_PATIENCE = 60


def start_kernel(server: JupyterProcess, path: str) -> str:
    """The id of a new kernel for the notebook at `path`."""
    session: dict[str, Any] = {
        "path": path,
        "name": path.rpartition("/")[2],
        "type": "notebook",
        "kernel": {"name": "python3"},
    }
    return str(server.request("api/sessions", "POST", session)["kernel"]["id"])


def run(server: JupyterProcess, kernel_id: str, code: str) -> str:
    """What the code prints in that kernel, the text of an error included."""
    client = BlockingKernelClient()
    client.load_connection_file(str(server.home / "runtime" / f"kernel-{kernel_id}.json"))
    client.start_channels()
    printed: list[str] = []

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        printed.append(content.get("text") or "\n".join(content.get("traceback", ())))

    try:
        client.wait_for_ready(timeout=_PATIENCE)
        client.execute_interactive(code, output_hook=show, timeout=_PATIENCE)
    finally:
        client.stop_channels()
    return "".join(printed)
