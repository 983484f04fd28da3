"""Places first: families of numbered blocks, and which block is which, decided by what the blocks hold.

A family is the set of numbered subtrees with one template in a scope (``layers.#``, or ``stages.#.blocks.#``). Families
are aligned by order-preserving dynamic programming over the likeness of their members; names only break ties.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmtui.core.matching.leaves import FREE_LEAVES
from wmtui.core.matching.names import Names
from wmtui.core.matching.order import prefix_sums
from wmtui.core.matching.tree import Node, Tree
from wmtui.core.matching.words import words

Floats = NDArray[np.float64]

_LEAST_LIKENESS = 0.5
_FUSED_LIKENESS = 0.95
_LEAST_MASS = 0.97
_SEVERAL = 9
_SMALL = 4
"""Blocks of so few tensors are alike only where they share the largest (a norm alone says nothing)."""

_MOST_CELLS = 3_000_000
_MOST_ROUNDS = 40
_LONGEST_REVERSED = 64
_NAME_SHARE = 0.06
_FACT_GAIN = 10.0
_LONGEST_DOUBTFUL = 8
_MOST_ALIGNMENTS = 20_000
_MOST_FAMILIES = 64
"""Of one side in one scope; of more the largest are compared."""

_FEW_ALIGNMENTS = 10
"""In a match of very many families, how many pairs of them are still tried at a time."""


class Block(NamedTuple):
    """Two corresponding blocks.

    Attributes:
        likeness: 0.5 to 1, of what they hold.
        doubtful: nothing tells whether the family runs this way or in reverse.
    """

    source: Node
    target: Node
    likeness: float
    doubtful: bool = False


class Families:
    """Pairs the blocks of two scopes.

    Args:
        facts: pairs of units that the user has decided.
    """

    def __init__(self, source: Tree, target: Tree, names: Names, facts: Sequence[tuple[int, int]] = ()) -> None:
        self._source = source
        self._target = target
        self._names = names
        self._facts = sorted(facts)
        self._here: list[tuple[int, int]] = []
        self._bags: dict[tuple[int, int], Counter[int]] = {}
        self._alignments = 0
        self._likeness: dict[tuple[int, int], tuple[float, int]] = {}

    # -- likeness of two blocks ------------------------------------------------------------------------------------

    def _sizes(self, side: int, node: Node) -> Counter[int]:
        found = self._bags.get((side, node.bag))
        if found is None:
            tree = (self._source, self._target)[side]
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
            common = (ours & theirs).total()
            dice = 2 * common / max(1, ours.total() + theirs.total())
            mass = min(a.numel, b.numel) / max(a.numel, b.numel, 1)
            several = min(ours.total(), theirs.total()) >= _SEVERAL
            if dice > 0.2 and (mass == 1 or (several and mass >= _LEAST_MASS)):
                dice = max(dice, _FUSED_LIKENESS * mass)
            if min(ours.total(), theirs.total()) <= _SMALL and max(ours, default=0) != max(theirs, default=0):
                dice = 0.0
            found = self._likeness[a.bag, b.bag] = (dice, common)
        return found

    # -- alignment of two families ---------------------------------------------------------------------------------

    def _fact_cells(self, ours: list[Node], theirs: list[Node]) -> set[tuple[int, int]]:
        """The pairs of members that the user's pairs speak for."""
        if not self._here:
            return set()
        of_a, of_b = _Members(ours), _Members(theirs)
        cells = {(of_a.holding(i), of_b.holding(j)) for i, j in self._here}
        return {(a, b) for a, b in cells if a >= 0 and b >= 0}

    def align(self, ours: list[Node], theirs: list[Node]) -> tuple[list[Block], float]:
        """The best order-preserving pairs of two families' members, and their gain in tensors."""
        decided = self._fact_cells(ours, theirs)
        gain = sum(_FACT_GAIN * ours[a].size for a, _ in decided)
        straight = len(ours) == len(theirs) and all(a == b for a, b in decided)
        if straight and all(a.bag == b.bag for a, b in zip(ours, theirs, strict=True)):
            pairs = [Block(a, b, 1.0) for a, b in zip(ours, theirs, strict=True)]
            return pairs, float(sum(self.weight(0, a) for a in ours)) + gain
        if len(ours) * len(theirs) > _MOST_CELLS:
            return self._align_by_bag(ours, theirs)
        weights: Floats = np.zeros((len(ours), len(theirs)))
        quality: Floats = np.zeros((len(ours), len(theirs)))
        by_bag_a, by_bag_b = _places_by_bag(ours), _places_by_bag(theirs)
        for places_a in by_bag_a.values():
            for places_b in by_bag_b.values():
                likeness, common = self.likeness(ours[places_a[0]], theirs[places_b[0]])
                if likeness >= _LEAST_LIKENESS:
                    cells = np.ix_(places_a, places_b)
                    weights[cells] = min(1.0, likeness / _FUSED_LIKENESS) ** 4 * common
                    quality[cells] = likeness
        same_index = np.equal.outer([a.indices[-1] for a in ours], [b.indices[-1] for b in theirs])
        weights *= 1 + 0.002 * same_index
        for a, b in decided:
            own = weights[a, b]
            weights[a, :] = weights[:, b] = 0.0
            weights[a, b] = own + _FACT_GAIN * ours[a].size if own else 0.0
        sums = prefix_sums(weights)
        i, j = len(ours), len(theirs)
        pairs = []
        while i and j:
            gain = weights[i - 1, j - 1]
            if gain > 0 and abs(sums[i, j] - sums[i - 1, j - 1] - gain) < 1e-9 * max(1.0, sums[i, j]):
                i, j = i - 1, j - 1
                pairs.append(Block(ours[i], theirs[j], float(quality[i, j])))
            elif sums[i, j] == sums[i - 1, j]:
                i -= 1
            else:
                j -= 1
        return pairs[::-1], float(sums[-1, -1])

    def _align_by_bag(self, ours: list[Node], theirs: list[Node]) -> tuple[list[Block], float]:
        """For very long families: the n-th block of a content with the n-th of the same content."""
        places: defaultdict[int, list[Node]] = defaultdict(list)
        for node in reversed(theirs):
            places[node.bag].append(node)
        pairs = [Block(a, places[a.bag].pop(), 1.0) for a in ours if places.get(a.bag)]
        return pairs, float(sum(self.weight(0, a) for a, *_ in pairs))

    # -- choice of families ----------------------------------------------------------------------------------------

    def pair(self, a: Node, b: Node) -> list[Block]:
        """Corresponding blocks of two scopes: greedily the families that explain most, then of what is left."""
        first, last = bisect_left(self._facts, (a.lo, -1)), bisect_left(self._facts, (a.hi, -1))
        self._here = [(i, j) for i, j in self._facts[first:last] if b.lo <= j < b.hi]
        found: list[Block] = []
        used: tuple[set[int], set[int]] = (set(), set())
        above: tuple[set[int], set[int]] = (set(), set())
        for _ in range(_MOST_ROUNDS):
            ours = _collect(a, used[0], above[0])
            theirs = _collect(b, used[1], above[1])
            best = self._best(a, b, ours, theirs) if ours and theirs else None
            if best is None:
                break
            found += best
            for side, scope in ((0, a), (1, b)):
                for block in best:
                    node = block.target if side else block.source
                    used[side].add(id(node))
                    parent = node.parent
                    while parent is not None and parent is not scope:
                        above[side].add(id(parent))
                        parent = parent.parent
        return found

    def _largest(self, side: int, families: dict[str, list[Node]]) -> dict[str, int]:
        """Number of tensors in each of the largest families."""
        sizes = {key: sum(self.weight(side, node) for node in nodes) for key, nodes in families.items()}
        if len(sizes) > _MOST_FAMILIES:
            kept = set(sorted(sizes, key=sizes.__getitem__, reverse=True)[:_MOST_FAMILIES])
            sizes = {key: size for key, size in sizes.items() if key in kept}
        return sizes

    def _best(self, a: Node, b: Node, ours: dict[str, list[Node]], theirs: dict[str, list[Node]]) -> list[Block] | None:
        bounds = []
        sizes_a, sizes_b = self._largest(0, ours), self._largest(1, theirs)
        for key_a, size_a in sizes_a.items():
            for key_b, size_b in sizes_b.items():
                if max(len(ours[key_a]), len(theirs[key_b])) >= 2:
                    bounds.append((min(size_a, size_b), -key_a.count(".") - key_b.count("."), key_a, key_b))
        bounds.sort(key=lambda bound: (-bound[0], -bound[1]))
        best: tuple[float, list[Block]] | None = None
        chosen: tuple[list[Node], list[Node]] | None = None
        if self._alignments > _MOST_ALIGNMENTS:
            del bounds[_FEW_ALIGNMENTS:]
        for bound, depth, key_a, key_b in bounds:
            self._alignments += 1
            if best is not None and not self._here and bound * 1.01 < best[0]:
                break
            nodes_a, nodes_b = ours[key_a], theirs[key_b]
            pairs, gain = self.align(nodes_a, nodes_b)
            if gain < bound - 1e-9 and 2 < len(nodes_a) <= _LONGEST_REVERSED and len(nodes_b) <= _LONGEST_REVERSED:
                turned, turned_gain = self.align(nodes_a, nodes_b[::-1])
                if turned_gain > 1.2 * gain:
                    pairs, gain = turned, turned_gain
            elif self._here and 1 < len(nodes_a) <= _LONGEST_REVERSED and len(nodes_b) <= _LONGEST_REVERSED:
                turned, turned_gain = self.align(nodes_a, nodes_b[::-1])
                if turned_gain > gain + 0.5:
                    pairs, gain = turned, turned_gain
            if not pairs:
                continue
            name = self._names.similarity(self._names.of(nodes_a[0], a), self._names.of(nodes_b[0], b))
            score = gain * (1 - _NAME_SHARE + _NAME_SHARE * name) * (1 + 0.004 * depth)
            if best is None or score > best[0] + 1e-9:
                best, chosen = (score, pairs), (nodes_a, nodes_b)
        if best is None or best[0] <= 0 or chosen is None:
            return None
        if not self._here and _direction_unknown(chosen[0], chosen[1], best[1]):
            return [block._replace(doubtful=True) for block in best[1]]
        return best[1]


