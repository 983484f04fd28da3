"""Progress on standard error, where somebody is looking."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from wmtui.core.ports import Progress, ProgressCall
from wmtui.core.printable import printable

BYTES_FROM = 1 << 20
"""Totals from here on are bytes; smaller ones are shares or keys, for which a transfer rate means nothing."""
BAR_AFTER = 0.5
"""Seconds before a bar is worth its import; until then the stage alone is shown."""
CLEAR_LINE = "\r\x1b[2K"


@contextmanager
def progress_line() -> Iterator[ProgressCall]:
    """The stage, and for work that takes a while a bar with the time left; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    started = time.monotonic()
    with ExitStack() as stack:
        bar: Callable[[Progress], None] | None = None

        def show(progress: Progress) -> None:
            nonlocal bar
            if bar is None and progress.total and time.monotonic() - started > BAR_AFTER:
                sys.stderr.write(CLEAR_LINE)
                bar = stack.enter_context(_bar())
            if bar is not None:
                bar(progress)
            else:
                sys.stderr.write(CLEAR_LINE + printable(progress.stage))
                sys.stderr.flush()

        try:
            yield show
        finally:
            if bar is None:
                sys.stderr.write(CLEAR_LINE)
                sys.stderr.flush()


@contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[moved]}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, moved="")

        def show(progress: Progress) -> None:
            moved = f"{progress.done / 1e9:.2f} of {progress.total / 1e9:.2f} GB" if progress.total > BYTES_FROM else ""
            stage, total = printable(progress.stage), progress.total or None
            bar.update(task, description=stage, completed=progress.done, total=total, moved=moved)

        yield show
