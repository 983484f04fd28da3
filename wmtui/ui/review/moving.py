"""The review's actions that decide nothing: moving, expanding, filtering, sorting, changing panes."""

from __future__ import annotations

from wmtui.core.printable import plural
from wmtui.core.review import BARS, Scope
from wmtui.core.session import Status
from wmtui.core.table import Order
from wmtui.ui.review.bars import FACETS, Header
from wmtui.ui.review.base import ReviewBase
from wmtui.ui.review.panes import SidePane, percent
from wmtui.ui.searchline import SearchLine


class Moving(ReviewBase):
    """See the module."""

    def move(self, to: int) -> None:
        """Put the cursor of the pane with the focus on a row."""
        pane = self.list_pane
        pane.go(to, quiet=True)
        self.status.grow_old()
        if pane is self.source_pane:
            self.look()

    def do_down(self) -> None:
        self.move(self.list_pane.cursor + 1)

    def do_up(self) -> None:
        self.move(self.list_pane.cursor - 1)

    def do_page_down(self) -> None:
        self.move(self.list_pane.cursor + max(1, self.list_pane.page // 2))

    def do_page_up(self) -> None:
        self.move(self.list_pane.cursor - max(1, self.list_pane.page // 2))

    def do_top(self) -> None:
        self.move(0)

    def do_bottom(self) -> None:
        self.move(self.list_pane.count() - 1)

    def do_expand(self) -> None:
        self.open_group(True)

    def do_collapse(self) -> None:
        self.open_group(False)

    def open_group(self, expand: bool | None) -> None:
        """Show or hide the keys of the group under the cursor, and stay on it."""
        pane = self.side_pane
        row = pane.selected
        if row is None:
            return
        view = pane.view
        group = view.group_of(row)
        if len(view.groups[group].members) == 1 or (row >= 0 and expand):
            return
        view.toggle(group, expand)
        pane.go(view.rows.index(-1 - group), quiet=True)
        self.show()

    def do_expand_all(self) -> None:
        pane = self.side_pane
        keep = pane.kept()
        pane.view.expand_all(not pane.view.expanded)
        pane.take_rows(keep)
        self.show()

    def do_next_pane(self) -> None:
        self.change_pane(1)

    def do_previous_pane(self) -> None:
        self.change_pane(-1)

    def change_pane(self, step: int) -> None:
        """Give the focus to the next pane; a narrow screen shows candidates or targets."""
        panes = (self.source_pane, self.candidates, self.target_pane)
        at = [pane.id for pane in panes].index(self.pane_name())
        self.focus_pane(panes[(at + step) % len(panes)].id or "source")

    def focus_pane(self, name: str) -> None:
        """Give a pane the focus."""
        self.active = name
        self.set_class(name == "target", "targets")
        # Not by focus(), which repaints all lines of the pane.
        self.app.call_later(self.set_focus, self.get_widget_by_id(name))
        self.call_after_refresh(self.show)

    def on_descendant_focus(self) -> None:
        if self.focused in (self.source_pane, self.candidates, self.target_pane) and self.focused.id:
            self.active = self.focused.id
        self.show()

    def do_next_open(self) -> None:
        self.to_open(1)

    def do_previous_open(self) -> None:
        self.to_open(-1)

    def to_open(self, step: int) -> None:
        """Go to the next open row in either direction, or say that there is none."""
        at = self.review.next_open(self.source_pane.cursor, step)
        if at >= 0:
            self.source_pane.go(at, quiet=True)
            self.look()
        elif self.review.sources.filtered and self.review.open_keys:
            self.say("nothing that is shown is open: Esc clears the filter", "warn")
        else:
            self.say("nothing is open any more: S saves", "good")

    def do_partner(self) -> None:
        """From a source key to its target, from a target to its source."""
        session = self.review.session
        if self.pane_name() == "target":
            row = self.target_pane.selected
            place = session.holder(self.review.targets.members(row)[0]) if row is not None else -1
            pane: SidePane = self.source_pane
        else:
            places = self.row_places()
            place = session.partner(self.review.leader(places)) if places else -1
            pane = self.target_pane
        if place < 0:
            self.say("it has no partner", "warn")
            return
        if pane.view.row_of(place) < 0:
            pane.view.search("")
            pane.view.choose_facet(None)
            self.unfiltered(pane)
        pane.reveal(pane.view.row_of(place))
        self.focus_pane(pane.id or "source")

    def do_lacking(self) -> None:
        """To the next target that would get nothing, or where there is none, to the next pair of different shapes."""
        review = self.review
        missing = review.missing_targets()
        places = frozenset(missing or review.mismatched_sources())
        if not places:
            self.say("nothing is missing or mismatched", "good")
            return
        pane: SidePane = self.target_pane if missing else self.source_pane
        at = pane.view.next_of(places, pane.cursor if self.side_pane is pane else -1)
        if at < 0:
            pane.view.search("")
            pane.view.choose_facet(None)
            self.unfiltered(pane)
            at = pane.view.next_of(places, -1)
        pane.reveal(at)
        self.focus_pane(pane.id or "source")
        if missing:
            self.say(f"{len(places):,} missing: Enter gives the selected source, e says more, m: the next", "warn")
        else:
            self.say(f"{len(places):,} mismatched: r searches another target, e says more, m: the next", "warn")

    # ---- finding

    def do_facet(self) -> None:
        self.step_facet(1)

    def do_facet_back(self) -> None:
        self.step_facet(-1)

    def step_facet(self, step: int) -> None:
        """Choose the next status that some key has."""
        view = self.side_pane.view
        counts = view.facet_counts()
        facets = [facet for facet in FACETS if facet is None or counts[facet] or facet is view.facet]
        self.choose_facet(facets[(facets.index(view.facet) + step) % len(facets)])

    def choose_facet(self, facet: Status | None) -> None:
        """Show only keys of a status, or all."""
        pane = self.side_pane
        keep = pane.kept()
        pane.view.choose_facet(facet)
        self.unfiltered(pane)
        pane.mark = None
        pane.take_rows(keep)
        self.show()

    def on_header_picked(self, event: Header.Picked) -> None:
        self.choose_facet(event.facet)

    def unfiltered(self, pane: SidePane) -> None:
        """Where no filter is left, decisions are no more about all that it shows, but about the row."""
        if pane is self.source_pane and not pane.view.filtered and self.status.scope is Scope.FILTER:
            self.status.scope = Scope.KEY

    def do_order(self) -> None:
        pane = self.side_pane
        keep = pane.kept()
        orders = pane.view.orders
        pane.view.sort(orders[(orders.index(pane.view.order) + 1) % len(orders)])
        pane.mark = None
        pane.take_rows(keep)
        if pane.view.order is Order.CERTAINTY:
            pane.go(0, quiet=True)
        self.show()
        self.say(f"sorted by {pane.view.order}" if pane.view.order is not Order.CERTAINTY else str(pane.view.order))

    def do_search(self) -> None:
        self.searched = self.side_pane
        self.status.type(self.searched.view.text)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self.find(event.value)

    def find(self, text: str) -> None:
        """Show only what a text finds, in the pane where the search began."""
        pane = self.searched
        keep = pane.kept()
        pane.view.search(text)
        self.unfiltered(pane)
        pane.mark = None
        pane.take_rows(keep)
        self.show()

    def on_search_line_done(self, event: SearchLine.Done) -> None:
        self.status.end()
        self.set_focus(self.searched)
        if event.given_up:
            self.find("")

    def do_escape(self) -> None:
        """Take back what was begun or narrowed last."""
        pane = self.side_pane
        if self.guide.has_class("shown"):
            self.guide.remove_class("shown")
        elif self.source_pane.mark is not None:
            self.source_pane.mark = None
        elif self.swapping:
            self.swapping = ()
            self.status.note = ""
        elif pane.view.filtered:
            keep = pane.kept()
            pane.view.search("")
            pane.view.choose_facet(None)
            self.unfiltered(pane)
            pane.take_rows(keep)
        elif self.busy:
            self.stop_matching()
        elif self.pane_name() != "source":
            self.focus_pane("source")
        self.show()

    def stop_matching(self) -> None:
        """Cancel the matcher."""
        raise NotImplementedError

    def do_scope(self) -> None:
        scopes = list(Scope)
        self.status.scope = scopes[(scopes.index(self.status.scope) + 1) % len(scopes)]
        self.look()
        texts = {
            Scope.KEY: "decide about the row",
            Scope.GROUP: "decide about the whole group",
            Scope.FILTER: "decide about all that is shown",
        }
        self.say(texts[self.status.scope])

    def do_mark(self) -> None:
        pane = self.source_pane
        pane.mark = pane.cursor if pane.mark is None else None
        self.show()
        self.say("move to mark more rows; Esc ends it" if pane.mark is not None else "")

    def do_bar_down(self) -> None:
        self.move_bar(-1)

    def do_bar_up(self) -> None:
        self.move_bar(1)

    def move_bar(self, by: int) -> None:
        """Move the confidence bar and say what it would accept."""
        self.review.move_bar(by)
        groups, keys = self.review.above()
        bar = f"at {percent(BARS[self.review.bar])} and above"
        if keys or not (below := self.below()):
            self.say(f"A: {plural(groups, 'group')}, {plural(keys, 'key')} {bar}")
        else:
            self.say(f"A: nothing {bar}; {below}", "warn")

    def below(self) -> str:
        """What A leaves open, and what to do about it; empty where it leaves nothing."""
        count, surest = self.review.below()
        return f"{count:,} below the bar, the surest {percent(surest)}: ( lowers it" if count else ""
