"""Which block of one family is which of another: order-preserving alignment over what the blocks hold."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmtui.core.matching.blocks.order import best_alignment
from wmtui.core.matching.reading.leaves import FREE_LEAVES
from wmtui.core.matching.reading.tree import Node, Tree

Floats = NDArray[np.float64]

FUSED_LIKENESS = 0.95
_LEAST_LIKENESS = 0.5
_LEAST_MASS = 0.97
_SEVERAL = 9
_SMALL = 4
"""Blocks of so few tensors are alike only where they share the largest (a norm alone says nothing)."""

_NEAR = 0.01
"""Of the gain of a pair, at most: what it costs to stand elsewhere in the listing."""

_MOST_CELLS = 3_000_000
_FACT_GAIN = 10.0
_RANK = 0.5
"""What a pair of equal ranks is worth against a step without a gap."""

_EVEN_RANK = 1.5
"""The same, where both sides have equally many modules of that content."""


class Block(NamedTuple):
    """Two corresponding blocks.

    Attributes:
        likeness: 0.5 to 1, of what they hold.
        doubtful: nothing tells whether the family runs this way or in reverse.
        steady: no other alignment or family is as good.
    """

    source: Node
    target: Node
    likeness: float
    doubtful: bool = False
    steady: bool = True


class Aligner:
    """Compares blocks of two trees, and aligns families of them."""

    def __init__(self, source: Tree, target: Tree) -> None:
        self.source = source
        self.target = target
        self._bags: dict[tuple[int, int], Counter[int]] = {}
        self._likeness: dict[tuple[int, int], tuple[float, int]] = {}
        self._by_bag: tuple[defaultdict[int, list[int]], ...] = (defaultdict(list), defaultdict(list))

    # -- likeness of two blocks ------------------------------------------------------------------------------------

    def _sizes(self, side: int, node: Node) -> Counter[int]:
        found = self._bags.get((side, node.bag))
        if found is None:
            tree = (self.source, self.target)[side]
            found = Counter()
            for unit in range(node.lo, node.hi):
                for leaf, row in tree.leaves[unit].items():
                    if leaf not in FREE_LEAVES and (count := tree.specs[row].numel) > 1:
                        found[count] += 1
            self._bags[side, node.bag] = found
        return found

    def weight(self, side: int, node: Node) -> int:
        """Number of tensors in a block that count."""
        return self._sizes(side, node).total()

    def likeness(self, a: Node, b: Node) -> tuple[float, int]:
        """Dice of the sizes that two blocks hold (raised where totals agree: fused tensors), and the common count."""
        if a.bag == b.bag:
            return 1.0, self.weight(0, a)
        found = self._likeness.get((a.bag, b.bag))
        if found is None:
            ours, theirs = self._sizes(0, a), self._sizes(1, b)
            shared = ours & theirs
            common = shared.total()
            dice = 2 * common / max(1, ours.total() + theirs.total())
            mass = min(a.numel, b.numel) / max(a.numel, b.numel, 1)
            several = min(ours.total(), theirs.total()) >= _SEVERAL
            if dice > 0.2 and (mass == 1 or (several and _fusable(ours - shared, theirs - shared))):
                dice = max(dice, FUSED_LIKENESS * mass)
            if min(ours.total(), theirs.total()) <= _SMALL and max(ours, default=0) != max(theirs, default=0):
                dice = 0.0
            found = self._likeness[a.bag, b.bag] = (dice, common)
        return found

    def around(self, ours: list[Node], theirs: list[Node]) -> float:
        """Dice of the sizes that the modules around two families hold beside them."""
        one, other = self._beside(0, ours), self._beside(1, theirs)
        return 2 * (one & other).total() / max(1, one.total() + other.total())

    def _beside(self, side: int, nodes: list[Node]) -> Counter[int]:
        """Sizes that the innermost module around a family holds, but for the family's own."""
        own = sum(node.size for node in nodes)
        around = nodes[0]
        while around.parent is not None and (around.size <= own or not all(map(around.holds, nodes))):
            around = around.parent
        beside = self._sizes(side, around).copy()
        for node in nodes:
            beside.subtract(self._sizes(side, node))
        return +beside

    def _ranks(self, side: int, members: list[Node]) -> list[int]:
        """Place of each member among the modules of the very same sizes in the whole listing."""
        places = self._by_bag[side]
        if not places:
            stack = [(self.source, self.target)[side].root]
            while stack:
                node = stack.pop()
                if node.size >= 2:
                    places[node.bag].append(node.lo)
                    stack.extend(node.children.values())
            for bag, found in places.items():
                places[bag] = sorted(set(found))
        return [bisect_left(places[node.bag], node.lo) for node in members]

    def _neatness(self, ours: list[Node], theirs: list[Node], cells: Sequence[tuple[int, int]]) -> float:
        """Tells apart alignments of one gain: steps without a gap inside a module, and pairs of equal ranks."""
        steps = zip(_steps(ours, [a for a, _ in cells]), _steps(theirs, [b for _, b in cells]), strict=True)
        ranks_a, ranks_b = self._ranks(0, ours), self._ranks(1, theirs)
        found = float(sum(a and b for a, b in steps))
        for a, b in cells:
            if ranks_a[a] == ranks_b[b]:
                bags = ours[a].bag, theirs[b].bag
                even = len(self._by_bag[0][bags[0]]) == len(self._by_bag[1][bags[1]])
                found += _EVEN_RANK if even else _RANK
        return found

    def _nearest(self, ours: list[Node], theirs: list[Node], weights: Floats) -> list[tuple[int, int]]:
        """The alignment of that gain whose pairs stand at like places of their listings."""
        places_a = np.array([node.lo for node in ours]) / len(self.source.nodes)
        places_b = np.array([node.lo for node in theirs]) / len(self.target.nodes)
        return best_alignment(weights * (1 - _NEAR * np.abs(np.subtract.outer(places_a, places_b))))

    # -- alignment of two families ---------------------------------------------------------------------------------

    def align(
        self,
        ours: list[Node],
        theirs: list[Node],
        facts: Collection[tuple[int, int]],
        wholes: Mapping[int, Node],
    ) -> tuple[list[Block], float]:
        """The best order-preserving pairs of two families' members, and their gain in tensors.

        Args:
            facts: pairs of units that the user has decided.
            wholes: id of a source module -> the target module that it is known to be; they count in the gain, but are
                not among the pairs.
        """
        decided = _fact_cells(ours, theirs, facts)
        settled = _settled(ours, theirs, wholes) if wholes else None
        gain = sum(_FACT_GAIN * ours[a].size for a, _ in decided)
        straight = settled is None and len(ours) == len(theirs) and all(a == b for a, b in decided)
        if straight and all(a.bag == b.bag for a, b in zip(ours, theirs, strict=True)):
            pairs = [Block(a, b, 1.0) for a, b in zip(ours, theirs, strict=True)]
            return pairs, float(sum(self.weight(0, a) for a in ours)) + gain
        if len(ours) * len(theirs) > _MOST_CELLS:
            return self._align_by_bag([node for node in ours if id(node) not in wholes], theirs)
        weights: Floats = np.zeros((len(ours), len(theirs)))
        quality: Floats = np.zeros((len(ours), len(theirs)))
        by_bag_a, by_bag_b = _places_by_bag(ours), _places_by_bag(theirs)
        for places_a in by_bag_a.values():
            for places_b in by_bag_b.values():
                likeness, common = self.likeness(ours[places_a[0]], theirs[places_b[0]])
                if likeness >= _LEAST_LIKENESS:
                    same = np.ix_(places_a, places_b)
                    weights[same] = min(1.0, likeness / FUSED_LIKENESS) ** 4 * common
                    quality[same] = likeness
        same_index = np.equal.outer([a.indices[-1] for a in ours], [b.indices[-1] for b in theirs])
        weights *= 1 + 0.002 * same_index
        for a, b in decided:
            own = weights[a, b]
            weights[a, :] = weights[:, b] = 0.0
            weights[a, b] = own + _FACT_GAIN * ours[a].size if own else 0.0
        if settled is not None:
            rows, columns, known = settled
            own = [weights[cell] for cell in known]
            weights[rows, :] = weights[:, columns] = 0.0
            for cell, value in zip(known, own, strict=True):
                weights[cell] = value
        cells = best_alignment(weights)
        if len(ours) != len(theirs) and not decided:
            early = best_alignment(weights[::-1, ::-1])
            early = [(len(ours) - 1 - a, len(theirs) - 1 - b) for a, b in reversed(early)]
            ways = [cells, early, self._nearest(ours, theirs, weights)]
            steady = set.intersection(*map(set, ways))
            if early != cells:
                cells = max(ways, key=lambda some: self._neatness(ours, theirs, some))
        else:
            steady = set(cells)
        pairs = [
            Block(ours[a], theirs[b], float(quality[a, b]), steady=(a, b) in steady)
            for a, b in cells
            if id(ours[a]) not in wholes
        ]
        return pairs, float(sum(weights[a, b] for a, b in cells))

    def _align_by_bag(self, ours: list[Node], theirs: list[Node]) -> tuple[list[Block], float]:
        """For very long families: the n-th block of a content with the n-th of the same content."""
        places: defaultdict[int, list[Node]] = defaultdict(list)
        for node in reversed(theirs):
            places[node.bag].append(node)
        pairs = [Block(a, places[a.bag].pop(), 1.0) for a in ours if places.get(a.bag)]
        return pairs, float(sum(self.weight(0, a) for a, *_ in pairs))


