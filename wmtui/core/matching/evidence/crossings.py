"""Roles whose partners stand in the next block: what ends a stage on one side begins the next one on the other.

Where two of them happen to have one size, they would be paired inside their stage, though all others are not.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from wmtui.core.matching.evidence.support import Scope
from wmtui.core.matching.reading.tree import Tree

Structures = tuple[int, int]
Crossing = tuple[str, str]
"""Templates of two units."""


class Crossings:
    """Counts for each pair of roles in how many pairs of blocks it was decided inside, and in how many across them."""

    def __init__(self, source: Tree, target: Tree) -> None:
        self._source = source
        self._target = target
        self._inside: defaultdict[Structures, Counter[Crossing]] = defaultdict(Counter)
        self._across: defaultdict[Structures, Counter[Crossing]] = defaultdict(Counter)

    def note(self, scope: Scope, pairs: Iterable[tuple[int, int]]) -> None:
        """Count the pairs that a scope decided."""
        key = (scope.a.structure, scope.b.structure)
        for i, j in pairs:
            role = self._source.nodes[i].template, self._target.nodes[j].template
            here, there = scope.from_a.get(i), scope.from_b.get(j)
            if here != there:
                self._across[key][role] += 1
            elif here is None and scope.a.parent is not None:
                self._inside[key][role] += 1

    def settled(self, times: Mapping[Structures, int]) -> frozenset[Crossing]:
        """Roles that were paired across blocks more often than inside of one.

        Args:
            times: how often each pair of structures stands in the listings.
        """
        total: Counter[Crossing] = Counter()
        for sign, found in ((1, self._across), (-1, self._inside)):
            for key, roles in found.items():
                for role, count in roles.items():
                    total[role] += sign * count * times[key]
        return frozenset(role for role, count in total.items() if count > 0)
