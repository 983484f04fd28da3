"""Text for the screen: tensor names made harmless, cut to cells, and numbers in the units that users say.

Every name and value that comes from a file passes `safe` (or `shorten` and `fit`, which call it) before it is shown
or printed. The result is plain text: hand it to a ``Segment``, a rich ``Text`` or a Textual ``Content``, never to
anything that reads markup.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from math import isfinite
from typing import Literal

from rich.cells import cell_len

ELLIPSIS = "…"
FULL, EMPTY = "█", "·"
SPARKS = "▁▂▃▄▅▆▇█"

_NUMBERED = re.compile(r"(?:^|[./_])(?:\{[^{}]*\}|[0-9]+)(?=[./_]|$)")
_SEPARATORS = "./_"
_SHOWN = frozenset("LNPS")
_REORDERED = frozenset(("R", "AL", "AN"))
_UNITS = ("", "K", "M", "B", "T")
_BYTE_UNITS = ("bytes", "KB", "MB", "GB", "TB", "PB")
_ASCII = {
    **dict.fromkeys("│┃║▌▐▏▕▎▍▋▊▉", "|"),
    **dict.fromkeys("─━═▔", "-"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬┏┓┗┛┣┫┳┻╋╞╡╪", "+"),
    **dict.fromkeys("▀▄■█▓", "#"),
    **dict.fromkeys("░▒", ":"),
    **dict.fromkeys("–—−", "-"),
    **dict(zip(SPARKS, "_.:-=+*#", strict=True)),
    "·": ".", "•": "*", "…": "~", "×": "x", "≠": "#", "✓": "+", "✗": "x", "→": ">", "←": "<", "↔": "=",
    "↑": "^", "↓": "v", "▲": "^", "▼": "v", "▾": "v", "▸": ">", "▶": ">", "◀": "<", "●": "*", "○": "o",
    "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
_ASCII_TABLE = str.maketrans(_ASCII)


# ---- names


def safe(text: str) -> str:
    r"""Text from a file with everything that could harm or mislead a terminal written out.

    Control characters and escape sequences, direction overrides, characters of right-to-left scripts (terminals
    reorder the line around them), zero-width and combining characters, private and unassigned code points, lone
    surrogates and unusual spaces become ``\x1b``, ``\u202e``, ``\U000e0001``. Letters, digits, punctuation and
    symbols of other scripts stay. The result has the width that `width` gives, in any terminal.
    """
    if text.isascii() and text.isprintable():
        return text
    return _safe(text)


@lru_cache(maxsize=4096)
def _safe(text: str) -> str:
    return "".join(map(_safe_character, text))


@lru_cache(maxsize=4096)
def _safe_character(character: str) -> str:
    if " " <= character <= "~":
        return character
    code = ord(character)
    if (
        unicodedata.category(character)[0] in _SHOWN
        and unicodedata.bidirectional(character) not in _REORDERED
        and cell_len(character) == (2 if unicodedata.east_asian_width(character) in "WF" else 1)
    ):
        return character
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Cells that a safe text takes."""
    return len(text) if text.isascii() else cell_len(text)


def shorten(name: str, cells: int, spare: tuple[int, ...] = ()) -> str:
    """A name made safe and cut in the middle to at most ``cells`` cells.

    The last segments stay longest, then the number of the layer, then the beginning:
    ``model.encoder.layers.12.self_attn.q_proj.weight`` in 32 cells is ``model…12.self_attn.q_proj.weight``.

    Args:
        spare: places of segments that may go first, one after the other.
    """
    text = safe(name)
    if len(text) <= cells and text.isascii():
        return text
    if not spare:
        return _shorten(text, cells)
    return _shorten(_without(text, cells, spare), cells).replace(ELLIPSIS * 2, ELLIPSIS)


@lru_cache(maxsize=4096)
def _without(text: str, cells: int, spare: tuple[int, ...]) -> str:
    """The text without as many of its spare segments as must go; neighbours go as one."""
    segments: list[str] = text.split(".")
    for count in range(1, len(spare) + 1):
        gone = set(spare[:count])
        shown = ""
        for n, segment in enumerate(segments):
            if n in gone:
                shown += "" if shown.endswith(ELLIPSIS) else ELLIPSIS
            else:
                shown += segment if not shown or shown.endswith(ELLIPSIS) else f".{segment}"
        if width(shown) <= cells:
            return shown
    return shown


