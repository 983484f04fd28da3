"""The save window: what would be written, why something cannot be, and the writing itself with progress and cancel."""

from __future__ import annotations

from functools import partial
from time import monotonic
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input, Label
from textual.worker import get_current_worker

from wmtui.core.forecast import Forecast
from wmtui.core.ports import Progress, Saved, SavePort, SavePreview, SaveRequest
from wmtui.core.printable import plural
from wmtui.core.session import Session, Status
from wmtui.errors import WmtuiError

from .fields import Tick
from .lines import Part
from .text import bar, bytes_text, clip, safe, shorten
from .windows import Answer, Page, Question, Window

PATHS = (("mapping", "Mapping"), ("report", "Report"), ("checkpoint", "Checkpoint"))


class SaveWindow(Window[bool]):
    """Save the session; hands back whether something was saved.

    Args:
        all_load: whether the target would load with all that is proposed.
    """

    DEFAULT_CSS = """
    SaveWindow { align: center middle; }
    SaveWindow > Vertical {
        width: 100; max-width: 100%; height: auto; max-height: 96%; border: round $border; background: $background;
        padding: 0 1;
    }
    SaveWindow .field { height: 1; }
    SaveWindow .field Label { width: 12; }
    SaveWindow .field Input { width: 1fr; }
    SaveWindow Label { height: 1; color: $text-muted; }
    SaveWindow Input { height: 1; border: none; padding: 0 1; margin: 0; }
    SaveWindow Tick { height: 1; border: none; padding: 0; margin: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        ("ctrl+s", "save", "save"),
        ("escape", "close", "close"),
        ("ctrl+c", "app.help_quit", "quit"),
        ("down", "app.focus_next", "next"),
        ("up", "app.focus_previous", "previous"),
    ]

    class Previewed(Message):
        """What the request would do."""

        def __init__(self, request: SaveRequest, preview: SavePreview | WmtuiError) -> None:
            super().__init__()
            self.request = request
            self.preview = preview

    class Advanced(Message):
        """How far the writing has come."""

        def __init__(self, progress: Progress) -> None:
            super().__init__()
            self.progress = progress

    class Ended(Message):
        """The writing is over."""

        def __init__(self, saved: tuple[Saved, ...], error: WmtuiError | None) -> None:
            super().__init__()
            self.saved = saved
            self.error = error

    def __init__(self, session: Session, port: SavePort, all_load: bool = False) -> None:
        super().__init__()
        self.session = session
        self.port = port
        self.all_load = all_load
        self.request = port.suggest()
        self.preview: SavePreview | None = None
        self.writing = False
        self.stopping = False
        self.saved: tuple[Saved, ...] = ()
        self.stage = ""
        self.began = 0.0

    def compose(self) -> ComposeResult:
        counts = self.session.source_counts
        pending = counts[Status.PROPOSED]
        with Vertical():
            yield Label("Save — an empty path leaves that output out", markup=False)
            for name, label in PATHS:
                with Horizontal(classes="field"):
                    yield Label(label, markup=False)
                    path = getattr(self.request, f"{name}_path")
                    yield Input(path, id=name, compact=True, placeholder="not written")
            yield Tick(
                f"also save the {plural(pending, 'pending proposal')}" if pending else "no proposals are pending",
                self.request.include_pending, id="pending", disabled=not pending, compact=True,
            )  # fmt: skip
            yield Tick(
                "keep source keys without a target under their own names", self.request.unmapped == "keep", id="keep",
                compact=True,
            )  # fmt: skip
            yield Tick(
                "load the written checkpoint into the target, strictly", self.request.strict_load, id="load",
                disabled=not self.request.checkpoint_path, compact=True,
            )  # fmt: skip
            yield Page("What it does", [], id="preview")

    def on_mount(self) -> None:
        self.query_one("#mapping", Input).focus()
        self.look()

    # ---- looking

    def asked(self, force: bool = False) -> SaveRequest:
        """The request as the fields say."""
        paths = {f"{name}_path": self.query_one(f"#{name}", Input).value.strip() for name, _ in PATHS}
        return SaveRequest(
            **paths,
            unmapped="keep" if self.query_one("#keep", Tick).value else "drop",
            include_pending=self.query_one("#pending", Tick).value,
            strict_load=self.query_one("#load", Tick).value,
            force=force,
        )

    def on_input_changed(self) -> None:
        self.look()

    def on_checkbox_changed(self) -> None:
        self.look()

    def look(self) -> None:
        """Have the request looked at by a worker."""
        if not self.writing and self.is_mounted:
            self.request = self.asked()
            self.run_worker(partial(self._look, self.request), thread=True, exclusive=True, group="preview")

    def _look(self, request: SaveRequest) -> None:
        try:
            found: SavePreview | WmtuiError = self.port.preview(request, self.session)
        except WmtuiError as error:
            found = error
        if not get_current_worker().is_cancelled:
            self.post_message(self.Previewed(request, found))

    def on_save_window_previewed(self, event: Previewed) -> None:
        if event.request != self.request or self.writing or self.saved:
            return
        self.preview = event.preview if isinstance(event.preview, SavePreview) else None
        self.show_preview(event.preview)

    def show_preview(self, found: SavePreview | WmtuiError) -> None:
        """Say what a save would do."""
        page = self.query_one("#preview", Page)
        looks = page.looks
        lines: list[list[Part]] = []
        if isinstance(found, WmtuiError):
            lines.append([(f"cannot be saved: {safe(found.message)}", looks.bad)])
            lines.append([(safe(found.remedy), looks.muted)])
        else:
            for output in found.outputs:
                size = bytes_text(output.nbytes) if output.nbytes else ""
                lines.append([(f"{output.what:10} ", looks.muted), (f"{size:>9}  {safe(output.path)}", None)])
                lines += [[(" " * 22 + safe(note), looks.muted)] for note in output.notes]
            parts = [(found.renamed, "renamed"), (found.transformed, "changed in shape"), (found.aliased, "aliases"),
                     (found.kept, "kept"), (found.dropped, "dropped")]  # fmt: skip
            text = ", ".join(f"{count:,} {word}" for count, word in parts if count)
            lines.append([("keys       ", looks.muted), (text or "none", None)])
            loads = found.forecast.loads
            lines.append([("forecast   ", looks.muted), (str(found.forecast), looks.good if loads else looks.warn)])
            lines += [[(" " * 11 + safe(text), looks.warn)] for text in (*named(found.forecast), *self.advice(found))]
            lines += [[("! " + safe(problem), looks.bad)] for problem in found.problems]
        lines.append([("Enter", looks.accent + looks.strong), (" save   ", None), ("Tab", looks.accent + looks.strong),
                      (" next field   ", None), ("Esc", looks.accent + looks.strong), (" back", None)])  # fmt: skip
        page.set_lines(lines)

    def advice(self, found: SavePreview) -> list[str]:
        """What to do where targets are missing because proposals are left out."""
        pending = self.session.source_counts[Status.PROPOSED]
        if not pending or self.request.include_pending or not found.forecast.missing:
            return []
        end = "then it loads" if self.all_load and not found.forecast.unexpected else "fewer are missing"
        return [f"tick the pending proposals, or A first: {end}"]

    # ---- writing

    def on_input_submitted(self) -> None:
        self.action_save()

    def on_tick_submitted(self) -> None:
        self.action_save()

    def action_save(self) -> None:
        """Write, after a question where an output is there already."""
        if self.writing or self.preview is None:
            return
        if self.saved:
            self.dismiss(True)
            return
        if not self.preview.outputs:
            self.notify("every path is empty: nothing would be written", severity="warning", markup=False)
            return
        if not self.preview.problems:
            self.write(self.asked())
            return
        forced = self.asked(force=True)
        self.run_worker(partial(self._ask_forced, forced), thread=True, exclusive=True, group="preview")

    def _ask_forced(self, forced: SaveRequest) -> None:
        found = self.port.preview(forced, self.session)
        self.app.call_from_thread(self.ask_to_replace, forced, found)

    def ask_to_replace(self, forced: SaveRequest, found: SavePreview) -> None:
        """Where the only trouble is that outputs are there already, ask; else say the trouble."""
        if found.problems:
            self.notify(found.problems[0], severity="error", markup=False)
            return
        problems = self.preview.problems if self.preview is not None else ()

        def answered(answer: str | None) -> None:
            if answer:
                self.write(forced)

        answers = [Answer("y", "replace", "y"), Answer("n", "no", "")]
        self.app.push_screen(Question("Replace what is there?", [*problems], answers), answered)

    def write(self, request: SaveRequest) -> None:
        """Write in a worker."""
        self.writing, self.stopping = True, False
        self.began = monotonic()
        self.stage = ""
        for field in self.query("Input, Tick"):
            field.disabled = True
        self.focus_page()
        self.show_progress(Progress("begins"))
        self.run_worker(partial(self._write, request), thread=True, exclusive=True, group="write", exit_on_error=False)

    def focus_page(self) -> None:
        """Give the focus to what is left to read."""
        self.query_one("#preview", Page).focus()

    def _write(self, request: SaveRequest) -> None:
        worker = get_current_worker()
        last = 0.0

        def progress(step: Progress) -> None:
            nonlocal last
            now = monotonic()
            if now - last > 0.1 or step.done == step.total:
                last = now
                self.post_message(self.Advanced(step))

        try:
            saved = self.port.save(request, self.session, progress, lambda: self.stopping or worker.is_cancelled)
        except WmtuiError as error:
            self.post_message(self.Ended((), error))
        else:
            self.post_message(self.Ended(saved, None))

    def on_save_window_advanced(self, event: Advanced) -> None:
        if self.writing:
            self.show_progress(event.progress)

    def show_progress(self, step: Progress) -> None:
        """Say how far it is, and how long it will take."""
        if step.stage != self.stage:
            self.stage, self.began = step.stage, monotonic()
        page = self.query_one("#preview", Page)
        share = step.done / step.total if step.total else 0.0
        text = f"{bytes_text(step.done)} of {bytes_text(step.total)}" if step.total else ""
        spent = monotonic() - self.began
        if share > 0.02 and spent > 0.5:
            text += f", {duration(spent * (1 - share) / share)} left"
        page.set_lines(
            [
                [(clip(safe(step.stage), 80), None)],
                [(bar(share, 40), page.looks.accent), (f" {share:4.0%}  {text}", None)],
                [("Esc", page.looks.accent + page.looks.strong), (" cancel: nothing is left behind", None)],
            ]
        )

    def on_save_window_ended(self, event: Ended) -> None:
        self.writing = False
        page = self.query_one("#preview", Page)
        looks = page.looks
        if event.error is not None:
            for field in self.query("Input, Tick"):
                field.disabled = False
            self.show_preview(event.error)
            self.preview = None
            self.query_one("#mapping", Input).focus()
            return
        self.saved = event.saved
        lines: list[list[Part]] = []
        for output in event.saved:
            lines.append([("✓ ", looks.good), (f"{output.what:10} {bytes_text(output.nbytes):>9}  ", None),
                          (safe(output.path), None)])  # fmt: skip
            lines += [[(" " * 13 + safe(note), looks.muted)] for note in output.notes]
        lines.append([("Enter", looks.accent + looks.strong), (" back to the review", None)])
        page.set_lines(lines, "Saved")

    def on_key(self, event: events.Key) -> None:
        # From the page, which has the focus while nothing is to be typed; fields hand Enter on by themselves.
        if event.key == "enter":
            self.action_save()

    def action_close(self) -> None:
        if self.writing:
            self.stopping = (
                True  # not by cancelling the worker: one that has not begun yet would never say that it ended
            )
            return
        self.dismiss(bool(self.saved))


def named(forecast: Forecast) -> list[str]:
    """The first key of each kind that does not fit, so that nobody needs to look for it."""
    kinds = ("missing", forecast.missing), ("unexpected", forecast.unexpected), ("mismatched", forecast.mismatched)
    return [
        f"{what}: {shorten(keys[0], 40)}" + (f" and {len(keys) - 1:,} more" if len(keys) > 1 else "")
        for what, keys in kinds
        if keys
    ]


def duration(seconds: float) -> str:
    """``40 s``, ``3 min``, ``2 h``."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{round(seconds / 3600)} h"
