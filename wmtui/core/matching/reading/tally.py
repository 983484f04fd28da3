"""Counting votes for pairs of modules: every pair of units speaks for the modules that hold its two units."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from wmtui.core.matching.reading.tree import Node

_UNEVEN = 0.5
_HIGHEST = 10

Chain = Sequence[int]


def chain(node: Node, scope: Node) -> list[int]:
    """Ids of a node and of the modules above it, up to the scope; the scope counts as its own holder."""
    found = [id(node)]
    at = node.parent if node is not scope else scope
    while at is not None and len(found) <= _HIGHEST:
        found.append(id(at))
        if at is scope:
            break
        at = at.parent
    return found if len(found) > 1 else [*found, id(scope)]


def alone(node: Node, scope: Node) -> Node:
    """The outermost module in a scope that holds nothing but a node (``to_out`` of ``to_out.0``)."""
    while node is not scope and node.parent is not None and node.parent is not scope and node.parent.size == node.size:
        node = node.parent
    return node


class Tally:
    """Votes that pairs of nodes got, and how many each side had to give."""

    def __init__(self) -> None:
        self._common: Counter[tuple[int, int]] = Counter()
        self._ours: defaultdict[int, float] = defaultdict(float)
        self._theirs: defaultdict[int, float] = defaultdict(float)

    def cast(self, ours: Chain, theirs: Chain, weight: float) -> None:
        """Let a pair speak for all pairs of the nodes in two chains, less where their heights differ."""
        for a in ours:
            self._ours[a] += weight
        for b in theirs:
            self._theirs[b] += weight
        for high_a, a in enumerate(ours):
            for high_b, b in enumerate(theirs):
                self._common[a, b] += weight * _UNEVEN ** abs(high_a - high_b)  # type: ignore[assignment]

    def share(self, a: int, b: int, without: Sequence[tuple[Chain, Chain, float]] = ()) -> float | None:
        """Dice of the votes that two nodes have in common, 0 to 1; ``None`` where nobody voted.

        Args:
            without: votes (as they were cast) that do not count.
        """
        agreed, mine, yours = self._common.get((a, b), 0.0), self._ours.get(a, 0.0), self._theirs.get(b, 0.0)
        for ours, theirs, weight in without:
            if a in ours:
                mine -= weight
                if b in theirs:
                    agreed -= weight * _UNEVEN ** abs(ours.index(a) - theirs.index(b))
            if b in theirs:
                yours -= weight
        return min(1.0, 2 * agreed / (mine + yours)) if mine + yours > 1e-6 else None
