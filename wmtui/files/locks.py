"""Locks: one owner at a time, also where the folder lies on NFS and the owner was killed.

A lock is a file with its owner's host and process. It is made by a hard link to a file that is already complete,
which is one step on every file system that has links, NFS included (`link(2)`, notes on ``O_EXCL``). The lock of a
process of this host that is gone is taken over; that of another host never is, as nobody here can know.
"""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from wmtui.errors import InputError
from wmtui.files.owner import Owner, this_process

_TRIES = 5


class Lock:
    """A lock that this process holds; made by `acquire`."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self._content = content

    def release(self) -> None:
        """Give it up; a lock that somebody else has taken since stays."""
        with suppress(OSError):
            if self.path.read_bytes() == self._content:
                self.path.unlink()


def acquire(path: Path, what: str) -> Lock:
    """Take a lock.

    Args:
        path: of the lock's file; its folder must be there.
        what: what is locked, for the message (``the review of a.pt``).

    Raises:
        InputError: a process that may still run has it.
        OSError: the file cannot be written.
    """
    me = this_process()
    # the random part tells two locks of one process apart
    content = msgspec.json.encode({**msgspec.to_builtins(me), "token": secrets.token_hex(8)})
    for _ in range(_TRIES):
        if _create(path, content):
            return Lock(path, content)
        try:
            found = path.read_bytes()
        except FileNotFoundError:
            continue
        owner = _owner(found)
        if owner is not None and owner.runs:
            raise InputError(
                f"{what} is open in another window",
                f"Close it there (host {owner.host}, process {owner.pid}). If that process is gone, remove {path}.",
            )
        _set_aside(path, found)
    raise InputError(f"{what} is being opened by several windows at once", "Try again.")


def _create(path: Path, content: bytes) -> bool:
    """Make the lock's file if there is none."""
    unique = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        unique.write_bytes(content)
        try:
            os.link(unique, path)
        except FileExistsError:
            return False
        except OSError as e:
            if e.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                # an NFS server's answer can get lost although it made the link
                return unique.stat().st_nlink == 2
            return _create_exclusively(path, content)
        return True
    finally:
        unique.unlink(missing_ok=True)


def _create_exclusively(path: Path, content: bytes) -> bool:
    """For file systems without hard links."""
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def _set_aside(path: Path, stale: bytes) -> None:
    """Remove a dead owner's lock, unless somebody has replaced it meanwhile."""
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with suppress(FileNotFoundError):
        path.rename(aside)
        if aside.read_bytes() != stale:
            with suppress(OSError):
                os.link(aside, path)
        aside.unlink()


def _owner(content: bytes) -> Owner | None:
    """Who wrote it; ``None`` where that cannot be read."""
    try:
        return msgspec.json.decode(content, type=Owner)
    except msgspec.DecodeError:
        return None
