"""The families of a scope: its numbered blocks by template, the rows of their parts, and lists that go on in others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise

from wmtui.core.matching.reading.tree import Node, Tree

ROW = "*"
"""Ends the names of families that are made up of several; they are of use as wholes only."""

_LONGEST_TUPLE = 4
"""Members of a list whose places are roles rather than a count."""

Families = Mapping[str, list[Node]]
"""Families of a scope by the names that they have here."""


class Lists:
    """The lists that numbered modules stand in, each read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[list[Node], dict[int, int]]] = {}

    def of(self, node: Node) -> tuple[list[Node], int]:
        """The list of a module, by number, and its place there; a module without a number stands alone."""
        if node.index is None:
            return [node], 0
        key = (id(node.parent), node.stem)
        if key not in self._known:
            members = list_of(node)
            self._known[key] = members, {id(member): place for place, member in enumerate(members)}
        members, places = self._known[key]
        return members, places[id(node)]


def list_of(node: Node) -> list[Node]:
    """The list that a numbered module stands in, by number; a module without a number stands alone."""
    if node.index is None or node.parent is None:
        return [node]
    siblings = [child for child in node.parent.children.values() if child.index is not None and child.stem == node.stem]
    return sorted(siblings, key=lambda child: child.index or 0)


def alone(nodes: list[Node]) -> bool:
    """Whether a family is one module that has a number but is no member of a list (``path1``)."""
    return len(nodes) == 1 and bool(nodes[0].stem) and len(list_of(nodes[0])) == 1


def in_one_count(nodes: Sequence[Node]) -> bool:
    """Whether numbers alone tell the order of nodes, which a listing by name does not lose then."""
    ordered = sorted(nodes, key=lambda node: node.lo)
    return all(_by_number(a, b) for a, b in pairwise(ordered))


def _by_number(a: Node, b: Node) -> bool:
    """Whether two nodes stand in members of one list, or are such."""
    while a.parent is not b.parent:
        if a.depth >= b.depth and a.parent is not None:
            a = a.parent
        elif b.parent is not None:
            b = b.parent
    return a.index is not None and b.index is not None and a.stem == b.stem


def counted(node: Node) -> Node:
    """The numbered module that a member of a family is, or is a part of."""
    return node.parent if node.index is None and node.parent is not None else node


def collect(
    tree: Tree, scope: Node, used: set[int], above: set[int], kept: set[int], parts: bool = False
) -> dict[str, list[Node]]:
    """Families in a scope by relative template: numbered subtrees of two units and more, by their indices.

    A module that is all of the scope is no member. Of the ``used`` those that are ``kept`` too stand among the members
    that are open; none of others does.

    Args:
        parts: whether parts of numbered modules that have no number of their own (``up.#.resnet``) are families, too.
    """
    found: defaultdict[str, list[Node]] = defaultdict(list)
    open_: set[str] = set()
    start = len(scope.template)
    stack = [scope]
    while stack:
        for child in stack.pop().children.values():
            if child.hi - child.lo < 2:
                continue
            template = child.template[start:]
            if id(child) not in used:
                numbered = child.index is not None or (parts and len(child.indices) > len(scope.indices))
                if numbered and id(child) not in above and child.size < scope.size:
                    found[template].append(child)
                    open_.add(template)
                stack.append(child)
            elif child.index is not None and id(child) in kept:
                found[template].append(child)
    for nodes in found.values():
        nodes.sort(key=lambda node: node.indices)
    rows = {f"{template}.{ROW}": _parts(tree, nodes) for template, nodes in found.items() if template in open_}
    rows |= {f"{template}{ROW}": nodes for template, nodes in _joined(found).items() if template in open_}
    rows |= {name: nodes for template in open_ for name, nodes in _columns(template, found[template]).items()}
    return {template: nodes for template, nodes in found.items() if template in open_} | {
        template: nodes for template, nodes in rows.items() if nodes
    }


def _parts(tree: Tree, blocks: list[Node]) -> list[Node]:
    """The modules that make up blocks that are nothing else (attention and mlp), as listed; none of other blocks."""
    parts = sorted(
        (child for block in blocks for child in block.children.values()), key=lambda child: tree.places[child.lo]
    )
    whole = all(part.size > 1 and part.index is None for part in parts)
    whole = whole and sum(part.size for part in parts) == sum(block.size for block in blocks)
    return parts if whole and len(parts) > len(blocks) else []


