"""Windows over a screen: a question with its answers, and a page of lines to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen, ScreenResultType
from textual.strip import Strip

from .actions import Action, S
from .lines import Lines, Part, RowList, paint
from .text import clip, safe
from .theme import Palette


class Window(ModalScreen[ScreenResultType]):
    """A window over a screen."""

    def dismiss(self, result: ScreenResultType | None = None) -> AwaitComplete:
        """Close the window, once: textual closes whatever is on top, also where this window is closed already."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Page(RowList):
    """Lines to read, under a title; the cursor only scrolls."""

    DEFAULT_CSS = "Page { height: auto; max-height: 100%; padding: 0 1; }"

    def __init__(self, title: str, lines: Sequence[Sequence[Part]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._title = title
        self._lines = lines

    def set_lines(self, lines: Sequence[Sequence[Part]], title: str = "") -> None:
        """Show other lines, under another title where one is given."""
        self._lines = lines
        self._title = title or self._title
        self.refresh(layout=True)
        self.show()

    def get_content_height(self, *_: object) -> int:
        return len(self._lines) + 1

    def count(self) -> int:
        return len(self._lines)

    def title(self, cells: int) -> Iterable[Part]:
        shown = len(self._lines) > self.page
        return [(clip(self._title, cells - 12), None), (f"  {self.top + 1}-" if shown else "", None)] + (
            [(f"{min(self.top + self.page, self.count())}/{self.count()}", None)] if shown else []
        )

    def row(self, place: int, cells: int) -> Iterable[Part]:  # noqa: ARG002
        return self._lines[place]

    def scroll(self, by: int) -> None:
        """Move what is seen."""
        self.top = max(0, min(self.top + by, self.count() - self.page))
        self.cursor = self.top
        self.show()

    def lines(self, cells: int, count: int) -> Sequence[Strip]:
        looks = self.looks
        self.top = max(0, min(self.top, self.count() - self.page))
        title = paint(self.title(cells), cells, looks.accent + looks.strong)
        return [title, *(paint(parts, cells) for parts in self._lines[self.top : self.top + count - 1])]

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.scroll(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.scroll(-3)


class PageWindow(Window[None]):
    """A page over the screen; Esc, q and Enter close it."""

    CELLS = 96

    @classmethod
    def cells_in(cls, columns: int) -> int:
        """Cells of a line, in a terminal of so many columns."""
        return min(cls.CELLS, columns) - 4

    DEFAULT_CSS = """
    PageWindow { align: center middle; }
    PageWindow > Vertical {
        width: 96; max-width: 100%; height: auto; max-height: 90%; border: round $border; background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,enter,question_mark,e,d", "close", "close"),
        ("j,down", "scroll(1)", "down"),
        ("k,up", "scroll(-1)", "up"),
        ("ctrl+d,pagedown,space", "scroll(10)", "page down"),
        ("ctrl+u,pageup", "scroll(-10)", "page up"),
        ("g,home", "scroll(-100000)", "top"),
        ("G,end", "scroll(100000)", "bottom"),
        ("ctrl+c", "app.help_quit", "quit"),
    ]

    def __init__(self, title: str, lines: Sequence[Sequence[Part]]) -> None:
        super().__init__()
        self.page = Page(title, lines, id="page")

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.page

    def on_mount(self) -> None:
        self.page.focus()

    def action_scroll(self, by: int) -> None:
        self.page.scroll(by)

    def action_close(self) -> None:
        self.dismiss(None)


def key_lines(actions: Sequence[Action[S]], now: S, looks: Palette, cells: int) -> list[Sequence[Part]]:
    """The keys of actions, by section; those that cannot be had now say why, what was said above only once.

    Long texts go on below themselves.
    """
    indent = " " * 31
    room = max(12, cells - len(indent))
    lines: list[Sequence[Part]] = []
    section = ""
    told: set[str] = set()
    for action in actions:
        if action.section != section:
            section = action.section
            lines += (
                [[], [(section, looks.accent + looks.strong)]] if lines else [[(section, looks.accent + looks.strong)]]
            )
        first, *more = wrap(action.help, room)
        lines.append([(f"  {action.shown:12} ", looks.strong), (f"{action.title:15} ", None), (first, looks.muted)])
        lines += [[(indent + text, looks.muted)] for text in more]
        if why := action.why_disabled(now):
            text = "not now either" if why in told else f"not now: {why}"
            told.add(why)
            lines += [[(indent + text, looks.warn)] for text in wrap(text, room)]
    return lines


@dataclass(frozen=True)
class Answer:
    """One answer to a question: its key, what it says, and what is handed back."""

    key: str
    title: str
    value: str


class _Asked(Lines):
    DEFAULT_CSS = "_Asked { height: auto; padding: 0 1; }"

    def __init__(self, title: str, texts: Sequence[str]) -> None:
        super().__init__()
        self._title, self._texts = title, texts

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        return len(self._wrapped(width)) + 3

    def _wrapped(self, cells: int) -> list[str]:
        return [line for text in self._texts for line in wrap(safe(text), max(cells, 12)) or [""]]

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        texts = [paint([(clip(text, cells), None)], cells) for text in self._wrapped(cells)]
        return [paint([(clip(self._title, cells), self.looks.strong)], cells), Strip.blank(cells), *texts]


class _Answering(Lines):
    DEFAULT_CSS = "_Answering { height: 1; padding: 0 1; }"

    def __init__(self, answers: Sequence[Answer]) -> None:
        super().__init__()
        self._answers = answers

    def lines(self, cells: int, count: int) -> Sequence[Strip]:  # noqa: ARG002
        parts: list[Part] = []
        for answer in self._answers:
            parts += [(answer.key, self.looks.accent + self.looks.strong), (f" {answer.title}   ", None)]
        return [paint(parts, cells)]


class Question(Window[str]):
    """A question; hands back the value of the answer, or "" for Esc.

    Args:
        title, texts: what is asked.
        answers: each is given by its key; Enter gives the first.
    """

    DEFAULT_CSS = """
    Question { align: center middle; }
    Question > Vertical { width: 80; max-width: 100%; height: auto; border: round $border; background: $background; }
    """

    def __init__(self, title: str, texts: Sequence[str], answers: Sequence[Answer]) -> None:
        super().__init__()
        self.answers = answers
        self.asked = _Asked(title, texts)
        self.answering = _Answering(answers)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.asked
            yield self.answering

    def on_key(self, event: events.Key) -> None:
        event.stop()
        if event.key in ("escape", "ctrl+q", "ctrl+c"):
            self.dismiss("")
        elif event.key == "enter":
            self.dismiss(self.answers[0].value)
        else:
            for answer in self.answers:
                if event.key == answer.key:
                    self.dismiss(answer.value)
                    return
