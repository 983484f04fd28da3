"""The direction that lists are counted in, where like blocks do not tell: what else is known of their numbers and ends.

Where ``adapter_1`` to ``adapter_3`` hold what ``layers.2.proj`` down to ``layers.0.proj`` do, ``layer_1`` is
``layers.2.block``, too.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.blocks.lists import counted
from wmtui.core.matching.reading.tree import Node, Tree
from wmtui.core.matching.reading.words import alike, words

_LONGEST = 64
_MOST_ALIKE = 16
_LONGEST_DOUBTFUL = 8
_PARTS_BELOW = 2
"""Levels below the members of a list whose modules are compared."""

Row = tuple[int, ...]


class Directions:
    """Which modules of two trees count what they hold in opposite directions."""

    def __init__(self, source: Tree, target: Tree) -> None:
        ours, theirs = _rows(source), _rows(target)
        found: defaultdict[tuple[int, int], set[bool]] = defaultdict(set)
        for content, rows in ours.items():
            others = theirs.get(content, [])
            if len(rows) * len(others) > _MOST_ALIKE:
                continue
            for holder, row in rows:
                for other, opposite in others:
                    if row == opposite or row == opposite[::-1]:
                        found[id(holder), id(other)].add(row != opposite)
        self._reversed = {pair for pair, ways in found.items() if ways == {True}}

    def opposite(self, ours: Sequence[Node], theirs: Sequence[Node]) -> bool:
        """Whether what other lists of the same numbers hold tells that two rows of like nodes run in reverse."""
        if not self._reversed:
            return False
        one, other = _holder(ours), _holder(theirs)
        return one is not None and other is not None and (id(one), id(other)) in self._reversed


def ends_differ(ours: Sequence[Node], theirs: Sequence[Node], partners: Mapping[int, Node]) -> bool:
    """Whether what a row has at one end stands beside the other row at its other end.

    Args:
        ours, theirs: two rows, by number.
        partners: id of a module of the side of ``ours`` -> the one that it is known to be.
    """
    first, last = (partners.get(id(node)) for node in (ours[0], ours[-1]))
    if (first is None) == (last is None):
        return False
    holder = _holder(theirs)
    if first is not None:
        return first.parent is holder and all(first.lo >= node.hi for node in theirs)
    return last is not None and last.parent is holder and all(last.hi <= node.lo for node in theirs)


def _holder(nodes: Sequence[Node]) -> Node | None:
    """The module in whose numbers nodes are counted, where each of them has one of its own."""
    if len(nodes) < 2:
        return None
    first, last = (list(_above(node)) for node in (nodes[0], nodes[-1]))
    common = next((node for node in first if any(node is other for other in last)), None)
    if common is None:
        return None
    members = [next((node for node in _above(node) if node.parent is common), node) for node in nodes]
    if len({id(member) for member in members}) < len(nodes) or len({member.stem for member in members}) > 1:
        return None
    return None if any(member.index is None for member in members) else _counting(members[0], common)


def _above(node: Node) -> Iterator[Node]:
    at: Node | None = node
    while at is not None:
        yield at
        at = at.parent


def _counting(member: Node, parent: Node) -> Node:
    """The module that a member of a list counts in: that of its lists, if the list is bare."""
    return parent if member.stem or parent.parent is None else parent.parent


def _rows(tree: Tree) -> dict[frozenset[tuple[int, int]], list[tuple[Node, Row]]]:
    """By what they hold, the lists of a tree and of their members' parts that differ from their own reverse."""
    found: defaultdict[frozenset[tuple[int, int]], list[tuple[Node, Row]]] = defaultdict(list)
    for module in tree.walk():
        lists: defaultdict[str, list[Node]] = defaultdict(list)
        for child in module.children.values():
            if child.index is not None:
                lists[child.stem].append(child)
        for members in lists.values():
            if 2 <= len(members) <= _LONGEST and len({member.bag for member in members}) > 1:
                members.sort(key=lambda member: member.index or 0)
                for parts in _parts(members, _PARTS_BELOW):
                    row = tuple(part.bag for part in parts)
                    if row != row[::-1]:
                        found[frozenset(Counter(row).items())].append((_counting(members[0], module), row))
    return found


def _parts(members: list[Node], depth: int) -> Iterator[list[Node]]:
    """Members, and the rows of what they all have below by the same name."""
    yield members
    if depth:
        for name in members[0].children:
            below = [member.children[name] for member in members if name in member.children]
            if len(below) == len(members):
                yield from _parts(below, depth - 1)


def direction_unknown(ours: Sequence[Node], theirs: Sequence[Node], pairs: Sequence[Block]) -> bool:
    """Whether a short family of like blocks could as well run in reverse.

    A numbered attribute among others (``refinenet4``) and a list index (``layers.0``) agree in direction by convention
    only, so it needs one more witness: other sizes somewhere in the family, a word in common, or other modules between
    them.
    """
    if not 2 <= len(pairs) <= _LONGEST_DOUBTFUL or len(ours) != len(theirs) or len(pairs) != len(ours):
        return False
    if len({block.source.bag for block in pairs} | {block.target.bag for block in pairs}) > 1:
        return False
    one, other = counted(ours[0]), counted(theirs[0])
    named = one if one.stem else other
    if bool(one.stem) == bool(other.stem) or _fills_its_module(named):
        return False
    if _same_row(ours, theirs) or _counted_alike(one, other):
        return False
    return bool(_list_words(one) and _list_words(other)) and not share_words(one, other)


def _fills_its_module(node: Node) -> bool:
    """Whether the module above holds nothing but a numbered node and the others of its stem, as a list does."""
    return node.parent is not None and all(other.stem == node.stem for other in node.parent.children.values())


def _same_row(ours: Sequence[Node], theirs: Sequence[Node]) -> bool:
    """Whether the modules that hold two families hold the same in the same order, and not in the reversed one."""
    parents = [{id(node.parent): node.parent for node in nodes} for nodes in (ours, theirs)]
    rows = [
        [child.bag for child in parent.children.values()] for found in parents for parent in found.values() if parent
    ]
    return len(rows) == 2 and rows[0] == rows[1] != rows[0][::-1]


def _counted_alike(a: Node, b: Node) -> bool:
    """Whether other numbered modules beside two, each alone in holding what it does, have their numbers in order."""
    first, second = (
        {child.bag: child.index for child in _alone(node.parent or node) if child.index is not None} for node in (a, b)
    )
    numbers = sorted((first[bag], second[bag]) for bag in first.keys() & second.keys())
    return len(numbers) > 1 and all(x[0] < y[0] and x[1] < y[1] for x, y in pairwise(numbers))


def _alone(module: Node) -> list[Node]:
    """The children of a module that are alone in holding what they hold."""
    times = Counter(child.bag for child in module.children.values())
    return [child for child in module.children.values() if times[child.bag] == 1]


def _list_words(node: Node) -> set[str]:
    """The words that name a family: of the numbered segment, or of the list that holds it."""
    if node.stem or node.parent is None:
        return set(words(node.stem))
    above = node.parent.parent
    return {*words(node.parent.stem), *(words(above.stem) if above is not None else ())}


def share_words(a: Node, b: Node) -> bool:
    """Whether the names of two families have a word in common: they are counted alike then."""
    return any(alike(one, other) for one in _list_words(a) for other in _list_words(b))
