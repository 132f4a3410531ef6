"""Run the proxy: ``python -m jupyter_nbforge.testing.fakegcs --port N --backend URL``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

from aiohttp import web

from .backend import Backend
from .proxy import PreconditionProxy
from .signatures import Signers


async def serve(port: int, backend_url: str, signers: Signers) -> None:
    """Serve on 127.0.0.1 until SIGTERM; says on standard output when it listens."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    backend = Backend(backend_url)
    application = web.Application(client_max_size=2**40)
    application.router.add_route("*", "/{path:.*}", PreconditionProxy(backend, signers).handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        sys.stdout.write(f"listening on port {port}\n")
        sys.stdout.flush()
        await stopped.wait()
    finally:
        await runner.cleanup()
        await backend.aclose()


def main() -> None:
    parser = argparse.ArgumentParser(prog="fakegcs", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--backend", required=True, help="where fake-gcs-server listens")
    parser.add_argument(
        "--signer",
        nargs=2,
        action="append",
        default=[],
        metavar=("EMAIL", "PEM"),
        help="a service account and its public key",
    )
    arguments = parser.parse_args()
    signers = Signers([(email, pem) for email, pem in arguments.signer])
    asyncio.run(serve(arguments.port, arguments.backend, signers))


if __name__ == "__main__":
    main()
