"""``python -m benchmarks``; see `benchmarks.command`."""

import sys

if __name__ == "__main__":
    # Not above: each process of the benchmark imports this module again when it starts.
    from .command import main

    sys.exit(main())
