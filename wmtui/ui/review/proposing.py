"""The review's worker: grouping, matching, and a review of what the matcher says, made beside the one on the screen.

The worker gets the log of decisions, nothing that changes; what it makes is shown once no window is open. So no key
ever waits for 94,000 of them to be counted, and a save sees a session that stands still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from time import monotonic
from typing import NamedTuple

from textual.message import Message
from textual.timer import Timer
from textual.worker import get_current_worker

from wmtui.core.decisions import Decision
from wmtui.core.groups import BothGroups, Grouping
from wmtui.core.listing import Listing
from wmtui.core.ports import Progress
from wmtui.core.printable import plural
from wmtui.core.proposal import Facts, Pair, Proposal
from wmtui.core.review import Review, no_proposal
from wmtui.core.session import Session
from wmtui.core.view import Look
from wmtui.errors import Cancelled, WmtuiError
from wmtui.ui.review.base import Ports
from wmtui.ui.review.deciding import Deciding
from wmtui.ui.text import safe

PAUSE = 0.4
"""Seconds without a correction before the matcher is asked again."""
GUIDE = "A accepts what is sure, n: what is open"
STOPPED = "matching was stopped; , proposes again"


class Before(NamedTuple):
    """What the worker is told of the review on the screen.

    Attributes:
        groups: those of all keys; ``None`` where they are not made yet.
        looks: see :attr:`Review.looks`.
    """

    pairs: Mapping[str, Pair]
    groups: BothGroups | None
    looks: tuple[Look, Look, int]


class Proposing(Deciding):
    """See the module."""

    class Whole(Message):
        """All keys of a large pair are grouped."""

        def __init__(self, review: Review) -> None:
            super().__init__()
            self.review = review

    class Advanced(Message):
        """How far the matcher is."""

        def __init__(self, run: int, progress: Progress) -> None:
            super().__init__()
            self.run = run
            self.progress = progress

    class Proposed(Message):
        """The matcher is done.

        Attributes:
            review: of what it proposes, with the first ``decided`` decisions of the log.
            moved: how many keys that are not decided got another target than before.
        """

        def __init__(self, run: int, review: Review, decided: int, moved: int) -> None:
            super().__init__()
            self.run = run
            self.review = review
            self.decided = decided
            self.moved = moved

    class Stopped(Message):
        """The matcher was cancelled, or failed."""

        def __init__(self, run: int, text: str) -> None:
            super().__init__()
            self.run = run
            self.text = text

    def __init__(self, source: Listing, target: Listing, ports: Ports) -> None:
        super().__init__(source, target, ports)
        self.run = 0
        self.pause: Timer | None = None
        self.waiting: Proposing.Proposed | None = None

    def propose_soon(self) -> None:
        if self.pause is not None:
            self.pause.stop()
        self.pause = self.set_timer(PAUSE, self.propose_now)

    def propose_now(self) -> None:
        """Run the matcher with what the user decided."""
        self.run += 1
        self.busy = True
        self.header.work, self.header.share = "matching", 0.0
        self.header.show()
        review = self.review
        groups = (review.sources.groups, review.targets.groups) if self.whole else None
        before = Before(review.session.proposal.pairs, groups, review.looks)
        work = partial(self._propose, self.run, tuple(self.decisions), before)
        self.run_worker(work, thread=True, exclusive=True, group="match", exit_on_error=False)

    def _propose(self, run: int, log: Sequence[Decision], before: Before) -> None:
        """In a worker thread; touches nothing of the screen but its message queue."""
        worker = get_current_worker()
        last = 0.0

        def progress(step: Progress) -> None:
            nonlocal last
            now = monotonic()
            if now - last > 0.1:
                last = now
                self.post_message(self.Advanced(run, step))

        try:
            groups = before.groups
            if groups is None:
                first = Review(*self.listings)
                groups = first.sources.groups, first.targets.groups
                self.post_message(self.Whole(first))
            facts = facts_of(self.listings, log)
            proposal = self.ports.match(facts, progress, lambda: worker.is_cancelled)
            review = Review(*self.listings, proposal, Grouping(*self.listings, proposal, groups))
            for decision in log:
                review.apply(decision)
            review.follow(before.looks)
        except Cancelled:
            self.post_message(self.Stopped(run, STOPPED))
        except WmtuiError as error:
            self.post_message(self.Stopped(run, error.message))
        except Exception as error:  # the review goes on by hand, whatever the matcher stumbled over
            self.post_message(self.Stopped(run, f"the matcher failed: {type(error).__name__}: {error}"))
        else:
            moved = count_moved(before.pairs, proposal, facts) if before.pairs else 0
            self.post_message(self.Proposed(run, review, len(log), moved))

    def stop_matching(self) -> None:
        self.workers.cancel_group(self, "match")
        self.run += 1
        self.idle()
        self.say(STOPPED, "warn")

    def idle(self) -> None:
        """No matcher is at work any more."""
        self.busy = False
        self.header.work = ""
        self.header.show()

    def on_proposing_whole(self, event: Whole) -> None:
        if not self.whole:
            self.whole = True
            self.adopt(event.review)
            if self.app.screen is self:
                self.replay()

    def replay(self) -> None:
        """Carry out what an earlier session decided, where there is something."""
        raise NotImplementedError

    def on_proposing_advanced(self, event: Advanced) -> None:
        if event.run == self.run and self.busy:
            step = event.progress
            self.header.work = safe(step.stage)
            self.header.share = step.done / step.total if step.total else 0.0
            self.header.show()

    def on_proposing_stopped(self, event: Stopped) -> None:
        if event.run == self.run:
            self.idle()
            self.say(event.text, "warn")

    def on_proposing_proposed(self, event: Proposed) -> None:
        self.waiting = event
        if self.app.screen is self:
            self.take_proposal()

    def on_screen_resume(self) -> None:
        self.take_proposal()

    def take_proposal(self) -> None:
        """Show what the matcher made, with what was decided meanwhile."""
        event, self.waiting = self.waiting, None
        if event is None or event.run != self.run:
            return
        for decision in self.decisions[event.decided :]:
            event.review.apply(decision)
        event.review.follow(self.review.looks)
        keep, keep_target = self.source_pane.kept(), self.target_pane.kept()
        self.adopt(event.review)
        self.source_pane.take_rows(keep)
        self.target_pane.take_rows(keep_target)
        self.idle()
        self.show()
        if not self.review.session.decided and not event.moved:
            self.say(GUIDE)
        if event.moved:
            text = f"{self.told}; " if self.told else "proposed anew: "
            self.say(f"{text}{plural(event.moved, 'other proposal')} changed with it", "good")
        self.told = ""


def facts_of(listings: tuple[Listing, Listing], log: Sequence[Decision]) -> Facts:
    """What decisions ask of a proposal."""
    if not log:
        return Facts()
    session = Session(*listings, no_proposal())
    for decision in log:
        session.apply(decision)
    return session.facts


def count_moved(before: Mapping[str, Pair], proposal: Proposal, facts: Facts) -> int:
    """How many keys that are not decided have another target than before."""
    return sum(
        key not in facts.pairs and ((old := before.get(key)) is None or old.target != pair.target)
        for key, pair in proposal.pairs.items()
    )
