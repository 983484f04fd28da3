"""Fields of the windows; apart, because textual's own widgets take long to load."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import Checkbox


class Tick(Checkbox, inherit_bindings=False):
    """A switch that says ``[x]`` or ``[ ]``, not by its colour alone; Space turns it, Enter is the window's."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "toggle_button", show=False),
        Binding("enter", "submit", show=False),
    ]

    class Submitted(Message):
        """Enter was pressed on it."""

    DEFAULT_CSS = """
    Tick > .toggle--button { color: $foreground; background: transparent; }
    Tick.-on > .toggle--button { color: $accent; background: transparent; }
    Tick:focus > .toggle--button { color: $accent; background: transparent; }
    """

    def action_submit(self) -> None:
        self.post_message(self.Submitted())

    @property
    def _button(self) -> Content:
        # Textual paints the brackets in the colour of what they enclose, which is none here.
        return Content.assemble(("[x]" if self.value else "[ ]", self.get_visual_style("toggle--button")))
