"""``wmtui map``: the main job without a screen."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TextIO

from wmtui.cli.exits import Exit
from wmtui.cli.progress import progress_line
from wmtui.cli.proposing import Matcher, read_mapping_in
from wmtui.cli.saving import Saver
from wmtui.cli.sides import open_pair
from wmtui.cli.writing import WriteOptions, check_comparison
from wmtui.core.analysis import Line, SideSummary, analysis_lines
from wmtui.core.forecast import tie_hint
from wmtui.core.listing import Listing
from wmtui.core.plan import Plan
from wmtui.core.ports import SaveRequest
from wmtui.core.printable import plural, printable
from wmtui.core.proposal import Facts, Proposal
from wmtui.core.session import Mapped, Session
from wmtui.errors import InputError
from wmtui.files.quiet_gc import no_garbage_collection


@no_garbage_collection()
def run(args: argparse.Namespace) -> int:
    """Match, write what was asked for, and say what it came to."""
    out = sys.stderr if args.json else sys.stdout
    check_comparison(args)
    if args.strict_load and not args.output:
        raise InputError("--strict-load loads what is written, and nothing is", "Name the checkpoint with --output.")
    with progress_line() as progress:
        source, target = open_pair(args, progress)
        listings = source.side.listing, target.side.listing
        for side in (source.side, target.side):
            for note in side.notes:
                print(printable(f"wmtui: {side.name}: {note}"), file=sys.stderr)
        matcher = Matcher(*listings, args)
        if args.mapping_in:
            session = Session(*listings, Proposal({}, {}, (), (), lambda *_: ()))
            session.apply(read_mapping_in(args.mapping_in, *listings))
            session.propose(matcher(session.facts, progress, lambda: False))
        else:
            session = Session(*listings, matcher(Facts(), progress, lambda: False))
    request = SaveRequest(
        mapping_path=args.mapping or "",
        report_path=args.report or "",
        checkpoint_path=args.output or "",
        unmapped=args.unmapped,
        include_pending=True,
        force=args.force,
        strict_load=args.strict_load,
    )
    saver = Saver(source, target, request, WriteOptions.of(args), matcher.for_report())
    pairs, plan, forecast = standing = saver.standing(request, session)
    problems = saver.problems(request, plan)
    if problems:
        raise problems[0]
    if args.output and args.mapping_in and Path(args.output).exists() and Path(args.output).samefile(args.mapping_in):
        raise InputError(f"{args.output} is the mapping to start from", "Choose another output.")
    preview = saver.preview(request, session)
    if args.json:
        sys.stdout.write(saver.report(session, standing).decode())
    elif not preview.outputs:
        _print_analysis(session, pairs, saver)
    if args.dry_run:
        for one in preview.outputs:
            print(f"would write {one.what} {printable(one.path)}", file=out)
            for note in one.notes:
                print(f"           {printable(note)}", file=out)
    elif preview.outputs:
        with progress_line() as progress:
            saved = saver.save(request, session, progress, lambda: False)
        for one in saved:
            print(f"{one.what:<10} {printable(one.path)}", file=out)
            for note in one.notes:
                print(f"           {printable(note)}", file=out)
    _print_summary(session, pairs, plan, str(forecast), file=out)
    hint = tie_hint(forecast, plan, session.target)
    if hint:
        print(printable(hint), file=out)
    left_open = (args.strict and not forecast.loads) or saver.loads is False
    return Exit.LEFT_OPEN if left_open else Exit.DONE


def _print_analysis(session: Session, pairs: tuple[Mapped, ...], saver: Saver) -> None:
    source = _summary(session.source, {pair.source for pair in pairs})
    target = _summary(session.target, {pair.target for pair in pairs})
    lines = [Line(pair.source, pair.target, pair.score) for pair in saver.report_pairs(session, pairs)]
    for line in analysis_lines(source, target, lines):
        print(line)


def _summary(listing: Listing, mapped: set[str]) -> SideSummary:
    return SideSummary(
        listing.name, len(listing), [(spec.key, spec.shape) for spec in listing if spec.key not in mapped]
    )


def _print_summary(session: Session, pairs: tuple[Mapped, ...], plan: Plan, forecast: str, file: TextIO) -> None:
    print(
        f"{len(pairs):,} of {plural(len(session.source), 'source key')} mapped"
        + f" onto {plural(len(session.target), 'target key')}"
        + (f", {len(plan.dropped):,} dropped" if plan.dropped else "")
        + (f", {len(plan.kept):,} kept under their own names" if plan.kept else "")
        + (f", {len(session.proposal.ambiguous):,} ambiguous" if session.proposal.ambiguous else ""),
        file=file,
    )
    print(f"load_state_dict forecast: {forecast}", file=file)
