"""Exit codes of the command line."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """What the process says when it ends."""

    DONE = 0
    LEFT_OPEN = 1
    """Done, but something is left open (with ``--strict``)."""
    BAD_INPUT = 2
    WRITE_FAILED = 3
    INTERRUPTED = 130
