"""The details window: both tensors side by side, with their values as a worker reads them."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.worker import get_current_worker

from wmtui.core.listing import TensorSpec
from wmtui.core.ports import DescribePort
from wmtui.core.tensor_stats import TensorStats
from wmtui.errors import WmtuiError
from wmtui.ui.review.stories import details
from wmtui.ui.theme import palette
from wmtui.ui.windows import PageWindow


class DetailsWindow(PageWindow):
    """Two tensors, or a source key without a partner."""

    class Read(Message):
        """The values are read, or cannot be."""

        def __init__(
            self, stats: tuple[TensorStats | None, TensorStats | None], equal: bool | None, trouble: str
        ) -> None:
            super().__init__()
            self.stats = stats
            self.equal = equal
            self.trouble = trouble

    def __init__(self, source: TensorSpec, target: TensorSpec | None, port: DescribePort) -> None:
        super().__init__("Details", [])
        self.specs = (source, target)
        self.port = port
        self.stats: tuple[TensorStats | None, TensorStats | None] = (None, None)
        self.equal: bool | None = None
        self.loading_values = True
        self.trouble = ""

    def on_mount(self) -> None:
        super().on_mount()
        self.fill()
        self.run_worker(self._read, thread=True, group="details", exit_on_error=False)

    def on_resize(self, _: events.Resize) -> None:
        self.fill()

    def fill(self) -> None:
        """Lay the two sides out for the window's width."""
        looks = palette(self.app)
        cells = self.cells_in(self.app.size.width)
        lines = details(self.specs, self.stats, self.equal, self.loading_values, looks, cells)
        if self.trouble:
            lines.append([(self.trouble, looks.bad)])
        self.page.set_lines(lines)

    def _read(self) -> None:
        source, target = self.specs
        worker = get_current_worker()
        stats: tuple[TensorStats | None, TensorStats | None] = (None, None)
        equal: bool | None = None
        trouble = ""
        try:
            stats = (
                self.port.stats("source", source.key),
                self.port.stats("target", target.key) if target is not None else None,
            )
            if target is not None and all(stats):
                equal = self.port.equal(source.key, target.key)
        except WmtuiError as error:
            trouble = error.message
        if not worker.is_cancelled:
            self.post_message(self.Read(stats, equal, trouble))

    def on_details_window_read(self, event: Read) -> None:
        self.stats, self.equal, self.trouble = event.stats, event.equal, event.trouble
        self.loading_values = False
        self.fill()
