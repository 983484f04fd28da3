"""Sets of shards: they appear whole, as far as any reader can see.

All is written into a temporary folder. Where the output's folder is new, that is renamed; into a folder with other
files the shards are moved first and the index last. Shards never replace those of an older set, which stays readable
until the new index has taken the place of its own: only then are they removed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from wmtui.errors import InputError
from wmtui.files import disk as disk_module
from wmtui.files.atomic import put_in_place, scratch_folder, stage_folder, write_bytes
from wmtui.files.sharded import read_index
from wmtui.files.writing.jobs import Job
from wmtui.files.writing.layout import Layout

WriteJob = Callable[[Path, Job, str], None]
"""Write a job to a path, whole or not at all but not synced; the text says which of how many it is."""


def write_set(layout: Layout, force: bool, write: WriteJob) -> tuple[list[Path], tuple[str, ...]]:
    """Write the shards and the index of a layout.

    Returns:
        All files that were written, and what to know about them, one line each.

    Raises:
        WmtuiError: as ``write`` does; a set that was there is untouched then.
    """
    assert layout.shard_index is not None
    folder, index_path = layout.path.parent, layout.path
    jobs = [(path.name, job) for path, job in layout.jobs]
    is_new = not folder.exists() or not any(folder.iterdir())
    old = [] if is_new else _shards(index_path)
    notes: tuple[str, ...] = ()
    if any((folder / name).exists() for name, _ in jobs):
        jobs = _other_names(jobs)
        notes = (f"the shards have new names, such as {jobs[0][0]}: the old set stayed whole until the index changed",)
    with stage_folder(folder) if is_new else scratch_folder(index_path) as place:
        for number, (name, job) in enumerate(jobs):
            write(place / name, job, f"writing shard {number + 1} of {len(jobs)}")
        for name, _ in jobs:
            _sync(place / name)
        write_bytes(place / index_path.name, layout.shard_index.encode(jobs))
        if not is_new:
            _move([name for name, _ in jobs], index_path.name, place, folder, force)
    names = {name for name, _ in jobs}
    for path in old:
        if path.name not in names:
            with suppress(OSError):
                path.unlink()
    return [*(folder / name for name, _ in jobs), index_path], notes


def _move(names: Sequence[str], index: str, place: Path, folder: Path, force: bool) -> None:
    """Give shards and index their names, the index last."""
    moved: list[Path] = []
    try:
        for name in names:
            disk_module.disk.replace(place / name, folder / name)
            moved.append(folder / name)
        disk_module.disk.sync_folder(folder)
        put_in_place(place / index, folder / index, force)
    except BaseException:
        for path in moved:
            with suppress(OSError):
                path.unlink()
        raise
    disk_module.disk.sync_folder(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDWR)
    try:
        disk_module.disk.sync(fd)
    finally:
        os.close(fd)


def _shards(index_path: Path) -> list[Path]:
    """The files of the set that an index is about to lose."""
    if not index_path.exists():
        return []
    try:
        return [path for path in read_index(index_path).shards if path.parent == index_path.parent]
    except InputError:
        return []


def _other_names(jobs: Sequence[tuple[str, Job]]) -> list[tuple[str, Job]]:
    """The same jobs under names that no file has."""
    mark = secrets.token_hex(4)
    made = []
    for number, (name, job) in enumerate(jobs):
        stem = name.partition("-")[0].partition(".")[0]
        made.append((f"{stem}-{mark}-{number + 1:05d}-of-{len(jobs):05d}{Path(name).suffix}", job))
    return made
