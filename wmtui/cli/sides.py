"""Opens what the command line names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from wmtui.core.ports import Progress, ProgressCall
from wmtui.core.side import SideSpec

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


def open_pair(args: argparse.Namespace, progress: ProgressCall | None = None) -> tuple[OpenedSide, OpenedSide]:
    """The two sides of ``review`` and ``map``.

    Raises:
        InputError: one of them cannot be used.
    """
    source = open_one(
        args.source,
        weights_key=args.weights_key,
        prefix=args.source_prefix,
        buffers=args.buffers,
        arguments=args.source_args,
        inputs=args.input,
        progress=progress,
    )
    target = open_one(
        args.target,
        weights_key=args.target_weights_key,
        prefix=args.target_prefix,
        buffers=args.buffers,
        arguments=args.target_args,
        inputs=args.input,
        progress=progress,
    )
    return source, target


def open_one(
    location: str,
    *,
    weights_key: str | None = None,
    prefix: str = "",
    buffers: str = "include",
    arguments: list[str] | None = None,
    inputs: list[str] | None = None,
    progress: ProgressCall | None = None,
) -> OpenedSide:
    """One side.

    Raises:
        InputError: it cannot be used.
    """
    from wmtui.files.models import parse_model_args
    from wmtui.files.open import open_side

    spec = SideSpec(
        location,
        weights_key=weights_key,
        prefix=prefix,
        buffers="exclude" if buffers == "exclude" else "include",
        args=parse_model_args(arguments or ()),
        inputs=tuple(inputs or ()),
    )
    if progress is not None:
        progress(Progress(f"reading {location}"))
    return open_side(spec)
