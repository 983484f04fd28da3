"""Painted lines: widgets that make their own lines, and send the terminal only those that changed.

`Lines` is the base of everything on the review's screen; `RowList` is the list that holds 94,000 rows as easily as
ten, because it makes only the lines that can be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import Reactive
from textual.screen import Screen
from textual.strip import Strip
from textual.theme import Theme
from textual.widget import Widget

from .base import TerminalApp
from .text import clip, width
from .theme import Palette, palette

Part = tuple[str, Style | None]
PLAIN = Style()


def paint(parts: Iterable[Part], cells: int, base: Style = PLAIN) -> Strip:
    """A line of exactly ``cells`` cells; the texts must be safe. Parts that do not fit any more are cut.

    Args:
        parts: text and style, ``None`` for the base style.
        base: laid below every part and the rest of the line.
    """
    texts: list[str] = []
    styles: list[Style] = []
    left = cells
    for text, style in parts:
        size = width(text)
        if size > left:
            text = clip(text, left)
            size = width(text)
        if text:
            whole = base + style if style is not None else base
            if styles and styles[-1] == whole:
                texts[-1] += text
            else:
                texts.append(text)
                styles.append(whole)
            left -= size
    if left > 0:
        if styles and not styles[-1].underline and not styles[-1].reverse and styles[-1].bgcolor == base.bgcolor:
            texts[-1] += " " * left
        else:
            texts.append(" " * left)
            styles.append(base)
    segments = [Segment(text, style) for text, style in zip(texts, styles, strict=True)]
    return Strip(segments, cells)


class LinesScreen(Screen[None]):
    """A screen of painted lines: a change of focus repaints what differs, not all of it as in textual."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)


class Lines(Widget):
    """A widget that paints its own lines; :meth:`show` looks what has changed.

    Attributes:
        leaps: what scrolls, scrolls by half a page, not a third.
    """

    DEFAULT_CSS = "Lines { height: auto; }"

    looks: Palette

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._strips: list[Strip] = []
        self.leaps = False

    def on_mount(self) -> None:
        self.looks = palette(self.app)
        self.leaps = isinstance(self.app, TerminalApp) and self.app.terminal.remote
        self.app.theme_changed_signal.subscribe(self, self._dress)

    def _dress(self, _: Theme) -> None:
        self.looks = palette(self.app)
        self.show()

    def on_resize(self, _: events.Resize) -> None:
        self._strips = []
        self.show()

    def _on_focus(self, event: events.Focus) -> None:
        self._take_focus(event, True)

    def _on_blur(self, event: events.Blur) -> None:
        self._take_focus(event, False)

    def _take_focus(self, event: events.Focus | events.Blur, has_focus: bool) -> None:
        """What textual's widgets do, without repainting all lines."""
        event.prevent_default()
        self.has_focus = has_focus
        self.show()
        if self.parent is not None:
            self.parent.post_message(events.DescendantFocus(self) if has_focus else events.DescendantBlur(self))

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        """The lines as they are now, at most ``count`` of ``cells`` cells each."""
        raise NotImplementedError

    def show(self) -> None:
        """Make the lines anew and have those repainted that differ, up to their last cell that does."""
        cells, count = self.content_size
        if not cells or not count or not self.is_mounted:
            return
        text = self.looks.text
        new = [strip.apply_style(text) for strip in self.lines(cells, count)[:count]]
        new += [Strip.blank(cells, text)] * (count - len(new))
        old = self._strips
        self._strips = new
        if len(old) != len(new):
            self.refresh()
            return
        dirty = [
            Region(0, y, _differs_up_to(before, after), 1)
            for y, (before, after) in enumerate(zip(old, new, strict=True))
            if before is not after and before != after
        ]
        if dirty:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width)


def _differs_up_to(one: Strip, other: Strip) -> int:
    """Cells from the left up to the last in which two lines of one length differ."""
    cells = one.cell_length
    ones, others = list(one), list(other)
    while ones and others and ones[-1] == others[-1]:
        cells -= ones.pop().cell_length
        others.pop()
    if ones and others and ones[-1].style == others[-1].style:
        a, b = ones[-1].text, others[-1].text
        if a.isascii() and b.isascii():
            same = 0
            while same < min(len(a), len(b)) and a[-1 - same] == b[-1 - same]:
                same += 1
            cells -= same
    return max(cells, 1)


