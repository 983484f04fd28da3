"""One side as a tree of modules: segments, units (a module's own tensors), bags and structures of every subtree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod

from wmtui.core.listing import TensorSpec
from wmtui.core.matching.reading.leaves import (
    FREE_LEAVES,
    MAIN_LEAVES,
    SUFFIXES,
    TELLING,
    is_float,
    leaf_class,
)
from wmtui.core.matching.reading.nested import unroll
from wmtui.core.matching.reading.segments import Segments
from wmtui.core.matching.reading.sequence import canonical_position, ends_apart, keys_sorted, looks_sorted

_LETTERED = re.compile(r"^(.*?[^0-9])([0-9]{1,3})([a-z])(?:_[0-9]+x[0-9]+)?$", re.DOTALL)
_MASK = (1 << 61) - 1


class Node:
    """A segment of a path; ``lo`` and ``hi`` bound the units below it in depth-first order.

    Attributes:
        stem, index: the segment without its trailing number, and that number.
        rank, kin: place among the siblings with the same stem (in a bare list: and the same content), and how many
            they are.
        leaves: leaf class -> row in the listing, for a module with tensors of its own.
        bag: order-free hash of the sizes below; blind to names, nesting and transposition.
        numel: elements below, buffers that may lack left out.
        structure: number that equal subtrees (names, shapes, facts) share.
        template, indices: path with ``#`` for each index, and the indices.
    """

    __slots__ = (
        "bag",
        "children",
        "depth",
        "hi",
        "index",
        "indices",
        "kin",
        "leaves",
        "lo",
        "numel",
        "parent",
        "rank",
        "stem",
        "structure",
        "template",
        "token",
    )

    def __init__(self, token: str, parent: Node | None, stem: str, index: int | None) -> None:
        self.token = token
        self.parent = parent
        self.stem = stem
        self.index = index
        self.depth: int = parent.depth + 1 if parent is not None else 0
        self.children: dict[str, Node] = {}
        self.leaves: dict[str, int] | None = None
        self.rank = 0
        self.kin = 1
        self.lo = self.hi = 0
        self.bag = 0
        self.numel = 0
        self.structure = 0
        self.template = ""
        self.indices: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Number of units below."""
        return self.hi - self.lo

    def holds(self, other: Node) -> bool:
        """Whether all units of another node lie below this one."""
        return self.lo <= other.lo and other.hi <= self.hi


