"""Owners: which process on which host made a temporary file or a lock, and whether it still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True):
    """A process.

    Attributes:
        host: its computer's name.
        pid: its number there.
        started: when it started, in clock ticks since the computer did; 0 where the system does not tell. It tells
            a process from a later one with the same number.
    """

    host: str
    pid: int
    started: int = 0

    @property
    def runs(self) -> bool:
        """Whether it may still run; that of another host always may."""
        if self.host != socket.gethostname():
            return True
        if not 0 < self.pid < 1 << 31:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        now = _started(self.pid)
        return not (self.started and now and now != self.started)


def this_process() -> Owner:
    """The process that asks."""
    return Owner(socket.gethostname(), os.getpid(), _started(os.getpid()))


def _started(pid: int) -> int:
    """Field 22 of ``/proc/PID/stat``; 0 where there is none."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2]
        return int(after_name.split()[19])
    except (OSError, ValueError, IndexError):
        return 0
