"""The review's screen without its actions: panes, what they show of the session, and how a decision is carried out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal

from wmtui.core.decisions import Accept, Assign, Decision, Ignore, Redo, Reject, Reopen, Undo
from wmtui.core.listing import Listing
from wmtui.core.ports import DescribePort, JournalPort, MatchPort, SavePort
from wmtui.core.printable import plural
from wmtui.core.review import Review, Scope
from wmtui.core.session import Session
from wmtui.errors import WmtuiError
from wmtui.ui.actions import BY_ID, Situation, bindings
from wmtui.ui.lines import LinesScreen, RowList
from wmtui.ui.review.bars import Guide, Header, Hints, StatusLine, Tone
from wmtui.ui.review.candidates import CandidatesPane
from wmtui.ui.review.panes import SidePane, SourcePane, TargetPane

if TYPE_CHECKING:
    from wmtui.core.match_options import MatchOptions

WIDE, TALL, LOW = 100, 34, 20
GLANCE = 400
"""Keys of each side that are shown at once while the rest of a large listing is being grouped."""
WHOLE_AT_ONCE = 4000
"""Keys of both sides together that are grouped before the first content."""

VERBS = {
    Accept: "accepted",
    Assign: "assigned",
    Reject: "rejected",
    Ignore: "ignored",
    Reopen: "open again:",
}


@dataclass
class Ports:
    """What the review asks of the outside world."""

    match: MatchPort
    journal: JournalPort
    save: SavePort
    describe: DescribePort
    command: Callable[[Session], str]
    options: MatchOptions | None = None


class ReviewBase(LinesScreen):
    """See the module.

    Attributes:
        review: the state; for a large pair that of the first few keys, until all are grouped.
        whole: whether it holds all keys.
        decisions: every one so far; the review follows from it and the proposal.
        done, undone: the decisions that stand and those that were taken back, to know when to propose anew.
        saved: those that stood when files were saved last.
        told: what was said of the last decision, until the proposal that follows from it is shown.
    """

    BINDINGS = bindings()
    DEFAULT_CSS = """
    ReviewBase { layout: vertical; overflow: hidden; }
    ReviewBase #panes { height: 1fr; }
    ReviewBase.tall CandidatesPane { height: 11; }
    ReviewBase.low CandidatesPane { height: 4; }
    ReviewBase.narrow #panes { layout: vertical; }
    ReviewBase.narrow TargetPane { display: none; }
    ReviewBase.narrow.targets TargetPane { display: block; }
    ReviewBase.narrow.targets CandidatesPane { display: none; }
    """

    def __init__(self, source: Listing, target: Listing, ports: Ports) -> None:
        super().__init__()
        self.listings = (source, target)
        self.ports = ports
        self.whole = len(source) + len(target) <= WHOLE_AT_ONCE
        shown = self.listings if self.whole else [Listing(side.name, side.tensors[:GLANCE]) for side in self.listings]
        self.review = Review(*shown)
        self.busy = False
        self.active = "source"
        self.decisions: list[Decision] = []
        self.done: list[Decision] = []
        self.undone: list[Decision] = []
        self.saved: list[Decision] = []
        self.told = ""
        self.swapping: tuple[int, ...] = ()
        self.source_pane = SourcePane(self.review, id="source")
        self.target_pane = TargetPane(self.review, id="target")
        self.searched: SidePane = self.source_pane
        self.candidates = CandidatesPane(self.review, id="candidates")
        self.header = Header(self.review, (source.name, target.name), id="header")
        self.status = StatusLine(self.review, id="status")
        self.guide = Guide(id="guide")
        self.hints = Hints(self.pane_name, id="hints")

    def compose(self) -> ComposeResult:
        yield self.header
        with Horizontal(id="panes"):
            yield self.source_pane
            yield self.target_pane
        yield self.candidates
        yield self.guide
        yield self.status
        yield self.hints

    def on_mount(self) -> None:
        self.source_pane.focus()
        self.show()

    def on_resize(self, event: events.Resize) -> None:
        self.set_class(event.size.width < WIDE, "narrow")
        self.source_pane.alone = event.size.width < WIDE
        self.set_class(event.size.height >= TALL, "tall")
        self.set_class(event.size.height < LOW, "low")

    # ---- what is looked at

    def pane_name(self) -> str:
        """The pane that keys are about; Textual's focus follows it, some messages later."""
        return self.active

    @property
    def side_pane(self) -> SidePane:
        """The pane of keys that facets, search and order are about."""
        return self.target_pane if self.pane_name() == "target" else self.source_pane

    @property
    def list_pane(self) -> RowList:
        """The pane that moves are about."""
        return self.candidates if self.pane_name() == "candidates" else self.side_pane

    def places(self) -> Sequence[int]:
        """The source keys that a decision would be about now: the marked rows, or the scope at the cursor."""
        pane, review = self.source_pane, self.review
        if pane.mark is not None:
            rows = review.sources.rows
            return sorted({place for at in pane.marked() for place in review.sources.members(rows[at])})
        row = pane.selected
        return review.scoped(self.status.scope, row) if row is not None else ()

    def row_places(self) -> Sequence[int]:
        """The source keys of the row, or of its whole group where that is the scope."""
        row = self.source_pane.selected
        if row is None:
            return ()
        scope = Scope.KEY if self.status.scope is Scope.FILTER else self.status.scope
        return self.places() if self.source_pane.mark is not None else self.review.scoped(scope, row)

    def situation(self) -> Situation:
        """What decides which actions can be had."""
        review, session = self.review, self.review.session
        return Situation(
            rows=bool(review.sources.rows),
            whole=self.whole,
            matched=review.matched,
            busy=self.busy,
            undo=session.can_undo,
            redo=session.can_redo,
            corrected=any(isinstance(decision, Assign) for decision in self.done),
            above=lambda: review.above()[1],
        )

    # ---- showing it

    def say(self, text: str, tone: Tone = "plain") -> None:
        """Show a message in the line above the hints."""
        self.status.say(text, tone)

    def show(self) -> None:
        """Look at everything anew; each widget repaints only what differs."""
        self.header.view = self.side_pane.view
        self.look()
        self.source_pane.show()
        self.target_pane.show()
        self.header.show()
        self.hints.show()

    def look(self) -> None:
        """Follow the cursor of the source pane: candidates, partner, the number of keys."""
        places = self.row_places()
        self.candidates.look_at(places)
        self.status.places = len(self.places())
        self.status.marking = self.source_pane.mark is not None
        self.status.show()
        if places and self.pane_name() != "target":
            partner = self.review.session.partner(self.review.leader(places))
            row = self.source_pane.selected
            whole = row is not None and row < 0
            at = self.target_pane.view.row_of(partner, whole) if partner >= 0 else -1
            if at >= 0:
                self.target_pane.reveal(at, self.source_pane.cursor - self.source_pane.top)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        if event.rows is self.source_pane:
            self.look()
        elif event.rows is self.candidates:
            self.candidates.show()

    def adopt(self, review: Review) -> None:
        """Show another review of the same sides."""
        keep = self.source_pane.cursor
        self.review = review
        for pane in (self.source_pane, self.target_pane, self.candidates, self.header, self.status):
            pane.review = review
        self.source_pane.cursor = keep
        self.source_pane.mark = None
        self.show()

    # ---- deciding

    def decide(self, decision: Decision, text: str = "", onward: bool = False) -> None:
        """Journal a decision, then carry it out, then show it.

        Args:
            onward: go on to the next open key.
        """
        trouble = ""
        try:
            self.ports.journal.append(decision)
        except WmtuiError as error:
            trouble = f"not in the journal: {error.message}"
        before = self.source_pane.selected
        self.review.apply(decision)
        kind = self.remember(decision)
        self.guide.remove_class("shown")
        self.source_pane.mark = None
        self.source_pane.find_row(before)
        ended = onward and not self.step_on(before)
        self.show()
        verb = VERBS.get(type(decision), "")
        text = text or f"{verb} {plural(self.review.affected(decision), 'key')}; u takes it back"
        if ended and not trouble:
            text = "nothing is open any more: S saves" if not self.review.open_keys else f"{text}; no more here"
        self.told = trouble or text.partition(";")[0]
        self.say(trouble or text, "bad" if trouble else "good")
        if kind is not Accept:
            self.propose_soon()

    def step_on(self, before: int | None) -> bool:
        """Go to the next open row; hands back whether there is one.

        Args:
            before: the row that was decided about. A filter may show it no longer, then the next is there already.
        """
        pane, review = self.source_pane, self.review
        row = pane.selected
        if row != before and row is not None and any(map(review.is_open, review.sources.members(row))):
            return True
        at = review.next_open(pane.cursor)
        if at >= 0:
            pane.cursor = at
        return at >= 0

    def remember(self, decision: Decision) -> type[Decision]:
        """Note the kind of a decision that was carried out; hands back the kind of what it did, undid or did again."""
        self.decisions.append(decision)
        about = decision
        if isinstance(decision, Undo):
            about = self.done.pop()
            self.undone.append(about)
        elif isinstance(decision, Redo):
            about = self.undone.pop()
            self.done.append(about)
        else:
            self.done.append(decision)
            self.undone.clear()
        return type(about)

    @property
    def unsaved(self) -> int:
        """How many decisions were taken, or taken back, since files were saved last."""
        same = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], zip(self.done, self.saved, strict=False)))
        return len(self.done) + len(self.saved) - 2 * same

    def propose_soon(self) -> None:
        """Ask the matcher again when the user pauses."""
        raise NotImplementedError

    # ---- actions

    def action_do(self, name: str, *arguments: int) -> None:
        """Carry an action of the registry out, or say why it cannot be had."""
        why = BY_ID[name].why_disabled(self.situation())
        if why:
            self.say(why, "warn")
            return
        getattr(self, f"do_{name}")(*arguments)
