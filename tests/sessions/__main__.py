"""``python -m tests.sessions FOLDER`` does the three jobs in tmux at 80x24 and writes down keys and screens."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.sessions import networks

HERE = Path(__file__).parent
COLUMNS, ROWS = 80, 24
LIMIT = 90.0
"""Seconds for a step; a busy machine needs some."""
STILL = 0.6
"""Seconds without a change after which a screen is taken."""
CHANGING = (
    (re.compile(r"(today|yesterday) \d\d:\d\d"), "today 18:40"),
    (re.compile(r"host [^,]*, process \d+"), "host gpu1, process 4711"),
    (re.compile(r"/\S*/state/"), "~/.local/state/wmtui/"),
)
"""What is another thing each time, and what stands for it."""
NAMED = re.compile(r"Enter|Escape|Tab|BTab|Space|Up|Down|C-.|[^a-z]?[A-Za-z0-9(),/?]")


KILL = "kill -9"
"""Instead of keys: ends the program so."""


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """One step of a session.

    Attributes:
        note: what the user wants, or thinks of the screen before.
        keys: as tmux spells them, one after the other; text of several letters is typed.
        until: what the screen says when the step is done.
    """

    note: str
    keys: list[str]
    until: str


class Job(msgspec.Struct, forbid_unknown_fields=True):
    """One session.

    Attributes:
        learnt: what confused whoever did it first, and what was changed because of it.
    """

    title: str
    learnt: list[str]
    steps: list[Step]


class Tmux:
    """One window of a tmux server of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket = str(folder / "tmux")
        python = shutil.which("wmtui", path=str(Path(sys.executable).parent))
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TMUX")}
        environment |= {"WMTUI_STATE_DIR": str(folder / "state"), "LANG": "C.UTF-8"}
        environment["PATH"] = f"{Path(python or sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        self.call("-f", "/dev/null", "new-session", "-d", *size, "-c", str(folder), "bash --norc", env=environment)
        self.call("set", "-g", "status", "off")
        for key in ("PS1='$ '; clear", "Enter"):
            self.press(key)

    def call(self, *words: str, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(["tmux", "-S", self.socket, *words], check=True, capture_output=True, text=True, env=env)
        return done.stdout

    def press(self, key: str) -> None:
        if NAMED.fullmatch(key):
            self.call("send-keys", key)
        else:
            self.call("send-keys", "-l", key)
        time.sleep(0.15)

    def kill(self) -> None:
        """End what runs in the shell with SIGKILL."""
        shell = self.call("list-panes", "-F", "#{pane_pid}").strip()
        for child in subprocess.run(
            ["ps", "-o", "pid=", "--ppid", shell], capture_output=True, text=True
        ).stdout.split():
            os.kill(int(child), signal.SIGKILL)

    def screen(self, until: str) -> str:
        """The screen, once it says something and stands still.

        Raises:
            TimeoutError: it never says so.
        """
        end, last, since = time.monotonic() + LIMIT, "", time.monotonic()
        while time.monotonic() < end:
            now = "\n".join(line.rstrip() for line in self.call("capture-pane", "-p", "-J").splitlines())
            if now != last:
                last, since = now, time.monotonic()
            elif until in now and time.monotonic() - since > STILL:
                return now.rstrip()
            time.sleep(0.1)
        raise TimeoutError(f"no {until!r} on the screen:\n{last}")


@contextmanager
def running(folder: Path) -> Iterator[Tmux]:
    tmux = Tmux(folder)
    try:
        yield tmux
    finally:
        tmux.call("kill-server")


def record(job: Job, tmux: Tmux) -> Iterator[str]:
    """The lines of a session's file."""
    yield f"{job.title}\n{'=' * len(job.title)}\n"
    for number, step in enumerate(job.steps, 1):
        screen = do(step, tmux)
        for pattern, text in CHANGING:
            screen = "\n".join(pattern.sub(text, line) for line in screen.splitlines())
        yield f"{number}. {step.note}"
        yield f"   keys: {'  '.join(step.keys)}\n"
        yield from (f"   |{line}" for line in screen.splitlines())
        yield ""
    yield "What was confusing at first, and what was changed\n"
    yield from (f"* {text}" for text in job.learnt)


def do(step: Step, tmux: Tmux) -> str:
    """Press a step's keys; hands the screen back."""
    for key in step.keys:
        tmux.screen("")  # what the key before it did is done
        tmux.kill() if key == KILL else tmux.press(key)
    return tmux.screen(step.until)


def main(folder: Path) -> None:
    """Record all jobs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.toml")):
        job = msgspec.toml.decode(path.read_bytes(), type=Job)
        with tempfile.TemporaryDirectory() as room:
            shutil.copy(networks.__file__, room)
            make = "from networks import write_files; write_files()"
            subprocess.run([sys.executable, "-c", make], cwd=room, check=True)
            with running(Path(room)) as tmux:
                tmux.screen("$")
                text = "\n".join(record(job, tmux))
        (folder / f"{path.stem}.txt").write_text(text + "\n", "utf-8")
        print(f"{path.stem}.txt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
