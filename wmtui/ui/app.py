"""The review app: one screen, and the outside world that it is handed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from wmtui.core.decisions import Decision
from wmtui.core.ports import DescribePort, JournalPort, MatchPort, SavePort
from wmtui.core.session import Session
from wmtui.core.side import Side
from wmtui.ui.base import TerminalApp
from wmtui.ui.review.base import Ports
from wmtui.ui.review.screen import ReviewScreen
from wmtui.ui.terminal import Terminal

if TYPE_CHECKING:
    from textual.command import Provider

    from wmtui.core.match_options import MatchOptions


def action_provider() -> type[Provider]:
    """The palette's provider, loaded when the palette is opened."""
    from wmtui.ui.review.palette import ActionProvider

    return ActionProvider


class ReviewApp(TerminalApp):
    """Review a mapping; ``run()`` it, then ``return_code`` is the exit status.

    Args:
        source, target: the two sides.
        match, journal, save, describe: the outside world.
        past: decisions of an earlier session on this pair; the user is asked whether to resume.
        past_when: when that was, in words (``yesterday 18:40``).
        past_of: the files that the decisions are about where they are others, with equal keys.
        guide: show the first steps, for who has never decided anything.
        command: the command line that does the same without a screen.
        options: how the matcher was asked to work, ``None`` for the defaults; the settings window hands others to
            ``match.tune``.
        terminal: what the terminal can do; read off the environment where it is not given.
    """

    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {action_provider}

    def __init__(
        self,
        source: Side,
        target: Side,
        *,
        match: MatchPort,
        journal: JournalPort,
        save: SavePort,
        describe: DescribePort,
        past: tuple[Decision, ...] = (),
        past_when: str = "",
        past_of: tuple[str, str] | None = None,
        guide: bool = False,
        command: Callable[[Session], str],
        options: MatchOptions | None = None,
        terminal: Terminal | None = None,
    ) -> None:
        super().__init__(terminal)
        ports = Ports(match, journal, save, describe, command, options)
        self.review_screen = ReviewScreen(source.listing, target.listing, ports, past, past_when, past_of, guide)

    async def action_quit(self) -> None:
        """Textual's own Ctrl+Q: the same question as for q, whatever window is open."""
        self.review_screen.leave_windows()

    def on_mount(self) -> None:
        self.push_screen(self.review_screen)
