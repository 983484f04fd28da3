"""What is read off the environment, and how an app is dressed for it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from textual.widgets import Input

from wmtui.ui.base import TerminalApp
from wmtui.ui.lines import paint
from wmtui.ui.terminal import Terminal, prepare_environment, read_terminal
from wmtui.ui.theme import ANSI_DARK, ANSI_LIGHT, DARK, LIGHT, palette, theme_name

XTERM = {"TERM": "xterm-256color", "LANG": "en_US.UTF-8"}


@pytest.mark.parametrize(
    ("environ", "terminal"),
    [
        (XTERM, Terminal()),
        ({**XTERM, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, Terminal(remote=True)),
        ({**XTERM, "NO_COLOR": "1"}, Terminal(colour=False)),
        ({**XTERM, "NO_COLOR": ""}, Terminal()),
        ({**XTERM, "TERM": "xterm"}, Terminal(few_colours=True)),
        ({**XTERM, "TERM": "xterm", "COLORTERM": "truecolor"}, Terminal()),
        ({**XTERM, "TERM": "linux"}, Terminal(few_colours=True)),
        ({**XTERM, "TERM": "dumb"}, Terminal(can_draw=False, few_colours=True)),
        ({"LANG": "C.UTF-8"}, Terminal(can_draw=False, few_colours=True)),
        ({**XTERM, "LANG": "de_DE@euro"}, Terminal(ascii_only=True)),
        ({**XTERM, "LC_ALL": "en_US.ISO-8859-1"}, Terminal(ascii_only=True)),
        ({**XTERM, "LC_ALL": "C"}, Terminal(ascii_only=True)),
        ({**XTERM, "LANG": "C"}, Terminal()),
        ({"TERM": "xterm-256color"}, Terminal()),
        ({**XTERM, "LANG": "de_DE.utf8"}, Terminal()),
        ({**XTERM, "COLORFGBG": "0;15"}, Terminal(light=True)),
        ({**XTERM, "COLORFGBG": "15;default;0"}, Terminal()),
    ],
)
def test_the_environment_tells_what_the_terminal_can_do(environ, terminal):
    assert read_terminal(environ) == terminal


def test_a_stream_that_is_not_utf8_gets_ascii():
    assert read_terminal(XTERM, "iso-8859-1").ascii_only
    assert read_terminal(XTERM, None).ascii_only


def test_textual_is_told_to_go_easy_over_ssh():
    environ = {**XTERM, "SSH_CONNECTION": "x", "TEXTUAL_FPS": "33"}
    assert not prepare_environment(environ).mouse
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert environ["TEXTUAL_SMOOTH_SCROLL"] == "0"
    assert environ["TEXTUAL_FPS"] == "33"
    environ = {**XTERM, "NO_COLOR": ""}
    assert prepare_environment(environ).mouse
    assert environ == {**XTERM, "TEXTUAL_COLOR_SYSTEM": "256"}


def test_reading_the_environment_imports_no_textual():
    code = "import sys, wmtui.ui.terminal, wmtui.ui.inspect.plain; sys.exit('textual' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("terminal", "name"),
    [
        (Terminal(), DARK),
        (Terminal(light=True), LIGHT),
        (Terminal(few_colours=True), ANSI_DARK),
        (Terminal(colour=False, light=True), ANSI_LIGHT),
    ],
)
async def test_the_theme_fits_the_terminal(terminal, name):
    assert theme_name(terminal) == name
    app = TerminalApp(terminal)
    async with app.run_test():
        assert app.theme == name


async def test_every_theme_has_a_palette():
    app = TerminalApp(Terminal())
    for name in app.available_themes:
        app.theme = name
        looks = palette(app)
        assert looks.cursor != looks.text
        assert looks.bad != looks.good


class Bordered(TerminalApp):
    def compose(self):
        box = Input("é模")
        box.styles.border = ("round", "red")
        yield box


async def test_a_terminal_without_unicode_gets_ascii_from_every_widget():
    app = Bordered(Terminal(ascii_only=True))
    async with app.run_test(size=(20, 5)):
        text = "".join(strip.text for strip in app.screen._compositor.render_strips())
    assert text.isascii()
    assert text.startswith("+-")
    assert "???" in text


async def test_without_colour_no_colour_is_sent(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    app = Bordered(Terminal(colour=False))
    async with app.run_test(size=(20, 5)):
        strips = app.screen._compositor.render_strips()
    colours = {c for strip in strips for s in strip if s.style for c in (s.style.color, s.style.bgcolor) if c}
    assert {colour.name for colour in colours} == {"default"}


async def test_the_clipboard_takes_any_name():
    app = TerminalApp(Terminal())
    async with app.run_test():
        app.copy_to_clipboard("a\ud800b")
        assert app.clipboard == "a?b"


def test_painted_lines_are_as_long_as_they_should_be():
    assert paint([("模型", None), ("abc", None)], 6).text == "模型a…"
    assert paint([("ab", None)], 4).text == "ab  "
