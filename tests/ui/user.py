"""A user at the review's screen: presses keys, and reads what the screen says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from textual import events
from textual.pilot import Pilot
from textual.screen import Screen

from tests.ui.standins import MemoryJournal, NotingSave, NoValues, SuffixMatch, no_command, side
from wmtui.core.decisions import Decision
from wmtui.core.listing import Listing
from wmtui.core.ports import DescribePort, MatchPort
from wmtui.core.session import Session
from wmtui.ui.app import ReviewApp
from wmtui.ui.lines import Lines
from wmtui.ui.review.screen import ReviewScreen
from wmtui.ui.terminal import Terminal

NAMES = {
    "/": "slash", "?": "question_mark", "(": "left_parenthesis", ")": "right_parenthesis", ".": "full_stop",
    "_": "underscore", ",": "comma", ":": "colon", " ": "space", "-": "minus",
}  # fmt: skip


class User:
    """Drives one app; every method that does something hands the user back, so that they chain."""

    def __init__(self, app: ReviewApp, pilot: Pilot[None], journal: MemoryJournal, save: NotingSave) -> None:
        self.app = app
        self.pilot = pilot
        self.journal = journal
        self.saved = save.saved

    async def press(self, *keys: str) -> User:
        """Press keys one after the other; single characters by themselves, others by Textual's names."""
        for key in keys:
            await self.pilot.press(NAMES.get(key, key))
        return self

    async def type(self, text: str) -> User:
        return await self.press(*text)

    async def bunch(self, *keys: str) -> User:
        """Press keys that all come at once, as behind a line that stood still."""
        for key in keys:
            self.app.post_message(events.Key(NAMES.get(key, key), key if len(key) == 1 else None))
        await self.pilot.pause()
        async with asyncio.timeout(60):
            while self.app._keys or self.app._key_timer is not None:
                assert self.app.is_running, "a key ended the app"
                await asyncio.sleep(0.001)
        return self

    async def idle(self) -> User:
        """Wait until no worker is at work and no correction is waiting to be proposed."""
        screen = self.screen
        if screen.pause is not None:
            screen.pause.stop()
            screen.pause = None
            screen.propose_now()
        while any(not worker.is_finished for worker in self.app.workers):
            await self.pilot.pause(0.01)
        await self.pilot.pause()
        return self

    @property
    def screen(self) -> ReviewScreen:
        return self.app.review_screen

    @property
    def session(self) -> Session:
        return self.screen.review.session

    @property
    def window(self) -> Screen[object]:
        """The screen on top."""
        return self.app.screen

    @property
    def pairs(self) -> dict[str, str]:
        """What is accepted."""
        return {m.source: m.target for m in self.session.mapped(include_pending=False)}

    def text(self, widget: str = "") -> str:
        """What is painted: on the top screen, or in one widget."""
        found = self.window.query(f"#{widget}" if widget else Lines)
        lines = [strip.text.rstrip() for each in found.results(Lines) for strip in each._strips]
        return "\n".join(lines)

    @property
    def row(self) -> str:
        """The line under the cursor of the source pane."""
        pane = self.screen.source_pane
        return pane._strips[1 + pane.cursor - pane.top].text

    @property
    def said(self) -> str:
        """The last message."""
        return self.screen.status.text

    def sees(self, *texts: str, widget: str = "") -> User:
        """Every text is on the screen."""
        shown = self.text(widget)
        for text in texts:
            assert text in shown, f"{text!r} is not on the screen:\n{shown}"
        return self


@asynccontextmanager
async def at_the_screen(
    source: Listing,
    target: Listing,
    *,
    size: tuple[int, int] = (80, 24),
    match: MatchPort | None = None,
    past: tuple[Decision, ...] = (),
    past_of: tuple[str, str] | None = None,
    save: NotingSave | None = None,
    describe: DescribePort | None = None,
    wait: bool = True,
    guide: bool = False,
) -> AsyncIterator[User]:
    """A user in front of a running review of two listings."""
    journal, save = MemoryJournal(), save or NotingSave()
    app = ReviewApp(
        side(source),
        side(target),
        match=match or SuffixMatch(source, target),
        journal=journal,
        save=save,
        describe=describe or NoValues(),
        past=past,
        past_when="yesterday 18:40",
        past_of=past_of,
        guide=guide,
        command=no_command,
        terminal=Terminal(),
    )
    async with app.run_test(size=size) as pilot:
        user = User(app, pilot, journal, save)
        if wait:
            await user.idle()
        else:
            await asyncio.sleep(0)
        yield user
