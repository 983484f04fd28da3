"""The review's screen: its windows, and the worker that proposes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from textual.message import Message
from textual.timer import Timer
from textual.worker import get_current_worker

from wmtui.core.decisions import Decision
from wmtui.core.groups import Grouping
from wmtui.core.listing import Listing
from wmtui.core.ports import Progress
from wmtui.core.proposal import Facts, Pair, Proposal
from wmtui.core.review import Review
from wmtui.errors import Cancelled, WmtuiError
from wmtui.ui.review.base import Ports
from wmtui.ui.review.deciding import Deciding
from wmtui.ui.review.details import DetailsWindow
from wmtui.ui.review.stories import explain, help_lines
from wmtui.ui.text import plural, safe
from wmtui.ui.theme import palette
from wmtui.ui.windows import Answer, PageWindow, Question

if TYPE_CHECKING:
    from wmtui.core.match_options import MatchOptions

PAUSE = 0.4
"""Seconds without a correction before the matcher is asked again."""


class ReviewScreen(Deciding):
    """See the module.

    Args:
        past: decisions of an earlier session on this pair, which the user may resume.
        past_when: when that was, in words.
    """

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
        """The matcher is done."""

        def __init__(self, run: int, proposal: Proposal, grouping: Grouping, moved: int) -> None:
            super().__init__()
            self.run = run
            self.proposal = proposal
            self.grouping = grouping
            self.moved = moved

    class Stopped(Message):
        """The matcher was cancelled, or failed."""

        def __init__(self, run: int, text: str) -> None:
            super().__init__()
            self.run = run
            self.text = text

    def __init__(
        self, source: Listing, target: Listing, ports: Ports, past: tuple[Decision, ...] = (), past_when: str = ""
    ) -> None:
        super().__init__(source, target, ports)
        self.past = past
        self.past_when = past_when
        self.run = 0
        self.pause: Timer | None = None

    def on_mount(self) -> None:
        super().on_mount()
        self.say("? shows the keys")
        self.propose_now()
        if self.past:
            self.ask_to_resume()

    # ---- resuming

    def ask_to_resume(self) -> None:
        """Offer the decisions of an earlier session."""
        count = plural(len(self.past), "decision")
        texts = [f"There are {count} on this pair" + (f" of {self.past_when}." if self.past_when else ".")]
        answers = [Answer("r", "resume", "resume"), Answer("s", "start afresh", "afresh")]
        self.app.push_screen(Question("Go on where you were?", texts, answers), self.resume)

    def resume(self, answer: str | None) -> None:
        """Take the earlier decisions over, or put them aside."""
        if answer == "afresh":
            self.past = ()
            try:
                self.ports.journal.start_afresh()
            except WmtuiError as error:
                self.say(error.message, "bad")
            return
        if self.whole:
            self.replay()

    def replay(self) -> None:
        """Carry the earlier decisions out, without journalling them again."""
        past, self.past = self.past, ()
        for n, decision in enumerate(past):
            try:
                self.review.apply(decision)
            except ValueError as error:
                self.say(f"only {n} of {plural(len(past), 'decision')} fit this pair: {error}", "bad")
                break
            self.remember(decision)
        else:
            if past:
                self.say(f"{plural(len(past), 'decision')} resumed", "good")
        if past:
            self.source_pane.take_rows(None)
            self.show()
            self.propose_now()

    # ---- proposing

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
        facts = self.review.session.facts
        self.run_worker(
            partial(self._match, self.run, facts, self.whole, self.review.session.proposal.pairs),
            thread=True, exclusive=True, group="match", exit_on_error=False,
        )  # fmt: skip

    def _match(self, run: int, facts: Facts, whole: bool, before: Mapping[str, Pair]) -> None:
        """In a worker thread: group, match, group again; touches nothing of the screen but its message queue."""
        worker = get_current_worker()
        last = 0.0

        def progress(step: Progress) -> None:
            nonlocal last
            now = monotonic()
            if now - last > 0.1:
                last = now
                self.post_message(self.Advanced(run, step))

        try:
            if not whole:
                self.post_message(self.Whole(Review(*self.listings)))
            proposal = self.ports.match(facts, progress, lambda: worker.is_cancelled)
            grouping = Grouping(*self.listings, proposal)
            pairs = proposal.pairs
            moved = sum(
                key not in facts.pairs and ((old := before.get(key)) is None or old.target != pair.target)
                for key, pair in pairs.items()
            )
        except Cancelled:
            self.post_message(self.Stopped(run, "matching was stopped; , proposes again"))
        except WmtuiError as error:
            self.post_message(self.Stopped(run, error.message))
        except Exception as error:  # the review goes on by hand, whatever the matcher stumbled over
            self.post_message(self.Stopped(run, f"the matcher failed: {type(error).__name__}: {error}"))
        else:
            self.post_message(self.Proposed(run, proposal, grouping, moved if before else 0))

    def stop_matching(self) -> None:
        self.workers.cancel_group(self, "match")
        self.run += 1
        self.idle()
        self.say("matching was stopped; , proposes again", "warn")

    def idle(self) -> None:
        """No matcher is at work any more."""
        self.busy = False
        self.header.work = ""
        self.header.show()

    def on_review_screen_whole(self, event: Whole) -> None:
        if not self.whole:
            self.adopt(event.review)
            if self.past and self.app.screen is self:
                self.replay()

    def on_review_screen_advanced(self, event: Advanced) -> None:
        if event.run == self.run and self.busy:
            step = event.progress
            self.header.work = safe(step.stage)
            self.header.share = step.done / step.total if step.total else 0.0
            self.header.show()

    def on_review_screen_proposed(self, event: Proposed) -> None:
        if event.run != self.run:
            return
        keep, keep_target = self.selected_place(), self.kept(self.target_pane)
        self.review.propose(event.proposal, event.grouping)
        self.source_pane.mark = None
        self.source_pane.take_rows(keep)
        self.target_pane.take_rows(keep_target)
        self.idle()
        self.show()
        if event.moved:
            text = self.status.text.partition(";")[0] or "proposed anew"
            self.say(f"{text}; {plural(event.moved, 'other proposal')} changed with it", "good")

    def on_review_screen_stopped(self, event: Stopped) -> None:
        if event.run == self.run:
            self.idle()
            self.say(event.text, "warn")

    # ---- windows

    def do_help(self) -> None:
        self.app.push_screen(
            PageWindow("Keys", help_lines(self.situation(), palette(self.app), PageWindow.cells_in(self.size.width)))
        )

    def do_explain(self) -> None:
        places = self.row_places()
        if places:
            lines = explain(self.review, self.review.leader(places), len(places), palette(self.app))
            self.app.push_screen(PageWindow("Why", lines))

    def do_details(self) -> None:
        places = self.row_places()
        if not places:
            return
        lead = self.review.leader(places)
        if self.pane_name() == "candidates" and self.candidates.selected is not None:
            target = self.candidates.target_of(self.candidates.cursor)
        else:
            target = self.review.session.partner(lead)
        source_spec = self.review.source.tensors[lead]
        target_spec = self.review.target.tensors[target] if target >= 0 else None
        self.app.push_screen(DetailsWindow(source_spec, target_spec, self.ports.describe))

    def do_save(self) -> None:
        from wmtui.ui.save import SaveWindow  # textual's Input and Checkbox are not needed before

        def closed(saved: bool | None) -> None:
            if saved:
                self.unsaved = False
                self.say("saved", "good")

        self.app.push_screen(SaveWindow(self.review.session, self.ports.save), closed)

    def do_copy(self) -> None:
        command = self.ports.command(self.review.session)
        self.app.copy_to_clipboard(command)
        self.say(f"copied: {command}", "good")

    def do_settings(self) -> None:
        from wmtui.ui.review.settings import SettingsWindow  # it imports the matching engine

        def closed(options: MatchOptions | None) -> None:
            if options is not None:
                self.ports.options = options
                self.ports.match.tune(options)
                self.propose_now()

        self.app.push_screen(SettingsWindow(self.ports.options), closed)

    def do_palette(self) -> None:
        self.app.action_command_palette()

    def leave_windows(self) -> None:
        """Close the windows that are open and quit; not while something is being written."""
        top = self.app.screen
        if getattr(top, "writing", False):
            self.app.bell()
        elif top is self:
            self.do_quit()
        else:
            self.app.pop_screen()
            self.call_later(self.leave_windows)

    def do_quit(self) -> None:
        if not self.unsaved:
            self.app.exit()
            return

        def answered(answer: str | None) -> None:
            if answer == "save":
                self.do_save()
            elif answer == "quit":
                self.app.exit()

        texts = [
            f"{plural(self.review.session.decided, 'decision')} are not saved to files yet.",
            "They are in the journal: the next start offers them again.",
        ]
        answers = [Answer("s", "save", "save"), Answer("q", "quit", "quit"), Answer("n", "no", "")]
        self.app.push_screen(Question("Quit without saving?", texts, answers), answered)
