"""Jupyter servers by the dozen: one process loads all that a server needs, and forks each of them.

A server is a process of its own, with everything that ``jupyter server`` starts; only the
second of imports is spared. Run as a program, it reads the path of a configuration from each
line of its input and answers, when that server listens, with its process id and port.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path


def _load() -> None:
    """Import, and read, what a server needs until it has made its first request."""
    import aiobotocore.httpsession  # noqa: F401
    import botocore.session
    import jupyter_server.services.contents.handlers
    import jupyter_server.services.kernelspecs.handlers
    import jupyter_server.services.nbconvert.handlers
    import jupyter_server.view.handlers  # noqa: F401
    from aiobotocore.session import get_session

    import jupyter_nbforge.extension
    import jupyter_nbforge.storage.local
    import jupyter_nbforge.storage.s3  # noqa: F401

    # The descriptions of S3 are read once, and each server has them.
    botocore.session.create_loader = cache(botocore.session.create_loader)
    entry_points(group="jupyter_nbforge.storage")

    async def make_client() -> None:
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
        async with get_session().create_client("s3", region_name="us-east-1", **keys):
            pass

    asyncio.run(make_client())


def _serve(configuration: str, answers: int) -> None:
    """Be a server from here on; `answers` is told when it listens."""
    from jupyter_server.serverapp import ServerApp

    log = os.open(Path(configuration).with_suffix(".log"), os.O_WRONLY | os.O_CREAT, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    app = ServerApp.instance()
    app.initialize([f"--config={configuration}"])
    # It listens as soon as its loop runs.
    app.io_loop.add_callback(os.write, answers, b"%d %d\n" % (os.getpid(), app.port))
    app.start()


def main(arguments: Sequence[str]) -> None:
    """Fork a server for each line of the input; at its end they end too."""
    del arguments
    _load()
    # Whoever ends is gone at once, and nobody has to wait for it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    answers = os.dup(1)
    servers: list[int] = []
    while line := os.read(0, 4096):
        for configuration in line.decode().split():
            pid = os.fork()
            if not pid:
                _serve(configuration, answers)
                os._exit(0)
            servers.append(pid)
    for pid in servers:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


if __name__ == "__main__":
    main(sys.argv[1:])
