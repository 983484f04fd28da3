"""Places first: families of numbered blocks, and which block is which, decided by what the blocks hold.

A family is the set of numbered subtrees with one template in a scope (``layers.#``, or ``stages.#.blocks.#``). Families
are aligned by order-preserving dynamic programming over the likeness of their members; names only break ties.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from wmtui.core.matching.blocks.alignment import FUSED_LIKENESS, Aligner, Block
from wmtui.core.matching.blocks.assignment import assign, margins
from wmtui.core.matching.blocks.directions import Directions, direction_unknown, ends_differ, share_words
from wmtui.core.matching.blocks.lists import (
    ROW,
    Lists,
    alone,
    collect,
    comparable,
    counted,
    crosswise,
    has_like,
    twin_families,
)
from wmtui.core.matching.blocks.mending import in_order, narrowed
from wmtui.core.matching.blocks.wholes import alone_in_content, by_bag, free, untouched
from wmtui.core.matching.reading.names import Names, contrast
from wmtui.core.matching.reading.tally import Tally, chain
from wmtui.core.matching.reading.tree import Node, Tree

_MOST_TWINS = 4
_LEAST_MARGIN = 0.4
"""Of names: what it must cost at least that two like modules change places."""

_STRAY = 0.75
"""Likeness below which some blocks of many are left to their tensors."""

_TIE = 0.5
"""Tensors by which the gains of two alignments may differ."""

_IN_STEP = 0.75
"""Likeness of blocks above which a list that agrees place by place is not taken apart for one block's sake."""

_MOST_ROUNDS = 40
_LONGEST_REVERSED = 64
_NAME_SHARE = 0.06
_PLACE_SHARE = 0.06
_WHOLE_SHARE = 0.15
"""What it adds to a pairing of lists that nothing is left over on either side."""

_AROUND_SHARE = 0.1
"""What it adds to a pairing of lists that have twins that the modules around them hold the same."""

_MOST_SHARES = 1.01 * (1 + _PLACE_SHARE) * (1 + _AROUND_SHARE) * (1 + _WHOLE_SHARE)

_MOST_ALIGNMENTS = 20_000
_MOST_FAMILIES = 64
"""Of one side in one scope; of more the largest are compared."""

_FEW_ALIGNMENTS = 10
"""In a match of very many families, how many pairs of them are still tried at a time."""


