"""Choosing one of the dictionaries of weights that a file has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from wmtui.core.printable import plural
from wmtui.ui.lines import Part, RowList
from wmtui.ui.text import fit
from wmtui.ui.windows import Window


class _Choices(RowList):
    DEFAULT_CSS = "_Choices { height: auto; max-height: 100%; padding: 0 1; }"

    def __init__(self, choices: Sequence[tuple[str, int]]) -> None:
        super().__init__(id="choices")
        self.choices = choices

    def get_content_height(self, *_: object) -> int:
        return len(self.choices) + 1

    def count(self) -> int:
        return len(self.choices)

    def title(self, cells: int) -> Iterable[Part]:  # noqa: ARG002
        return [("Dictionaries of weights in this file", None)]

    def row(self, place: int, cells: int) -> Iterable[Part]:
        name, count = self.choices[place]
        size = plural(count, "tensor")
        return [(fit(name or "the top level", cells - len(size) - 2) + "  ", None), (size, self.looks.muted)]


class WeightsChooser(Window[str | None]):
    """Hands back the path of the chosen dictionary, ``None`` for Esc.

    Args:
        choices: paths and how many tensors are there.
        chosen: the path that is shown now.
    """

    DEFAULT_CSS = """
    WeightsChooser { align: center middle; }
    WeightsChooser > Vertical {
        width: 76; max-width: 96%; height: auto; max-height: 90%; border: round $border; background: $background;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape,q,w", "close", "close"),
        ("enter", "take", "take"),
        ("j,down", "move(1)", "down"),
        ("k,up", "move(-1)", "up"),
    ]

    def __init__(self, choices: Sequence[tuple[str, int]], chosen: str) -> None:
        super().__init__()
        self.list = _Choices(choices)
        self.list.cursor = next((n for n, (name, _) in enumerate(choices) if name == chosen), 0)

    def compose(self) -> ComposeResult:
        with Vertical():
            yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    def on_row_list_chosen(self, _: RowList.Chosen) -> None:
        self.action_take()

    def action_move(self, by: int) -> None:
        self.list.go(self.list.cursor + by)

    def action_take(self) -> None:
        self.dismiss(self.list.choices[self.list.cursor][0])

    def action_close(self) -> None:
        self.dismiss(None)
