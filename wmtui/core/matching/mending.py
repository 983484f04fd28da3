"""What an alignment of two families cannot see: a block inside the partner, and blocks of several families in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from wmtui.core.matching.alignment import Block
from wmtui.core.matching.tree import Node


def narrowed(block: Block) -> Block:
    """A block with the module inside that holds just what its partner does, if there is one, in its stead."""
    if (inner := _inside(block.target, block.source.bag)) is not None:
        return block._replace(target=inner, likeness=1.0)
    if (inner := _inside(block.source, block.target.bag)) is not None:
        return block._replace(source=inner, likeness=1.0)
    return block


def _inside(node: Node, bag: int) -> Node | None:
    """The only module below a node that holds a content; of modules that hold nothing but a module the outermost."""
    found: Node | None = None
    stack = list(node.children.values())
    while stack:
        child = stack.pop()
        if child.bag != bag:
            stack.extend(child.children.values())
        elif found is not None:
            return None
        else:
            found = child
    return found


def in_order(blocks: Sequence[Block]) -> list[Block]:
    """Blocks, those of one list that fell to several of the other side's paired anew in the order of the listings.

    Each alignment finds some of the places that a content may have, and cannot know what is left to the next one.
    """
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        if not block.doubtful and block.source.bag == block.target.bag:
            groups[block.source.bag].append(place)
    mended = list(blocks)
    for places in groups.values():
        members = [(blocks[place].source, blocks[place].target) for place in places]
        if _divided(members) or _divided([(target, source) for source, target in members]):
            ours, theirs = (sorted(side, key=lambda node: node.lo) for side in zip(*members, strict=True))
            for place, a, b in zip(places, ours, theirs, strict=True):
                mended[place] = blocks[place]._replace(source=a, target=b)
    return mended


def _divided(members: Sequence[tuple[Node, Node]]) -> bool:
    """Whether the first of all pairs are a single family, the second several, each of them in order."""
    families: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for one, other in members:
        families[other.template].append((one.lo, other.lo))
    single = len({one.template for one, _ in members}) == 1
    rising = all(a[1] < b[1] for places in families.values() for a, b in pairwise(sorted(places)))
    return single and len(families) > 1 and rising