class Families:
    """Pairs the blocks of two scopes.

    Args:
        facts: pairs of units that the user has decided.
    """

    def __init__(
        self, source: Tree, target: Tree, names: Names, directions: Directions, facts: Sequence[tuple[int, int]] = ()
    ) -> None:
        self._names = names
        self._directions = directions
        self._aligner = Aligner(source, target)
        self._kept = not source.sorted, not target.sorted
        self._lost = not all(self._kept)
        self._lists = Lists()
        self._facts = sorted(facts)
        self._here: list[tuple[int, int]] = []
        self._wholes: dict[int, Node] = {}
        self._wholes_back: dict[int, Node] = {}
        self._alignments = 0

    # -- choice of families ----------------------------------------------------------------------------------------

    def pair(self, a: Node, b: Node) -> list[Block]:
        """Corresponding blocks of two scopes: greedily the families that explain most, then of what is left."""
        first, last = bisect_left(self._facts, (a.lo, -1)), bisect_left(self._facts, (a.hi, -1))
        self._here = [(i, j) for i, j in self._facts[first:last] if b.lo <= j < b.hi]
        found: list[Block] = []
        used: tuple[set[int], set[int]] = (set(), set())
        above: tuple[set[int], set[int]] = (set(), set())
        tally = Tally()
        wholes = [] if self._here else self._known(a, b)
        self._wholes = {id(block.source): block.target for block in wholes}
        self._wholes_back = {id(block.target): block.source for block in wholes}
        kept = {id(node) for block in wholes for node in block[:2]}
        for block in wholes:
            found.append(block)
            _mark(block, a, b, used, above)
        parts = False
        for _ in range(_MOST_ROUNDS):
            ours = collect(self._aligner.source, a, used[0], above[0], kept, parts)
            theirs = collect(self._aligner.target, b, used[1], above[1], kept, parts)
            best = self._best(a, b, ours, theirs, tally) if ours and theirs else None
            if parts and best is not None:
                # the numbers of what holds parts are those of its other parts, which are paired by now
                best = [block._replace(doubtful=False) for block in best if block.source.bag == block.target.bag]
            if best:
                best = [narrowed(block) if block.likeness < _STRAY else block for block in best]
                found += best
                for block in best:
                    tally.cast(_top(block.source, a), _top(block.target, b), float(block.source.size))
                    _mark(block, a, b, used, above)
            elif parts:
                break
            else:
                parts = True
        found += self._singles(untouched(a, used[0], above[0]), untouched(b, used[1], above[1]))
        # what could as well be another block leaves its place to a third: all of that content are as doubtful
        contested = {block.target.bag for block in found if not block.steady}
        known = [block._replace(steady=block.steady and block.target.bag not in contested) for block in found]
        return known if self._here else in_order(known, a, b, self._kept)

    def _known(self, a: Node, b: Node) -> list[Block]:
        """Modules that are paired before any list is looked at."""
        wholes = [block for block in alone_in_content(a, b) if not self._out_of_step(block)]
        return wholes + self._twins(a, b, wholes)

    def _out_of_step(self, block: Block) -> bool:
        """Whether a block has another place in its list than its partner, though the lists agree place by place."""
        (ours, place), (theirs, other) = self._lists.of(block.source), self._lists.of(block.target)
        if len(ours) != len(theirs) or place == other:
            return False
        return all(self._aligner.likeness(a, b)[0] >= _IN_STEP for a, b in zip(ours, theirs, strict=True))

    def _twins(self, a: Node, b: Node, wholes: list[Block]) -> list[Block]:
        """Modules outside of lists of which a few hold the same (two towers), where their names tell which is which."""
        ours, theirs = (free(scope, {id(block[side]) for block in wholes}) for side, scope in enumerate((a, b)))
        found: list[Block] = []
        for bag, members in ours.items():
            others = theirs.get(bag, [])
            if not 2 <= len(members) == len(others) <= _MOST_TWINS:
                continue
            if any(block.source.holds(members[0]) for block in found):
                continue
            phrases = [[self._names.of(node, root) for node in some] for some, root in ((members, a), (others, b))]
            among = contrast(*([self._names.phrases[p] for p in some] for some in phrases))
            likeness = np.array([[self._names.contrasted(p, q, among)[0] for q in phrases[1]] for p in phrases[0]])
            chosen = assign(likeness)
            named = {(i, j) for i, m in enumerate(members) for j, n in enumerate(others) if m.token == n.token}
            if len(chosen) < len(members) or not named <= set(chosen.items()):
                continue
            if min(margins(likeness, chosen).values()) >= _LEAST_MARGIN:
                found += [Block(members[i], others[j], 1.0) for i, j in chosen.items()]
        return found

    def _singles(self, ours: list[Node], theirs: list[Node]) -> list[Block]:
        """Modules outside of families that are alone, on both sides, in holding so many elements in like tensors."""
        by_numel: tuple[defaultdict[int, list[Node]], ...] = (defaultdict(list), defaultdict(list))
        for side, nodes in zip(by_numel, (ours, theirs), strict=True):
            for node in nodes:
                side[node.numel].append(node)
        found: list[Block] = []
        for numel in sorted(by_numel[0], reverse=True):
            members, others = by_numel[0][numel], by_numel[1][numel]
            if len(members) != 1 or len(others) != 1:
                continue
            node, other = members[0], others[0]
            inside = any(block.source.holds(node) or block.target.holds(other) for block in found)
            if not inside and (likeness := self._aligner.likeness(node, other)[0]) >= FUSED_LIKENESS:
                found.append(Block(node, other, likeness))
        return found

    def _largest(self, side: int, families: dict[str, list[Node]]) -> dict[str, int]:
        """Number of tensors in each of the largest families."""
        sizes = {key: sum(self._aligner.weight(side, node) for node in nodes) for key, nodes in families.items()}
        if len(sizes) > _MOST_FAMILIES:
            kept = set(sorted(sizes, key=sizes.__getitem__, reverse=True)[:_MOST_FAMILIES])
            sizes = {key: size for key, size in sizes.items() if key in kept}
        return sizes

    def _aligned(self, ours: list[Node], theirs: list[Node], bound: float) -> tuple[list[Block], float]:
        """The best alignment of two families: as they are counted, reversed, or with the outer numbers reversed."""
        if crosswise(ours, theirs):
            theirs = sorted(theirs, key=lambda node: (node.indices[-1], node.indices[-2]))
        pairs, gain = self._aligner.align(ours, theirs, self._here, self._wholes)
        if not self._here and self._opposite(ours, theirs):
            turned, turned_gain = self._aligner.align(ours, theirs[::-1], self._here, self._wholes)
            if turned_gain > gain - _TIE:
                return turned, turned_gain
        if not self._here and not (self._lost and share_words(counted(ours[0]), counted(theirs[0]))):
            pairs, gain = self._as_listed(ours, theirs, pairs, gain)
        if max(len(ours), len(theirs)) > _LONGEST_REVERSED or len(ours) < 2:
            return pairs, gain
        if self._here:
            least = gain + _TIE
        elif gain < bound - 1e-9 and len(ours) > 2:
            least = 1.2 * gain
        else:
            return pairs, gain
        turns = [(_turned(ours), theirs), (ours, _turned(theirs)), (ours, theirs[::-1])]
        for turn in turns:
            turned, turned_gain = self._aligner.align(*turn, self._here, self._wholes)
            if turned_gain > least:
                pairs, gain = turned, turned_gain
                least = max(least, gain + _TIE)
        return pairs, gain

    def _opposite(self, ours: list[Node], theirs: list[Node]) -> bool:
        """Whether what is known around two families tells that they are counted in opposite directions."""
        return (
            self._directions.opposite(ours, theirs)
            or ends_differ(ours, theirs, self._wholes)
            or ends_differ(theirs, ours, self._wholes_back)
        )

    def _as_listed(
        self, ours: list[Node], theirs: list[Node], pairs: list[Block], gain: float
    ) -> tuple[list[Block], float]:
        """Where one side lists its members from the last to the first, the alignment by places, if it is as good."""
        first, second = (sorted(nodes, key=lambda node: node.lo) for nodes in (ours, theirs))
        if (first == ours[::-1]) == (second == theirs[::-1]):
            return pairs, gain
        others, other_gain = self._aligner.align(first, second, self._here, self._wholes)
        if other_gain < gain - _TIE:
            return pairs, gain
        by_number = {(id(block.source), id(block.target)) for block in pairs}
        steady = [block.steady and (id(block.source), id(block.target)) in by_number for block in others]
        return [block._replace(steady=known) for block, known in zip(others, steady, strict=True)], other_gain

    def _around(self, ours: list[Node], theirs: list[Node], twins: tuple[set[int], set[int]]) -> float:
        """Where one of two families has a twin in its listing: how alike the modules are that hold the two, 0 to 1."""
        if id(ours[0]) not in twins[0] and id(theirs[0]) not in twins[1]:
            return 0.0
        return self._aligner.around(ours, theirs)

    def _known_among(self, ours: list[Node], theirs: list[Node]) -> int:
        """How many members of two families were paired with each other before."""
        there = {id(node) for node in theirs}
        return sum(id(self._wholes[id(node)]) in there for node in ours if id(node) in self._wholes)

    def _best(
        self, a: Node, b: Node, ours: dict[str, list[Node]], theirs: dict[str, list[Node]], tally: Tally
    ) -> list[Block] | None:
        bounds = []
        ours, theirs = _without_twins(a, ours), _without_twins(b, theirs)
        sizes_a, sizes_b = self._largest(0, ours), self._largest(1, theirs)
        for key_a, size_a in sizes_a.items():
            for key_b, size_b in sizes_b.items():
                if max(len(ours[key_a]), len(theirs[key_b])) >= 2 and comparable(key_a, ours, key_b, theirs):
                    bounds.append((min(size_a, size_b), -key_a.count(".") - key_b.count("."), key_a, key_b))
        bounds.sort(key=lambda bound: (-bound[0], -bound[1]))
        best: tuple[float, list[Block]] | None = None
        chosen: tuple[list[Node], list[Node]] | None = None
        twins = twin_families(ours), twin_families(theirs)
        if self._alignments > _MOST_ALIGNMENTS:
            del bounds[_FEW_ALIGNMENTS:]
        for bound, depth, key_a, key_b in bounds:
            self._alignments += 1
            if best is not None and not self._here and bound * _MOST_SHARES < best[0]:
                break
            nodes_a, nodes_b = ours[key_a], theirs[key_b]
            pairs, gain = self._aligned(nodes_a, nodes_b, bound)
            rows = [nodes for key, nodes in ((key_a, nodes_a), (key_b, nodes_b)) if key.endswith(ROW)]
            broken = any(len(pairs) < len(nodes) for nodes in rows)
            if not pairs or broken or _stray(pairs):
                continue
            if self._lost and (key_a.endswith(ROW) or key_b.endswith(ROW)):
                pairs = [
                    block._replace(steady=not (has_like(block.source) or has_like(block.target))) for block in pairs
                ]
            name = self._names.similarity(self._names.of(nodes_a[0], a), self._names.of(nodes_b[0], b))
            score = gain * (1 - _NAME_SHARE + _NAME_SHARE * name) * (1 + 0.004 * depth)
            score *= 1 + _PLACE_SHARE * _agreement(a, b, pairs, tally)
            score *= 1 + _AROUND_SHARE * self._around(nodes_a, nodes_b, twins)
            if len(pairs) + self._known_among(nodes_a, nodes_b) == len(nodes_a) == len(nodes_b):
                score *= 1 + _WHOLE_SHARE
            if best is None or score > best[0] + 1e-9:
                best, chosen = (score, pairs), (nodes_a, nodes_b)
        if best is None or best[0] <= 0 or chosen is None:
            return None
        if not (self._here or self._opposite(*chosen)) and direction_unknown(*chosen, best[1]):
            return [block._replace(doubtful=True) for block in best[1]]
        return best[1]


