"""The inspector: what is in this file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from wmtui.core.inspection import inspection_table
from wmtui.core.ports import DescribePort, ScanPort
from wmtui.core.printable import plural
from wmtui.core.side import Side
from wmtui.core.table import Order
from wmtui.core.tensor_stats import ScanResult, TensorStats
from wmtui.ui.actions import bindings
from wmtui.ui.base import TerminalApp, palette_of
from wmtui.ui.inspect.actions import ACTIONS, Situation
from wmtui.ui.inspect.bars import Heading
from wmtui.ui.inspect.facts import side_facts
from wmtui.ui.inspect.screen import ViewScreen
from wmtui.ui.inspect.trees import ContentsView, TreeView
from wmtui.ui.inspect.views import ORDERS, TableView, TensorView, TiesView, TotalsView
from wmtui.ui.terminal import Terminal
from wmtui.ui.text import bytes_text

if TYPE_CHECKING:
    from textual.command import Provider

BAD = 1
"""The table's code for tensors with NaN or infinity."""


@dataclass(frozen=True)
class Inspected:
    """A file that is looked into.

    Attributes:
        side: what was found.
        describe: reads single tensors, of the side "source"; ``None`` where there are no values.
        scan: reads all of them; likewise.
    """

    side: Side
    describe: DescribePort | None = None
    scan: ScanPort | None = None


