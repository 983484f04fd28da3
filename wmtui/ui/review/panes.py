"""The panes of source and target keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich.style import Style

from wmtui.core.printable import plural
from wmtui.core.proposal import Fusion
from wmtui.core.review import Review
from wmtui.core.session import Status
from wmtui.core.view import PaneView
from wmtui.ui.lines import Part, RowList
from wmtui.ui.text import clip, fit, shape_text, shorten, width
from wmtui.ui.theme import Palette

GLYPHS = {
    Status.PROPOSED: "○",
    Status.AMBIGUOUS: "?",
    Status.ACCEPTED: "✓",
    Status.REJECTED: "✗",
    Status.IGNORED: "-",
    Status.UNMATCHED: "!",
}
URGENT = (
    Status.AMBIGUOUS,
    Status.PROPOSED,
    Status.UNMATCHED,
    Status.REJECTED,
    Status.IGNORED,
    Status.ACCEPTED,
)
"""Which of its keys' statuses a group shows."""


def tone(status: Status, looks: Palette) -> Style:
    """The style of a status; its glyph and word say the same."""
    return {
        Status.PROPOSED: looks.accent,
        Status.AMBIGUOUS: looks.warn,
        Status.ACCEPTED: looks.good,
        Status.REJECTED: looks.bad,
        Status.IGNORED: looks.muted,
        Status.UNMATCHED: looks.warn,
    }[status]


def percent(share: float) -> str:
    """A confidence or score in three cells: ``.97``; 1 is ``1.0``."""
    hundredths = int(share * 100 + 0.5) if share < 0.995 else 99
    return "1.0" if share >= 0.9995 else f".{hundredths:02d}"


ROOM_FOR_GOAL = 16
"""Cells from which a target is shown in the source's row."""


