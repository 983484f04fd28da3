"""``wmtui review``: the app, with the outside world plugged into its ports."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from wmtui.cli.exits import Exit
from wmtui.cli.progress import progress_line
from wmtui.cli.proposing import Matcher, read_mapping_in
from wmtui.cli.saving import Saver
from wmtui.cli.sides import ask_for_weights, open_pair
from wmtui.cli.writing import WriteOptions
from wmtui.core.ports import Saved, SaveRequest
from wmtui.core.printable import plural, printable
from wmtui.core.session import Session
from wmtui.errors import ChoiceError, InputError
from wmtui.ui.terminal import Terminal, prepare_environment

if TYPE_CHECKING:
    from wmtui.files.journal import Journal
    from wmtui.files.source import OpenedSide
    from wmtui.ui.app import ReviewApp


def run(args: argparse.Namespace) -> int:
    """Open both sides and review their mapping."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("the review needs a terminal", "`wmtui map` does the same without one.")
    terminal = prepare_environment(os.environ, sys.stdout.encoding)
    if not terminal.can_draw:
        raise InputError(
            f"this terminal (TERM={os.environ.get('TERM', '')}) cannot show a screen",
            "Set TERM to what your terminal is, or use `wmtui map`.",
        )
    try:
        source, target = _open(args)
    except ChoiceError:
        ask_for_weights(args)
        source, target = _open(args)
    from wmtui.files.journal import Journal

    journal = Journal.open(source.side, target.side)
    try:
        app = make_app(args, source, target, journal, terminal)
        app.run(mouse=terminal.mouse)
        if not app.return_code:  # else the terminal may be gone
            _say_goodbye(app.review_screen.written, app.review_screen.unsaved)
        return app.return_code or Exit.DONE
    finally:
        journal.close()


def _say_goodbye(written: Sequence[Saved], unsaved: int) -> None:
    """Leave on the terminal what the screen, which is gone now, has said."""
    for one in {one.path: one for one in written}.values():
        print(f"{one.what:<10} {printable(one.path)}")
    if unsaved:
        kept = plural(unsaved, "decision is", "decisions are")
        print(f"{kept} not saved to files; the journal has them: the same command goes on where you were")


def _open(args: argparse.Namespace) -> tuple[OpenedSide, OpenedSide]:
    with progress_line() as progress:
        return open_pair(args, progress)


def make_app(
    args: argparse.Namespace, source: OpenedSide, target: OpenedSide, journal: Journal, terminal: Terminal
) -> ReviewApp:
    """The app with the outside world plugged into its ports.

    Raises:
        InputError: the mapping to start from cannot be used.
    """
    from wmtui.cli.looking import Describer
    from wmtui.files.journal import state_folder
    from wmtui.ui.app import ReviewApp

    never_decided = not any((state_folder() / "journals").glob("*.jsonl"))
    listings = source.side.listing, target.side.listing
    matcher = Matcher(*listings, args)
    if args.afresh:
        journal.start_afresh()
    past = () if args.afresh or (args.mapping_in and journal.others) else journal.decisions
    if args.mapping_in and not past:
        first = read_mapping_in(args.mapping_in, *listings)
        journal.append(first)
        past = (first,)
    asked = first_request(args, source)
    return ReviewApp(
        source.side,
        target.side,
        match=matcher,
        journal=journal,
        save=Saver(source, target, asked, WriteOptions.of(args), matcher.for_report()),
        describe=Describer(source, target),
        past=past,
        past_when=_when(journal),
        past_of=journal.others,
        guide=never_decided,
        command=lambda session: equivalent_command(args, session, asked),
        options=matcher.options,
        terminal=terminal,
    )


def first_request(args: argparse.Namespace, source: OpenedSide) -> SaveRequest:
    """The outputs that the save screen starts with: those of the command line, else names beside the working folder."""
    stem = Path(source.side.name).name.split(".")[0] or "mapping"
    location = Path(args.source)
    renamed = location.with_name(f"{stem}.renamed{''.join(location.suffixes[-1:])}").name
    return SaveRequest(
        mapping_path=args.mapping or f"{stem}.mapping.json",
        report_path=args.report or f"{stem}.report.json",
        checkpoint_path=args.output or (renamed if source.source.files else ""),
        unmapped=args.unmapped,
        force=args.force,
        strict_load=args.strict_load,
    )


def equivalent_command(args: argparse.Namespace, session: Session, asked: SaveRequest) -> str:
    """The command line that maps the same pair without a screen, the user's own pairs taken from a saved report.

    Args:
        asked: the outputs that the save screen starts with.
    """
    words = ["wmtui", "map", args.source, args.target]
    for name in ("weights_key", "target_weights_key", "source_prefix", "target_prefix"):
        if getattr(args, name):
            words += ["--" + name.replace("_", "-"), getattr(args, name)]
    for name in ("source_args", "target_args", "input"):
        for value in getattr(args, name):
            words += ["--" + name.replace("_", "-"), value]
    if args.buffers == "exclude":
        words += ["--buffers", "exclude"]
    if args.format != "source":
        words += ["--format", args.format]
    if args.shard_size:
        words += ["--shard-size", str(args.shard_size)]
    for name in args.also:
        words += ["--also", name]
    if args.source_model and args.strict_load and args.input:  # map refuses a comparison that would not be made
        words += ["--source-model", args.source_model]
    switches = {"--optimizer": args.optimizer, "--verify": args.verify, "--strict-load": args.strict_load}
    words += [switch for switch, on in switches.items() if on]
    if session.decided:
        words += ["--mapping-in", asked.report_path]
    if asked.checkpoint_path:
        words += ["--output", asked.checkpoint_path]
    return shlex.join(words)


def _when(journal: Journal) -> str:
    if journal.last is None:
        return ""
    today = datetime.now().astimezone().date()
    local = journal.last.astimezone()
    if local.date() == today:
        day = "today"
    elif local.date() == today - timedelta(days=1):
        day = "yesterday"
    else:
        day = f"{local:%d %B %Y}"
    return f"{day} {local:%H:%M}"
