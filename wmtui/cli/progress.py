"""Progress on standard error, where somebody is looking."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wmtui.core.ports import Progress, ProgressCall

BYTES_FROM = 1 << 20
"""Totals from here on are bytes; smaller ones are shares or keys, for which a transfer rate means nothing."""


@contextmanager
def progress_line() -> Iterator[ProgressCall]:
    """A bar with the time left on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[moved]}"))
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, moved="")

        def show(progress: Progress) -> None:
            moved = f"{progress.done / 1e9:.2f} of {progress.total / 1e9:.2f} GB" if progress.total > BYTES_FROM else ""
            total = progress.total or None
            bar.update(task, description=progress.stage, completed=progress.done, total=total, moved=moved)

        yield show
