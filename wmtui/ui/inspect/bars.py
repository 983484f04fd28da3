"""The lines above and below the inspector's list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from textual import events
from textual.message import Message
from textual.strip import Strip

from wmtui.ui.actions import Action
from wmtui.ui.inspect.views import View
from wmtui.ui.lines import Lines, Part, RowList, paint
from wmtui.ui.searchline import SearchLine
from wmtui.ui.text import bar, clip, shorten, width
from wmtui.ui.theme import Palette


class Heading(Lines):
    """The name of what is looked at, what it holds, and the views."""

    DEFAULT_CSS = "Heading { height: 3; dock: top; padding: 0 1; }"

    class Picked(Message):
        """A view was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, name: str, right: str, facts: Sequence[str], views: Sequence[View], *, id: str) -> None:
        super().__init__(id=id)
        self.heading, self.right, self.facts = name, right, facts
        self.views = views
        self.numbered = True
        self.shown = 0
        self._cells: list[tuple[int, int]] = []

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        looks = self.looks
        right = clip(self.right, cells // 2)
        name = shorten(self.heading, max(8, cells - width(right) - 9))
        gap = " " * max(1, cells - 7 - width(name) - width(right))
        first: list[Part] = [("wmtui  ", looks.accent + looks.strong), (name, looks.strong), (gap, None)]
        return [
            paint([*first, (right, looks.muted)], cells),
            paint([(clip("  ".join(self.facts), cells), None)], cells),
            paint(self._tabs(cells), cells),
        ]

    def _tabs(self, cells: int) -> list[Part]:
        looks = self.looks
        texts = [
            (f"{place + 1} " if self.numbered else "") + f"{view.name} {view.badge()}".rstrip()
            for place, view in enumerate(self.views)
        ]
        first = 0  # where not all of them fit, those on the left go first
        while first < self.shown and sum(len(text) + 2 for text in texts[first : self.shown + 1]) > cells:
            first += 1
        parts: list[Part] = []
        self._cells = [(0, 0)] * first
        at = 0
        for place, text in enumerate(texts[first:], first):
            shown = f"[{text}]" if place == self.shown else f" {text} "
            self._cells.append((at, at + len(shown)))
            at += len(shown)
            parts.append((shown, looks.accent + looks.strong if place == self.shown else looks.muted))
        return parts

    def on_click(self, event: events.Click) -> None:
        for place, (start, end) in enumerate(self._cells):
            if event.y == 2 and start <= event.x - self.gutter.left < end:
                self.post_message(self.Picked(place))


class ViewList(RowList):
    """Paints the view that is shown."""

    DEFAULT_CSS = "ViewList { height: 1fr; padding: 0 1; }"

    def __init__(self, view: View, *, id: str) -> None:
        super().__init__(id=id)
        self.view = view

    def take(self, view: View) -> None:
        """Show another view, where it stood."""
        self.view.cursor, self.view.top = self.cursor, self.top
        self.view = view
        self.cursor, self.top = min(view.cursor, max(0, view.count() - 1)), view.top

    def to_top(self) -> None:
        """Stand on the first row, before the rows are shown anew."""
        self.cursor = self.top = 0

    def count(self) -> int:
        return self.view.count()

    def title(self, cells: int) -> list[Part]:
        rows = self.count()
        where = f"{self.cursor + 1:,}/{rows:,}" if rows else ""
        left = clip(self.view.title(), max(0, cells - len(where) - 1))
        return [(left, None), (" " * max(1, cells - width(left) - len(where)), None), (where, None)]

    def row(self, place: int, cells: int) -> list[Part]:
        return list(self.view.row(place, cells, self.looks))

    def empty(self) -> str:
        return self.view.empty()


class Status(SearchLine):
    """What happened last, or how far the work in the background has come; while a search is typed, its text."""

    DEFAULT_CSS = "Status { height: 1; padding: 0 1; }"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.text = ""
        self.style: Callable[[Palette], Any] = lambda _: None
        self.share: float | None = None

    def say(self, text: str, style: Callable[[Palette], Any] = lambda _: None) -> None:
        """Show a message until the next."""
        self.text, self.style, self.share = text, style, None
        self.show()

    def work(self, text: str, share: float) -> None:
        """Show how far work has come, 0 to 1."""
        self.text, self.style, self.share = text, lambda _: None, share
        self.show()

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        if self.typed is not None:
            return [self.search_strip(cells)]
        progress = "" if self.share is None else f"{bar(self.share, 20)} {self.share:>4.0%}  "
        return [paint([(progress, self.looks.accent), (clip(self.text, cells), self.style(self.looks))], cells)]


class Footer(Lines):
    """At most six keys that matter here."""

    DEFAULT_CSS = "Footer { height: 1; padding: 0 1; }"

    def __init__(self, actions: Callable[[], Sequence[Action[Any]]], *, id: str) -> None:
        super().__init__(id=id)
        self.actions = actions

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        parts: list[Part] = []
        for action in self.actions():
            parts += [(action.shown.split()[0], self.looks.accent + self.looks.strong), (f" {action.title}   ", None)]
        return [paint(parts, cells)]
