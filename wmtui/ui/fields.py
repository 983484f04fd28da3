"""Fields of the windows; apart, because textual's own widgets take long to load."""

from __future__ import annotations

from textual.widgets import Checkbox


class Tick(Checkbox):
    """A switch that says ``[x]`` or ``[ ]``, not by its colour alone."""

    DEFAULT_CSS = """
    Tick > .toggle--button { color: $foreground; background: transparent; }
    Tick.-on > .toggle--button { color: $accent; background: transparent; }
    Tick:focus > .toggle--button { color: $accent; background: transparent; }
    """
    BUTTON_LEFT, BUTTON_INNER, BUTTON_RIGHT = "[", " ", "]"

    def watch_value(self) -> None:
        self.BUTTON_INNER = "x" if self.value else " "
        super().watch_value()
        self.refresh()
