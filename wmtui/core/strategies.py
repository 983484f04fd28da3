"""The documented strategies of ``suggest_mapping``, on top of the engine's proposal and the composite score."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

import msgspec

from wmtui.core.listing import Listing
from wmtui.core.proposal import Facts, Proposal, Score, Transform
from wmtui.core.scores import composite, shape_score

if TYPE_CHECKING:
    from wmtui.core.match_options import MatchOptions

STRATEGIES = ("best_match", "conservative", "shape_only")
CONSERVATIVE_THRESHOLD = 0.75


class ScoredPair(msgspec.Struct, frozen=True):
    """A suggested pair with its documented score."""

    source: str
    target: str
    score: Score


def check_strategy(strategy: str) -> str:
    """The strategy's name.

    Raises:
        ValueError: there is no such strategy.
    """
    if strategy not in STRATEGIES:
        raise ValueError(f"unknown strategy {strategy!r}; the choices are {', '.join(STRATEGIES)}")
    return strategy


def suggest(
    source: Listing,
    target: Listing,
    *,
    strategy: str = "best_match",
    threshold: float = 0.6,
    options: MatchOptions | None = None,
    facts: Facts = Facts(),  # noqa: B008 - frozen
    proposal: Proposal | None = None,
) -> list[ScoredPair]:
    """Suggested pairs in the source's order.

    Args:
        strategy: ``best_match`` keeps the engine's pairs whose composite reaches the threshold, ``conservative`` those
            that reach 0.75 too, ``shape_only`` pairs equal shapes in listing order and ignores names and threshold.
        threshold: least composite score, 0 to 1.
        options: of the match, its weights and shape tolerance also for the composite; without ``allow_transforms``
            pairs that need a transform are left out.
        proposal: the engine's for these options :func:`with_transforms`, where it is known already.

    Raises:
        ValueError: there is no such strategy.
    """
    check_strategy(strategy)
    from wmtui.core.matching import MatchOptions, match

    options = options or MatchOptions()
    counts = tuple(sum(spec.order is not None for spec in side) for side in (source, target))
    ordered = (counts[0], counts[1]) if all(counts) else None
    if strategy == "shape_only":
        pairs = _by_shape(source, target, options.shape_tolerance, facts)
        threshold = 0.0
        transformed = set()
    else:
        proposal = proposal or match(source, target, options=with_transforms(options), facts=facts)
        wanted = [p for p in proposal.pairs.values() if options.allow_transforms or p.transform is Transform.NONE]
        pairs = [(pair.source, pair.target) for pair in wanted]
        transformed = {pair.source for pair in wanted if pair.transform is not Transform.NONE}
        if strategy == "conservative":
            threshold = max(threshold, CONSERVATIVE_THRESHOLD)
    found = [
        ScoredPair(s, t, composite(source[s], target[t], options.weights, options.shape_tolerance, ordered))
        for s, t in pairs
    ]
    # A transform is asked for, and makes the shapes the same: that they are not yet counts against no pair.
    lift = options.weights.shape
    return [
        pair
        for pair in found
        if pair.score.total + (lift * (1 - pair.score.shape) if pair.source in transformed else 0.0) >= threshold
    ]


def with_transforms(options: MatchOptions) -> MatchOptions:
    """The options for the engine: it must see that a tensor is transposed to leave it out, not to pair it crosswise."""
    return msgspec.structs.replace(options, allow_transforms=True)


def _by_shape(source: Listing, target: Listing, tolerance: float, facts: Facts) -> list[tuple[str, str]]:
    """The n-th source of a shape with the n-th free target of that shape; what is left, within the tolerance."""
    pairs = {s: t for s, t in facts.pairs.items() if s in source and t in target}
    used = {*pairs.values(), *facts.ignored_targets}
    free: defaultdict[tuple[int, ...], deque[str]] = defaultdict(deque)
    for spec in target:
        if spec.key not in used:
            free[spec.shape].append(spec.key)

    def take(key: str, shapes: list[tuple[int, ...]]) -> None:
        for shape in shapes:
            for place, candidate in enumerate(free[shape]):
                if (key, candidate) not in facts.refused:
                    del free[shape][place]
                    pairs[key] = candidate
                    return

    open_keys = [spec for spec in source if spec.key not in pairs and spec.key not in facts.ignored_sources]
    for spec in open_keys:
        if spec.shape in free:
            take(spec.key, [spec.shape])
    if tolerance > 0:
        for spec in open_keys:
            if spec.key not in pairs:
                take(spec.key, [shape for shape in free if shape_score(spec.shape, shape, tolerance) == 1.0])
    return [(spec.key, pairs[spec.key]) for spec in source if spec.key in pairs]