class Tree:
    """The tree of one listing.

    Attributes:
        nodes, leaves, main, shapes, numels: of each unit, in depth-first order; shape and size are the main leaf's.
        places: of each unit, its place in the listing, or in the usual order where the listing has lost its own.
        unit_of: row -> unit.
        sorted: whether the listing has lost its order.

    Args:
        specs: the tensors, in listing order.
        marks: row -> anything hashable that must tell otherwise equal structures apart (facts).
        by_order: number the modules in execution order; every spec must have its ``order``.
    """

    def __init__(
        self, specs: Sequence[TensorSpec], marks: Mapping[int, object] | None = None, by_order: bool = False
    ) -> None:
        self.specs = specs
        self.marks = marks or {}
        self._segments = Segments([spec.key for spec in specs])
        self.root = Node("", None, "", None)
        if not self._grow(strip=True):
            self.root = Node("", None, "", None)
            self._grow(strip=False)
        if self._segments.flat:
            _join_chains(self.root)
        unroll(self.root, self._child)
        self.sorted = keys_sorted(specs) or looks_sorted(self.root)
        self.by_order = by_order
        self._arrange()
        self._number()

    def _child(self, node: Node, token: str) -> Node:
        child = node.children.get(token)
        if child is None:
            child = node.children[token] = Node(token, node, *self._segments.number(token))
        return child

    def _grow(self, strip: bool) -> bool:
        """Hang every tensor into the tree; False where two tensors fall on one place."""
        paths, separator, named = self._segments.paths, self._segments.separator, self._segments.named
        beside: defaultdict[str, set[str]] = defaultdict(set)
        for parent, leaf in paths:
            if leaf in TELLING or leaf.endswith("_weight"):
                beside[parent].add(leaf)
        modules = {parent for parent, _ in paths}
        nodes: dict[str, Node] = {"": self.root}
        for row, (parent, leaf) in enumerate(paths):
            node = self._node_at(parent, nodes, strip)
            kind = leaf_class(leaf, beside.get(parent, set()), bool(node.children))
            if kind is None:
                own, kind = named.get((parent, leaf), (leaf, "weight"))
                for suffix, suffix_kind in SUFFIXES:
                    stem = leaf.removesuffix(suffix)
                    if stem and stem != leaf and (suffix_kind != "bias" or len(self.specs[row].shape) == 1):
                        if (f"{parent}{separator}{stem}" if parent else stem) not in modules:
                            own, kind = stem, suffix_kind
                        break
                node = self._child(node, own)
            if node.leaves is None:
                node.leaves = {}
            if kind in node.leaves:
                if strip:
                    return False
                kind = f"{kind}~{leaf}"
            if kind in node.leaves:
                kind = f"{kind}~{row}"
            node.leaves[kind] = row
        return True

    def _node_at(self, path: str, nodes: dict[str, Node], strip: bool) -> Node:
        missing: list[tuple[str, str]] = []
        while (node := nodes.get(path)) is None:
            above, _, segment = path.rpartition(self._segments.separator)
            missing.append((path, segment))
            path = above
        for whole, segment in reversed(missing):
            for token in self._segments.expand(segment, strip):
                node = self._child(node, token)
            nodes[whole] = node
        return node

    # -- order and numbers -----------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Where the listing has lost its order, bring children into the usual one; else only a module's two ends."""
        self._turned: list[Node] = []
        stack = [self.root]
        while stack:
            node = stack.pop()
            _count_from_none(node)
            _count_letters(node)
            if self.sorted and not self.by_order and len(node.children) > 1:
                ordered = sorted(node.children.values(), key=lambda child: canonical_position(child, node))
                node.children = {child.token: child for child in ordered}
            elif not self.by_order and (apart := ends_apart(node)) != list(node.children.values()):
                node.children = {child.token: child for child in apart}
                self._turned.append(node)
            stack.extend(node.children.values())
        if self.by_order:
            self._arrange_by_execution()

    def _arrange_by_execution(self) -> None:
        first: dict[int, int] = {}
        for node in reversed(self.walk()):
            own = [self.specs[row].order or 0 for row in (node.leaves or {}).values()]
            first[id(node)] = min([*own, *(first[id(child)] for child in node.children.values())], default=0)
            if len(node.children) > 1:
                ordered = sorted(node.children.values(), key=lambda child: first[id(child)])
                node.children = {child.token: child for child in ordered}

    def walk(self) -> list[Node]:
        """All nodes, each before those below it."""
        found: list[Node] = []
        stack = [self.root]
        while stack:
            node = stack.pop()
            found.append(node)
            if node.children:
                stack.extend(reversed(node.children.values()))
        return found

    def _number(self) -> None:
        """Number the units depth first; then, bottom up, bags, sizes and structures."""
        self.nodes: list[Node] = []
        self.leaves: list[dict[str, int]] = []
        self.main: list[str] = []
        self.shapes: list[tuple[int, ...]] = []
        self.numels: list[int] = []
        self.unit_of: list[int] = [0] * len(self.specs)
        self.places: list[int] = []
        order = self.walk()
        for node in order:
            node.lo = len(self.nodes)
            if node.leaves is not None:
                self._add_unit(node, node.leaves)
            for child in node.children.values():
                if child.index is None:
                    child.template, child.indices = f"{node.template}.{child.token}", node.indices
                else:
                    child.template, child.indices = f"{node.template}.{child.stem}#", (*node.indices, child.index)
        known: dict[object, int] = {}
        mixed: dict[int, int] = {}
        for node in reversed(order):
            self._sum_up(node, known, mixed)
        for node in self._turned:
            self.places[node.lo : node.hi] = sorted(self.places[node.lo : node.hi])

    def _add_unit(self, node: Node, leaves: dict[str, int]) -> None:
        main = next((leaf for leaf in MAIN_LEAVES if leaf in leaves), next(iter(leaves)))
        shape = self.specs[leaves[main]].shape
        for row in leaves.values():
            self.unit_of[row] = len(self.nodes)
        self.places.append(len(self.nodes) if self.sorted or self.by_order else leaves[main])
        self.nodes.append(node)
        self.leaves.append(leaves)
        self.main.append(main)
        self.shapes.append(shape)
        self.numels.append(prod(shape))

    def _sum_up(self, node: Node, known: dict[object, int], mixed: dict[int, int]) -> None:
        bag = total = 0
        own: tuple[object, ...] = ()
        if node.leaves is not None:
            parts: list[object] = []
            for leaf, row in node.leaves.items():
                spec = self.specs[row]
                parts.append((leaf, spec.shape, is_float(spec.dtype), self.marks.get(row)))
                count = prod(spec.shape)
                if leaf not in FREE_LEAVES and count > 1:
                    value = mixed.get(count)
                    if value is None:
                        value = mixed[count] = mix(count)
                    bag += value
                    total += count
            own = tuple(parts)
            node.hi = node.lo + 1
        else:
            node.hi = node.lo
        below: list[object] = []
        for child in node.children.values():
            bag += child.bag
            total += child.numel
            node.hi = child.hi
            below.append((child.token, child.structure))
        _rank(node)
        node.bag = bag & _MASK
        node.numel = total
        key = (own, tuple(below))
        node.structure = known.setdefault(key, len(known))


