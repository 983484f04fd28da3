"""Journals: every decision of a review, as a line on the disk before it counts.

A journal lies in the user's state directory and is named by two digests: of what is reviewed, both listings, weights
keys and prefixes, and of the two files. So two checkpoints of one training can be reviewed at once, and each is offered
what was decided about the other. Its first line records the files; every further line is one decision with its time. A
line that was cut off, by a full disk or a killed process, is dropped when the journal is opened; every whole line
before it counts.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from hashlib import blake2b
from pathlib import Path

import msgspec
import platformdirs

from wmtui.core.decisions import Decision
from wmtui.core.side import Side
from wmtui.errors import WriteError
from wmtui.files import disk as disk_module
from wmtui.files.disk import write_errors
from wmtui.files.locks import Lock, acquire

FORMAT = "wmtui-journal/1"


class _Head(msgspec.Struct):
    """First line: the format, what the two sides were called, and when the journal was begun (seconds since 1970)."""

    format: str
    source: str
    target: str
    started: float


class _Line(msgspec.Struct):
    """Any further line: when it was decided (seconds since 1970), and what."""

    at: float
    decision: Decision


_head = msgspec.json.Decoder(_Head)
_line = msgspec.json.Decoder(_Line)


class _Found(msgspec.Struct):
    """What a journal's file holds: its whole lines, where they end, and whether something else stands behind them."""

    head: _Head
    lines: list[_Line]
    end: int
    damaged: bool


def state_folder() -> Path:
    """Where wmtui keeps what outlives a run: ``WMTUI_STATE_DIR``, else the platform's place."""
    chosen = os.environ.get("WMTUI_STATE_DIR")
    return Path(chosen) if chosen else platformdirs.user_state_path("wmtui", appauthor=False)


