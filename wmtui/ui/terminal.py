"""What the terminal can do, read off the environment before textual is imported; this module never imports it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

SLOW_FRAMES = "20"
"""Frames a second over SSH: each is a burst of bytes, and a key is answered by the next frame anyway."""

_TERMINALS_WITHOUT_CURSOR = ("dumb", "unknown", "")
_TRUECOLOUR = ("truecolor", "24bit")
_TERMINALS_WITH_COLOURS = ("256color", "kitty", "ghostty", "alacritty", "foot")


@dataclass(frozen=True)
class Terminal:
    """What a screen may use.

    Attributes:
        remote: behind SSH: few frames, no animation, no mouse.
        can_draw: it can move its cursor; without that (``TERM=dumb``) nothing but plain text makes sense.
        colour: ``NO_COLOR`` is not set.
        few_colours: the terminal's own 16 colours and no others.
        ascii_only: the locale is not UTF-8.
        light: it said that its background is light (``COLORFGBG``).
    """

    remote: bool = False
    can_draw: bool = True
    colour: bool = True
    few_colours: bool = False
    ascii_only: bool = False
    light: bool = False

    @property
    def mouse(self) -> bool:
        """Whether to ask for mouse reports; over SSH they cost bytes and take the terminal's own selection away."""
        return not self.remote


def read_terminal(environ: Mapping[str, str], encoding: str | None = "utf-8") -> Terminal:
    """What the environment says of the terminal.

    Args:
        environ: ``os.environ``.
        encoding: of the stream that is written to.
    """
    term = environ.get("TERM", "")
    background = environ.get("COLORFGBG", "").rpartition(";")[2]
    truecolour = environ.get("COLORTERM", "").lower() in _TRUECOLOUR
    return Terminal(
        remote=any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY")),
        can_draw=term not in _TERMINALS_WITHOUT_CURSOR,
        colour=not environ.get("NO_COLOR"),
        few_colours=not truecolour and not any(part in term for part in _TERMINALS_WITH_COLOURS),
        ascii_only=not _is_utf8(encoding or "") or not _is_utf8(_charset(environ)),
        light=background in ("7", "15"),
    )


def prepare_environment(environ: MutableMapping[str, str], encoding: str | None = "utf-8") -> Terminal:
    """Set the ``TEXTUAL_*`` variables for this terminal, which textual reads while it is imported.

    Variables that the user has set stay as they are.
    """
    terminal = read_terminal(environ, encoding)
    # Textual takes an empty NO_COLOR for set; https://no-color.org says it must not be empty.
    if terminal.colour:
        environ.pop("NO_COLOR", None)
    if terminal.remote:
        environ.setdefault("TEXTUAL_ANIMATIONS", "none")
        environ.setdefault("TEXTUAL_FPS", SLOW_FRAMES)
        environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "0")
    if not terminal.few_colours and environ.get("COLORTERM", "").lower() not in _TRUECOLOUR:
        environ.setdefault("TEXTUAL_COLOR_SYSTEM", "256")  # rich knows few terminals by name, and takes the rest for 16
    return terminal


def _charset(environ: Mapping[str, str]) -> str:
    """The charset of the locale; UTF-8 where none is named, as in most containers."""
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        if locale := environ.get(name, ""):
            if locale in ("C", "POSIX"):
                return "ascii" if name == "LC_ALL" else "utf-8"
            return locale.partition(".")[2].partition("@")[0] or "ascii"
    return "utf-8"


def _is_utf8(charset: str) -> bool:
    return charset.lower().replace("-", "").replace("_", "") in ("utf8", "utf8sig")
