"""``python -m wmtui`` and the console script."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; the exit status is its return value."""
    from wmtui.cli.main import run

    status = run(sys.argv[1:])
    flush_streams()
    return status


def flush_streams() -> None:
    """Write what is buffered, or drop it where the terminal is gone: Python's own last flush would end it with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