class Journal:
    """The decisions of one pair of sides.

    Attributes:
        path: the file, which may not be there yet: it is made with the first decision.
        decisions: those that were found when it was opened, in order.
        started: when the journal that was found was begun; ``None`` where there was none.
        last: when its last decision was taken; ``None`` where there is none.
        others: the two files that the decisions are about where those are others with equal listings; `take_over`
            makes the decisions this journal's own.
        problem: why nothing can be kept at the moment, one line; ``None`` where all is well.
    """

    def __init__(self, path: Path, source: str, target: str) -> None:
        self.path = path
        self.decisions: tuple[Decision, ...] = ()
        self.started: datetime | None = None
        self.last: datetime | None = None
        self.others: tuple[str, str] | None = None
        self.problem: str | None = None
        self._names = (source, target)
        self._end = 0
        self._pending: list[bytes] = []
        self._fd: int | None = None
        self._lock: Lock | None = None

    @classmethod
    def open(cls, source: Side, target: Side) -> Journal:
        """The journal of two sides, locked for this process, with what it holds.

        A state directory that cannot be written is no error here: ``problem`` says so, and each `append` tries again.

        Raises:
            InputError: another window has it open.
        """
        names = _identity(source), _identity(target)
        name = f"{_digest(source, target)}-{blake2b(repr(names).encode(), digest_size=8).hexdigest()}.jsonl"
        journal = cls(state_folder() / "journals" / name, *names)
        try:
            journal._take_lock()
            journal._replay()
            if not journal.decisions:
                journal._look_at_others()
        except WriteError as e:
            journal.problem = e.message
        except BaseException:
            journal.close()
            raise
        return journal

    def append(self, decision: Decision) -> None:
        """Make a decision durable.

        Raises:
            WriteError: it could not be written. It is kept, and written before the next one.
        """
        self._add((decision,))

    def _add(self, decisions: Iterable[Decision]) -> None:
        now = time.time()
        if not self._end and not self._pending:
            head = _Head(FORMAT, *self._names, started=now)
            self._pending.append(msgspec.json.encode(head) + b"\n")
        self._pending += (msgspec.json.encode(_Line(now, decision)) + b"\n" for decision in decisions)
        try:
            self._write_pending()
        except WriteError as e:
            self.problem = e.message
            raise
        self.problem = None

    def take_over(self) -> None:
        """Make decisions about other files with equal listings this journal's own; does nothing where they are.

        Raises:
            WriteError: they could not be written. They are kept, and written before the next one.
        """
        if self.others is not None:
            self.others = None
            self._add(self.decisions)

    def start_afresh(self) -> None:
        """Begin with no decisions; what was found is kept beside, under a name with the time.

        The decisions about other files stay where they are.

        Raises:
            WriteError: it could not be moved.
        """
        self._close_file()
        with write_errors(self.path):
            if self.path.exists():
                stamp = time.strftime("%Y%m%d-%H%M%S")
                disk_module.disk.replace(self.path, _free_name(self.path.with_suffix(f".{stamp}.jsonl")))
                disk_module.disk.sync_folder(self.path.parent)
        self.decisions = ()
        self.started = self.last = self.others = None
        self._end = 0
        self._pending.clear()

    def close(self) -> None:
        """Write what is still to be written, if that can be, and let others open it."""
        if self._pending:
            with suppress(WriteError):
                self._write_pending()
        self._close_file()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _take_lock(self) -> None:
        if self._lock is None:
            with write_errors(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                what = " and ".join(Path(name).name for name in self._names)
                self._lock = acquire(self.path.with_suffix(".lock"), f"the review of {what}")

    def _replay(self) -> None:
        with write_errors(self.path):
            try:
                data = self.path.read_bytes()
            except FileNotFoundError:
                return
        found = _read(data)
        if found.damaged if found is not None else b"\n" in data:
            self._keep_copy(data)
        if found is not None:
            self._end = found.end
            self._take(found)

    def _take(self, found: _Found) -> None:
        self.started = datetime.fromtimestamp(found.head.started).astimezone()
        self.decisions = tuple(line.decision for line in found.lines)
        self.last = datetime.fromtimestamp(found.lines[-1].at).astimezone() if found.lines else None

    def _look_at_others(self) -> None:
        """Find the latest decisions about other files with equal listings."""
        latest: _Found | None = None
        for path in self.path.parent.glob(f"{self.path.name.partition('-')[0]}-*.jsonl"):
            if path == self.path or "." in path.stem:  # put aside, see `start_afresh`
                continue
            with suppress(OSError):
                found = _read(path.read_bytes())
                if found is not None and found.lines and (latest is None or found.lines[-1].at > latest.lines[-1].at):
                    latest = found
        if latest is not None:
            self.others = latest.head.source, latest.head.target
            self._take(latest)

    def _keep_copy(self, data: bytes) -> None:
        """A journal that is damaged in the middle is kept as it is before its good part is written on."""
        with suppress(OSError):
            _free_name(self.path.with_suffix(".damaged")).write_bytes(data)

    def _write_pending(self) -> None:
        self._take_lock()
        with write_errors(self.path):
            new = self._fd is None
            if self._fd is None:
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
            data = b"".join(self._pending)
            os.ftruncate(self._fd, self._end)
            disk_module.disk.write(self._fd, data, self._end)
            disk_module.disk.sync(self._fd)
            if new:
                disk_module.disk.sync_folder(self.path.parent)
        self._end += len(data)
        self._pending.clear()

    def _close_file(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _read(data: bytes) -> _Found | None:
    """A journal's whole lines; ``None`` where the first is not that of a journal."""
    first, *lines = data.split(b"\n")[:-1] or [b""]
    try:
        found = _Found(_head.decode(first), [], len(first) + 1, False)
    except msgspec.DecodeError:
        return None
    if found.head.format != FORMAT:
        return None
    for line in lines:
        try:
            found.lines.append(_line.decode(line))
        except msgspec.DecodeError:
            found.damaged = True
            break
        found.end += len(line) + 1
    return found


def _digest(source: Side, target: Side) -> str:
    hashed = blake2b(digest_size=16)
    for side in (source, target):
        hashed.update("\0".join((side.listing.digest, side.weights_key, side.prefix, "")).encode())
    return hashed.hexdigest()


def _identity(side: Side) -> str:
    """What tells a file from another one with an equal listing: its real path; a model's factory with its arguments."""
    location = side.spec.location
    if side.nbytes is not None or ".py:" in location:
        location = os.path.realpath(location)
    arguments = ", ".join(f"{name}={value!r}" for name, value in sorted(side.spec.args.items()))
    return f"{location}({arguments})" if arguments else location


def _free_name(path: Path) -> Path:
    """The path, or one like it that is free."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free
