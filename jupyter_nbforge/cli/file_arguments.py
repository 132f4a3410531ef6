"""The command lines of ``copy``, ``ls`` and ``link``."""

from __future__ import annotations

import argparse
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

COMMANDS = frozenset({"copy", "ls", "link"})

_COPY = """\
Copy a folder with all that is in it, or one file, between any two storage URLs and folders of
this computer. Every object is compared on arrival. A copy that was stopped goes on when it is
run again: what is there already and equal is not sent twice. Nothing is ever deleted, and what
differs at the target stays unless --overwrite says otherwise.

What is in the folder SRC goes into the folder DST. A SRC that ends in / is never taken for a
file. Storage options such as --S3Storage.endpoint_url=https://minio.example.org hold for both
ends, --source-option and --target-option for one of them.

Exit status: 0 all of it is at the target, 1 something is not, 2 wrong usage, 130 interrupted.
"""

_LS = """\
List a folder of a store or of this computer: names, with -l also sizes and times (UTC).
Folders end in /. Storage options go on the same line, such as
--S3Storage.endpoint_url=https://minio.example.org
"""

_LINK = """\
Print a link with which anybody, without a login, may read one file (or with --put write it)
until it expires. No request is made for the file. A link cannot be taken back.
"""


def add_commands(commands: Commands) -> None:
    """Add the three to the commands of ``jupyter nbforge``."""
    _add_copy(commands)
    ls = _subcommand(commands, "ls", "list files in a store", _LS)
    ls.usage = "jupyter nbforge ls URL [-l] [-r] [--json] [storage options]"
    ls.add_argument("url", metavar="URL", help="a storage URL or a path on this computer")
    ls.add_argument("-l", "--long", action="store_true", help="sizes and times too")
    ls.add_argument("-r", "--recursive", action="store_true", help="folders in folders too")
    ls.add_argument("--json", action="store_true", help="one JSON object for each line")
    link = _subcommand(commands, "link", "make a link to a file for people without a login", _LINK)
    link.usage = "jupyter nbforge link URL [--expires-in TIME] [--put] [storage options]"
    link.add_argument("url", metavar="URL", help="the storage URL of a file")
    link.add_argument(
        "--expires-in",
        metavar="TIME",
        default="1h",
        help="how long it lives: seconds, or 30m, 12h, 7d (default: 1h)",
    )
    link.add_argument("--put", action="store_true", help="a link for writing the file")


def _add_copy(commands: Commands) -> None:
    copy = _subcommand(commands, "copy", "copy between stores and folders", _COPY)
    copy.usage = "jupyter nbforge copy SRC DST [options] [storage options]"
    copy.add_argument("source", metavar="SRC", help="a storage URL or a path on this computer")
    copy.add_argument("target", metavar="DST", help="likewise; a folder is made if it is missing")
    copy.add_argument("--dry-run", action="store_true", help="only say what would be done")
    copy.add_argument(
        "--overwrite",
        choices=("never", "changed", "always"),
        default="never",
        help="replace what differs at DST: never (it is reported), changed, or always, "
        "equal files too (default: never)",
    )
    copy.add_argument(
        "--concurrency",
        type=_positive,
        default=16,
        metavar="N",
        help="how many objects are copied at once (default: 16)",
    )
    for name, words in (("include", "copy only what"), ("exclude", "leave out what")):
        copy.add_argument(
            f"--{name}",
            action="append",
            default=[],
            metavar="GLOB",
            help=f"{words} matches, by name, or by path if it has a /; may be repeated",
        )
    copy.add_argument(
        "--checkpoints",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="copy what lies in .nbforge/ too (default: only between two storage URLs)",
    )
    for end in ("source", "target"):
        copy.add_argument(
            f"--{end}-option",
            action="append",
            default=[],
            metavar="CLASS.NAME=VALUE",
            help="a storage option of this end only; may be repeated",
        )
        copy.add_argument(
            f"--{end}-config",
            metavar="FILE",
            help="a configuration file (.py or .json) of this end only, for secrets too",
        )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _subcommand(
    commands: Commands, name: str, summary: str, description: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
