"""What an alignment of two families cannot see: a block inside the partner, and blocks of several families in order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.blocks.lists import in_one_count, list_of
from wmtui.core.matching.reading.tree import Node


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


def in_order(blocks: Sequence[Block], a: Node, b: Node, kept: tuple[bool, bool]) -> list[Block]:
    """Blocks, those of one list that fell to several of the other side's paired anew in the order of the listings.

    Each alignment finds some of the places that a content may have, and cannot know what is left to the next one.

    Args:
        a, b: the scopes that hold them.
        kept: whether the listings of source and target have kept their order, which several lists need,
            unless they are of one count.
    """
    groups: defaultdict[int, list[int]] = defaultdict(list)
    for place, block in enumerate(blocks):
        if not block.doubtful and block.source.bag == block.target.bag:
            groups[block.source.bag].append(place)
    mended = list(blocks)
    for bag, places in groups.items():
        members = [(blocks[place].source, blocks[place].target) for place in places]
        back = [(target, source) for source, target in members]
        others = ((block.source, block.target) for block in blocks if block.source.bag != bag)
        if _divided(members) and (kept[1] or in_one_count([node for node, _ in back])):
            ours = sorted((node for node, _ in members), key=lambda node: node.lo)
            theirs = _by_sections([node for node, _ in back], b, [(other, node.lo) for node, other in others])
        elif _divided(back) and (kept[0] or in_one_count([node for node, _ in members])):
            ours = _by_sections([node for node, _ in members], a, [(node, other.lo) for node, other in others])
            theirs = sorted((node for node, _ in back), key=lambda node: node.lo)
        else:
            continue
        for place, source, target in zip(places, ours, theirs, strict=True):
            mended[place] = blocks[place]._replace(source=source, target=target)
    return mended


def _by_sections(nodes: Sequence[Node], scope: Node, others: Sequence[tuple[Node, int]]) -> list[Node]:
    """Nodes in the order of the modules of their scope that hold them; of those as their other blocks tell it.

    A network may declare its middle behind its end, which the partners of what both hold do not.

    Args:
        others: other nodes of the scope, with the places of their partners.
    """
    spans: dict[int, tuple[int, int]] = {}
    for node, place in others:
        section = _section(node, scope)
        low, high = spans.get(section, (place, place))
        spans[section] = min(low, place), max(high, place)
    sections = {_section(node, scope) for node in nodes}
    known = sorted(spans[section] for section in sections & spans.keys())
    apart = len(known) == len(sections) and all(one[1] < other[0] for one, other in pairwise(known))
    return sorted(nodes, key=lambda node: (spans[_section(node, scope)] if apart else (0, 0), node.lo))


def _section(node: Node, scope: Node) -> int:
    """The id of the scope's own module that holds a node."""
    while node.parent is not None and node.parent is not scope:
        node = node.parent
    return id(node)


def _divided(members: Sequence[tuple[Node, Node]]) -> bool:
    """Whether the first of all pairs are a single family, the second several, each of them in order."""
    families: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    examples: dict[str, Node] = {}
    for one, other in members:
        families[other.template].append((one.lo, other.lo))
        examples[other.template] = other
    if len({one.template for one, _ in members}) > 1 or len(families) < 2 or _in_columns(members):
        return False
    if any(2 * len(families[name]) < _alike(example) for name, example in examples.items()):
        return False  # one that went astray
    return all(a[1] < b[1] for places in families.values() for a, b in pairwise(sorted(places)))


def _alike(node: Node) -> int:
    """How many members of a node's list hold what it does."""
    return sum(member.bag == node.bag for member in list_of(node))


def _in_columns(members: Sequence[tuple[Node, Node]]) -> bool:
    """Whether each family got what stands at one place of the short lists that the others' members are."""
    columns: defaultdict[str, set[int]] = defaultdict(set)
    for one, other in members:
        columns[other.template].add(one.indices[-1] if len(one.indices) > 1 else -1)
    return all(len(places) == 1 for places in columns.values()) and len(set().union(*columns.values())) == len(columns)
