"""Two files side by side: which keys only one has, and where shape, dtype or values differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from wmtui.core.comparison import CODE, DIFFERENCES, Comparison, Difference, compare_values
from wmtui.core.ports import CancelledCall, DescribePort, ProgressCall
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.core.table import Order
from wmtui.ui.actions import KEEP, MOVE, Action, bindings
from wmtui.ui.base import TerminalApp, palette_of
from wmtui.ui.inspect.actions import ACTIONS as INSPECT_ACTIONS
from wmtui.ui.inspect.actions import LOOK, Situation
from wmtui.ui.inspect.bars import Heading
from wmtui.ui.inspect.plain import shape_and_dtype
from wmtui.ui.inspect.screen import ViewScreen
from wmtui.ui.inspect.views import ORDERS, TableView, View
from wmtui.ui.lines import Part
from wmtui.ui.terminal import Terminal
from wmtui.ui.text import bytes_text, clip, fit, width
from wmtui.ui.theme import Palette

if TYPE_CHECKING:
    from textual.command import Provider

SIGNS = {
    Difference.HERE: ("<", "only here"),
    Difference.THERE: (">", "only there"),
    Difference.SHAPE: ("#", "shape"),
    Difference.DTYPE: ("~", "dtype"),
    Difference.VALUES: ("!", "values"),
    Difference.SAME: (" ", "same"),
    Difference.EQUAL: ("=", "equal"),
}
"""Glyph and word of each; the word alone is enough."""
_WORD_CELLS = max(len(word) for _, word in SIGNS.values())
_FACTS_CELLS = 30
_SHARED = frozenset(
    [
        "down",
        "up",
        "page_down",
        "page_up",
        "top",
        "bottom",
        "expand",
        "collapse",
        "enter",
        "expand_all",
        "search",
        "order",
        "copy",
        "help",
        "palette",
        "quit",
    ]
)


def _values(now: Situation) -> str:
    if not now.values:
        return "one side has no values: it is a listing or a model"
    return "values are being compared: Esc stops it" if now.scanning else ""


def _actions() -> Iterable[Action[Situation]]:
    shared = [action for action in INSPECT_ACTIONS if action.id in _SHARED]
    yield from (action for action in shared if action.section == MOVE)
    yield Action("next_view", ("f", "tab"), "next kind", "Show only keys with the next kind of difference.", LOOK)
    yield Action("previous_view", ("F", "shift+tab"), "kind back", "The kind of difference before.", LOOK)
    yield Action(
        "values", ("c",), "compare values", "Read all tensors that both have, and compare them.", LOOK, _values
    )
    yield Action("escape", ("escape",), "back", "Stop comparing; show all keys again.", LOOK)
    yield from (action for action in shared if action.section not in (MOVE, KEEP))
    yield from (action for action in shared if action.section == KEEP)


ACTIONS: tuple[Action[Situation], ...] = tuple(_actions())


class CompareView(TableView):
    """Groups and keys of both sides, with what differs."""

    name = "all"

    def __init__(self, comparison: Comparison) -> None:
        super().__init__(comparison.table)
        self.comparison = comparison
        leads = (group.members[0] for group in self.table.groups)
        self._counted: dict[tuple[int, int, int], Counter[int]] = {}
        self._facts_cells = min(_FACTS_CELLS, max((width(self.facts(place)) for place in leads), default=0))

    def facts(self, place: int) -> str:
        """Shape and dtype of a key, or what of them differs; as they are in the files."""
        shape, dtype = shape_and_dtype(self.comparison, place)
        difference = self.comparison.difference(place)
        return {Difference.SHAPE: shape, Difference.DTYPE: dtype}.get(difference, f"{shape} {dtype}")

    def badge(self) -> str:
        return f"{len(self.listing):,}"

    def codes(self, group: int, places: Sequence[int]) -> Counter[int]:
        """How many keys of a group, of those that are shown, have each difference."""
        name = (group, len(places), places[0])
        if name not in self._counted:
            self._counted[name] = Counter(map(self.table.codes.__getitem__, places))
        return self._counted[name]

    def forget(self) -> None:
        """Other differences are known now, or other keys are shown."""
        self._counted.clear()

    def title(self) -> str:
        table = self.table
        groups, tensors = plural(len(table.groups), "group"), plural(len(table.listing), "key")
        facts = [groups, tensors]
        if table.filtered:
            facts = [f"{table.shown_groups} of {groups}", f"{table.shown_count:,} of {tensors}"]
        if table.text:
            facts.append(f"/{clip(table.text, 30)}")
        return "  ".join(facts if table.order is Order.FILE else [*facts, f"by {table.order}"])

    def empty(self) -> str:
        return "nothing of this kind: Esc shows all" if self.table.filtered else "there are no tensors"

    def row(self, place: int, cells: int, looks: Palette) -> Iterable[Part]:
        table = self.table
        row = table.rows[place]
        group = table.group_of(row)
        places = table.members(row)
        whole = len(table.groups[group].members)
        codes = self.codes(group, places)
        worst = min(codes)
        difference = DIFFERENCES[worst]
        if row < 0:
            sign = "▾ " if group in table.expanded else "▸ "
            name, number = table.groups[group].name, f"x{len(places)}"
            if len(codes) > 1:
                number = f"{codes[worst]}/{len(places)}"
        else:
            sign, name, number = "  " if whole == 1 else "    ", table.listing.tensors[row].key, ""
        glyph, word = SIGNS[difference]
        alike = difference in (Difference.SAME, Difference.EQUAL)
        tone = looks.bad if difference in (Difference.SHAPE, Difference.VALUES) else looks.warn
        count_cells = 2 * max(self.count_cells, 3) - 2  # of "3/12" where a group needs " x12"
        room = self._facts_cells if cells >= 70 else min(16, self._facts_cells)
        name_cells = cells - 2 - len(sign) - room - count_cells - _WORD_CELLS - 4
        facts = clip(self.facts(places[0]), room)
        return [
            (glyph + " ", looks.muted if alike else tone),
            (sign + fit(name, max(8, name_cells)) + " ", looks.muted if alike else None),
            (" " * (room - width(facts)) + facts + f" {number:>{count_cells}}  ", looks.muted),
            (f"{word:{_WORD_CELLS}}", looks.muted if alike else tone),
        ]


class _Facet(View):
    """A kind of difference in the heading; the list shows the one view, filtered."""

    def __init__(self, comparison: Comparison, difference: Difference) -> None:
        super().__init__()
        self.comparison, self.difference = comparison, difference
        self.name = SIGNS[difference][1]

    def badge(self) -> str:
        return f"{self.comparison.counts[self.difference]:,}"


class CompareScreen(ViewScreen):
    """See the module."""

    actions = ACTIONS
    hinted = ("next_view", "search", "values", "copy", "help", "quit")
    BINDINGS = bindings(ACTIONS)

    def __init__(self, comparison: Comparison, facts: Sequence[str], describe: DescribePort | None) -> None:
        self.comparison = comparison
        self.port = describe
        self.table = comparison.table
        facets = [_Facet(comparison, difference) for difference in DIFFERENCES if comparison.counts[difference]]
        self.shown_view = CompareView(comparison)
        name = f"{comparison.here.name} ↔ {comparison.there.name}"
        super().__init__(name, "comparison", facts, [self.shown_view, *facets], comparison.both)
        self.heading.numbered = False

    def situation(self) -> Situation:
        return Situation(rows=self.view.count() > 0, values=self.port is not None, scanning=bool(self.working))

    def describe(self) -> None:
        details, places = self.details, self.places
        details.note = ""
        if not places:
            return
        spec, other = self.listing.tensors[places[0]], self.comparison.other(places[0])
        difference = self.comparison.difference(places[0])
        if other is not None and difference in (Difference.SHAPE, Difference.DTYPE):
            here, there = (f"{'x'.join(map(str, s.shape)) or 'scalar'} {s.dtype}" for s in (spec, other))
            details.note = f"here {here}, there {there}"
        elif difference is Difference.SAME and self.port is not None:
            details.note = "same shape and dtype; c compares the values"
        else:
            details.note = str(difference)

    def do_next_view(self) -> None:
        self.take_view((self.heading.shown + 1) % len(self.views))

    def do_previous_view(self) -> None:
        self.take_view((self.heading.shown - 1) % len(self.views))

    def on_heading_picked(self, event: Heading.Picked) -> None:
        self.take_view(event.place)

    def take_view(self, place: int) -> None:
        """Show only one kind of difference, or all keys."""
        self.heading.shown = place
        view = self.views[place]
        self.shown_view.forget()
        self.table.choose(CODE[view.difference] if isinstance(view, _Facet) else None)
        self.list.to_top()
        self.show()

    def do_enter(self) -> None:
        self.move(self.view.toggle(self.list.cursor, None))

    @property
    def search_text(self) -> str:
        return self.table.text

    def search(self, text: str) -> None:
        self.shown_view.forget()
        self.table.search(text)
        self.list.to_top()
        self.show()

    def clear_filter(self) -> None:
        if self.table.filtered:
            self.table.search("")
            self.take_view(0)

    def do_order(self) -> None:
        order = ORDERS[(ORDERS.index(self.table.order) + 1) % len(ORDERS)]
        self.table.sort(order)
        self.list.to_top()
        self.show()
        self.status.say(f"sorted by {order}" if order is not Order.FILE else "in the order of the files")

    def do_values(self) -> None:
        port = self.port
        assert port is not None

        def work(progress: ProgressCall, cancelled: CancelledCall) -> list[tuple[int, bool | None]]:
            return list(compare_values(self.comparison, port.equal, progress, cancelled))

        self.start("comparing values", work, self.take_values)

    def take_values(self, found: list[tuple[int, bool | None]]) -> None:
        """Show which tensors hold the same values."""
        for place, equal in found:
            self.comparison.learn(place, equal)
        shown = self.views[self.heading.shown]
        counts = self.comparison.counts
        facets = [_Facet(self.comparison, difference) for difference in DIFFERENCES if counts[difference]]
        self.views = [self.shown_view, *facets]
        self.heading.views = self.views
        self.heading.shown = next((n for n, view in enumerate(self.views) if view.name == shown.name), 0)
        self.take_view(self.heading.shown)
        unknown = sum(equal is None for _, equal in found)
        text = f"{plural(counts[Difference.VALUES], 'tensor')} of {len(found):,} with other values"
        self.status.say(
            text + (f"; {unknown} could not be read" if unknown else ""),
            lambda looks: looks.bad if counts[Difference.VALUES] else looks.good,
        )


class CompareApp(TerminalApp):
    """Compare two files; ``run()`` it, then ``return_code`` is the exit status.

    Args:
        here, there: the sides.
        describe: compares tensors, ``here`` is its source; ``None`` where one of them has no values.
        values: compare the values at once.
        terminal: what the terminal can do; read off the environment where it is not given.
    """

    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {palette_of(ACTIONS)}

    def __init__(
        self,
        here: Side,
        there: Side,
        describe: DescribePort | None,
        *,
        values: bool = False,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(terminal)
        facts = [
            f"{word} {plural(len(side.listing), 'tensor')}, {bytes_text(side.listing.total_bytes)}"
            for word, side in (("here", here), ("there", there))
        ]
        self.first_screen = CompareScreen(Comparison(here.listing, there.listing), facts, describe)
        self.values = values

    def on_mount(self) -> None:
        self.push_screen(self.first_screen)
        if self.values:
            self.call_after_refresh(self.first_screen.action_do, "values")
