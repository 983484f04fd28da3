"""``wmtui inspect``: look into a checkpoint or model, or compare two."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from wmtui.cli.exits import Exit
from wmtui.cli.looking import Describer, Scanner
from wmtui.cli.progress import progress_line
from wmtui.cli.sides import open_one
from wmtui.errors import ChoiceError, InputError
from wmtui.ui.terminal import Terminal, prepare_environment

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide
    from wmtui.ui.inspect.app import InspectApp


def run(args: argparse.Namespace) -> int:
    """Show what is in a side: a screen on a terminal, else text."""
    if args.values and not args.diff:
        raise InputError("--values compares two sides", "Name the other one with --diff.")
    screen = sys.stdin.isatty() and sys.stdout.isatty() and not (args.json or args.plain)
    terminal = prepare_environment(os.environ, sys.stdout.encoding) if screen else None
    if terminal is not None and not terminal.can_draw:
        terminal = None
    opened = _open(args, first=not args.json)
    if args.check and not opened.source.files:
        raise InputError(f"{args.side} holds no values to check", "Give the checkpoint itself.")
    if args.json:
        from wmtui.files.listing_json import listing_to_json

        sys.stdout.write(listing_to_json(opened.side.listing))
        return Exit.DONE
    if args.diff:
        return _compare(args, opened, open_one(args.diff, prefix=args.prefix, buffers=args.buffers), terminal)
    if terminal is not None:
        app = make_app(args, opened, terminal)
        app.run(mouse=terminal.mouse)
        return app.return_code or (Exit.LEFT_OPEN if args.check and app.found_bad else Exit.DONE)
    from wmtui.ui.inspect.plain import render_plain, render_scan

    sys.stdout.write(render_plain(opened.side))
    if args.check:
        with progress_line() as progress:
            result = Scanner(opened)(progress, lambda: False)
        sys.stdout.write("\n" + render_scan(result))
        return Exit.LEFT_OPEN if result.bad else Exit.DONE
    return Exit.DONE


def _open(args: argparse.Namespace, *, first: bool) -> OpenedSide:
    """The side; of several dictionaries of weights the first where what is shown tells of the others."""
    try:
        return open_one(
            args.side, weights_key=args.weights_key, prefix=args.prefix, buffers=args.buffers, arguments=args.args
        )
    except ChoiceError as error:
        if not (first and error.choices):
            raise
        return open_one(
            args.side, weights_key=error.choices[0], prefix=args.prefix, buffers=args.buffers, arguments=args.args
        )


def make_app(args: argparse.Namespace, opened: OpenedSide, terminal: Terminal) -> InspectApp:
    """The inspector with the outside world plugged into its ports."""
    from wmtui.ui.inspect.app import InspectApp, Inspected

    def inspected(side: OpenedSide) -> Inspected:
        if not side.source.files:
            return Inspected(side.side)
        return Inspected(side.side, Describer(side), Scanner(side))

    def choose(weights_key: str) -> Inspected:
        chosen = argparse.Namespace(**{**vars(args), "weights_key": weights_key})
        return inspected(_open(chosen, first=False))

    return InspectApp(inspected(opened), choose=choose, check=args.check, terminal=terminal)


def _compare(args: argparse.Namespace, here: OpenedSide, there: OpenedSide, terminal: Terminal | None) -> int:
    values = bool(here.source.files and there.source.files)
    if args.values and not values:
        raise InputError("there are no values to compare", "Give two checkpoint files, not a listing or a model.")
    describer = Describer(here, there)
    if terminal is not None:
        from wmtui.ui.inspect.compare import CompareApp

        app = CompareApp(here.side, there.side, describer if values else None, values=args.values, terminal=terminal)
        app.run(mouse=terminal.mouse)
        return app.return_code or Exit.DONE
    from wmtui.core.comparison import Comparison, compare_values
    from wmtui.ui.inspect.plain import render_comparison

    comparison = Comparison(here.side.listing, there.side.listing)
    if args.values:
        with progress_line() as progress:
            for place, equal in compare_values(comparison, describer.equal, progress, lambda: False):
                comparison.learn(place, equal)
    sys.stdout.write(render_comparison(comparison))
    return Exit.DONE
