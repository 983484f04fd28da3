"""Where one side lists its blocks backwards: its other tensors stand where the blocks beside them stand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.reading.tree import Node

_MOST_BLOCKS = 60


def backwards(blocks: Sequence[Block]) -> bool:
    """Whether most of a scope's blocks stand in the reverse order on the other side."""
    some = blocks[:: max(1, len(blocks) // _MOST_BLOCKS)]
    pairs = list(combinations(some, 2))
    against = sum((x.source.lo < y.source.lo) != (x.target.lo < y.target.lo) for x, y in pairs)
    return 2 * against > len(pairs)


def places_by_blocks(nodes: Sequence[Node], scope: Node, blocks: Sequence[Block]) -> list[float]:
    """Places of source units among the target's: behind the blocks of the module before, else before the next one's.

    Args:
        nodes: of the units, in a scope.
        blocks: of that scope.
    """
    spans: dict[int, tuple[int, int]] = {}
    for block in blocks:
        at: Node | None = block.source
        while at is not None and at is not scope:
            low, high = spans.get(id(at), (block.target.lo, block.target.hi))
            spans[id(at)] = min(low, block.target.lo), max(high, block.target.hi)
            at = at.parent
    return [_place(node, scope, spans) + node.lo * 1e-6 for node in nodes]


def _place(node: Node, scope: Node, spans: dict[int, tuple[int, int]]) -> float:
    while node is not scope and node.parent is not None:
        siblings = list(node.parent.children.values())
        own = next(k for k, sibling in enumerate(siblings) if sibling is node)
        for sibling in reversed(siblings[:own]):
            if id(sibling) in spans:
                return spans[id(sibling)][1] - 0.5
        for sibling in siblings[own + 1 :]:
            if id(sibling) in spans:
                return spans[id(sibling)][0] - 0.75
        node = node.parent
    return 0.0