def _fusable(ours: Counter[int], theirs: Counter[int]) -> bool:
    """Whether what two blocks do not share could be the same elements divided otherwise, but for a few."""
    masses = [sum(size * count for size, count in some.items()) for some in (ours, theirs)]
    return min(masses) >= _LEAST_MASS * max(masses)


def _steps(nodes: Sequence[Node], places: Sequence[int]) -> list[bool]:
    """Whether each member of an alignment follows the one before it in the same module."""
    return [b == a + 1 and nodes[a].parent is nodes[b].parent for a, b in pairwise(places)]


def _fact_cells(ours: list[Node], theirs: list[Node], facts: Collection[tuple[int, int]]) -> set[tuple[int, int]]:
    """The pairs of members that the user's pairs speak for."""
    if not facts:
        return set()
    of_a, of_b = _Members(ours), _Members(theirs)
    cells = {(of_a.holding(i), of_b.holding(j)) for i, j in facts}
    return {(a, b) for a, b in cells if a >= 0 and b >= 0}


def _settled(
    ours: list[Node], theirs: list[Node], wholes: Mapping[int, Node]
) -> tuple[list[int], list[int], list[tuple[int, int]]] | None:
    """Rows and columns of members whose partners are known, and the cells of those whose partners are here."""
    taken = {id(node): place for place, node in enumerate(theirs)}
    partners = {id(partner) for partner in wholes.values()}
    rows = [a for a, node in enumerate(ours) if id(node) in wholes]
    columns = [b for b, node in enumerate(theirs) if id(node) in partners]
    if not rows and not columns:
        return None
    known = [(a, taken[place]) for a in rows if (place := id(wholes[id(ours[a])])) in taken]
    return rows, columns, known


class _Members:
    """Finds the member of a family that holds a unit."""

    def __init__(self, nodes: list[Node]) -> None:
        self._order = sorted(range(len(nodes)), key=lambda k: nodes[k].lo)
        self._starts = [nodes[k].lo for k in self._order]
        self._ends = [nodes[k].hi for k in self._order]

    def holding(self, unit: int) -> int:
        """Place of the member in the family, -1 where none holds the unit."""
        place = bisect_right(self._starts, unit) - 1
        return self._order[place] if place >= 0 and unit < self._ends[place] else -1


def _places_by_bag(nodes: list[Node]) -> dict[int, list[int]]:
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        places[node.bag].append(place)
    return places
