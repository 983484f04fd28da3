"""The entry of writing: all is checked first, then each file is written beside its place, read back and renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wmtui.core.plan import Plan, Unmapped
from wmtui.core.ports import CancelledCall, Progress, ProgressCall
from wmtui.core.side import Side
from wmtui.errors import Cancelled, InputError, MissingError, OutputExistsError, WmtuiError, WriteError
from wmtui.files.atomic import exists_error, no_file, resolve, write_atomically
from wmtui.files.disk import CHUNK, write_errors
from wmtui.files.regular_file import unreachable
from wmtui.files.safetensors_source import SafetensorsSource
from wmtui.files.source import OpenedSide
from wmtui.files.writing.inputs import Inputs
from wmtui.files.writing.jobs import Job
from wmtui.files.writing.layout import (
    SUFFIXES,
    Format,
    Layout,
    Options,
    format_of,
    index_of,
    made_of,
    make_distributed,
    make_layout,
)
from wmtui.files.writing.optimizer import index_warning
from wmtui.files.writing.safetensors_writer import why_not
from wmtui.files.writing.sets import write_set
from wmtui.files.writing.verify import verify_tensors

_ROOM = 64 << 10
"""Bytes beside the payload: headers, an index."""


class Written(NamedTuple):
    """What was written: the file, or the index or folder of a set; all bytes of it; what to know, one line each."""

    path: Path
    nbytes: int
    notes: tuple[str, ...]


def write_checkpoint(
    opened: OpenedSide,
    plan: Plan,
    output: Path,
    *,
    format: Format = "source",
    shard_size: int | None = None,
    also: Sequence[str] = (),
    optimizer: bool = False,
    others: Unmapped = "drop",
    force: bool = False,
    verify: bool = False,
    progress: ProgressCall | None = None,
    cancelled: CancelledCall | None = None,
) -> Written:
    """Write a renamed checkpoint; it appears whole or not at all.

    Args:
        opened: the source.
        plan: what to write, made for the source's listing.
        output: the file; for sets of shards a folder, or its index.
        format: the source's own, or one of the two; in another format only the weights are written.
        shard_size: cut into files with at most so many bytes of tensors each.
        also: paths of further dictionaries in a torch file that the plan is carried out on too.
        optimizer: rename optimizer states that are kept by name too.
        others: what happens to weights of the file that the listing leaves out (outside of the prefix, buffers).
        force: replace what is there; never the source.
        verify: compare every element with the source's before the output gets its name.
        progress: told how many bytes of all are written.
        cancelled: asked some times a second whether to stop.

    Raises:
        InputError: it cannot be written like this; nothing was written. `check_write` tells before.
        OutputExistsError: the output is there, without ``force``.
        WriteError: the disk is full, what was written reads back differently, ...; what was there is untouched.
        Cancelled: it was stopped; what was there is untouched.
    """
    options = Options(format, shard_size, tuple(also), optimizer, others)
    if (hidden := unreachable(output)) is not None:
        raise hidden
    if format_of(opened, format) == "distributed":
        return _write_distributed(opened, plan, output, options, verify, progress, cancelled)
    layout = make_layout(opened, plan, output, options)
    for problem in _problems(opened, layout, output, options, force):
        raise problem
    _unchanged(opened)
    meter = _Meter(layout.nbytes * (2 if verify else 1), progress, cancelled)

    def write(path: Path, job: Job, stage: str) -> None:
        meter.begin(stage)
        alone = layout.shard_index is None  # shards are synced together, when all are written
        with write_atomically(path, force=force, sync=alone) as out, Inputs(out.path.parent) as inputs:
            job.write(out, inputs, meter.tick)
            out.flush()
            job.check(out.path)
            if verify:
                meter.begin(stage.replace("writing", "comparing"))
                verify_tensors(out.path, job, made_of(opened.source), inputs, meter.tick)

    paths = [path for path, _ in layout.jobs]
    more: tuple[str, ...] = ()
    with write_errors(layout.path):
        if layout.shard_index is None:
            write(*layout.jobs[0], "writing")
        else:
            paths, more = write_set(layout, force, write)
    notes = (*layout.notes, *more, *dict.fromkeys(note for _, job in layout.jobs for note in job.notes))
    return Written(layout.path, sum(path.stat().st_size for path in paths), notes)


def check_write(
    opened: OpenedSide,
    plan: Plan,
    output: Path,
    *,
    format: Format = "source",
    shard_size: int | None = None,
    also: Sequence[str] = (),
    optimizer: bool = False,
    others: Unmapped = "drop",
    force: bool = False,
) -> tuple[WmtuiError, ...]:
    """Why `write_checkpoint` would refuse, with remedies; empty where it would not. Writes nothing."""
    options = Options(format, shard_size, tuple(also), optimizer, others)
    if (hidden := unreachable(output)) is not None:
        return (hidden,)
    try:
        if format_of(opened, format) == "distributed":
            edit = make_distributed(opened, plan, options)
            return tuple(_distributed_problems(opened, output, edit.nbytes))
        layout = make_layout(opened, plan, output, options)
        return tuple(_problems(opened, layout, output, options, force))
    except WmtuiError as e:
        return (e,)


def warnings_of(
    opened: OpenedSide,
    plan: Plan,
    target: Side | None,
    *,
    format: Format = "source",
    shard_size: int | None = None,
) -> tuple[str, ...]:
    """What the result would hold besides its weights and does not fit them any more, one line each.

    Args:
        target: what the result is for, if it is known.
        format, shard_size: as for `write_checkpoint`.
    """
    if shard_size is not None or format == "safetensors":
        return ()  # only the weights are written
    warning = index_warning(opened, plan, target)
    return (warning,) if warning else ()


def output_size(opened: OpenedSide, plan: Plan) -> int:
    """About how many bytes a plan takes in the source's own format and with its other contents."""
    listing, nbytes = opened.side.listing, opened.side.nbytes or 0
    used = {op.source for op in plan.operations}
    firsts = {listing[key].shares or key for key in used}
    unused = sum(spec.nbytes or 0 for spec in listing if spec.shares is None and spec.key not in firsts)
    copies = [op.source for op in plan.operations if op.kind == "alias"]
    more = sum(listing[key].nbytes or 0 for key in copies) if isinstance(opened.source, SafetensorsSource) else 0
    return max(nbytes - unused, 0) + more


