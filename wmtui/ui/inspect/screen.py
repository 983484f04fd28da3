"""A screen with a list that shows one of several views, its details, and work in the background."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.worker import get_current_worker

from wmtui.core.listing import Listing
from wmtui.core.ports import CancelledCall, Progress, ProgressCall
from wmtui.errors import Cancelled, WmtuiError
from wmtui.ui.actions import Action
from wmtui.ui.inspect.bars import Footer, Heading, Status, ViewList
from wmtui.ui.inspect.details import Details
from wmtui.ui.inspect.views import View
from wmtui.ui.lines import LinesScreen, RowList
from wmtui.ui.searchline import SearchLine
from wmtui.ui.theme import palette

TALL, LOW, FLAT = 34, 18, 12
"""Rows of a terminal from which on the details get more room, and below which they get less and none."""
OFTEN = 0.1
"""Seconds between two reports of progress."""

Work = Callable[[ProgressCall, CancelledCall], object]


class ViewScreen(LinesScreen):
    """See the module.

    Args:
        name, right, facts: the heading: what is looked at, what kind of thing that is, what it holds.
        views: the views, by their places.
        listing: the tensors that the views' places are of.

    Attributes:
        actions: what the user can do here.
        hinted: the six of them that the footer shows.
    """

    actions: ClassVar[Sequence[Action[Any]]] = ()
    hinted: ClassVar[Sequence[str]] = ()
    DEFAULT_CSS = """
    ViewScreen { layout: vertical; overflow: hidden; }
    """

    class Advanced(Message):
        """How far the work in the background has come."""

        def __init__(self, run: int, progress: Progress) -> None:
            super().__init__()
            self.run, self.progress = run, progress

    class Finished(Message):
        """The work is done; ``then`` takes what it found."""

        def __init__(self, run: int, then: Callable[[Any], None], found: object) -> None:
            super().__init__()
            self.run, self.then, self.found = run, then, found

    class Failed(Message):
        """The work was stopped, or could not be done."""

        def __init__(self, run: int, text: str) -> None:
            super().__init__()
            self.run, self.text = run, text

    def __init__(self, name: str, right: str, facts: Sequence[str], views: Sequence[View], listing: Listing) -> None:
        super().__init__()
        self.listing = listing
        self.views = views
        self.heading = Heading(name, right, facts, views, id="heading")
        self.list = ViewList(views[0], id="list")
        self.details = Details(id="details")
        self.status = Status(id="status")
        self.footer = Footer(self.hints, id="footer")
        self.run = 0
        self.working = ""

    def compose(self) -> ComposeResult:
        yield self.heading
        yield self.list
        yield self.details
        yield self.status
        yield self.footer

    def on_mount(self) -> None:
        self.list.focus()
        self.status.say("? shows the keys")
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        height = event.size.height
        # Not by classes of the screen, which would have textual look up the styles of every widget again.
        self.details.styles.height = 9 if height >= TALL else 6 if height >= LOW else 3
        self.details.display = height >= FLAT

    # ---- what is looked at

    @property
    def view(self) -> View:
        """The view that is shown."""
        return self.list.view

    @property
    def places(self) -> Sequence[int]:
        """The tensors of the row under the cursor."""
        return self.view.places(self.list.cursor) if self.list.cursor < self.view.count() else ()

    def situation(self) -> object:
        """What decides which actions can be had."""
        raise NotImplementedError

    def hints(self) -> list[Action[Any]]:
        """What the footer shows."""
        return [action for name in self.hinted for action in self.actions if action.id == name]

    def show(self) -> None:
        """Look at everything anew."""
        self.heading.show()
        self.list.show()
        self.look()

    def look(self) -> None:
        """Show the row under the cursor in full."""
        details, view, cursor = self.details, self.view, self.list.cursor
        there = cursor < view.count()
        details.text = view.text_of(cursor) if there else ""
        details.about = view.about(cursor) if there else ""
        details.listing, details.places = self.listing, self.places
        self.describe()
        details.show()

    def describe(self) -> None:
        """Say more in the details of the row under the cursor."""

    def on_row_list_moved(self, _: RowList.Moved) -> None:
        self.look()

    def on_row_list_chosen(self, _: RowList.Chosen) -> None:
        self.action_do("enter")

    # ---- work in the background

    def start(self, name: str, work: Work, then: Callable[[Any], None]) -> None:
        """Do something in a worker; other work of this screen is stopped, and what it finds is not taken any more.

        Args:
            name: what it is, for the status line.
            work: what is done; it is given what to report progress to and what to ask whether to go on.
            then: takes what it found, in the screen's own thread.
        """
        self.run += 1
        self.working = name
        self.status.work(name, 0.0)
        self.run_worker(
            partial(self._work, self.run, work, then), thread=True, exclusive=True, group="work", exit_on_error=False
        )

    def _work(self, run: int, work: Work, then: Callable[[Any], None]) -> None:
        worker = get_current_worker()
        last = monotonic()

        def progress(step: Progress) -> None:
            nonlocal last
            if monotonic() - last >= OFTEN:
                last = monotonic()
                self.post_message(self.Advanced(run, step))

        try:
            found = work(progress, lambda: worker.is_cancelled)
        except Cancelled:
            self.post_message(self.Failed(run, "stopped"))
        except WmtuiError as error:
            self.post_message(self.Failed(run, error.message))
        except (OSError, MemoryError, ValueError) as error:
            self.post_message(self.Failed(run, f"{type(error).__name__}: {error}"))
        else:
            self.post_message(self.Finished(run, then, found))

    def stop(self) -> None:
        """Stop the work in the background."""
        self.run += 1
        self.workers.cancel_group(self, "work")
        self.status.say(f"{self.working}: stopped", lambda looks: looks.warn)
        self.working = ""

    def on_view_screen_advanced(self, event: Advanced) -> None:
        if event.run == self.run:
            step = event.progress
            self.status.work(step.stage, step.done / step.total if step.total else 0.0)

    def on_view_screen_finished(self, event: Finished) -> None:
        if event.run == self.run:
            self.working = ""
            self.status.say("")
            event.then(event.found)

    def on_view_screen_failed(self, event: Failed) -> None:
        if event.run == self.run:
            self.status.say(f"{self.working}: {event.text}", lambda looks: looks.bad)
            self.working = ""

    # ---- actions

    def action_do(self, name: str, *arguments: int) -> None:
        """Carry an action of the registry out, or say why it cannot be had."""
        action = next(action for action in self.actions if action.id == name)
        if why := action.why_disabled(self.situation()):
            self.status.say(why, lambda looks: looks.warn)
        else:
            getattr(self, f"do_{name}")(*arguments)

    def move(self, to: int) -> None:
        """Put the cursor on a row."""
        self.list.go(to, quiet=True)
        self.look()

    def do_down(self) -> None:
        self.move(self.list.cursor + 1)

    def do_up(self) -> None:
        self.move(self.list.cursor - 1)

    def do_page_down(self) -> None:
        self.move(self.list.cursor + max(1, self.list.page // 2))

    def do_page_up(self) -> None:
        self.move(self.list.cursor - max(1, self.list.page // 2))

    def do_top(self) -> None:
        self.move(0)

    def do_bottom(self) -> None:
        self.move(self.view.count() - 1)

    def do_expand(self) -> None:
        self.move(self.view.toggle(self.list.cursor, True))

    def do_collapse(self) -> None:
        self.move(self.view.toggle(self.list.cursor, False))

    def do_expand_all(self) -> None:
        text = self.view.text_of(self.list.cursor) if self.view.count() else ""
        self.view.toggle_all()
        self.stay(text)

    def stay(self, text: str) -> None:
        """Go back to a row by its name after the rows have changed, else to the first."""
        rows = range(self.view.count())
        self.list.go(next((row for row in rows if self.view.text_of(row) == text), 0), quiet=True)
        self.show()

    def do_search(self) -> None:
        self.status.type(self.search_text)

    def on_search_line_typed(self, event: SearchLine.Typed) -> None:
        self.search(event.value)

    def on_search_line_done(self, event: SearchLine.Done) -> None:
        self.status.end()
        self.set_focus(self.list)
        if event.given_up:
            self.search("")

    @property
    def search_text(self) -> str:
        """What was searched for."""
        raise NotImplementedError

    def search(self, text: str) -> None:
        """Show only what the text finds."""
        raise NotImplementedError

    def clear_filter(self) -> None:
        """Show everything again."""
        raise NotImplementedError

    def do_escape(self) -> None:
        """Take back what was begun or narrowed last."""
        if self.working:
            self.stop()
        else:
            self.clear_filter()

    def do_copy(self) -> None:
        text = self.view.text_of(self.list.cursor)
        self.app.copy_to_clipboard(text)
        self.status.say(f"copied: {text}", lambda looks: looks.good)

    def do_help(self) -> None:
        from wmtui.ui.windows import PageWindow, key_lines

        cells = PageWindow.cells_in(self.size.width)
        self.app.push_screen(PageWindow("Keys", key_lines(self.actions, self.situation(), palette(self.app), cells)))

    def do_palette(self) -> None:
        self.app.action_command_palette()

    def do_quit(self) -> None:
        self.app.exit()
