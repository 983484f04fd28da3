"""The settings window: how matching works; what is changed proposes anew and keeps every decision."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label

from wmtui.core.match_options import MatchOptions
from wmtui.ui.fields import Tick
from wmtui.ui.windows import Window

FIELDS = (
    ("shape", "Weight of the shape in the score, 0 to 1"),
    ("name", "Weight of the name"),
    ("hierarchy", "Weight of the place in the module tree"),
    ("tolerance", "Shape tolerance: by how much a length may differ, 0.1 is a tenth"),
)


class SettingsWindow(Window[MatchOptions | None]):
    """Change the options; hands them back, or ``None`` where nothing is to change."""

    DEFAULT_CSS = """
    SettingsWindow { align: center middle; }
    SettingsWindow > Vertical {
        width: 80; max-width: 100%; height: auto; border: round $border; background: $background; padding: 0 1;
    }
    SettingsWindow Label { height: 1; color: $text-muted; }
    SettingsWindow #trouble { color: $text-error; }
    SettingsWindow Input { height: 1; border: none; padding: 0 1; }
    SettingsWindow Tick { height: 1; border: none; padding: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("escape", "close", "close"),
        ("ctrl+c", "app.help_quit", "quit"),
        ("ctrl+s", "apply", "apply"),
        ("down", "app.focus_next", "next"),
        ("up", "app.focus_previous", "previous"),
    ]

    def __init__(self, options: MatchOptions | None) -> None:
        super().__init__()
        self.options = options or MatchOptions()

    def compose(self) -> ComposeResult:
        weights = self.options.weights
        values = (weights.shape, weights.name, weights.hierarchy, self.options.shape_tolerance)
        with Vertical():
            yield Label("How matching works. Decisions stay; the rest is proposed anew.", markup=False)
            for (name, label), value in zip(FIELDS, values, strict=True):
                yield Label(label, markup=False)
                yield Input(f"{value:g}", id=name, type="number", compact=True)
            yield Tick(
                "also propose transposed and reshaped tensors",
                self.options.allow_transforms,
                id="transforms",
                compact=True,
            )
            yield Label("", id="trouble", markup=False)
            yield Label("Enter propose anew   Tab next field   Esc back", markup=False)

    def on_mount(self) -> None:
        self.query_one("#shape", Input).focus()

    def on_input_submitted(self) -> None:
        self.action_apply()

    def on_tick_submitted(self) -> None:
        self.action_apply()

    def action_apply(self) -> None:
        """Hand the options back, if they make sense."""
        numbers: dict[str, float] = {}
        for name, _ in FIELDS:
            text = self.query_one(f"#{name}", Input).value
            try:
                numbers[name] = float(text)
            except ValueError:
                numbers[name] = -1.0
            if not 0 <= numbers[name] <= 1:
                self.trouble(f"{name}: a number from 0 to 1")
                return
        tolerance = numbers.pop("tolerance")
        if not sum(numbers.values()):
            self.trouble("one of the three weights must be above 0")
            return
        transforms = self.query_one("#transforms", Tick).value
        weights = msgspec.structs.replace(self.options.weights, **numbers)
        options = MatchOptions(weights, tolerance, transforms)
        self.dismiss(options if options != self.options else None)

    def trouble(self, text: str) -> None:
        """Say what cannot be."""
        self.query_one("#trouble", Label).update(text)

    def action_close(self) -> None:
        self.dismiss(None)
