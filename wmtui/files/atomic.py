"""Files and folders that appear whole or not at all: written beside the output, synced, renamed into place.

A temporary is called ``.NAME.wmtui-HOST-PID-START-RANDOM.tmp`` (HOST a digest of the host's name) and is kept locked
while it is written. What a killed run left is known by that name, by its process being gone and by its lock being
free, and is removed by the next run that writes to the folder.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import TypeAlias

import msgspec

from wmtui.errors import InputError, OutputExistsError
from wmtui.files import disk as disk_module
from wmtui.files.disk import Tick, write_errors
from wmtui.files.owner import Owner, this_process
from wmtui.files.regular_file import RegularFile, check_kind
from wmtui.files.write_behind import WriteBehind

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.(?P<name>.*)\.wmtui-(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-(?P<started>\d+)-[0-9a-f]{8}\.tmp")
_NAME_MAX = 255
_GATHER = 1 << 20
_SMALL = 64 << 10

Data: TypeAlias = bytes | bytearray | memoryview


class OutputFile:
    """A temporary file that is being written; small pieces are gathered before they go to the disk.

    Attributes:
        path: where it is now.
        final: where it will be.
        fd: open for reading and writing.
        size: bytes so far; appends go there.
    """

    def __init__(self, path: Path, final: Path, fd: int) -> None:
        self.path = path
        self.final = final
        self.fd = fd
        self.size = 0
        self._gathered = bytearray()
        self._behind = WriteBehind(fd)

    def append(self, data: Data) -> None:
        """Write at the end."""
        length = memoryview(data).nbytes
        if length >= _GATHER:
            self.write_at(self.size, data)
            return
        self._gathered += data
        self.size += length
        if len(self._gathered) >= _GATHER:
            self.flush()

    def write_at(self, offset: int, data: Data) -> None:
        """Write at an offset, which may lie beyond the end."""
        self.flush()
        length = memoryview(data).nbytes
        self._write(data, offset)
        self.size = max(self.size, offset + length)

    def append_from(self, source: RegularFile, start: int, length: int, tick: Tick) -> None:
        """Copy a part of another file to the end.

        Raises:
            FormatError: it is shorter than that.
        """
        if length <= _SMALL:
            self.append(source.read_at(start, length))
            tick(length)
            return

        def copied(nbytes: int) -> None:
            tick(nbytes)
            self._behind.wrote(nbytes)

        self.flush()
        try:
            disk_module.disk.copy(source.fd, start, length, self.fd, self.size, copied)
        except EOFError:
            source.read_at(start + length - 1, 1)  # the reader's own error
            raise
        self.size += length

    def flush(self) -> None:
        """Hand what was gathered to the system."""
        if self._gathered:
            data, self._gathered = self._gathered, bytearray()
            self._write(data, self.size - len(data))

    def finish(self) -> None:
        """Hand everything to the system, and wait for what it is writing."""
        self.flush()
        self._behind.finish()

    def abandon(self) -> None:
        """Close it, whatever state it is in."""
        with suppress(OSError):
            self._behind.finish()
        os.close(self.fd)

    def _write(self, data: Data, offset: int) -> None:
        disk_module.disk.write(self.fd, data, offset)
        self._behind.wrote(memoryview(data).nbytes)

    def crc(self, start: int, length: int) -> int:
        """CRC-32 of bytes that were written."""
        self.flush()
        crc = 0
        for at in range(start, start + length, _GATHER):
            crc = zlib.crc32(os.pread(self.fd, min(_GATHER, start + length - at), at), crc)
        return crc


@contextmanager
def write_atomically(path: Path, *, force: bool = True, sync: bool = True) -> Iterator[OutputFile]:
    """Write a file that appears whole at the end of the block, or not at all where the block raises.

    A symbolic link is followed: the file that it names is replaced, the link stays.

    Args:
        force: replace what is there.
        sync: wait until it is on the disk; else the caller does, before it relies on it.

    Raises:
        InputError: a folder, a pipe or a device is there.
        OutputExistsError: something is there, without ``force``.
        WriteError: the disk is full, the folder cannot be written, ...; what was there is untouched.
    """
    final = resolve(path)
    with write_errors(path):
        mode = _mode(final)
        clean(final.parent)
        with scratch_file(final) as output:
            yield output
            output.finish()
            if mode is not None:
                os.fchmod(output.fd, mode)
            if sync:
                disk_module.disk.sync(output.fd)
            put_in_place(output.path, final, force)
        if sync:
            disk_module.disk.sync_folder(final.parent)


@contextmanager
def scratch_file(beside: Path) -> Iterator[OutputFile]:
    """A temporary file beside another one, which is gone at the end of the block unless it was renamed.

    Raises:
        OSError: it cannot be made.
    """
    temporary = _temporary_path(beside)
    fd = disk_module.disk.create(temporary)
    output = OutputFile(temporary, beside, fd)
    try:
        _lock(fd)
        yield output
    finally:
        output.abandon()
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def stage_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside ``path`` that gets its name at the end of the block, or vanishes where it raises.

    Everything written into it must be synced by the block. ``path`` must be free or an empty folder.

    Raises:
        WriteError: as for `write_atomically`.
    """
    final = resolve(path)
    with write_errors(path):
        with scratch_folder(final) as temporary:
            yield temporary
            disk_module.disk.sync_folder(temporary)
            disk_module.disk.replace(temporary, final)
        disk_module.disk.sync_folder(final.parent)


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """A temporary folder beside a file or folder, which is gone at the end of the block unless it was renamed.

    Raises:
        OSError: it cannot be made.
    """
    clean(beside.parent)
    temporary = _temporary_path(beside)
    disk_module.disk.make_folder(temporary)
    try:
        fd = os.open(temporary, os.O_RDONLY)
        try:
            _lock(fd)
            yield temporary
        finally:
            os.close(fd)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, data: Data, *, force: bool = True) -> int:
    """Write a small file whole or not at all; the number of its bytes. Errors as for `write_atomically`."""
    with write_atomically(path, force=force) as output:
        output.append(data)
    return len(data)


