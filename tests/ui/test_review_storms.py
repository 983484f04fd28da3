"""What nobody plans: hostile names, a terminal that changes its size, random keys, a line that drops."""

from __future__ import annotations

import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ui.standins import listing
from tests.ui.user import User, at_the_screen
from wmtui.core.listing import Listing, TensorSpec
from wmtui.ui.actions import ACTIONS, markdown_table
from wmtui.ui.lines import Lines

HOSTILE = (
    "a[/b].w",
    "[red]x[/red].w",
    "[@click=app.bell]y[/].w",
    "esc\x1b[31m.\x1b]0;title\x07.w",
    "nul\0tab\tline\nend.w",
    "\u202eevil.w",
    "שלום.w",
    "zero\u200bwidth.w",
    "\ud800.w",
    "wide.漢字.w",
    "e\u0301.w",
    "{0}.{layer}.%s.w",
    "long" * 1250 + ".w",
    "",
    " ",
    "0.0.0",
)


def hostile(name: str) -> Listing:
    return Listing(name, [TensorSpec(key, (2, 3), nbytes=24) for key in HOSTILE])


def check(user: User) -> None:
    """Nothing on the screen could harm a terminal, and no line is wider than its widget."""
    for widget in user.window.query(Lines):
        if not widget.content_size.area:
            continue
        for strip in widget._strips:
            assert strip.text.isprintable(), repr(strip.text)
            assert not re.search("[\u0590-\u08ff\u200b-\u200f\u202a-\u202e\u2066-\u2069]", strip.text)
            assert strip.cell_length == widget.content_size.width
            assert sum(segment.cell_length for segment in strip) == strip.cell_length
    text = "".join(strip.text for strip in user.window._compositor.render_strips())
    assert text.isprintable(), repr(re.findall(r"\W", text))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_hostile_names_through_every_screen(size):
    source, target = hostile("\x1b[31mold[/].pth"), hostile("new\u202e[b]")
    async with at_the_screen(source, target, size=size) as user:
        check(user)
        for key in ("j", "a", "x", "E", "G", "w", "k", "w", "v", "j", "i", "escape", "tab", "tab", "i", "tab"):
            await user.press(key)
            check(user)
        for opener in ("e", "d", "?", "r", "S", ",", "y"):
            await user.press(opener)
            await user.idle()
            check(user)
            if opener == "r":
                await user.type("[/b")
                check(user)
            await user.press("escape")
        await user.press("/")
        await user.type("[/b")
        await user.idle()
        check(user)
        await user.press("enter", "escape", "q")
        check(user)


async def test_a_resize_storm():
    source = listing("a", *(f"x.{n}.{w}" for n in range(30) for w in "qkv"))
    target = listing("b", *(f"y.{n}.{w}" for n in range(30) for w in "qkv"))
    dice = random.Random(5)
    async with at_the_screen(source, target) as user:
        await user.press("E")
        for turn in range(40):
            columns, rows = dice.choice(((80, 24), (120, 40), (200, 60), (1, 1), (10, 3), (40, 10), (99, 33), (3, 80)))
            await user.pilot.resize_terminal(columns, rows)
            await user.press(dice.choice(("j", "G", "k", "tab", "a", "?", "escape")))
            if turn % 4 == 0:
                check(user)
        await user.pilot.resize_terminal(80, 24)
        await user.press("escape", "escape")
        await user.pilot.pause()
        check(user)
        user.sees("reviewed")


def test_the_table_of_keys_names_every_action():
    table = markdown_table()
    for action in ACTIONS:
        assert action.help in table
    assert all(line.startswith("|") for line in table.splitlines())


def test_no_key_means_two_things():
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(set(keys)) == len(keys)
    assert not {"ctrl+h", "ctrl+i", "ctrl+m", "ctrl+left_square_bracket"} & set(keys), "tmux cannot tell these"


PROGRAM = """
import sys
from tests.ui.standins import *
from wmtui.__main__ import flush_streams
from wmtui.ui.app import ReviewApp
from wmtui.ui.terminal import Terminal
class FileJournal(MemoryJournal):
    def append(self, decision):
        with open(sys.argv[1], "a") as file:
            file.write(type(decision).__name__ + "\\n")
a = listing("a", *(f"x.{n}.{w}" for n in range(9) for w in "qk"))
b = listing("b", *(f"y.{n}.{w}" for n in range(9) for w in "qk"))
app = ReviewApp(side(a), side(b), match=SuffixMatch(a, b), journal=FileJournal(), save=NotingSave(),
    describe=NoValues(), command=no_command, terminal=Terminal())
app.run()
flush_streams()
sys.exit(app.return_code)
"""


@pytest.mark.parametrize("moment", [b"x.{0-8}.q", b"with all proposals"], ids=["early", "late"])
def test_a_terminal_that_is_gone_ends_the_app(moment, tmp_path: Path):
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "journal")],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(slave)
    try:
        found, end = b"", time.monotonic() + 60
        while moment not in found and time.monotonic() < end:
            if select.select([master], [], [], 0.1)[0]:
                found += os.read(master, 65536)
        assert moment in found
        os.close(master)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_line_that_drops_ends_the_app_cleanly(number, tmp_path: Path):
    journal = tmp_path / "journal"
    master, slave = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(journal)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    os.close(slave)

    def read_until(text: bytes) -> None:
        found, end = b"", time.monotonic() + 60
        while text not in found:
            assert time.monotonic() < end, found[-500:]
            if select.select([master], [], [], 0.1)[0]:
                found += os.read(master, 65536)

    try:
        read_until(b"with all proposals")
        os.write(master, b"a")
        read_until(b"accepted 9 keys")  # a count is repainted up to the digit that changed
        process.send_signal(number)
        rest = b""
        os.set_blocking(master, False)
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            select.select([master], [], [], 0.05)
            try:
                rest += os.read(master, 65536)
            except OSError:
                time.sleep(0.01)
        assert process.returncode == 130
        assert b"Traceback" not in rest
        assert journal.read_text() == "Accept\n"
    finally:
        process.kill()
        process.wait()
        os.close(master)
