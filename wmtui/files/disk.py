"""The disk, as the writers see it: every call that changes something goes through the one `Disk` of this module.

Blocks of payload are shared where the file system can do that and the two offsets allow it. Elsewhere payload goes
through a buffer. ``copy_file_range`` is not used: measured on ext4 with 512 MB in memory it took 0.35 s where the two
offsets are alike within a page and 0.7 s where they are not, against 0.25 s through a buffer (not in memory: 2 s
against 0.7 s). It is written in small pieces: a large and aligned one makes the kernel look for as large a piece of
memory, and 2 GB took 1.6 s in pieces of 128 KiB, but 2.4 s in pieces of 256 KiB and over 4 s in those of 512 KiB.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wmtui.errors import WmtuiError, WriteError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

CHUNK = 8 << 20
"""Bytes between two reports of progress."""
BLOCK = 4096
"""Bytes of a block, as far as sharing blocks between files is concerned."""
_BUFFER = 1 << 20
_PIECE = 128 << 10
_SHARED = 256 << 20
"""Bytes of blocks that are shared at once."""
_CLONE_RANGE = 0x4020940D

Tick = Callable[[int], None]
"""Told how many bytes were written since the last call; raises to stop."""


def _clone(source: int, start: int, length: int, fd: int, offset: int) -> bool:
    """Have a part of a file share the blocks of another one; whether that could be done."""
    if fcntl is None:
        return False
    try:
        fcntl.ioctl(fd, _CLONE_RANGE, struct.pack("=qQQQ", source, start, length, offset))
    except OSError:
        return False
    return True


class Disk:
    """The calls that change files. All of them raise `OSError`."""

    def create(self, path: Path) -> int:
        """A new file, open for reading and writing; an existing one is an error."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)

    def write(self, fd: int, data: bytes | bytearray | memoryview, offset: int) -> None:
        """Write all of the data at an offset."""
        view = memoryview(data).cast("B")
        while view:
            done = os.pwrite(fd, view[: _PIECE - offset % _PIECE], offset)
            view = view[done:]
            offset += done

    def copy(self, source: int, start: int, length: int, fd: int, offset: int, tick: Tick) -> None:
        """Copy ``length`` bytes at ``start`` of one file to ``offset`` of another.

        Raises:
            EOFError: the source is shorter.
        """
        head = -start % BLOCK
        if (start - offset) % BLOCK == 0 and length >= head + BLOCK:
            # whole blocks can be shared between files, if they begin at a block's border in both
            shared = self._share(source, start + head, (length - head) // BLOCK * BLOCK, fd, offset + head, tick)
            if shared:
                self._copy_bytes(source, start, head, fd, offset, tick)
                done = head + shared
                start, offset, length = start + done, offset + done, length - done
        self._copy_bytes(source, start, length, fd, offset, tick)

    def _share(self, source: int, start: int, length: int, fd: int, offset: int, tick: Tick) -> int:
        """Share whole blocks with another file; how many bytes of them were: none where the file system cannot."""
        done = 0
        while done < length:
            piece = min(_SHARED, length - done)
            if not _clone(source, start + done, piece, fd, offset + done):
                break
            done += piece
            tick(piece)
        return done

    def _copy_bytes(self, source: int, start: int, length: int, fd: int, offset: int, tick: Tick) -> None:
        buffer = memoryview(bytearray(min(length, _BUFFER)))
        while length > 0:
            done = os.preadv(source, [buffer[: min(length, _BUFFER - offset % _BUFFER)]], start)
            if not done:
                raise EOFError
            self.write(fd, buffer[:done], offset)
            start += done
            offset += done
            length -= done
            tick(done)

    def shares_blocks(self, source: int, fd: int) -> bool:
        """Whether a new and empty file can share blocks with another one; it stays empty."""
        if not _clone(source, 0, BLOCK, fd, 0):
            return False
        os.ftruncate(fd, 0)
        return True

    def sync(self, fd: int) -> None:
        """Wait until the file is on the disk."""
        os.fsync(fd)

    def sync_data(self, fd: int) -> None:
        """Wait until what was written to the file so far is on the disk; its size may not be yet."""
        getattr(os, "fdatasync", os.fsync)(fd)

    def sync_folder(self, folder: Path) -> None:
        """Wait until the names in a folder are on the disk; systems that cannot do it keep quiet."""
        try:
            fd = os.open(folder, os.O_RDONLY)
        except OSError:
            return
        try:
            os.fsync(fd)
        except OSError as e:
            if e.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES):
                raise
        finally:
            os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        """Give a file or folder its final name, over a file that may be there."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """A second name for a file; an existing one is an error."""
        os.link(source, target)

    def remove(self, path: Path) -> None:
        """Remove a file; none there is fine."""
        path.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """A new folder; an existing one is an error."""
        path.mkdir()


disk = Disk()
"""The one that is used; tests put one in its place that fails."""


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into a `WriteError` that names the output."""
    try:
        yield
    except WmtuiError:
        raise
    except OSError as e:
        remedy = {
            errno.ENOSPC: "Free some space, or write to another disk; nothing was changed.",
            errno.EDQUOT: "Your quota is used up: free some space, or write elsewhere; nothing was changed.",
            errno.EACCES: "Check the permissions of the folder; nothing was changed.",
            errno.EROFS: "The file system is read-only: write elsewhere; nothing was changed.",
            errno.EIO: "The disk reports an error: look into the system's log; nothing was changed.",
        }.get(e.errno or 0, "Nothing was changed.")
        raise WriteError(f"{path} could not be written: {e.strerror or e}", remedy) from e