def _direction_unknown(ours: list[Node], theirs: list[Node], pairs: list[Block]) -> bool:
    """Whether a short family of like blocks could as well run in reverse.

    A numbered attribute (``refinenet4``) and a list index (``layers.0``) agree in direction by convention only, so it
    needs one more witness: other sizes somewhere in the family, or a word in common.
    """
    if not 2 <= len(pairs) <= _LONGEST_DOUBTFUL or len(ours) != len(theirs) or len(pairs) != len(ours):
        return False
    if len({block.source.bag for block in pairs} | {block.target.bag for block in pairs}) > 1:
        return False
    if bool(ours[0].stem) == bool(theirs[0].stem):
        return False
    first, second = _list_words(ours[0]), _list_words(theirs[0])
    return bool(first) and bool(second) and not first & second


def _list_words(node: Node) -> set[str]:
    """The words that name a family: of the numbered segment, or of the list that holds it."""
    if node.stem or node.parent is None:
        return set(words(node.stem))
    above = node.parent.parent
    return {*words(node.parent.stem), *(words(above.stem) if above is not None else ())}


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


def _collect(scope: Node, used: set[int], above: set[int]) -> dict[str, list[Node]]:
    """Families in a scope by relative template: numbered subtrees of two units and more, by their indices."""
    found: defaultdict[str, list[Node]] = defaultdict(list)
    start = len(scope.template)
    stack = [scope]
    while stack:
        for child in stack.pop().children.values():
            if child.hi - child.lo >= 2 and id(child) not in used:
                if child.index is not None and id(child) not in above:
                    found[child.template[start:]].append(child)
                stack.append(child)
    for nodes in found.values():
        nodes.sort(key=lambda node: node.indices)
    return dict(found)
