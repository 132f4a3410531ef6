"""JupyterLab on an S3 server of its own, which lives as long as the command."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir
from traitlets.config import Config

from ..contents.models import content_type_of
from ..storage.base import BaseStorageService
from ..storage.errors import AlreadyExistsError
from ..storage.factory import create_storage_service
from ..storage.metadata import stamp
from ..storage.types import IfAbsent
from ..testing.servers import SeaweedServer, find_weed
from .errors import CommandError, require
from .lab import require_jupyterlab, serve

BUCKET = "notebooks"
SAMPLES = Path(__file__).parent / "samples"


def run_demo(directory: str | None, arguments: Sequence[str]) -> None:
    """Start the S3 server on `directory`, fill in the samples, serve JupyterLab on it.

    Everything that was started has ended when this returns or raises, also on a signal.
    """
    require_jupyterlab()
    require("aiobotocore", "aiobotocore, the S3 client,", "'jupyter-nbforge[demo]'")
    find_weed()
    home = Path(directory or default_directory()).expanduser().resolve()
    _exit_on_signals()
    with only_user_of(home):
        _say(f"Starting an S3 server on {home} ...")
        with SeaweedServer(home) as server, connection_file(server):
            server.create_bucket(BUCKET)
            options = s3_options(server)
            asyncio.run(_fill_in(Config({"S3Storage": options})))
            _say(f"S3 endpoint {server.endpoint_url}, bucket {BUCKET}. Ctrl+C ends all of it.")
            serve(f"s3://{BUCKET}", [*_as_arguments(options), *arguments])
            _say("Stopping the S3 server; its data stays in the directory ...")


def default_directory() -> Path:
    """Where the demo keeps its data unless told otherwise."""
    return Path(jupyter_data_dir()) / "jupyter_nbforge" / "demo"


def s3_options(server: SeaweedServer) -> dict[str, str | bool]:
    """The traits of `S3Storage` for `server`."""
    return {
        "endpoint_url": server.endpoint_url,
        "region_name": server.region,
        "access_key_id": server.access_key,
        "secret_access_key": server.secret_key,
        "ordered_listing": False,
    }


def _as_arguments(options: dict[str, str | bool]) -> list[str]:
    return [f"--S3Storage.{name}={value}" for name, value in options.items()]


def sample_files() -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each sample."""
    for file in sorted(SAMPLES.rglob("*")):
        relative = file.relative_to(SAMPLES)
        hidden = any(part.startswith((".", "__")) for part in relative.parts)
        if file.is_file() and not hidden:
            yield relative.as_posix(), file.read_bytes()


async def put_samples(storage: BaseStorageService) -> None:
    """Upload the samples that are absent; what exists is left as it is."""
    for path, data in sample_files():
        with suppress(AlreadyExistsError):
            await storage.put(
                path,
                data,
                condition=IfAbsent(),
                content_type=content_type_of(path),
                metadata=stamp(data),
            )


async def _fill_in(config: Config) -> None:
    storage = create_storage_service(f"s3://{BUCKET}", config=config)
    try:
        await put_samples(storage)
    finally:
        await storage.aclose()


@contextmanager
def connection_file(server: SeaweedServer) -> Iterator[Path]:
    """A file that tells the kernels of this demo, by the server's process id, how to reach S3.

    Only this user can read it, as with Jupyter's own runtime files; it ends with the demo.
    """
    file = Path(jupyter_runtime_dir()) / f"nbforge-demo-{os.getpid()}.json"
    client = {
        "endpoint_url": server.endpoint_url,
        "region_name": server.region,
        "aws_access_key_id": server.access_key,
        "aws_secret_access_key": server.secret_key,
    }
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    try:
        file.write_text(json.dumps({"bucket": BUCKET, "client": client}, indent=1))
        yield file
    finally:
        file.unlink(missing_ok=True)


@contextmanager
def only_user_of(directory: Path) -> Iterator[None]:
    """Hold `directory`, made if missing, for one demo; `CommandError` if another has it."""
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise CommandError(f"cannot write to {directory}: {error.strerror}.") from None
    with lock:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise CommandError(
                    f"another demo uses {directory}; stop it or choose another --dir."
                ) from None
        yield


def _exit_on_signals() -> None:
    """Until JupyterLab handles them itself: SIGTERM and SIGHUP unwind as Ctrl+C does."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), leave)


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
