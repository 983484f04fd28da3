"""The review's screen: its windows, and the worker that proposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wmtui.core.decisions import Decision
from wmtui.core.listing import Listing
from wmtui.core.ports import Saved
from wmtui.core.printable import plural
from wmtui.errors import WmtuiError
from wmtui.ui.review.base import Ports
from wmtui.ui.review.details import DetailsWindow
from wmtui.ui.review.proposing import Proposing
from wmtui.ui.review.stories import explain, explain_free, help_lines
from wmtui.ui.text import shorten
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
        past_of: the files that they are about where those are others, with equal keys.
        guide: show the first steps.

    Attributes:
        written: the files that were saved, in order.
    """

    def __init__(
        self,
        source: Listing,
        target: Listing,
        ports: Ports,
        past: tuple[Decision, ...] = (),
        past_when: str = "",
        past_of: tuple[str, str] | None = None,
        guide: bool = False,
    ) -> None:
        super().__init__(source, target, ports)
        self.guide.set_class(guide, "shown")
        self.past = past
        self.past_when = past_when
        self.past_of = past_of
        self.written: list[Saved] = []

    def on_mount(self) -> None:
        super().on_mount()
        self.say("? shows the keys")
        self.call_after_refresh(self.propose_now)
        if self.past:
            self.ask_to_resume()

    # ---- resuming

    def ask_to_resume(self) -> None:
        """Offer the decisions of an earlier session, on this pair or on one with equal keys."""
        when = f" of {self.past_when}" if self.past_when else ""
        count = f"{'is' if len(self.past) == 1 else 'are'} {plural(len(self.past), 'decision')}"
        title, texts = "Go on where you were?", [f"There {count} on this pair{when}."]
        answers = [Answer("r", "resume", "resume"), Answer("s", "start afresh", "afresh")]
        if self.past_of is not None:
            title, texts = "Decide as for other files?", [f"There {count} on files that have the same keys{when}:"]
            texts += [shorten(name, 74) for name in self.past_of]
            answers = [Answer("y", "take them over", "resume"), Answer("n", "start afresh", "")]
        self.app.push_screen(Question(title, texts, answers), self.resume)

    def resume(self, answer: str | None) -> None:
        """Take the earlier decisions over, or put them aside; with Esc those about this pair count."""
        trouble = ""
        try:
            if answer == "resume" or (self.past_of is None and answer != "afresh"):
                self.ports.journal.take_over()
            else:
                self.past = ()
                self.ports.journal.start_afresh()
        except WmtuiError as error:
            trouble = f"not in the journal: {error.message}"
        if self.past and self.whole:
            self.replay()
        if trouble:
            self.say(trouble, "bad")

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
            self.source_pane.go(max(self.review.next_open(-1), 0), quiet=True)
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

        window = SaveWindow(self.review.session, self.ports.save, self.review.loads)

        def closed(saved: bool | None) -> None:
            if saved:
                self.note_saved(window.saved)
                self.say("saved", "good")

        self.app.push_screen(window, closed)

    def note_saved(self, outputs: Sequence[Saved]) -> None:
        """Note that all decisions are in files now, and which those are."""
        self.saved = list(self.done)
        self.written += outputs

    def do_copy(self) -> None:
        command = self.ports.command(self.review.session)
        self.app.copy_to_clipboard(command)
        lead = "copied; it reads your decisions from the report, which S saves" if self.unsaved else "copied"
        self.say(f"{lead}: {command}", "good")

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
            if outputs := getattr(top, "saved", ()):
                self.note_saved(outputs)
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