def comparable(one: str, ours: Families, other: str, theirs: Families) -> bool:
    """Whether two families may be the same: several lists as one are of use against one list without columns only,
    and lists of lists that are kept the other way round are compared by their tensors.
    """
    joined = _is_joined(one), _is_joined(other)
    columns = any(name.startswith(f"{one}=") for name in ours), any(name.startswith(f"{other}=") for name in theirs)
    apart = (joined[0] and (joined[1] or columns[1])) or (joined[1] and columns[0])
    return not apart and not kept_crosswise(ours[one], theirs[other])


def _is_joined(name: str) -> bool:
    return name.endswith(ROW) and not name.endswith(f".{ROW}")


def _columns(template: str, nodes: list[Node]) -> dict[str, list[Node]]:
    """Of a list of short lists (resnet, attention, resnet), what stands at each place, if places differ in content."""
    if not template.endswith(".#.#"):
        return {}
    places: defaultdict[int, list[Node]] = defaultdict(list)
    for node in nodes:
        places[node.indices[-1]].append(node)
    lists = len({node.indices[:-1] for node in nodes})
    regular = 2 <= len(places) <= _LONGEST_TUPLE and all(len(some) == lists > 1 for some in places.values())
    if not regular or all(
        len({node.bag for node in list_of(some[0])}) == 1 for some in zip(*places.values(), strict=True)
    ):
        return {}
    return {f"{template}={place}": some for place, some in places.items()}


def has_like(part: Node) -> bool:
    """Whether a block has another part that holds the same, so that only their order tells which is which."""
    return part.index is not None or sum(other.bag == part.bag for other in (part.parent or part).children.values()) > 1


def crosswise(ours: list[Node], theirs: list[Node]) -> bool:
    """Whether a list of lists is kept the other way round on the other side (three of five, five of three)."""
    first, second = _grid(ours), _grid(theirs)
    return first is not None and second is not None and first == second[::-1] != first[::-1]


def kept_crosswise(ours: list[Node], theirs: list[Node]) -> bool:
    """Whether the members of two lists are lists themselves, each as long as the other side has members."""
    first, second = _inner_length(ours), _inner_length(theirs)
    return first == len(theirs) != len(ours) == second


def _inner_length(nodes: list[Node]) -> int:
    """How many modules each of some lists holds; 0 where they are no lists or of several lengths."""
    lengths = {len(node.children) for node in nodes}
    bare = all(child.index is not None and not child.stem for node in nodes for child in node.children.values())
    return lengths.pop() if bare and len(lengths) == 1 else 0


def _grid(nodes: list[Node]) -> tuple[int, int] | None:
    """Lengths of the outer and of each inner list, where all inner ones are as long."""
    if any(len(node.indices) < 2 for node in nodes):
        return None
    numbers = [{node.indices[-2:][side] for node in nodes} for side in (0, 1)]
    outer, inner = len(numbers[0]), len(numbers[1])
    return (outer, inner) if outer * inner == len({node.indices[-2:] for node in nodes}) == len(nodes) else None


def _joined(families: dict[str, list[Node]]) -> dict[str, list[Node]]:
    """Lists in one module that hold the same blocks (``lower`` and ``upper`` layers), as one list."""
    lists: defaultdict[tuple[int, int], dict[str, list[Node]]] = defaultdict(dict)
    for template, nodes in families.items():
        parent = nodes[0].parent
        one = parent is not None and not nodes[0].stem and all(node.parent is parent for node in nodes)
        if one and parent is not None and len({node.bag for node in nodes}) == 1:
            lists[id(parent.parent), nodes[0].bag][template] = nodes
    return {
        next(iter(some)): sorted((node for nodes in some.values() for node in nodes), key=lambda node: node.lo)
        for some in lists.values()
        if len(some) > 1
    }


def twin_families(families: Families) -> set[int]:
    """Ids of the first members of families that hold just what another one does (two towers)."""
    like: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for nodes in families.values():
        like[tuple(node.bag for node in nodes)].append(id(nodes[0]))
    return {first for some in like.values() if len(some) > 1 for first in some}
