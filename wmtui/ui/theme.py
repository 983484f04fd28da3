"""Looks: our two themes and their likes in the terminal's own 16 colours, and what they mean for painted lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import Theme

from .terminal import Terminal
from .text import to_ascii

DARK, LIGHT, ANSI_DARK, ANSI_LIGHT = "wmtui-dark", "wmtui-light", "wmtui-ansi-dark", "wmtui-ansi-light"

_ANSI_VARIABLES = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "border": "ansi_default",
    "border-blurred": "ansi_bright_black",
    "block-cursor-foreground": "ansi_default",
    "block-cursor-background": "ansi_default",
    "block-cursor-text-style": "bold reverse",
    "footer-key-foreground": "ansi_cyan",
    "input-cursor-background": "ansi_default",
    "input-cursor-foreground": "ansi_default",
    "input-cursor-text-style": "reverse",
    "scrollbar": "ansi_bright_black",
    "scrollbar-hover": "ansi_default",
    "scrollbar-active": "ansi_default",
    "scrollbar-background": "ansi_default",
    "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default",
}


def _ansi(name: str, dark: bool) -> Theme:
    return Theme(
        name=name,
        ansi=True,
        dark=dark,
        primary="ansi_cyan" if dark else "ansi_blue",
        secondary="ansi_default",
        accent="ansi_cyan" if dark else "ansi_blue",
        success="ansi_green",
        warning="ansi_yellow" if dark else "ansi_magenta",
        error="ansi_red",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        variables=_ANSI_VARIABLES | {"footer-key-foreground": "ansi_cyan" if dark else "ansi_blue"},
    )


THEMES = (
    Theme(
        name=DARK,
        dark=True,
        primary="#5fafd7",
        secondary="#8a8f98",
        accent="#5fafd7",
        success="#87af5f",
        warning="#d7af5f",
        error="#d75f5f",
        foreground="#d0d4da",
        background="#16181c",
        surface="#1c1f24",
        panel="#262a31",
        variables={
            "border": "#5fafd7",
            "border-blurred": "#3a4049",
            "block-cursor-foreground": "#ffffff",
            "block-cursor-background": "#005f87",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-foreground": "#d0d4da",
            "block-cursor-blurred-background": "#303640",
            "footer-background": "#262a31",
            "footer-key-foreground": "#5fafd7",
            "scrollbar": "#3a4049",
            "scrollbar-background": "#16181c",
        },
    ),
    Theme(
        name=LIGHT,
        dark=False,
        primary="#005f87",
        secondary="#6c727c",
        accent="#005f87",
        success="#3f7000",
        warning="#8f5f00",
        error="#af0000",
        foreground="#24272d",
        background="#fcfcfa",
        surface="#f2f2ef",
        panel="#e6e6e2",
        variables={
            "border": "#005f87",
            "border-blurred": "#c4c4be",
            "block-cursor-foreground": "#ffffff",
            "block-cursor-background": "#005f87",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-foreground": "#24272d",
            "block-cursor-blurred-background": "#d8dde0",
            "footer-background": "#e6e6e2",
            "footer-key-foreground": "#005f87",
            "scrollbar": "#c4c4be",
            "scrollbar-background": "#fcfcfa",
        },
    ),
    _ansi(ANSI_DARK, dark=True),
    _ansi(ANSI_LIGHT, dark=False),
)


def theme_name(terminal: Terminal) -> str:
    """The theme that fits: without colours, or with 16 of them, the one that uses the terminal's own."""
    if terminal.few_colours or not terminal.colour:
        return ANSI_LIGHT if terminal.light else ANSI_DARK
    return LIGHT if terminal.light else DARK


class AsciiFilter(LineFilter):
    """Writes every glyph as its like in ASCII: borders and scroll bars of any widget too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]


def dress(app: App[Any], terminal: Terminal) -> None:
    """Give an app our themes and fit it to the terminal; call it at the end of its ``__init__``.

    The app's own ``__init__`` passes ``ansi_color=not terminal.colour or None`` on: Textual reads ``NO_COLOR`` there,
    and only with its ANSI colours on is it true to it.
    """
    for theme in THEMES:
        app.register_theme(theme)
    app.theme = theme_name(terminal)
    if terminal.ascii_only:
        app._filters.append(AsciiFilter())  # Textual offers no public way to add a filter


@dataclass(frozen=True)
class Palette:
    """Styles for lines that are painted by hand; none of them is the only sign of anything.

    Attributes:
        text: of the pane, with its background.
        muted: of lesser weight: shapes, counts.
        strong: of headings.
        accent: of what asks for the eye.
        good, warn, bad: of states.
        cursor, cursor_blurred: the line under the cursor in the pane with and without the focus.
        marked: a line of a marked range.
    """

    text: Style
    muted: Style
    strong: Style
    accent: Style
    good: Style
    warn: Style
    bad: Style
    cursor: Style
    cursor_blurred: Style
    marked: Style


_palettes: dict[tuple[str, bool], Palette] = {}


def palette(app: App[Any]) -> Palette:
    """The styles of the app's present theme; ask again when the theme changes (``app.theme_changed_signal``)."""
    name = (app.theme, app.native_ansi_color)
    if name not in _palettes:  # every widget asks, and a theme takes 5 ms
        _palettes[name] = _palette(app.current_theme.to_color_system().generate(), app.native_ansi_color)
    return _palettes[name]


def _palette(variables: dict[str, str], ansi: bool) -> Palette:
    def style(name: str, background: str | None = None, bold: bool | None = None) -> Style:
        behind = Color.parse(variables[background or "background"])
        # "auto 87%" is what Textual's own themes give for text on a block: whatever reads well there.
        automatic = variables[name].startswith("auto")
        colour = behind.get_contrast_text(1.0) if automatic else Color.parse(variables[name])
        return Style(color=colour.rich_color, bgcolor=behind.rich_color if background else None, bold=bold)

    if ansi:
        text, muted, marked = Style(), Style(dim=True), Style(underline=True, bold=True)
        cursor, cursor_blurred = Style(reverse=True, bold=True), Style(underline=True)
    else:
        faint = Color.parse(variables["foreground"]).blend(Color.parse(variables["background"]), 0.4)
        text, marked = style("foreground", "background"), style("foreground", "panel")
        muted = Style(color=faint.rich_color)
        cursor = style("block-cursor-foreground", "block-cursor-background", bold=True)
        cursor_blurred = style("block-cursor-blurred-foreground", "block-cursor-blurred-background")
    return Palette(
        text=text,
        muted=muted,
        strong=Style(bold=True),
        accent=style("accent"),
        good=style("success"),
        warn=style("warning"),
        bad=style("error"),
        cursor=cursor,
        cursor_blurred=cursor_blurred,
        marked=marked,
    )
