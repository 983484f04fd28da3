"""Choosing a target by typing: all of them, those that fit in shape first, the others with the reason why not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.strip import Strip
from textual.widgets import Input

from wmtui.core.align import align
from wmtui.core.listing import TensorSpec
from wmtui.core.plan import transform_between
from wmtui.core.printable import plural
from wmtui.core.proposal import Transform
from wmtui.core.review import Review
from wmtui.core.search import Finder

from .lines import Part, RowList, paint
from .review.panes import GLYPHS
from .text import clip, fit, shape_text, shorten
from .windows import Window

MOST = 500
"""Rows that are ranked and shown; nobody scrolls further, they type on."""

WITH_NOTES = 96
"""Cells from which each row says who has its target; otherwise only the last line does, of the row under the cursor."""
OTHER_SIZE = "another number of elements"


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A target or a target group that can be picked.

    Attributes:
        name: what is shown and searched.
        target: the place that is handed back.
        keys: number of keys that it stands for.
        reason: why it cannot be picked; empty where it can.
        transform: what its shape takes.
    """

    name: str
    target: int
    keys: int
    reason: str
    transform: Transform


class Found(RowList):
    """The entries that the words find.

    Attributes:
        trouble: why the entry under the cursor was not taken; shown until the cursor moves.
    """

    DEFAULT_CSS = "Found { height: 1fr; padding: 0 1; }"

    def __init__(self, review: Review, lead: int, places: Sequence[int], entries: Sequence[Entry]) -> None:
        super().__init__(id="found")
        self.review = review
        self.lead = lead
        self.places = places
        self.entries = entries
        self.grouped = any(entry.keys > 1 for entry in entries)
        self.shown: Sequence[int] = range(min(len(entries), MOST))
        self.trouble = ""

    def count(self) -> int:
        return len(self.shown)

    def go(self, place: int, quiet: bool = False) -> None:
        self.trouble = ""
        super().go(place, quiet)

    def refuse(self, reason: str) -> None:
        """Say why the entry under the cursor is not taken."""
        self.trouble = f"cannot take it: {reason}"
        self.show()

    def title(self, cells: int) -> Iterable[Part]:
        if self.trouble:
            return [(clip(self.trouble, cells), self.looks.warn)]
        sources = self.review.sources
        group = sources.of_key[self.lead]
        spec = sources.listing.tensors[self.lead]
        name, right = spec.key, f"  {shape_text(spec.shape)}"
        if len(self.places) > 1:
            name = sources.groups[group].name if set(self.places) <= set(sources.groups[group].members) else name
            right += f"  {plural(len(self.places), 'key')}"
        name = shorten(name, cells - 15 - len(right), sources.spare(group))
        return [("New target for ", None), (name, None), (right, None)]

    def empty(self) -> str:
        return "no target has these words"

    def row(self, place: int, cells: int) -> Iterable[Part]:
        looks, review = self.looks, self.review
        entry = self.entries[self.shown[place]]
        holder = review.session.holder(entry.target)
        sign = GLYPHS[review.session.status(holder)] if holder >= 0 else " "
        shape = clip(shape_text(review.target.tensors[entry.target].shape), 14)
        keys = (f"{entry.keys}" if entry.keys > 1 else "").rjust(6 if self.grouped else 0)
        note_cells = 36 if cells >= WITH_NOTES else 0
        note = f"  {fit(self._note(entry, holder), note_cells - 2)}" if note_cells else ""
        spare = review.targets.spare(review.targets.of_key[entry.target])
        name = fit(entry.name, max(8, cells - note_cells - len(shape) - len(keys) - 3), spare=spare)
        style = looks.muted if entry.reason else None
        return [(f"{sign} {name} {shape}{keys}", style), (note, looks.muted)]

    def _note(self, entry: Entry, holder: int) -> str:
        if entry.reason:
            return entry.reason
        if holder == self.lead:
            return "its target now"
        if holder >= 0:
            return self.review.source.tensors[holder].key
        return "free" if entry.transform is Transform.NONE else f"free, {entry.transform}"

    @property
    def page(self) -> int:
        return max(1, self.content_size.height - 2)

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        found = list(super().lines(cells, count - 1))
        found += [Strip.blank(cells)] * (count - 1 - len(found))
        return [*found, paint([(self._story(cells), self.looks.muted)], cells)]

    def _story(self, cells: int) -> str:
        """One line about the entry under the cursor: who has it, or why it cannot be taken."""
        if not self.shown:
            return ""
        entry = self.entries[self.shown[self.cursor]]
        holder = self.review.session.holder(entry.target)
        note = self._note(entry, holder)
        if entry.reason or holder in (-1, self.lead):
            return note
        status = f"  ({self.review.session.status(holder)})"
        return f"taken by {shorten(note, cells - len(status) - 9)}{status}"


