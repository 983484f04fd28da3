"""The analysis of a mapping as lines of text, 80 columns wide: what ``print_analysis`` and ``wmtui map`` print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .printable import printable, shortened

WIDTH = 80
SOURCE_WIDTH = 40
TARGET_WIDTH = 30
UNMATCHED_SHOWN = 10
"""Unmatched keys that are listed a side before the rest is only counted."""


class Line(NamedTuple):
    """One pair of an analysis: keys and the documented score."""

    source: str
    target: str
    score: float


class SideSummary(NamedTuple):
    """One side of an analysis: its name, how many keys it has, and (key, shape) of those without a partner."""

    name: str
    total: int
    unmatched: Sequence[tuple[str, tuple[int, ...]]]


def analysis_lines(
    source: SideSummary, target: SideSummary, pairs: Sequence[Line], *, top_n: int = 10, show_unmatched: bool = True
) -> Iterator[str]:
    """The documented layout: totals, the best pairs by score, and what has no partner.

    Pairs with equal scores stand in the order in which they are given.
    """
    yield "=" * WIDTH
    yield "Weight Mapping Analysis"
    yield "=" * WIDTH
    for title, side in (("Source", source), ("Target", target)):
        yield ""
        yield f"{title} model: {printable(side.name)}"
        yield f"  Total parameters: {side.total}"
    yield ""
    yield "Matching results:"
    yield f"  Matched: {len(pairs)}"
    yield f"  Coverage: {len(pairs) / source.total if source.total else 0.0:.1%}"
    if pairs and top_n > 0:
        yield ""
        yield f"{'Top suggested mappings:'.center(WIDTH - 1, '-')}--"
        yield f"{'Source':<{SOURCE_WIDTH}} → {'Target':<{TARGET_WIDTH}}Score"
        yield "-" * WIDTH
        for pair in sorted(pairs, key=lambda pair: -pair.score)[:top_n]:
            left = shortened(printable(pair.source), SOURCE_WIDTH)
            right = shortened(printable(pair.target), TARGET_WIDTH - 1)
            yield f"{left:<{SOURCE_WIDTH}} → {right:<{TARGET_WIDTH}}{pair.score:.3f}"
        if len(pairs) > top_n:
            yield f"  ... and {len(pairs) - top_n} more matches"
    if show_unmatched:
        for title, side in (("source", source), ("target", target)):
            yield from _unmatched_lines(title, side)
    yield "=" * WIDTH


def _unmatched_lines(title: str, side: SideSummary) -> Iterator[str]:
    if not side.unmatched:
        return
    yield ""
    yield f"Unmatched {title} parameters:".center(WIDTH, "-")
    for key, shape in side.unmatched[:UNMATCHED_SHOWN]:
        yield f"  {shortened(printable(key), 56):<56} {list(shape)}"
    if len(side.unmatched) > UNMATCHED_SHOWN:
        yield f"  ... and {len(side.unmatched) - UNMATCHED_SHOWN} more"
