"""``wmtui apply``: rename a checkpoint by a mapping or a report."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from wmtui.cli.exits import Exit
from wmtui.cli.inputs import Inputs, read_small
from wmtui.cli.progress import progress_line
from wmtui.cli.sides import open_one
from wmtui.cli.writing import WriteOptions, check_comparison
from wmtui.core.forecast import forecast, tie_hint
from wmtui.core.listing import Listing
from wmtui.core.plan import Plan, make_plan, transform_between
from wmtui.core.printable import plural, printable
from wmtui.core.proposal import Transform
from wmtui.core.report import parse_mapping
from wmtui.errors import InputError

if TYPE_CHECKING:
    from wmtui.files.source import OpenedSide

_SHAPES_STAY = "tensors keep their shapes: a mapping does not say which are transposed, a report does (or --target)"


def run(args: argparse.Namespace) -> int:
    """Check that the mapping fits the checkpoint, then write the renamed one."""
    from wmtui.files.writing import output_size

    if args.strict_load and not args.target:
        raise InputError("--strict-load needs a model to load into", "Give it with --target.")
    check_comparison(args)
    source = open_one(args.checkpoint, weights_key=args.weights_key)
    target = open_one(args.target, arguments=args.target_args) if args.target else None
    listing = source.side.listing
    how = WriteOptions.of(args)
    plan, warnings = _plan(args, source, target, how)
    output = Path(args.output)
    replaced = Inputs(source, target).problem(output)
    if replaced is None and output.exists() and output.samefile(args.mapping):
        replaced = InputError(f"{output} is the mapping itself", "Choose another output.")
    problems = how.problems(source, plan, output, unmapped=args.unmapped, force=args.force)
    for problem in (*problems, replaced):
        if problem is not None:
            raise problem
    counts = f"{plural(len(plan.mapping), 'key')} renamed, {len(plan.kept):,} kept, {len(plan.dropped):,} dropped"
    if args.dry_run:
        print(f"would write {printable(args.output)}: {counts}, {output_size(source, plan):,} bytes")
    else:
        with progress_line() as progress:
            written = how.write(source, plan, output, unmapped=args.unmapped, force=args.force, progress=progress)
        print(f"{printable(str(written.path))}: {counts}, {written.nbytes:,} bytes")
        for note in written.notes:
            print(printable(note))
    for warning in warnings:
        print(printable(warning))
    if target is None:
        return Exit.DONE
    expected = forecast(plan, listing, target.side.listing)
    print(f"load_state_dict forecast: {expected}")
    hint = tie_hint(expected, plan, target.side.listing)
    if hint:
        print(printable(hint))
    if args.dry_run or not args.strict_load:
        return Exit.DONE
    loaded = how.load(output, source, target)
    for line in loaded.lines:
        print(printable(line))
    return Exit.DONE if loaded.ok else Exit.LEFT_OPEN


def _plan(
    args: argparse.Namespace, source: OpenedSide, target: OpenedSide | None, how: WriteOptions
) -> tuple[Plan, tuple[str, ...]]:
    """The plan of the mapping or report, which is large and not kept, and what it does not fit."""
    from wmtui.files.writing import representable

    found = parse_mapping(read_small(args.mapping), args.mapping)
    listing = source.side.listing
    misfits = found.misfits(listing)
    if misfits:
        raise InputError(
            f"{args.mapping} does not fit {args.checkpoint}: {misfits[0]}",
            "Give the checkpoint that the mapping was made for, or choose its dictionary with --weights-key.",
        )
    if found.source_digest and found.source_digest != listing.digest:
        print("wmtui: the checkpoint is not the report's own, though all keys of the report are in it", file=sys.stderr)
    known = found.tied(target.side.listing) if target is not None else found.known_target("target")
    pairs = (
        (pair.source, pair.target, pair.transform)
        if pair.transform is not Transform.NONE or known is None or pair.target not in known
        else (pair.source, pair.target, transform_between(listing[pair.source].shape, known[pair.target].shape))
        for pair in found.pairs
    )
    plan = make_plan(
        listing,
        ((s, t, transform or Transform.NONE) for s, t, transform in pairs),
        unmapped=args.unmapped,
        target=known,
        representable=representable(source, args.format),
    )
    if not found.is_report:
        _warn_of_transposes(plan, listing)
    warnings = how.warnings(source, plan, target.side if target is not None else None)
    if warnings and target is None and found.source_digest == listing.digest:
        warnings = found.warnings  # made with the target at hand
    if not found.is_report and target is None:
        warnings = (*warnings, _SHAPES_STAY)
    return plan, warnings


def _warn_of_transposes(plan: Plan, listing: Listing) -> None:
    """Say what a plain mapping leaves to guess: tensors were transposed by their shapes, square ones show nothing."""
    transposed = [op for op in plan.operations if op.kind == "transpose"]
    if not transposed:
        return
    square = [op for op in plan.operations if op.kind == "rename" and listing[op.source].is_square]
    print(
        f"wmtui: {plural(len(transposed), 'tensor is', 'tensors are')} transposed to the target's shapes",
        file=sys.stderr,
    )
    if square:
        print(
            f"wmtui: {plural(len(square), 'square one is', 'square ones are')} not, as a mapping cannot say so, first "
            f"{printable(square[0].source)}: apply the report instead, or check with --source-model",
            file=sys.stderr,
        )
