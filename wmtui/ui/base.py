"""What both apps are: our looks, fitted to the terminal; signals that end them cleanly; text for the clipboard."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen

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
LOST = 0.5
"""Seconds after which a key counts as done whose mark did not come back, as when its widget is gone."""
HANG_UP = getattr(signal, "SIGHUP", None)
SIGNALS = tuple(getattr(signal, name) for name in ("SIGHUP", "SIGTERM") if hasattr(signal, name))


def palette_of(actions: Sequence[Action[Any]]) -> Callable[[], type[Provider]]:
    """The palette's provider for actions, loaded when the palette is opened."""

    def provider() -> type[Provider]:
        from wmtui.ui.review.palette import ActionProvider

        return type("Actions", (ActionProvider,), {"offered": actions})

    return provider


class KeyDone(Message):
    """Follows a key through the same queues: where it arrives, the key has been dealt with."""


class TerminalApp(App[None]):
    """An app of ours; ``run()`` it with ``mouse=app.terminal.mouse``, then ``return_code`` is the exit status.

    Keys are dealt with one after the other. Behind a slow line they come in bunches, and textual would send all of a
    bunch to what has the focus then, though the first of them opens a window for the others.

    Args:
        terminal: what the terminal can do; read off the environment where it is not given.
    """

    TITLE = "wmtui"
    ENABLE_COMMAND_PALETTE = True
    COMMAND_PALETTE_BINDING = "ctrl+p"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+z", "suspend_process", show=False, priority=True)]
    CSS = "Screen { background: $background; } ModalScreen { background: transparent; } SearchIcon { display: none; }"

    def __init__(self, terminal: Terminal | None = None) -> None:
        self.terminal = terminal or read_terminal(os.environ, getattr(sys.stdout, "encoding", None))
        super().__init__(ansi_color=not self.terminal.colour or None)
        self._keys: deque[events.Key] = deque()
        self._key_screen: Screen[Any] | None = None
        self._key_timer: asyncio.TimerHandle | None = None
        dress(self, self.terminal)

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.leave, number)
        if not self.is_headless:
            self.set_interval(HANG_UP_LOOK, self.look_for_hang_up)
        # After Ctrl+Z and fg the screen would stay blank.
        self.app_resume_signal.subscribe(self, lambda _: self.refresh(layout=True))

    # ---- one key after the other

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._keys.append(event)
            if self._key_timer is None:
                await self._next_key()
        else:
            await super().on_event(event)

    async def _next_key(self) -> None:
        if self._key_timer is not None:
            self._key_timer.cancel()
            self._key_timer = None
        if not self._keys or not self._screen_stack:
            return
        self._key_screen = self.screen
        self._key_timer = asyncio.get_running_loop().call_later(LOST, self.call_later, self._next_key)
        await super().on_event(self._keys.popleft())
        (self.focused or self.screen).post_message(KeyDone())

    async def on_key_done(self, message: KeyDone) -> None:
        """The key that was on its way has been dealt with: the next one, once a window that it opened can take it."""
        message.stop()
        if not self._keys or self.screen is self._key_screen:
            await self._next_key()
        else:
            self.screen.call_after_refresh(self.call_later, self._next_key)

    # ---- the end

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