def representable(opened: OpenedSide, format: Format = "source") -> Callable[[str], str | None]:
    """What tells why a key cannot be written in a format (``None`` where it can), for `wmtui.core.plan.make_plan`.

    Raises:
        InputError: the source has no weights to write.
    """
    return why_not if format_of(opened, format) == "safetensors" else _any_key


def _any_key(_: str) -> None:
    """A pickle holds every key."""


class _Meter:
    """Counts bytes, tells of progress, stops when asked to."""

    def __init__(self, total: int, progress: ProgressCall | None, cancelled: CancelledCall | None) -> None:
        self._total = total
        self._progress = progress
        self._cancelled = cancelled
        self._stage = ""
        self._done = self._told = 0

    def begin(self, stage: str) -> None:
        """What is done from now on, in plain words."""
        self._stage = stage
        self._tell()

    def tick(self, nbytes: int) -> None:
        """So many bytes are done.

        Raises:
            Cancelled: somebody asked for it.
        """
        self._done += nbytes
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("stopped; nothing was changed")
        if self._done - self._told >= CHUNK or self._done >= self._total:
            self._tell()

    def _tell(self) -> None:
        self._told = self._done
        if self._progress is not None:
            self._progress(Progress(self._stage, min(self._done, self._total), self._total))


def _write_distributed(
    opened: OpenedSide, plan: Plan, output: Path, options: Options, verify: bool,
    progress: ProgressCall | None, cancelled: CancelledCall | None,
) -> Written:  # fmt: skip
    edit = make_distributed(opened, plan, options)
    for problem in _distributed_problems(opened, output, edit.nbytes):
        raise problem
    _unchanged(opened)
    meter = _Meter(edit.nbytes * (2 if verify else 1), progress, cancelled)
    meter.begin("writing")
    with write_errors(output):
        nbytes = edit.write(output, verify, meter.tick)
    return Written(output, nbytes, tuple(edit.notes))


def _distributed_problems(opened: OpenedSide, output: Path, nbytes: int) -> Iterator[WmtuiError]:
    """What stands in the way of a new folder."""
    if _identity(output) is not None and _identity(output) == _identity(opened.source.files[0].parent):
        yield InputError(f"{output} is the source itself", "Choose another output: the source is never written to.")
    elif os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        yield OutputExistsError(f"{output} is there already", "Name a new folder for a distributed checkpoint.")
    yield from _room_problems(resolve(output).parent, output, nbytes)


def _problems(opened: OpenedSide, layout: Layout, output: Path, options: Options, force: bool) -> Iterator[WmtuiError]:
    """What stands in the way of a layout."""
    paths = [path for path, _ in layout.jobs] + ([layout.path] if layout.shard_index is not None else [])
    inputs = [*opened.source.files, *filter(None, [index_of(opened)])]
    known = {identity for path in inputs if (identity := _identity(path)) is not None}
    resolved = {resolve(path) for path in inputs}
    for path in paths:
        if _identity(path) in known or resolve(path) in resolved:
            yield InputError(f"{path} is the source itself", "Choose another output: the source is never written to.")
        elif path.exists() and not path.is_file():
            yield no_file(path)
        elif os.path.lexists(path) and not force:
            yield exists_error(path)
    kind = format_of(opened, options.format)
    suffix = layout.jobs[0][0].suffix.lower()
    for other, suffixes in SUFFIXES.items():
        if other != kind and suffix in suffixes:
            yield InputError(
                f"{layout.jobs[0][0]} is named like a {other} file, but a {kind} file would be written",
                f"Name it otherwise, or choose the format: --format {other}.",
            )
    if kind == "safetensors":
        for _, job in layout.jobs:
            for outcome in job.outcomes:
                reason = why_not(outcome.key)
                if reason is not None:
                    yield InputError(f"the key {outcome.key!r} cannot be written: {reason}", "Choose another target.")
    yield from _folder_problems(layout, output)


def _folder_problems(layout: Layout, output: Path) -> Iterator[WmtuiError]:
    folder = resolve(layout.path).parent
    if layout.shard_index is not None and not folder.exists():
        folder = folder.parent
    yield from _room_problems(folder, output, layout.nbytes)


def _room_problems(folder: Path, output: Path, nbytes: int) -> Iterator[WmtuiError]:
    if not folder.exists():
        yield MissingError(f"the folder {folder} does not exist", "Make it first.")
        return
    if not folder.is_dir():
        yield InputError(f"{folder} is no folder", "Choose another output.")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield InputError(f"the folder {folder} may not be written to", "Check its permissions, or write elsewhere.")
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
        if free < nbytes + _ROOM:
            yield WriteError(
                f"{output} takes up to {nbytes + _ROOM:,} bytes, and only {free:,} are free on that disk",
                "Free some space, or write to another disk.",
            )


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_dev, info.st_ino


def _unchanged(opened: OpenedSide) -> None:
    """See that the source is still what was opened."""
    changed = opened.source.changed()
    if changed is not None:
        raise InputError(f"{changed} has changed since it was opened", "Open it again.")