def _without_twins(scope: Node, families: dict[str, list[Node]]) -> dict[str, list[Node]]:
    """Families but for single modules with a number whose like could as well be meant (``path1``, ``path0_1x1``)."""
    single = {key for key, nodes in families.items() if alone(nodes)}
    like = by_bag(scope) if single else {}
    return {key: nodes for key, nodes in families.items() if key not in single or len(like.get(nodes[0].bag, ())) < 2}


def _stray(pairs: Sequence[Block]) -> bool:
    """Whether blocks that are not much alike are a few of many on both sides: their tensors find better ones alone."""
    members = min(max(block.source.kin for block in pairs), max(block.target.kin for block in pairs))
    return 2 * len(pairs) <= members and max(block.likeness for block in pairs) < _STRAY


def _turned(nodes: list[Node]) -> list[Node]:
    """Members of a nested family with the outer numbers counted down (``up.3.block.0`` comes first)."""
    return sorted(nodes, key=lambda node: (-node.indices[0], node.indices[1:])) if len(nodes[0].indices) > 1 else nodes


def _agreement(a: Node, b: Node, pairs: Sequence[Block], tally: Tally) -> float:
    """How far blocks paired before stand in the same two of the scopes' own modules, 0 to 1."""
    total = 0.0
    for block in pairs:
        first, second = _top(block.source, a), _top(block.target, b)
        if first and second:
            total += tally.share(first[0], second[0]) or 0.0
    return total / len(pairs)


def _top(node: Node, scope: Node) -> list[int]:
    """The id of the scope's own module that holds a node, unless it is the node itself."""
    return chain(node, scope)[1:-1][-1:]


def _mark(block: Block, a: Node, b: Node, used: tuple[set[int], set[int]], above: tuple[set[int], set[int]]) -> None:
    """Note that a block's modules are paired, and that the modules above them hold paired ones."""
    for side, (node, scope) in enumerate(((block.source, a), (block.target, b))):
        used[side].add(id(node))
        parent = node.parent
        while parent is not None and parent is not scope:
            above[side].add(id(parent))
            parent = parent.parent