class InspectScreen(ViewScreen):
    """See the module."""

    actions = ACTIONS
    hinted = ("search", "tree", "next_view", "stats", "order", "help")
    BINDINGS = bindings(ACTIONS)

    def __init__(self, inspected: Inspected, choose: Callable[[str], Inspected] | None = None) -> None:
        self.inspected = inspected
        self.choose = choose
        side = inspected.side
        self.table = inspection_table(side.listing)
        self.table_view = TableView(self.table)
        self.tree_view = TreeView(self.table)
        views = (
            self.table_view,
            self.tree_view,
            TotalsView(side.listing),
            TiesView(side.listing),
            ContentsView(side),
        )
        right = f"{side.format}  {bytes_text(side.nbytes)}" if side.nbytes is not None else side.format
        super().__init__(side.name, right, side_facts(side), views, side.listing)
        self.stats: dict[str, TensorStats | None] = {}
        self.scanned: ScanResult | None = None

    def situation(self) -> Situation:
        view, side = self.view, self.inspected.side
        return Situation(
            rows=view.count() > 0,
            tensors=bool(self.places),
            sorts=isinstance(view, TableView | TreeView),
            values=self.inspected.describe is not None,
            scanning=bool(self.working),
            bad=bool(self.table_view.bad),
            dictionaries=len(side.weights_keys) if self.choose is not None else 1,
        )

    def describe(self) -> None:
        details, places = self.details, self.places
        details.stats, details.note = None, ""
        if not places:
            return
        key = self.listing.tensors[places[0]].key
        if key in self.stats:
            details.stats = self.stats[key]
            details.note = "its values cannot be read"
        elif places[0] in self.table_view.bad:
            details.note = self.table_view.bad[places[0]]
        elif self.inspected.describe is not None:
            details.note = "d reads its values" if len(places) == 1 else "d reads the values of the first of them"

    # ---- views

    def do_view(self, number: int) -> None:
        self.take_view(number - 1)

    def do_next_view(self) -> None:
        self.take_view((self.heading.shown + 1) % len(self.views))

    def do_previous_view(self) -> None:
        self.take_view((self.heading.shown - 1) % len(self.views))

    def on_heading_picked(self, event: Heading.Picked) -> None:
        self.take_view(event.place)

    def take_view(self, place: int) -> None:
        """Show another view."""
        self.heading.shown = place
        self.list.take(self.views[place])
        self.show()

    def do_tree(self) -> None:
        """From a tensor in one of the two to the same in the other."""
        places = self.places
        to_tree = self.view is not self.tree_view
        self.take_view(1 if to_tree else 0)
        if not places:
            return
        if to_tree:
            place = self.tree_view.reveal(self.listing.tensors[places[0]].key)
        else:
            place = self.table.row_of(places[0])
        self.list.reveal(max(place, 0))
        self.look()

    def do_enter(self) -> None:
        view, cursor = self.view, self.list.cursor
        before = view.count()
        row = view.toggle(cursor, None)
        if view.count() == before and len(self.places) == 1:
            self.action_do("stats")
        else:
            self.move(row)

    # ---- finding

    @property
    def search_text(self) -> str:
        return self.table.text

    def search(self, text: str) -> None:
        if not isinstance(self.view, TableView | TreeView):
            self.take_view(0)
        self.table.search(text)
        self.refilter()

    def refilter(self) -> None:
        """Show what the table's filter leaves, from the top."""
        self.tree_view.forget()
        for view in (self.table_view, self.tree_view):
            view.cursor = view.top = 0
        self.list.to_top()
        self.show()

    def clear_filter(self) -> None:
        if not self.table.filtered:
            return
        places = self.places
        self.table.search("")
        self.table.choose(None)
        self.refilter()
        if places and self.view is self.table_view:
            self.list.reveal(self.table.row_of(places[0], whole=len(places) > 1))
            self.look()

    def do_order(self) -> None:
        text = self.view.text_of(self.list.cursor) if self.view.count() else ""
        order = ORDERS[(ORDERS.index(self.table.order) + 1) % len(ORDERS)]
        self.table.sort(order)
        self.tree_view.forget()
        self.stay(text if order is Order.FILE else "")
        self.status.say(f"sorted by {order}" if order is not Order.FILE else "in the order of the file")

    def do_bad(self) -> None:
        self.table.choose(BAD if self.table.only is None else None)
        if self.table.only is not None:
            for place in self.table_view.bad:
                self.table.toggle(self.table.of_key[place], True)
        if not isinstance(self.view, TableView | TreeView):
            self.take_view(0)
        self.refilter()

    # ---- values

    def do_stats(self) -> None:
        describe = self.inspected.describe
        assert describe is not None
        key = self.listing.tensors[self.places[0]].key
        if key in self.stats:
            return

        def read(stats: TensorStats | None) -> None:
            self.stats[key] = stats
            self.look()

        self.start(f"reading {key}", lambda *_: describe.stats("source", key), read)

    def do_check(self) -> None:
        scan = self.inspected.scan
        assert scan is not None
        self.start("checking all tensors", scan, self.take_scan)

    def take_scan(self, result: ScanResult) -> None:
        """Show what the check of all tensors has found."""
        self.scanned = result
        index = self.listing.index
        bad = {index[key]: _what(*counts) for key, counts in result.bad.items() if key in index}
        for view in self.views:
            if isinstance(view, TensorView):
                view.bad = bad
        self.table.codes = bytearray(BAD if place in bad else 0 for place in range(len(self.listing)))
        read = f"{plural(result.checked, 'tensor')}, {bytes_text(result.nbytes)} read"
        skipped = f"; {len(result.skipped)} could not be read" if result.skipped else ""
        if bad:
            self.status.say(
                f"{plural(len(bad), 'tensor')} with NaN or infinity ({read}{skipped}): f shows them",
                lambda looks: looks.bad,
            )
        else:
            self.status.say(f"no NaN and no infinity: {read}{skipped}", lambda looks: looks.good)
        self.show()

    # ---- other weights

    def do_weights(self) -> None:
        from wmtui.ui.inspect.choose import WeightsChooser

        side = self.inspected.side
        self.app.push_screen(WeightsChooser(list(side.weights_keys.items()), side.weights_key), self.take_weights)

    def take_weights(self, name: str | None) -> None:
        """Look at another dictionary of weights of the same file."""
        choose = self.choose
        if name is None or choose is None or name == self.inspected.side.weights_key:
            return
        self.start(f"opening {name}", lambda *_: choose(name), self.replace)

    def replace(self, inspected: Inspected) -> None:
        """Look at something else in place of this."""
        self.app.switch_screen(InspectScreen(inspected, self.choose))


def _what(nan: int, inf: int) -> str:
    found = [f"{nan:,} NaN"] if nan else []
    return "  ".join([*found, f"{inf:,} infinite"] if inf else found)


class InspectApp(TerminalApp):
    """Look into a file; ``run()`` it, then ``return_code`` is the exit status.

    Args:
        inspected: the file.
        choose: opens another dictionary of weights of it, by its path; called in a worker.
        check: look for NaN and infinity at once.
        terminal: what the terminal can do; read off the environment where it is not given.
    """

    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {palette_of(ACTIONS)}

    def __init__(
        self,
        inspected: Inspected,
        *,
        choose: Callable[[str], Inspected] | None = None,
        check: bool = False,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(terminal)
        self.first_screen = InspectScreen(inspected, choose)
        self.check = check

    @property
    def found_bad(self) -> bool:
        """Whether the last check found NaN or infinity."""
        scanned = self.first_screen.scanned
        return scanned is not None and bool(scanned.bad)

    def on_mount(self) -> None:
        self.push_screen(self.first_screen)
        if self.check:
            self.call_after_refresh(self.first_screen.action_do, "check")
