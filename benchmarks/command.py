"""``python -m benchmarks``: our manager beside others and beside the SDK alone, in one run.

It starts an S3 server with a proxy before it that counts and delays, and a Jupyter server for
each manager in turn; makes JupyterLab's calls; prints tables. A whole run also writes
docs/performance.json and the tables in docs/performance.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from . import notebooks
from .bench import run
from .gestures import FULL, QUICK, chosen, gestures
from .report import DOCUMENT, RESULTS, tables, write_document


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="GESTURE",
        help="only gestures of which the name begins so, 'open 45' say; may be repeated",
    )
    parser.add_argument(
        "--delay",
        action="append",
        type=float,
        metavar="MS",
        help="milliseconds before each request to the store; may be repeated (default: 0 and 30)",
    )
    parser.add_argument("--quick", action="store_true", help="with small files, in a few minutes")
    parser.add_argument(
        "--large", action="store_true", help="also 1 GiB up and down, to see that memory stays"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write the JSON")
    return parser.parse_args()


def main() -> int:
    """Measure, print, write; the exit status is 0 also where a target is not met."""
    given = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that nothing is left behind
    scale = QUICK if given.quick else FULL
    rows = chosen(gestures(scale, large=given.large), given.only)
    if not rows:
        print("No gesture has such a name.", file=sys.stderr)
        return 2
    done = run(rows, [ms / 1000 for ms in given.delay or (0.0, 30.0)], scale)
    whole = not (given.quick or given.only or given.delay)
    if whole:
        done.notebooks.extend(notebooks.measure(list(notebooks.NAMES)))
    print(tables(done))
    output = given.output or (RESULTS if whole else None)
    if output is not None:
        done.write(output)
    if whole and given.output is None:
        write_document(done)
        print(f"Written: {RESULTS} and {DOCUMENT}", file=sys.stderr)
    return 0
