"""What both apps are: our looks, fitted to the terminal; signals that end them cleanly; text for the clipboard."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType

from .actions import Action
from .terminal import Terminal, read_terminal
from .theme import dress

if TYPE_CHECKING:
    from textual.command import Provider

INTERRUPTED = 130
HANG_UP_LOOK = 2.0
"""Seconds between two looks whether the terminal is still there."""
GRACE = (5.0, 1.0)
"""Seconds from a signal to the end: on termination, and where the terminal hung up and there is nothing to restore."""
HANG_UP = getattr(signal, "SIGHUP", None)
SIGNALS = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name))


def palette_of(actions: Sequence[Action[Any]]) -> Callable[[], type[Provider]]:
    """The palette's provider for actions, loaded when the palette is opened."""

    def provider() -> type[Provider]:
        from wmtui.ui.review.palette import ActionProvider

        return type("Actions", (ActionProvider,), {"offered": actions})

    return provider


class TerminalApp(App[None]):
    """An app of ours; ``run()`` it with ``mouse=app.terminal.mouse``, then ``return_code`` is the exit status.

    Args:
        terminal: what the terminal can do; read off the environment where it is not given.
    """

    TITLE = "wmtui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+z", "suspend_process", show=False, priority=True)]
    CSS = "Screen { background: $background; } ModalScreen { background: transparent; }"

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or read_terminal(os.environ, getattr(sys.stdout, "encoding", None))
        super().__init__(ansi_color=not self.terminal.colour or None)
        dress(self, self.terminal)

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.leave, number)
        if not self.is_headless:
            self.set_interval(HANG_UP_LOOK, self.look_for_hang_up)
        # After Ctrl+Z and fg the screen would stay blank.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))

    def look_for_hang_up(self) -> None:
        """Leave where the terminal is gone though no signal said so, as when it was not our controlling terminal."""
        watch = select.poll()
        watch.register(sys.__stdin__.fileno() if sys.__stdin__ else 0, 0)
        if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in watch.poll(0)):
            self.leave(signal.SIGHUP)

    def action_help_quit(self) -> None:
        """Ctrl+C quits as Ctrl+Q does; textual's own only says which key it is."""
        self.call_next(self.action_quit)

    def leave(self, number: int) -> None:
        """End at once and cleanly; where that cannot be, at least end.

        Textual's threads wait for ever for a terminal that is gone. Nothing is lost then: what was decided is in the
        journal, and a file that was being written has not got its name yet.
        """
        self.exit(return_code=INTERRUPTED)
        if self.is_headless:
            return
        last = threading.Timer(GRACE[number == HANG_UP], os._exit, (INTERRUPTED,))
        last.daemon = True
        last.start()

    def copy_to_clipboard(self, text: str) -> None:
        """Hand text to the terminal's clipboard (OSC 52); lone surrogates of broken names as question marks."""
        super().copy_to_clipboard(text.encode("utf-8", "replace").decode("utf-8"))
