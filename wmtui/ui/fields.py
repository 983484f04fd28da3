"""Fields of the windows; apart, because textual's own widgets take long to load."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Checkbox


class Tick(Checkbox):
    """A switch that says ``[x]`` or ``[ ]``, not by its colour alone."""

    DEFAULT_CSS = """
    Tick > .toggle--button { color: $foreground; background: transparent; }
    Tick.-on > .toggle--button { color: $accent; background: transparent; }
    Tick:focus > .toggle--button { color: $accent; background: transparent; }
    """

    @property
    def _button(self) -> Content:
        # Textual paints the brackets in the colour of what they enclose, which is none here.
        return Content.assemble(("[x]" if self.value else "[ ]", self.get_visual_style("toggle--button")))