class SidePane(RowList):
    """The rows of one side."""

    DEFAULT_CSS = "SidePane { height: 1fr; width: 1fr; padding: 0 1; }"
    name_of_side = ""
    least_note = 0
    """Cells of the last column where there is little room."""
    alone = False
    """Whether the pane of the other side is not beside it."""

    def __init__(self, review: Review, *, id: str) -> None:
        super().__init__(id=id)
        self.review = review
        self._listed: object = None
        self._measured: object = None
        self._shape_cells = self._size_cells = 0

    @property
    def view(self) -> PaneView:
        raise NotImplementedError

    @property
    def selected(self) -> int | None:
        """The row under the cursor."""
        rows = self.view.rows
        return rows[self.cursor] if self.cursor < len(rows) else None

    def find_row(self, row: int | None) -> None:
        """Put the cursor on a row where it is still shown, else leave it where it is; paints nothing."""
        rows = self.view.rows
        if not (self.cursor < len(rows) and rows[self.cursor] == row) and row in rows:
            self.cursor = rows.index(row)
        self.cursor = max(0, min(self.cursor, len(rows) - 1))

    def kept(self) -> tuple[int, bool] | None:
        """The row under the cursor, to find it again in other rows: a key of it, and whether it is a group's row."""
        row = self.selected
        return None if row is None else (self.view.members(row)[0], row < 0)

    def take_rows(self, keep: tuple[int, bool] | None) -> None:
        """Follow rows that were made anew: stay on the row, or on what is nearest to it.

        Args:
            keep: what to stay on, see :meth:`kept`; ``None`` to stay where the cursor is.
        """
        place = self.view.row_of(*keep) if keep is not None else -1
        self.go(place if place >= 0 else self.cursor, quiet=True)

    def count(self) -> int:
        return len(self.view.rows)

    def title(self, cells: int) -> Iterable[Part]:
        view = self.view
        total = len(view.listing)
        shown = f"{view.shown_groups} of {plural(len(view.groups), 'group')}" if view.filtered else ""
        facts = [self.name_of_side, shown or plural(len(view.groups), "group"), plural(total, "key")]
        if view.order != "file order":
            facts.append(view.order)
        if view.text:
            facts.append(f"/{view.text}")
        left = clip("  ".join(facts), cells - 10)
        where = f"{self.cursor + 1}/{self.count()}" if self.count() else ""
        return [(left, None), (" " * max(1, cells - len(left) - len(where)), None), (where, None)]

    def statuses(self, row: int) -> dict[Status, int]:
        """The statuses of a row's keys, with how many have each."""
        if row >= 0:
            return {self.status_of(row): 1}
        return self.view.group_counts(-1 - row)

    def status_of(self, place: int) -> Status:
        raise NotImplementedError

    def note(self, row: int, statuses: dict[Status, int]) -> str:
        """What stands in the last column."""
        raise NotImplementedError

    def status_note(self, row: int, statuses: dict[Status, int], fused: Callable[[int], Fusion | None]) -> str:
        """The status in a word, where there is room for it."""
        if self.content_size.width < 75 or self.alone or len(statuses) != 1:
            return ""
        if Status.UNMATCHED in statuses and fused(self.view.members(row)[0]) is not None:
            return "fused"
        return str(next(iter(statuses)))

    def _columns(self) -> tuple[int, int]:
        """Cells of the columns of shapes and sizes: the widest of this side, so that nothing jumps."""
        view = self.view
        if self._listed is not view.listing:
            self._listed = view.listing
            widest = max((len(shape_text(shape)) for shape in {spec.shape for spec in view.listing}), default=0)
            self._shape_cells = min(max(widest, 5), 14)
        if self._measured is not view.groups:
            self._measured = view.groups
            most = max((len(group.members) for group in view.groups), default=1)
            self._size_cells = 0 if most == 1 else 2 * len(str(most)) + 1
        return self._shape_cells, self._size_cells

    def goal(self, row: int, cells: int) -> Part | None:  # noqa: ARG002
        """Where a row's keys go, instead of their shapes; ``None`` where that stands elsewhere."""
        return None

    def row(self, place: int, cells: int) -> Iterable[Part]:
        view, looks = self.view, self.looks
        row = view.rows[place]
        statuses = self.statuses(row)
        status = next(s for s in URGENT if s in statuses)
        members = view.members(row)
        group = view.groups[view.group_of(row)]
        if row >= 0:
            spec = view.listing.tensors[row]
            name, sign, size = spec.key, "  " if len(group.members) > 1 else "", ""
        else:
            spec = view.listing.tensors[members[0]]
            name = group.name
            sign = "▾ " if -1 - row in view.expanded else "▸ "
            whole = len(group.members)
            done = whole - statuses.get(status, 0) if len(statuses) > 1 else whole
            size = f"{len(members)}/{whole}" if len(members) < whole else str(whole)
            if done != whole:
                size = f"{done}/{whole}"
        shape_cells, size_cells = self._columns()
        note_cells = 9 if cells >= 75 and not self.alone else self.least_note
        room = cells - 2 - 2 - 1 - size_cells - 1 - note_cells
        middle = self.goal(row, room // 2)
        if middle is None:
            shape = view.group_shape(view.group_of(row)) if row < 0 else spec.shape
            text = "mixed" if shape is None else shape_text(shape)
            middle = (clip(text, shape_cells), looks.muted)
        name_cells = max(room + 2 - len(sign) - 1 - width(middle[0]), 8)
        shown = fit(name, name_cells, spare=view.spare(view.group_of(row)))
        return [
            (GLYPHS[status] + " ", tone(status, looks)),
            (sign + shown + " ", looks.muted if status is Status.IGNORED else None),
            middle,
            (" " + clip(size, size_cells).rjust(size_cells) + " ", looks.muted),
            (self.note(row, statuses).rjust(note_cells)[:note_cells], looks.muted),
        ]


class SourcePane(SidePane):
    """Source keys: what is decided about."""

    name_of_side = "Source"
    least_note = 3

    @property
    def view(self) -> PaneView:
        return self.review.sources

    def status_of(self, place: int) -> Status:
        return self.review.session.status(place)

    def note(self, row: int, statuses: dict[Status, int]) -> str:
        if Status.PROPOSED in statuses:
            return percent(self.review.row_confidence(row))
        return self.status_note(row, statuses, self.review.fused.of_source)

    def goal(self, row: int, cells: int) -> Part | None:
        if not self.alone or cells < ROOM_FOR_GOAL:
            return None
        review, looks = self.review, self.looks
        targets = review.targets
        if row >= 0:
            target = review.session.partner(row)
            goals = [targets.of_key[target]] if target >= 0 else []
            name = targets.listing.tensors[target].key if target >= 0 else ""
        else:
            goals = review.goals.of(-1 - row)
            name = targets.groups[goals[0]].name if goals else ""
        if not goals:
            return (fit(self._without_goal(row), cells), looks.muted)
        more = f" +{len(goals) - 1}" if len(goals) > 1 else ""
        shown = shorten(name, cells - 2 - len(more), targets.spare(goals[0])) + more
        return (f"→ {shown}" + " " * (cells - 2 - width(shown)), None)

    def _without_goal(self, row: int) -> str:
        if not self.review.matched:
            return ""
        place = self.view.members(row)[0]
        status = self.review.session.status(place)
        fused = status is Status.UNMATCHED and self.review.fused.of_source(place) is not None
        return "  fused" if fused else f"  {status}"

    def empty(self) -> str:
        return "no key fits the filter: Esc clears it" if self.view.filtered else "there are no keys"


class TargetPane(SidePane):
    """Target keys; each is shown with the status of the source that goes there."""

    name_of_side = "Target"

    @property
    def view(self) -> PaneView:
        return self.review.targets

    def status_of(self, place: int) -> Status:
        return self.review.session.target_status(place)

    def note(self, row: int, statuses: dict[Status, int]) -> str:
        return self.status_note(row, statuses, self.review.fused.of_target)

    def empty(self) -> str:
        return "no key fits the filter: Esc clears it" if self.view.filtered else "there are no keys"
