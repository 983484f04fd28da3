"""The real command in a real terminal: ended from outside in the middle of a review, or by its user after a check."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
import torch

from wmtui.cli.sides import open_one
from wmtui.core.decisions import Accept, Decision, Ignore, PairRun, Run, Undo
from wmtui.core.review import Review
from wmtui.core.session import Status
from wmtui.files.journal import Journal

LAYERS = 3
ROLES = {"attn.c_attn": "attention.qkv", "mlp.c_fc": "mlp.up", "mlp.c_proj": "mlp.down"}
SHAPES = ([24, 8], [32, 8], [8, 32])
# What is pressed, what the screen says then, and what the journal holds for it; the keys of a layer stand together.
STEPS: tuple[tuple[str, str, Decision], ...] = (
    ("a", "accepted 3 keys", Accept((PairRun(0, 0), PairRun(3, 3), PairRun(6, 6)))),
    ("i", "ignored 3 keys", Ignore((Run(1), Run(4), Run(7)))),
    ("a", "nothing is open any more", Accept((PairRun(2, 2), PairRun(5, 5), PairRun(8, 8)))),
    ("u", "undone: accept", Undo()),
)
# Makes the terminal on its input the one that a hang-up of is told of.
START = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.executable, sys.argv[1:])"
KILL_AFTER = 60


class Running:
    """The command in a terminal of 80x24: the review of a pair, unless arguments say otherwise."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.terminal, end = os.openpty()
        fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        python = sys.executable
        self.process = subprocess.Popen(
            [
                python,
                "-c",
                START,
                python,
                "-m",
                "wmtui",
                *(arguments or (str(folder / "old.json"), str(folder / "new.json"))),
            ],
            stdin=end,
            stdout=end,
            stderr=end,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", "WMTUI_STATE_DIR": str(folder / "state")},
        )
        os.close(end)
        self.shown = b""

    def press(self, key: str) -> None:
        self.shown = b""
        os.write(self.terminal, key.encode())

    def sees(self, text: str) -> None:
        """Wait for what the screen says."""
        end = time.monotonic() + KILL_AFTER
        while text.encode() not in self.shown:
            assert time.monotonic() < end, f"no {text!r} in {self.shown[-2000:]!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                self.shown += os.read(self.terminal, 1 << 16)

    def hang_up(self) -> int:
        os.close(self.terminal)
        self.terminal = -1
        return self.process.wait(KILL_AFTER)

    def send(self, number: int) -> int:
        """Send a signal, and read what is written until the end, as a terminal does."""
        self.process.send_signal(number)
        end = time.monotonic() + KILL_AFTER
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    os.read(self.terminal, 1 << 16)
                except OSError:
                    break  # nobody has the other end open any more
        return self.process.wait(KILL_AFTER)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.terminal >= 0:
            os.close(self.terminal)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WMTUI_STATE_DIR", str(tmp_path / "state"))
    for name, stem, words in (("old", "h", ROLES.keys()), ("new", "blocks", ROLES.values())):
        tensors = [
            {"key": f"{stem}.{n}.{word}.weight", "shape": shape}
            for n in range(LAYERS)
            for word, shape in zip(words, SHAPES, strict=True)
        ]
        (tmp_path / f"{name}.json").write_text(
            json.dumps({"format": "wmtui-listing/1", "name": name, "tensors": tensors})
        )
    return tmp_path


@pytest.fixture
def start(folder: Path):
    begun: list[Running] = []

    def begin() -> Running:
        begun.append(Running(folder))
        return begun[-1]

    yield begin
    for running in begun:
        running.close()


ENDS = {
    "hang-up": (Running.hang_up, 130),
    "SIGTERM": (lambda running: running.send(signal.SIGTERM), 130),
    "SIGKILL": (lambda running: running.send(signal.SIGKILL), -signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_review_that_is_ended_keeps_every_decision_and_offers_them_again(end, start, folder: Path):
    running = start()
    running.sees("with all proposals")
    for key, said, _ in STEPS:
        running.press(key)
        running.sees(said)
    finish, status = ENDS[end]
    assert finish(running) == status

    kept = [decision for _, _, decision in STEPS]
    old, new = (open_one(str(folder / f"{name}.json")).side for name in ("old", "new"))
    journal = Journal.open(old, new)
    assert list(journal.decisions) == kept
    assert journal.path.read_bytes().count(b"\n") == 1 + len(kept), "a line was damaged, or dropped"
    journal.close()
    review = Review(old.listing, new.listing)
    for decision in kept:
        review.apply(decision)
    assert review.session.source_counts[Status.ACCEPTED] == review.session.source_counts[Status.IGNORED] == LAYERS

    running = start()
    running.sees(f"There are {len(kept)} decisions on this pair")
    running.press("r")
    running.sees(f"reviewed {2 * LAYERS}/{3 * LAYERS} keys")
    running.press("q")
    running.sees("not saved to files yet")
    running.press("q")
    running.sees("not saved to files; the journal has them: the same command goes on where you were")


@pytest.mark.parametrize(
    ("value", "said", "status"), [(float("nan"), "1 tensor with NaN", 1), (1.0, "no NaN and no infinity", 0)]
)
def test_a_check_on_the_screen_ends_with_what_it_found(tmp_path, value, said, status):
    torch.save({"a": torch.tensor([0.0, value]), "b": torch.ones(2)}, tmp_path / "x.pth")
    running = Running(tmp_path, "inspect", str(tmp_path / "x.pth"), "--check")
    try:
        running.sees(said)
        running.press("q")
        assert running.process.wait(KILL_AFTER) == status
    finally:
        running.process.kill()