class RowList(Lines, can_focus=True):
    """A list with a title line and a cursor, for any number of rows.

    Attributes:
        cursor: place of the selected row.
        top: place of the first row that is shown.
        mark: where a marked range began, ``None`` without one.
    """

    ALLOW_SELECT = False

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, rows: RowList) -> None:
            super().__init__()
            self.rows = rows

        @property
        def control(self) -> RowList:
            return self.rows

    class Chosen(Message):
        """A row was clicked that the cursor stood on already."""

        def __init__(self, rows: RowList) -> None:
            super().__init__()
            self.rows = rows

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.cursor = 0
        self.top = 0
        self.mark: int | None = None

    # ---- what a subclass says

    def count(self) -> int:
        """Number of rows."""
        raise NotImplementedError

    def row(self, place: int, cells: int) -> Iterable[Part]:
        """The parts of one row, in ``cells`` cells."""
        raise NotImplementedError

    def title(self, cells: int) -> Iterable[Part]:
        """The parts of the title line."""
        raise NotImplementedError

    def empty(self) -> str:
        """What to say where there are no rows."""
        return "nothing to show"

    # ---- moving

    @property
    def page(self) -> int:
        """Rows that can be seen."""
        return max(1, self.content_size.height - 1)

    def go(self, place: int, quiet: bool = False) -> None:
        """Put the cursor on a row, as near as there is one.

        Args:
            quiet: no message about it.
        """
        place = max(0, min(place, self.count() - 1))
        moved = place != self.cursor
        self.cursor = place
        self._follow()
        self.show()
        if moved and not quiet:
            self.post_message(self.Moved(self))

    def reveal(self, place: int, line: int | None = None) -> None:
        """Scroll so that a row can be seen; the cursor goes there too.

        Args:
            line: of the list on which it is to stand where it could not be seen; in the middle where none is given.
        """
        if not self.top <= place < self.top + self.page:
            self.top = place - (self.page // 2 if line is None else line)
        self.go(place, quiet=True)

    def marked(self) -> range:
        """The marked rows; the cursor's alone without a mark."""
        if self.mark is None:
            return range(self.cursor, min(self.cursor + 1, self.count()))
        low, high = sorted((min(self.mark, self.count() - 1), self.cursor))
        return range(max(low, 0), high + 1)

    def _follow(self) -> None:
        self.top = max(0, min(self.top, self.count() - self.page))
        # Several rows at once: a list that scrolls is sent as a whole, and that is too much for each key.
        more = self.page // (2 if self.leaps else 3)
        if self.cursor < self.top:
            self.top = max(0, self.cursor - more)
        elif self.cursor >= self.top + self.page:
            self.top = min(self.cursor - self.page + 1 + more, max(0, self.count() - self.page))

    # ---- painting

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        looks = self.looks
        self._follow()
        title = paint(self.title(cells), cells, looks.accent + looks.strong if self.has_focus else looks.muted)
        rows = self.count()
        if not rows:
            return [title, paint([("  " + clip(self.empty(), cells - 2), looks.muted)], cells)]
        marked = self.marked() if self.mark is not None else range(0)
        found = [title]
        for place in range(self.top, min(self.top + count - 1, rows)):
            parts = self.row(place, cells)
            if place == self.cursor:
                base = looks.cursor if self.has_focus else looks.cursor_blurred
                found.append(paint([("".join(text for text, _ in parts), None)], cells, base))
            else:
                found.append(paint(parts, cells, looks.marked if place in marked else PLAIN))
        return found

    def on_click(self, event: events.Click) -> None:
        place = self.top + event.y - 1
        if 0 <= place < self.count() and event.y > 0:
            if place == self.cursor:
                self.post_message(self.Chosen(self))
            self.go(place)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.go(self.cursor + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.go(self.cursor - 3)
