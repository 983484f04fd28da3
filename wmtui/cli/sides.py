"""Opens what the command line names."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from wmtui.core.ports import Progress, ProgressCall
from wmtui.core.printable import printable
from wmtui.core.side import SideSpec
from wmtui.errors import ChoiceError

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide


def open_pair(args: argparse.Namespace, progress: ProgressCall | None = None) -> tuple[OpenedSide, OpenedSide]:
    """The two sides of ``review`` and ``map``.

    Raises:
        ChoiceError: one holds several dictionaries of weights and none was chosen.
        InputError: one of them cannot be used.
    """
    return open_source(args, progress), open_target(args, progress)


def open_source(args: argparse.Namespace, progress: ProgressCall | None = None) -> OpenedSide:
    """The first of the two; see :func:`open_pair`."""
    return open_one(
        args.source,
        weights_key=args.weights_key,
        prefix=args.source_prefix,
        buffers=args.buffers,
        arguments=args.source_args,
        inputs=args.input,
        progress=progress,
    )


def open_target(args: argparse.Namespace, progress: ProgressCall | None = None) -> OpenedSide:
    """The second of the two; see :func:`open_pair`."""
    return open_one(
        args.target,
        weights_key=args.target_weights_key,
        prefix=args.target_prefix,
        buffers=args.buffers,
        arguments=args.target_args,
        inputs=args.input,
        progress=progress,
    )


def ask_for_weights(args: argparse.Namespace) -> None:
    """Ask on the terminal which dictionary of weights is meant where a side holds several; ``args`` get the answer.

    Raises:
        ChoiceError: no answer was given.
    """
    for name, open_side in (("weights_key", open_source), ("target_weights_key", open_target)):
        try:
            open_side(args)
        except ChoiceError as choice:
            setattr(args, name, _answer(choice))


def _answer(choice: ChoiceError) -> str:
    print(printable(choice.message))
    for number, name in enumerate(choice.choices, 1):
        print(f"  {number}  {printable(name)}")
    try:
        answer = input("Which one? ").strip()
    except EOFError:
        raise choice from None
    if answer.isdecimal() and 1 <= int(answer) <= len(choice.choices):
        return choice.choices[int(answer) - 1]
    if answer in choice.choices:
        return answer
    raise choice


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
