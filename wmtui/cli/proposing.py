"""Runs the matcher as the command line's options ask for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from wmtui.cli.inputs import read_small
from wmtui.cli.saving import ReportOptions
from wmtui.core.decisions import Assign, fold_pairs
from wmtui.core.listing import Listing
from wmtui.core.match_options import MatchOptions
from wmtui.core.plan import transform_between
from wmtui.core.ports import CancelledCall, Progress, ProgressCall
from wmtui.core.printable import plural
from wmtui.core.proposal import Facts, Pair, Proposal, Transform
from wmtui.core.report import parse_mapping
from wmtui.core.scores import ScoreWeights, composite
from wmtui.core.strategies import CONSERVATIVE_THRESHOLD, suggest
from wmtui.errors import InputError


class Matcher:
    """The match port: the engine, then what the options leave of its proposal.

    Args:
        args: the options of ``add_matching``.
    """

    def __init__(self, source: Listing, target: Listing, args: argparse.Namespace) -> None:
        self.source = source
        self.target = target
        self.strategy: str = args.strategy
        self.confidence: float | None = args.confidence
        self.options = MatchOptions(args.weights or ScoreWeights(), args.shape_tolerance)
        least = [
            t
            for t in (args.threshold, CONSERVATIVE_THRESHOLD if self.strategy == "conservative" else None)
            if t is not None
        ]
        self.threshold = max(least, default=None)

    def __call__(self, facts: Facts, progress: ProgressCall, cancelled: CancelledCall) -> Proposal:
        """Propose for the two sides.

        Raises:
            Cancelled: it was stopped.
        """
        from wmtui.core.matching import match

        proposal = match(
            self.source,
            self.target,
            options=self.options,
            facts=facts,
            progress=lambda stage, share: progress(Progress(stage, int(100 * share), 100)),
            cancelled=cancelled,
        )
        if self.strategy == "shape_only":
            scored = suggest(self.source, self.target, strategy="shape_only", options=self.options, facts=facts)
            pairs = {pair.source: Pair(pair.source, pair.target, 0.0) for pair in scored}
            return Proposal(pairs, {}, (), (), proposal.candidates)
        if self.threshold is None and self.confidence is None:
            return proposal
        return restricted(proposal, self._is_wanted)

    def tune(self, options: MatchOptions) -> None:
        """Work with other options from the next call on."""
        self.options = options

    def for_report(self) -> ReportOptions:
        """What a report says of how the pairs were chosen."""
        return ReportOptions(self.strategy, self.threshold, self.options.weights, self.options.shape_tolerance)

    def _is_wanted(self, pair: Pair) -> bool:
        if self.confidence is not None and pair.confidence < self.confidence:
            return False
        if self.threshold is None:
            return True
        source, target = self.source[pair.source], self.target[pair.target]
        return composite(source, target, self.options.weights, self.options.shape_tolerance).total >= self.threshold


def restricted(proposal: Proposal, wanted: Callable[[Pair], bool]) -> Proposal:
    """The proposal with only the pairs that are wanted."""
    pairs = {key: pair for key, pair in proposal.pairs.items() if wanted(pair)}
    return Proposal(pairs, proposal.ambiguous, proposal.fusions, proposal.rules, proposal.candidates)


def read_mapping_in(path: str, source: Listing, target: Listing) -> Assign:
    """The decision that takes over a mapping's or a report's pairs; says what does not fit.

    Raises:
        InputError: there is no such file, it is no mapping, or none of its pairs fits.
    """
    found = parse_mapping(read_small(path), path)
    pairs: list[tuple[int, int, Transform]] = []
    taken: set[str] = set()
    strange = 0
    for pair in found.pairs:
        if pair.source not in source or pair.target not in target or pair.target in taken:
            strange += 1
            continue
        taken.add(pair.target)
        transform = pair.transform
        if transform is Transform.NONE:
            shapes = source[pair.source].shape, target[pair.target].shape
            transform = transform_between(*shapes) or Transform.NONE
        pairs.append((source.index[pair.source], target.index[pair.target], transform))
    if strange and not pairs:
        raise InputError(
            f"none of the {plural(strange, 'pair')} of {path} fits these two sides", "Give the mapping of this pair."
        )
    if strange:
        left_out = plural(strange, "pair that does not fit is", "pairs that do not fit are")
        print(f"wmtui: {left_out} left out, of {len(found.pairs):,} in {path}", file=sys.stderr)
    return Assign(fold_pairs(pairs))
