"""The command ``jupyter nbforge``: JupyterLab on a storage URL, copies and lists of files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from ..storage.errors import StorageError
from ..testing.servers import ServerError
from . import file_arguments
from .errors import CommandError

INTERRUPTED = 130
"""Exit status of a program that Ctrl+C ended, as shells count it."""

_LAB = """\
Open JupyterLab on a storage URL, with everything configured. The storage is looked at
first: a wrong bucket, key or endpoint is told in one sentence and nothing is started.
Without a URL the configuration says where it is, or the environment: STORAGE_PROVIDER
(s3, gcs, azure) with S3_BUCKET, GCS_BUCKET or AZURE_CONTAINER.

Anything after the URL goes to JupyterLab as it is, for example --no-browser, --port=8889
or --S3Storage.endpoint_url=https://minio.example.org
"""

_DEMO = """\
Open JupyterLab on a bucket of an S3 server (SeaweedFS) that runs on this computer for as
long as the command does. What you do is kept in the directory and is there again the next
time. Sample notebooks are put into the bucket where they are missing; yours are never
overwritten. Anything unknown here goes to JupyterLab as it is, for example --no-browser.
"""

_CHECK = """\
Find out in plain words whether a storage can be used, and what to change if not: the SDK,
the way to the store, the credentials, the bucket, each permission on the prefix, and whether
the store keeps its word on conditional writes. What is written for it is hidden, small and
deleted again. Without a URL it is the configured storage.

Anything else goes where JupyterLab would take it, for example
--S3Storage.endpoint_url=https://minio.example.org

Exit status: 0 all is well, 1 something failed, 2 wrong usage or configuration.
"""


def parser() -> argparse.ArgumentParser:
    """The command line, without what is passed on to JupyterLab."""
    top = argparse.ArgumentParser(
        prog="jupyter nbforge",
        description="JupyterLab on notebooks and files in an object store.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"jupyter_nbforge {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    lab = _subcommand(commands, "lab", "open JupyterLab on a storage URL", _LAB)
    lab.usage = "jupyter nbforge lab [URL] [JupyterLab options]"
    lab.add_argument(
        "url",
        metavar="URL",
        nargs="?",
        help="for example s3://bucket/prefix, gs://bucket, az://container, file:///directory",
    )
    demo = _subcommand(commands, "demo", "open JupyterLab on a small S3 server of its own", _DEMO)
    demo.usage = "jupyter nbforge demo [--dir DIR] [JupyterLab options]"
    demo.add_argument(
        "--dir",
        metavar="DIR",
        help="where the S3 server keeps its data (default: jupyter_nbforge/demo in "
        "Jupyter's data directory)",
    )
    file_arguments.add_commands(commands)
    check = _subcommand(commands, "check", "find out whether a storage can be used", _CHECK)
    check.usage = "jupyter nbforge check [URL] [--json] [--read-only] [--strict] [options]"
    check.add_argument("url", metavar="URL", nargs="?", help="as for lab")
    check.add_argument("--json", action="store_true", help="print one JSON document")
    check.add_argument("--read-only", action="store_true", help="write nothing")
    check.add_argument("--strict", action="store_true", help="a warning is a failure")
    return top


def _subcommand(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    description: str,
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    known, passed_on = parser().parse_known_args(argv)
    try:
        if known.command in file_arguments.COMMANDS:
            from .files import run_files

            return run_files(known, passed_on)
        if known.command == "check":
            from .check import Wanted, run_check

            wanted = Wanted(known.url, known.json, known.read_only, known.strict)
            return run_check(wanted, passed_on)
        if known.command == "demo":
            from .demo import run_demo

            run_demo(known.dir, passed_on)
        else:
            from .lab import run_lab

            run_lab(known.url, passed_on)
    except (CommandError, ServerError, StorageError) as error:
        sys.stderr.write(f"jupyter nbforge: {error}\n")
        return 2 if known.command in ("check", "copy") else 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0
