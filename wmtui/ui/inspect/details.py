"""The pane below the list: the row under the cursor in full, and the statistics that were asked for."""

from __future__ import annotations

from collections.abc import Sequence

from textual.strip import Strip

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.tensor_stats import TensorStats
from wmtui.ui.lines import Lines, Part, paint
from wmtui.ui.text import clip, number_text, safe, shorten, spark, width
from wmtui.ui.theme import Palette

Line = Sequence[Part]


class Details(Lines):
    """What is known of one row.

    Attributes:
        text: its key or name as it is in the file.
        listing: the tensors.
        places: those that it stands for.
        about: more of it, as it is in the file.
        stats: of the first of them, if they were read.
        note: what to say instead of statistics.
    """

    DEFAULT_CSS = "Details { height: 6; padding: 0 1; border-top: solid $border-blurred; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.text = ""
        self.listing: Listing | None = None
        self.places: Sequence[int] = ()
        self.about = ""
        self.stats: TensorStats | None = None
        self.note = ""

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        looks = self.looks
        key_rows = 2 if count >= 5 else 1
        lines: list[Line] = [[(text, looks.strong)] for text in wrap_key(self.text, cells, key_rows)]
        if self.listing is not None and self.places:
            lines.append([(clip(self.about, cells), None)])
            lines += tie_line(self.listing, self.listing.tensors[self.places[0]], cells, looks)
        elif self.about:
            lines += [[(text, None)] for text in wrap_key(self.about, cells, count - len(lines))]
        if self.stats is not None:
            whose = f"first of {len(self.places):,}: " if len(self.places) > 1 else ""
            lines += stats_lines(self.stats, whose, cells, looks)
        elif self.note:
            lines.append([(clip(self.note, cells), looks.muted)])
        return [paint(line, cells) for line in lines]


def wrap_key(text: str, cells: int, rows: int) -> list[str]:
    """A key in whole, over at most so many rows; shortened in the middle where it is longer than they are."""
    shown = safe(text)
    if rows > 1 and cells < width(shown) and shown.isascii():
        shown = shorten(text, rows * cells)
        return [shown[start : start + cells] for start in range(0, len(shown), cells)]
    return [shorten(text, cells)]


def tie_line(listing: Listing, spec: TensorSpec, cells: int, looks: Palette) -> list[Line]:
    """The keys that share a tensor's storage; no line where there are none."""
    others = [key for key in listing.tied_to(spec.key) if key != spec.key]
    if not others:
        return []
    more = f" and {len(others) - 1} more" if len(others) > 1 else ""
    return [[("tied to ", looks.muted), (shorten(others[0], cells - 8 - len(more)) + more, None)]]


def stats_lines(stats: TensorStats, whose: str, cells: int, looks: Palette) -> list[Line]:
    """Statistics in three lines: numbers, histogram, first elements."""
    numbers = [
        f"{label} {number_text(value)}"
        for label, value in (("min", stats.minimum), ("max", stats.maximum), ("mean", stats.mean), ("std", stats.std))
    ]
    bad = f"NaN {stats.nan:,}  inf {stats.inf:,}"
    zeros = f"  zeros {stats.zeros:,}"
    lines: list[Line] = [
        [
            (whose, looks.muted),
            ("  ".join(numbers) + "  ", None),
            (bad, looks.bad if stats.nan or stats.inf else None),
            (zeros, None),
        ]
    ]
    ends = f"{number_text(stats.minimum)} ", f" {number_text(stats.maximum)}"
    if stats.histogram:
        room = max(4, min(64, cells - len(ends[0]) - len(ends[1])))
        lines.append([(ends[0], looks.muted), (spark(stats.histogram, room), looks.accent), (ends[1], looks.muted)])
    if stats.first:
        lines.append([("first ", looks.muted), (clip(" ".join(stats.first), cells - 6), None)])
    return lines