def _join_chains(root: Node) -> None:
    """Make one segment of words that always follow each other (``self``, ``attn``), where words were split apart."""
    stack = [root]
    while stack:
        node = stack.pop()
        for token, child in list(node.children.items()):
            joined = child
            while joined.leaves is None and joined.index is None and len(joined.children) == 1:
                below = next(iter(joined.children.values()))
                if not below.stem:
                    break
                below.token, below.stem = f"{joined.token}_{below.token}", f"{joined.token}_{below.stem}"
                below.parent = node
                joined = below
            if joined is not child:
                node.children = {
                    (joined.token if key == token else key): (joined if key == token else other)
                    for key, other in node.children.items()
                }
            stack.append(joined)


def _count_from_none(node: Node) -> None:
    """Take a name without a number beside the same with one (``dense``, ``dense_1``) for number 0."""
    numbered = {child.stem for child in node.children.values() if child.index is not None}
    zero = {child.stem for child in node.children.values() if child.index == 0}
    for child in node.children.values():
        stem = f"{child.token}_"
        if child.index is None and stem in numbered and stem not in zero:
            child.stem, child.index = stem, 0


def _count_letters(node: Node) -> None:
    """Take a number with a letter (``5b``, ``5c_1x1``) for an index, where siblings differ in the letter alone."""
    lettered: defaultdict[str, list[tuple[int, str, Node]]] = defaultdict(list)
    for child in node.children.values():
        if child.index is None and (match := _LETTERED.match(child.token)):
            lettered[match[1]].append((int(match[2]), match[3], child))
    for stem, members in lettered.items():
        if len({number for number, _, _ in members}) < len(members) >= 3 and _in_a_row(members):
            for number, letter, child in members:
                child.stem, child.index = stem, number * 26 + ord(letter) - ord("a")


def _in_a_row(members: Sequence[tuple[int, str, Node]]) -> bool:
    """Whether the letters of each number follow each other in the alphabet: ``w1q``, ``w1k`` are no count."""
    places: defaultdict[int, set[int]] = defaultdict(set)
    for number, letter, _ in members:
        places[number].add(ord(letter))
    return all(max(some) - min(some) < len(some) for some in places.values())


def _rank(node: Node) -> None:
    """Rank the numbered children of a node by their numbers."""
    kin: defaultdict[tuple[str, int | None], list[Node]] = defaultdict(list)
    for child in node.children.values():
        if child.index is not None:
            kin[child.stem, None].append(child)
            if not child.stem:
                kin[child.stem, child.bag].append(child)
    for members in kin.values():
        if len(members) > 1:
            members.sort(key=lambda child: child.index or 0)
            for rank, child in enumerate(members):
                child.rank, child.kin = rank, len(members)


def mix(value: int) -> int:
    """Spread a size over 61 bits (splitmix64's finaliser), the same in every process."""
    value = (value + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (value ^ (value >> 31)) & _MASK