def write_json(path: Path, value: object, *, force: bool = True) -> int:
    """Write a value as indented JSON with a final newline; otherwise as `write_bytes`."""
    text = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return write_bytes(path, text + b"\n", force=force)


def clean(folder: Path) -> list[Path]:
    """Remove what killed runs left in a folder: temporaries of this host whose process is gone and lock is free."""
    removed: list[Path] = []
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.name.endswith(".tmp")]
    except OSError:
        return removed
    for name in names:
        path = folder / name
        if _is_orphan(path):
            with suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed.append(path)
    return removed


def resolve(path: Path) -> Path:
    """The path that will be written, links followed.

    Raises:
        InputError: the links go round in a circle.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as e:
        raise InputError(f"{path} is no path that can be written", "Choose another output.") from e


def no_file(path: Path) -> InputError:
    """The error for an output that is there and is no file."""
    return InputError(f"{path} is {'a folder' if path.is_dir() else 'a pipe, a socket or a device'}", "Name a file.")


def exists_error(path: Path) -> OutputExistsError:
    """The error for an output that is in the way."""
    return OutputExistsError(f"{path} is there already", "Choose another output, or replace it (--force).")


def _temporary_path(final: Path) -> Path:
    me = this_process()
    tail = f".wmtui-{_host_tag()}-{me.pid}-{me.started}-{secrets.token_hex(4)}.tmp"
    room = _NAME_MAX - len(tail) - 1
    name = os.fsencode(final.name)[:room].decode("utf-8", "ignore")
    return final.with_name(f".{name}{tail}")


def _host_tag() -> str:
    return blake2b(socket.gethostname().encode(), digest_size=4).hexdigest()


def _is_orphan(path: Path) -> bool:
    match = _TEMPORARY.fullmatch(path.name)
    if match is None or match["host"] != _host_tag():
        return False
    if Owner(socket.gethostname(), int(match["pid"]), int(match["started"])).runs:
        return False
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        return _lock(fd)
    finally:
        os.close(fd)


def _lock(fd: int) -> bool:
    """Lock a file until it is closed, if nobody else has it; systems without such locks count as free."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        return e.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


def _mode(final: Path) -> int | None:
    """The permissions of the file that will be replaced; a pipe or a device never is."""
    try:
        info = final.stat()
    except OSError:
        return None
    check_kind(final, info)
    return info.st_mode & 0o777


def put_in_place(temporary: Path, final: Path, force: bool) -> None:
    """Give a temporary its final name; without ``force`` only where that is free.

    Raises:
        OutputExistsError: it is not.
        OSError: it cannot be renamed.
    """
    if force:
        disk_module.disk.replace(temporary, final)
        return
    try:
        disk_module.disk.link(temporary, final)
    except FileExistsError:
        raise OutputExistsError(
            f"{final} is there already", "Choose another output, or replace it (--force)."
        ) from None
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
            raise
        if os.path.lexists(final):
            raise exists_error(final) from None
        disk_module.disk.replace(temporary, final)
        return
    temporary.unlink()