@lru_cache(maxsize=4096)
def _shorten(text: str, cells: int) -> str:
    if width(text) <= cells:
        return text
    if cells < 8:
        return _last(ELLIPSIS + _last(text, cells - 1), cells) if cells > 0 else ""
    numbers = [match for match in _NUMBERED.finditer(text) if match.end() < len(text)]
    if not numbers:
        tail = _tail(text, cells - 1 - min(cells // 4, width(text.partition(".")[0])))
        return _first(text, cells - 1 - width(tail)).rstrip(_SEPARATORS) + ELLIPSIS + tail
    *earlier, last = [match[0].lstrip(_SEPARATORS) for match in numbers]
    rest = text[numbers[-1].end() :]
    if width(last) + width(rest) + 2 <= cells:
        end = last + rest
    else:
        tail = _tail(rest, cells - 3 - width(last))
        end = last + ELLIPSIS + tail if width(last) + width(tail) + 3 <= cells and width(tail) >= 4 else ""
    if not end:  # a number of so many digits that nothing else would stay
        return ELLIPSIS + _last(text, cells - 1).lstrip(_SEPARATORS)
    shown = len(numbers)
    while shown > 1 and width(earlier[shown - 2]) + width(end) + 3 <= cells:
        shown -= 1
        end = earlier[shown - 1] + ELLIPSIS + end
    before = text[: numbers[shown - 1].end() - len(numbers[shown - 1][0].lstrip(_SEPARATORS))]
    if width(before) + width(end) <= cells:
        return before + end
    return _first(before, cells - 1 - width(end)).rstrip(_SEPARATORS) + ELLIPSIS + end


def _tail(text: str, cells: int) -> str:
    """The end of a text, from the beginning of a segment where that costs little."""
    tail = _last(text, cells)
    segment = re.search(r"[./]", tail)
    cut = segment.end() if segment else 0
    return tail[cut:] if cut <= width(tail) // 4 + 1 and cut < len(tail) else tail


def fit(name: str, cells: int, align: Literal["left", "right"] = "left", spare: tuple[int, ...] = ()) -> str:
    """A name made safe, shortened and padded to exactly ``cells`` cells."""
    text = shorten(name, cells, spare)
    padding = " " * (cells - width(text))
    return text + padding if align == "left" else padding + text


def clip(text: str, cells: int) -> str:
    """Prose made safe and cut at its end to at most ``cells`` cells."""
    shown = safe(text)
    if width(shown) <= cells:
        return shown
    return _first(shown, cells - 1) + ELLIPSIS if cells > 0 else ""


def clip_start(text: str, cells: int) -> str:
    """Text made safe and cut at its start to at most ``cells`` cells."""
    shown = safe(text)
    if width(shown) <= cells:
        return shown
    return ELLIPSIS + _last(shown, cells - 1) if cells > 0 else ""


def _first(text: str, cells: int) -> str:
    """The longest beginning that takes at most ``cells`` cells."""
    if text.isascii():
        return text[: max(cells, 0)]
    taken = 0
    for place, character in enumerate(text):
        taken += cell_len(character)
        if taken > cells:
            return text[:place]
    return text


def _last(text: str, cells: int) -> str:
    """The longest end that takes at most ``cells`` cells."""
    return _first(text[::-1], cells)[::-1]


def to_ascii(text: str) -> str:
    """Safe text for a terminal or a file without Unicode, in the same number of cells: glyphs by their likes."""
    if text.isascii():
        return text
    text = text.translate(_ASCII_TABLE)
    return text if text.isascii() else "".join(c if c.isascii() else "?" * cell_len(c) for c in text)


# ---- numbers


def shape_text(shape: Sequence[int]) -> str:
    """``768x768``; ``scalar`` for no dimensions."""
    return "x".join(map(str, shape)) if shape else "scalar"


def bytes_text(nbytes: int | None) -> str:
    """``512 bytes``, ``1.2 GB`` (decimal units, as disks and model cards count); ``?`` where it is not known."""
    if nbytes is None:
        return "?"
    return f"{nbytes} {'byte' if nbytes == 1 else 'bytes'}" if nbytes < 1000 else _scaled(nbytes, _BYTE_UNITS)


def count_text(count: int) -> str:
    """``768``, ``38.6 M``, ``7.2 B``."""
    return str(count) if count < 1000 else _scaled(count, _UNITS)


def number_text(value: float | None) -> str:
    """A statistic in at most 10 characters; ``-`` where there is none."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isfinite(value) else str(value)


def _scaled(value: float, units: Sequence[str]) -> str:
    step = 0
    while value >= 999.5 and step < len(units) - 1:
        value /= 1000
        step += 1
    return f"{value:.1f} {units[step]}" if value < 99.95 else f"{value:.0f} {units[step]}"


# ---- bars


def bar(value: float, cells: int) -> str:
    """A share of 1 as ``███·``; out of range is clamped, not a number is empty."""
    share = min(max(value, 0.0), 1.0) if value == value else 0.0
    full = int(share * cells + 0.5)
    return FULL * full + EMPTY * (cells - full)


def spark(counts: Sequence[int], cells: int | None = None) -> str:
    """A histogram in one line; a bin that is not empty never looks empty.

    Args:
        counts: the bins.
        cells: as many cells at most, neighbouring bins added up; ``None`` for one cell a bin.
    """
    if cells is not None and 0 < cells < len(counts):
        edges = [i * len(counts) // cells for i in range(cells + 1)]
        counts = [sum(counts[a:b]) for a, b in pairwise(edges)]
    highest = max(counts, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[-(-count * steps // highest)] if count > 0 else " " for count in counts)
