"""Regular files, opened and read so that nothing else in their place (a FIFO, a device, a folder) can hang a reader."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from wmtui.errors import FormatError, InputError, MissingError

_AGAIN = "copy or download it again; make sure that nothing is still writing it"


Stamp: TypeAlias = tuple[int, int, int, int]


class RegularFile:
    """A regular file that is open for reading at any offset, or a part of one that is read as if it were a file.

    Args:
        path: the file.
        start: where the part begins.
        length: its bytes; ``None`` for all up to the end of the file.

    Attributes:
        path: as it was given.
        start: the byte of the file at which offsets begin to count.
        size: in bytes, when it was opened.
        stamp: another one where the file was replaced or written to.

    Raises:
        MissingError: there is nothing at the path.
        InputError: it is no regular file, or may not be read.
    """

    def __init__(self, path: Path, start: int = 0, length: int | None = None) -> None:
        self.path = path
        self.start = start
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        try:
            check_kind(path, path.stat())
            self._fd = os.open(path, flags)
        except (OSError, ValueError) as e:
            raise access_error(path, e) from e
        try:
            info = os.fstat(self._fd)
            check_kind(path, info)
            if length is not None and start + length > info.st_size:
                raise FormatError(f"{path}: the file ends before its byte {start + length}", _AGAIN)
        except BaseException:
            os.close(self._fd)
            raise
        self.size = info.st_size - start if length is None else length
        self.stamp: Stamp = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)

    def __enter__(self) -> RegularFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._fd)

    @property
    def fd(self) -> int:
        """Its descriptor, for copies inside the kernel."""
        return self._fd

    def read_at(self, offset: int, length: int) -> bytes:
        """Exactly ``length`` bytes.

        Raises:
            FormatError: the file ends before that.
        """
        pieces = []
        while length > 0:
            try:
                piece = os.pread(self._fd, min(length, 1 << 30), self.start + offset)
            except OSError as e:
                raise access_error(self.path, e) from e
            if not piece:
                raise FormatError(f"{self.path}: the file ends before its byte {self.start + offset + length}", _AGAIN)
            pieces.append(piece)
            offset += len(piece)
            length -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def check_kind(path: Path, info: os.stat_result) -> None:
    """Raise `InputError` for anything but a regular file."""
    if stat.S_ISREG(info.st_mode):
        return
    if stat.S_ISDIR(info.st_mode):
        raise InputError(f"{path} is a folder, not a file", "name a file in it")
    raise InputError(f"{path} is not a regular file but a pipe, a socket or a device", "name a file")


def unreachable(path: Path) -> InputError | None:
    """Why a path cannot even be looked at; ``None`` where it can, whether or not anything is there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as e:
        return access_error(path, e)
    return None


def access_error(path: Path, error: OSError | ValueError) -> InputError:
    """The error of this tree for an `OSError` of the system (or the `ValueError` for a path with a null byte)."""
    if isinstance(error, InputError):
        return error
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return MissingError(f"{path} does not exist", "check the spelling, or give the whole path")
    if isinstance(error, PermissionError):
        return InputError(f"{path} may not be read", "check its permissions and those of its folders")
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return InputError(f"{path} cannot be read: {reason}", "check the path and the disk")