class TargetPicker(Window[int | None]):
    """Pick a target for a source key, or a target group for a source group; hands back the place for the key.

    Args:
        lead: the source key, or the one that speaks for the group.
        places: all source keys that are to get a target.
    """

    DEFAULT_CSS = """
    TargetPicker { align: center middle; }
    TargetPicker > Vertical {
        width: 110; max-width: 100%; height: 80%; border: round $border; background: $background;
    }
    TargetPicker Input { height: 1; border: none; padding: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "close", "close"),
        ("ctrl+c", "app.help_quit", "quit"),
        ("down", "move(1)", "down"),
        ("up", "move(-1)", "up"),
        ("pagedown", "move(10)", "page down"),
        ("pageup", "move(-10)", "page up"),
    ]

    def __init__(self, review: Review, lead: int, places: Sequence[int]) -> None:
        super().__init__()
        self.review = review
        self.entries = make_entries(review, lead, places)
        self.found = Found(review, lead, places, self.entries)
        self.finder = Finder(
            [TensorSpec(entry.name, review.target.tensors[entry.target].shape) for entry in self.entries]
        )

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Input(id="words", placeholder="type words of the target; Enter takes it, Esc gives up", compact=True)
            yield self.found

    def on_mount(self) -> None:
        self.query_one("#words", Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.found.shown = self.find(event.value)
        self.found.top = 0
        self.found.go(0, quiet=True)

    def find(self, text: str) -> Sequence[int]:
        """Entries with all the words, the alike first; where no entry has them, the most similar."""
        if not text.strip():
            return range(min(len(self.entries), MOST))
        from rapidfuzz import fuzz, process

        names = [entry.name for entry in self.entries]
        hits = self.finder.find(text)
        if not hits:
            ranked = process.extract(text, names, scorer=fuzz.partial_ratio, limit=50, score_cutoff=50)
            hits = [place for _, _, place in ranked]
            return sorted(hits, key=lambda place: bool(self.entries[place].reason))
        if len(hits) <= MOST:
            hits = sorted(hits, key=lambda place: (bool(self.entries[place].reason), -fuzz.ratio(text, names[place])))
        return hits[:MOST]

    def action_move(self, by: int) -> None:
        self.found.go(self.found.cursor + by, quiet=True)

    def on_input_submitted(self) -> None:
        self.take()

    def on_row_list_chosen(self) -> None:
        self.take()

    def take(self) -> None:
        """Hand the entry under the cursor back, if it can be picked."""
        if not self.found.shown:
            return
        entry = self.entries[self.found.shown[self.found.cursor]]
        if entry.reason:
            self.found.refuse(entry.reason)
            return
        self.dismiss(entry.target)

    def action_close(self) -> None:
        self.dismiss(None)


def make_entries(review: Review, lead: int, places: Sequence[int]) -> list[Entry]:
    """The targets, or the target groups for several keys: candidates, other targets that fit, those that do not."""
    wanted = review.source.tensors[lead].shape
    tensors, targets = review.target.tensors, review.targets
    fits: dict[tuple[int, ...], Transform | None] = {}
    rank = {review.target.index[c.target]: n for n, c in enumerate(review.candidates(lead))}
    found: list[tuple[tuple[int, int, int], Entry]] = []

    def add(target: int, name: str, keys: int, order: int, best: int) -> None:
        shape = tensors[target].shape
        if shape not in fits:
            fits[shape] = transform_between(wanted, shape)
        transform = fits[shape]
        reason = "" if transform is not None else OTHER_SIZE
        level = 3 if transform is None else 0 if transform is Transform.NONE else 1
        entry = Entry(name, target, keys, reason, transform or Transform.NONE)
        found.append(((level, best, order), entry))

    if len(places) == 1:
        for place, spec in enumerate(tensors):
            add(place, spec.key, 1, place, rank.get(place, len(rank)))
    else:
        for order, group in enumerate(targets.groups):
            members = group.members
            best = (
                min((rank[t] for t in members if t in rank), default=len(rank)) if len(members) <= 2000 else len(rank)
            )
            target = members[0]
            if len(members) == len(places) or best < len(rank):
                target = next(
                    (t for s, t, _ in align(review.source, places, review.target, members) if s == lead), target
                )
            add(target, group.name, len(members), order, best)
    return [entry for _, entry in sorted(found, key=lambda item: item[0])]
