"""The lines above and below the panes: what is reviewed, the forecast, the statuses, the scope and the hints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Literal

from textual import events
from textual.message import Message
from textual.strip import Strip

from wmtui.core.printable import plural
from wmtui.core.review import BARS, Review, Scope
from wmtui.core.session import Status
from wmtui.core.view import PaneView
from wmtui.ui.actions import BY_ID
from wmtui.ui.lines import Lines, Part, paint
from wmtui.ui.review.panes import GLYPHS, percent
from wmtui.ui.searchline import SearchLine
from wmtui.ui.text import bar, clip, safe, shorten, width

Tone = Literal["plain", "good", "warn", "bad"]
FACETS: tuple[Status | None, ...] = (None, *Status)
MISSING_HINT = "m: which"
WORDY = 90
"""Cells from which statuses that no key has are listed too."""
SCOPES = {Scope.KEY: "row", Scope.GROUP: "group", Scope.FILTER: "all shown"}
HINTS = {
    "source": ("accept", "choose", "reassign", "next_open", "save", "help"),
    "candidates": ("enter", "choose", "explain", "next_pane", "escape", "help"),
    "target": ("enter", "partner", "ignore", "facet", "next_pane", "help"),
}
"""The footer's hints by pane: six at most."""


class Header(Lines):
    """Three lines: the pair and what is left, the forecast, the statuses of the pane with the focus."""

    DEFAULT_CSS = "Header { height: 3; dock: top; padding: 0 1; }"

    class Picked(Message):
        """A status was clicked."""

        def __init__(self, facet: Status | None) -> None:
            super().__init__()
            self.facet = facet

    def __init__(self, review: Review, names: tuple[str, str], *, id: str) -> None:
        super().__init__(id=id)
        self.review = review
        self.names = names
        self.view: PaneView = review.sources
        self.work = ""
        self.share = 0.0
        self._facet_cells: list[tuple[int, int, Status | None]] = []

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        return [paint(parts, cells) for parts in (self._first(cells), self._forecast(cells), self._facets(cells))]

    def _first(self, cells: int) -> list[Part]:
        looks, review = self.looks, self.review
        total = len(review.source)
        if self.work:
            right = f"{bar(self.share, 10)} {clip(self.work, 40)}"
        else:
            done = review.decided_keys
            whole = f"all {plural(total, 'key')} reviewed"
            right = whole if done == total else f"reviewed {done:,}/{plural(total, 'key')}"
        room = max(10, (cells - len("wmtui  ") - 4 - width(right) - 2) // 2)
        source, target = (shorten(name, room) for name in self.names)
        left_text = f"{source} → {target}"
        gap = " " * max(2, cells - len("wmtui  ") - width(left_text) - width(right))
        return [("wmtui", looks.accent + looks.strong), ("  " + left_text + gap, None), (right, looks.strong)]

    def _forecast(self, cells: int) -> list[Part]:
        looks, review = self.looks, self.review
        if not review.matched:
            return [("load_state_dict forecast comes with the proposal", looks.muted)]
        pending = review.session.source_counts[Status.PROPOSED]
        lead = "forecast with all proposals: " if pending else "forecast: "
        if cells >= (WORDY if pending else 60):
            lead = f"load_state_dict {lead}"
        parts: list[Part] = [(lead, looks.muted)]
        for count, word in ((review.missing, "missing"), (0, "unexpected"), (review.mismatched, "mismatched")):
            parts.append((f"{count:,} {word}  ", looks.warn if count else None))
        if review.loads:
            return [*parts, ("✓ loads", looks.good)]
        used = sum(width(text) for text, _ in parts)
        return [*parts, (MISSING_HINT if used + len(MISSING_HINT) <= cells else "", looks.muted)]

    def _facets(self, cells: int) -> list[Part]:
        looks, view = self.looks, self.view
        found = view.facet_counts()
        counts = {facet: len(view.groups) if facet is None else found[facet] for facet in FACETS}
        parts: list[Part] = []
        self._facet_cells = []
        at = 0
        for facet in FACETS:
            if facet in (Status.AMBIGUOUS, Status.REJECTED) and view is not self.review.sources:
                continue
            if cells < WORDY and facet is not view.facet and facet is not None and not counts[facet]:
                continue
            text = f"{facet or 'all'} {counts[facet]}"
            shown = f"[{text}]" if facet == view.facet else f" {text} "
            self._facet_cells.append((at, at + len(shown), facet))
            at += len(shown)
            style = looks.accent + looks.strong if facet == view.facet else None if counts[facet] else looks.muted
            parts.append((shown, style))
        return parts

    def on_click(self, event: events.Click) -> None:
        for start, end, facet in self._facet_cells:
            if event.y == 2 and start <= event.x - self.gutter.left < end:
                self.post_message(self.Picked(facet))


class StatusLine(SearchLine):
    """What happened last, and what a decision would be about; while a search is typed, its text.

    Attributes:
        fresh: the message says what has just happened, or why it cannot be: it has the whole line, and a second one
            where it needs it, until the cursor moves.
    """

    DEFAULT_CSS = "StatusLine { height: 1; padding: 0 1; } StatusLine.long { height: 2; }"

    def __init__(self, review: Review, *, id: str) -> None:
        super().__init__(id=id)
        self.review = review
        self.scope = Scope.KEY
        self.places = 0
        self.marking = False
        self.note = ""
        self.text = ""
        self.tone: Tone = "plain"
        self.fresh = False

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Show a message until the next."""
        self.text, self.tone = text, tone
        self._be(fresh=tone != "plain")
        self.show()

    def grow_old(self) -> None:
        """Leave the message what room there is beside the numbers."""
        if self.fresh:
            self._be(fresh=False)
            self.show()

    def on_resize(self, event: events.Resize) -> None:
        self._be(self.fresh)
        super().on_resize(event)

    def _be(self, fresh: bool) -> None:
        self.fresh = fresh
        self.set_class(fresh and 0 < self.content_size.width < width(safe(self.text)), "long")

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        looks, review = self.looks, self.review
        if self.typed is not None:
            return [self.search_strip(cells)]
        about = "marked" if self.marking else SCOPES[self.scope]
        right = self.note or f"{about}: {plural(self.places, 'key')}"
        if review.matched and not self.note:
            _, keys = review.above()
            right += f"  ( {percent(BARS[review.bar])} ) A: {plural(keys, 'key')}"
        style = {"plain": None, "good": looks.good, "warn": looks.warn, "bad": looks.bad}[self.tone]
        if self.fresh and width(self.text) > cells - len(right) - 2:
            right = ""
        if self.fresh and count > 1 and width(self.text) > cells:
            first, *more = wrap(safe(self.text), cells)
            return [paint([(clip(text, cells), style)], cells) for text in (first, " ".join(more))]
        left = clip(self.text, max(0, cells - len(right) - 2 * bool(right)))
        return [paint([(left, style), (" " * (cells - width(left) - len(right)), None), (right, looks.muted)], cells)]


class Hints(Lines):
    """The footer: at most six keys that matter here."""

    DEFAULT_CSS = "Hints { height: 1; padding: 0 1; }"

    def __init__(self, pane: Callable[[], str], *, id: str) -> None:
        super().__init__(id=id)
        self.pane = pane

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        parts: list[Part] = []
        for name in HINTS[self.pane()]:
            action = BY_ID[name]
            key = action.shown.split()[0]
            title = "take" if name == "enter" else action.title
            parts += [(key, self.looks.accent + self.looks.strong), (f" {title}   ", None)]
        return [paint(parts, cells)]


class Guide(Lines):
    """The first steps, for who has never decided anything; it takes lines of its own and covers nothing."""

    DEFAULT_CSS = "Guide { height: 5; padding: 0 1; display: none; } Guide.shown { display: block; }"

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        looks = self.looks
        key, words = looks.accent + looks.strong, None
        signs = "  ".join(
            f"{GLYPHS[status]} {status}" for status in (Status.PROPOSED, Status.AMBIGUOUS, Status.UNMATCHED)
        )
        steps: list[list[Part]] = [
            [("First steps", looks.strong), (" (Esc closes this)   ", looks.muted), (signs, looks.muted)],
            [("Each row is a group of source keys, where it goes, and how sure that is.", words)],
            [("a", key), (" accepts it   ", words), ("1-9", key), (" takes another candidate   ", words),
             ("r", key), (" searches   ", words), ("u", key), (" undoes", words)],
            [("A", key), (" accepts all that is sure, after a question   ", words), ("n", key),
             (" goes to what is left", words)],
            [("S", key), (" shows what would be saved; nothing is written before, nothing is lost", words)],
        ]  # fmt: skip
        return [paint(parts, cells) for parts in steps]


def glyph_legend() -> str:
    """The signs of the statuses, for the help screen."""
    return "   ".join(f"{glyph} {status}" for status, glyph in GLYPHS.items())
