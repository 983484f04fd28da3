"""The review's screen: its windows, and the worker that proposes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wmtui.core.decisions import Decision
from wmtui.core.listing import Listing
from wmtui.core.printable import plural
from wmtui.errors import WmtuiError
from wmtui.ui.review.base import Ports
from wmtui.ui.review.details import DetailsWindow
from wmtui.ui.review.proposing import Proposing
from wmtui.ui.review.stories import explain, explain_free, help_lines
from wmtui.ui.theme import palette
from wmtui.ui.windows import Answer, PageWindow, Question

if TYPE_CHECKING:
    from wmtui.core.match_options import MatchOptions

PAUSE = 0.4
"""Seconds without a correction before the matcher is asked again."""


class ReviewScreen(Proposing):
    """See the module.

    Args:
        past: decisions of an earlier session on this pair, which the user may resume.
        past_when: when that was, in words.
        guide: show the first steps.
    """

    def __init__(
        self,
        source: Listing,
        target: Listing,
        ports: Ports,
        past: tuple[Decision, ...] = (),
        past_when: str = "",
        guide: bool = False,
    ) -> None:
        super().__init__(source, target, ports)
        self.guide.set_class(guide, "shown")
        self.past = past
        self.past_when = past_when

    def on_mount(self) -> None:
        super().on_mount()
        self.say("? shows the keys")
        self.call_after_refresh(self.propose_now)
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

    # ---- windows

    def do_help(self) -> None:
        self.app.push_screen(
            PageWindow("Keys", help_lines(self.situation(), palette(self.app), PageWindow.cells_in(self.size.width)))
        )

    def do_explain(self) -> None:
        review, places = self.review, self.row_places()
        looks, cells = palette(self.app), PageWindow.cells_in(self.size.width)
        if self.pane_name() == "target":
            row = self.target_pane.selected
            if row is None:
                self.say("there is no target under the cursor", "warn")
                return
            target = review.targets.members(row)[0]
            holder = review.session.holder(target)
            lines = (
                explain(review, holder, 1, looks, cells) if holder >= 0 else explain_free(review, target, looks, cells)
            )
            self.app.push_screen(PageWindow("Why", lines))
        elif places:
            lines = explain(review, review.leader(places), len(places), looks, cells)
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
                self.saved = list(self.done)
                self.say("saved", "good")

        self.app.push_screen(SaveWindow(self.review.session, self.ports.save, self.review.loads), closed)

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
            if getattr(top, "saved", False):
                self.saved = list(self.done)
            self.app.pop_screen()
            self.call_later(self.leave_windows)

    def do_quit(self) -> None:
        unsaved = self.unsaved
        if not unsaved:
            self.app.exit()
            return

        def answered(answer: str | None) -> None:
            if answer == "save":
                self.do_save()
            elif answer == "quit":
                self.app.exit()

        texts = [
            f"{plural(unsaved, 'decision')} {'is' if unsaved == 1 else 'are'} not saved to files yet.",
            "The journal keeps all decisions: the next start offers them again.",
        ]
        answers = [Answer("s", "save", "save"), Answer("q", "quit", "quit"), Answer("n", "no", "")]
        self.app.push_screen(Question("Quit without saving?", texts, answers), answered)
