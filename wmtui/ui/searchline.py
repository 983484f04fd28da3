"""The line in which a search is typed; textual's own field for text takes long to load."""

from __future__ import annotations

from rich.style import Style
from textual import events
from textual.message import Message
from textual.strip import Strip

from .lines import Lines, paint
from .text import clip_start, safe, width

HELP = "words, shape:768x, dtype:bf16   Enter keep   Esc clear"


class SearchLine(Lines):
    """A line of the screen that takes the keys while a search is typed, and says something else at other times.

    Attributes:
        typed: the text as far as it is typed; ``None`` while there is no search.
    """

    class Typed(Message):
        """The text of the search is another."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.value = text

    class Done(Message):
        """The search is typed, or given up."""

        def __init__(self, given_up: bool) -> None:
            super().__init__()
            self.given_up = given_up

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.typed: str | None = None

    def type(self, text: str) -> None:
        """Take the keys for a search that begins with a text."""
        self.typed = text
        self.set_class(False, "long")
        self.can_focus = True
        self.screen.set_focus(self)  # at once: focus() would leave the next key to the screen's actions
        self.show()

    def end(self) -> None:
        """Leave the keys to the screen again."""
        self.typed = None
        self.can_focus = False
        self.show()

    async def _on_key(self, event: events.Key) -> None:
        if self.typed is None or event.key in ("ctrl+q", "ctrl+c"):
            return
        event.stop()
        event.prevent_default()
        if event.key in ("enter", "escape", "tab", "up", "down"):
            self.post_message(self.Done(given_up=event.key == "escape"))
            return
        text = self.typed
        if event.key in ("backspace", "ctrl+h"):
            text = text[:-1]
        elif event.key == "ctrl+w":
            text = text.rstrip().rpartition(" ")[0]
        elif event.key == "ctrl+u":
            text = ""
        elif event.is_printable and event.character is not None:
            text += event.character
        self.change(text)

    def _on_paste(self, event: events.Paste) -> None:
        if self.typed is not None:
            event.stop()
            self.change(self.typed + event.text.partition("\n")[0].rstrip("\r"))

    def change(self, text: str) -> None:
        """Take another text for the search."""
        if text != self.typed:
            self.typed = text
            self.show()
            self.post_message(self.Typed(text))

    def search_strip(self, cells: int) -> Strip:
        """The line while a search is typed: its end where it is longer than the line, and what the keys do."""
        text = safe(self.typed or "")
        tip = HELP if cells >= len(HELP) + 24 else ""
        shown = clip_start(text, cells - len(tip) - 4)
        gap = " " * max(0, cells - 2 - width(shown) - len(tip))
        parts = [("/", self.looks.accent), (shown, None), (" ", Style(reverse=True)), (gap, None)]
        return paint([*parts, (tip, self.looks.muted)], cells)
