"""``python -m benchmarks.screen [KEYS]``: what the screens cost: first content, processor time and bytes a key press.

Runs ``wmtui inspect`` and ``wmtui review`` in a pseudo-terminal of 120x40 on listings made for it, and reads the
processor time of the app's thread from ``/proc``. Times of the first content are set against
``python -c "import textual.app"`` of the same run. The last line says how long after a hang-up the app is gone.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.tables import table

COLUMNS, ROWS = 120, 40
QUIET = 0.35
"""Seconds without output after which a key press counts as answered."""
PRESSES = (
    ("cursor down", "j", 12),
    ("cursor up", "k", 12),
    ("accept one key", "a", 12),
    ("half a page down", "\x04", 4),
    ("search begun", "/", 1),
    ("search, first letter", "u", 1),
    ("search, second letter", "p", 1),
    ("search kept", "\r", 1),
    ("cursor down in what was found", "j", 6),
    ("search cleared", "\x1b", 1),
    ("next status", "f", 1),
    ("accept one key of a status", "a", 6),
    ("status before", "F", 1),
    ("next open key", "n", 6),
    ("bar up", ")", 3),
    ("undo", "u", 6),
    ("help", "?", 1),
    ("help closed", "\x1b", 1),
)
ROUNDS = 3
"""How often all of them are pressed: the median of the rounds is told, as single key presses vary."""


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, arguments: Sequence[str], folder: Path) -> None:
        self.began = time.monotonic()
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "SSH_CONNECTION")}
            environment |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "XDG_STATE_HOME": str(folder)}
            os.execve(sys.executable, [sys.executable, *arguments], environment)
        fcntl.ioctl(self.file, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))

    def read(self, wait: float) -> bytes:
        """What comes within the time; nothing once the program has ended."""
        if not select.select([self.file], [], [], wait)[0]:
            return b""
        try:
            return os.read(self.file, 1 << 16)
        except OSError:
            return b""

    def until(self, text: bytes, limit: float = 120) -> float:
        """Seconds from the start until a text was written.

        Raises:
            RuntimeError: it never was.
        """
        found = b""
        while text not in found:
            found += self.read(0.01)
            if time.monotonic() - self.began > limit:
                raise RuntimeError(f"{text!r} did not come; the end was {found[-300:]!r}")
        return time.monotonic() - self.began

    def quiet(self) -> int:
        """Bytes until nothing has come for a while."""
        count, last = 0, time.monotonic()
        while time.monotonic() - last < QUIET:
            size = len(self.read(0.02))
            if size:
                count += size
                last = time.monotonic()
        return count

    def press(self, keys: str) -> int:
        """Press keys; hands the bytes of the answer back."""
        os.write(self.file, keys.encode())
        return self.quiet()

    def processor(self) -> float:
        """Milliseconds of processor time of the main thread so far."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[0]) / 1e6

    def hang_up(self) -> float:
        """Close the terminal as a dropped line does; seconds until the program is gone."""
        began = time.monotonic()
        os.close(self.file)
        os.waitpid(self.pid, 0)
        return time.monotonic() - began

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self.quiet()
        os.close(self.file)
        os.waitpid(self.pid, 0)


@contextmanager
def running(arguments: Sequence[str], folder: Path) -> Iterator[Terminal]:
    terminal = Terminal(arguments, folder)
    try:
        yield terminal
    finally:
        terminal.end()


def write_pair(folder: Path, keys: int) -> tuple[str, str]:
    """Two listings of a mixture-of-experts model under different names."""
    names: list[tuple[str, list[int]]] = []
    for n in range(keys // 6):
        layer, expert = divmod(n, 256)
        for part in ("gate", "up", "down"):
            stem = f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj"
            names += [(f"{stem}.weight", [768, 2048]), (f"{stem}.weight_scale_inv", [6, 16])]
    paths = []
    for side in ("old", "new"):
        tensors = [
            {
                "key": key.replace("model.layers", "blocks").replace("mlp", "moe") if side == "new" else key,
                "shape": shape,
            }
            for key, shape in names
        ]
        path = folder / f"{side}.json"
        path.write_text(json.dumps({"format": "wmtui-listing/1", "name": side, "tensors": tensors}))
        paths.append(str(path))
    return paths[0], paths[1]


def import_seconds() -> float:
    """The least of three times that importing textual takes in a new process."""
    times = []
    for _ in range(3):
        began = time.monotonic()
        os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", "import textual.app"])
        times.append(time.monotonic() - began)
    return min(times)


def first_contents(folder: Path, keys: int) -> None:
    base = import_seconds()
    small, large = folder / "small", folder / "large"
    rows: list[tuple[str, float, float]] = [("import textual.app", base, 1.0)]
    for where, count in ((small, 420), (large, keys)):
        where.mkdir()
        old, new = write_pair(where, count)
        for name, arguments in (("inspect", ["inspect", old]), ("review", ["review", old, new, "--afresh"])):
            seconds = []
            for _ in range(3):
                with running(["-m", "wmtui", *arguments], folder) as terminal:
                    seconds.append(terminal.until(b"_proj"))
            rows.append((f"{name}, {count:,} keys", min(seconds), min(seconds) / base))
    print(table(("first content", "seconds", "times the import"), rows))


def presses(folder: Path) -> None:
    old, new = str(folder / "large" / "old.json"), str(folder / "large" / "new.json")
    with running(["-m", "wmtui", "review", old, new, "--afresh"], folder) as terminal:
        matched = terminal.until(b"reviewed")
        terminal.quiet()
        terminal.press("E")
        terminal.press("jj")
        times: dict[str, list[float]] = {name: [] for name, _, _ in PRESSES}
        sizes: dict[str, list[float]] = {name: [] for name, _, _ in PRESSES}
        for _ in range(ROUNDS):
            for name, keys, count in PRESSES:
                before = terminal.processor()
                sizes[name].append(sum(terminal.press(keys) for _ in range(count)) / count)
                times[name].append((terminal.processor() - before) / count)
        rows = [(name, median(times[name]), median(sizes[name])) for name in times]
    print(f"\nmatched after {matched:.1f} s; then, all groups expanded:\n")
    print(table(("key press", "processor ms", "bytes"), rows))


def hang_ups(folder: Path) -> None:
    small = [str(folder / "small" / f"{side}.json") for side in ("old", "new")]
    seconds = []
    for _ in range(5):
        terminal = Terminal(["-m", "wmtui", "review", *small, "--afresh"], folder)
        terminal.until(b"with all proposals")
        terminal.press("a")
        seconds.append(terminal.hang_up())
    print(f"\ngone {max(seconds):.2f} s after a hang-up, the longest of {len(seconds)}")


def main(arguments: Sequence[str]) -> int:
    keys = int(arguments[0]) if arguments else 93_696
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first_contents(folder, keys)
        presses(folder)
        hang_ups(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
