"""``python -m wmtui`` and the console script."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; the exit status is its return value."""
    from wmtui.cli.main import run

    status = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the terminal is gone; Python would end with 120 on its own last flush
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return status


if __name__ == "__main__":
    sys.exit(main())
