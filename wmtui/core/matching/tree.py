"""One side as a tree of modules: segments, units (a module's own tensors), bags and structures of every subtree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod

from wmtui.core.listing import TensorSpec
from wmtui.core.matching.leaves import (
    COMPOUND_LEAVES,
    FREE_LEAVES,
    MAIN_LEAVES,
    SUFFIXES,
    TELLING,
    is_float,
    leaf_class,
)
from wmtui.core.matching.sequence import canonical_position, keys_sorted, looks_sorted
from wmtui.core.wrappers import WRAPPERS

_WEIGHT_NORM = {
    ".parametrizations.weight.original0": "weight_g",
    ".parametrizations.weight.original1": "weight_v",
}
_INDEX = re.compile(r"^(.*?)([0-9]+)$", re.DOTALL)
_LETTERED = re.compile(r"^(.*?[^0-9])([0-9]{1,3})([a-z])$", re.DOTALL)
_INNER_INDEX = re.compile(r"(?<=[0-9])_(?=.)")
_LONE_INDEX = re.compile(r"_[0-9]+_")
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


def separator_of(keys: Sequence[str]) -> str:
    """The character that parts the segments of most keys: a dot, a slash, or else an underscore."""
    half = len(keys) / 2
    for separator in "./":
        if sum(separator in key for key in keys) >= half:
            slashes = separator == "." and sum("/" in key for key in keys) >= half
            return "/" if slashes else separator
    return "_"


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
        keys = [spec.key for spec in specs]
        self.separator = separator_of(keys) if keys else "."
        self._endings = tuple(end for end in (":0",) if keys and sum(k.endswith(end) for k in keys) * 2 > len(keys))
        self._segments: dict[str, tuple[str, ...]] = {}
        self._tokens: dict[str, tuple[str, int | None]] = {}
        paths = [self._split(key) for key in keys]
        self._by_underscore = self._underscores_part(paths)
        self.root = Node("", None, "", None)
        if not self._grow(paths, strip=True):
            self._segments.clear()
            self.root = Node("", None, "", None)
            self._grow(paths, strip=False)
        if self.separator == "_" or self._by_underscore:
            _join_chains(self.root)
        self.sorted = keys_sorted(specs) or looks_sorted(self.root)
        self.by_order = by_order
        self._arrange()
        self._number()

    # -- parsing ---------------------------------------------------------------------------------------------------

    def _split(self, key: str) -> tuple[str, str]:
        """Parent path and leaf of a key, parametrised weights under their old names."""
        for end in self._endings:
            key = key.removesuffix(end)
        if "parametrizations" in key:
            for long, short in _WEIGHT_NORM.items():
                key = key.replace(long.replace(".", self.separator), self.separator + short)
        if self.separator == "_":
            for leaf in COMPOUND_LEAVES:
                if key.endswith(f"_{leaf}"):
                    return key[: -len(leaf) - 1], leaf
        parent, _, leaf = key.rpartition(self.separator)
        return parent, leaf

    def _underscores_part(self, paths: list[tuple[str, str]]) -> bool:
        """Whether single segments hold whole paths (``lora_unet_down_blocks_0_attn``)."""
        if self.separator == "_" or not paths:
            return False
        flat = sum(bool(_LONE_INDEX.search(p)) and p.count(self.separator) <= 1 and p.count("_") >= 3 for p, _ in paths)
        return flat * 2 > len(paths)

    def _expand(self, segment: str, strip: bool) -> tuple[str, ...]:
        """The tree's segments for one segment of a key: wrappers vanish, inner numbers end a segment."""
        found = self._segments.get(segment)
        if found is None:
            if strip and segment in WRAPPERS:
                found = ()
            elif self._by_underscore:
                found = tuple(part for part in segment.split("_") if part)
            else:
                found = tuple(_INNER_INDEX.split(segment))
            self._segments[segment] = found
        return found

    def _child(self, node: Node, token: str) -> Node:
        child = node.children.get(token)
        if child is None:
            parts = self._tokens.get(token)
            if parts is None:
                match = _INDEX.match(token)
                parts = (match.group(1), int(match.group(2)[-15:])) if match else (token, None)
                self._tokens[token] = parts
            child = node.children[token] = Node(token, node, *parts)
        return child

    def _grow(self, paths: list[tuple[str, str]], strip: bool) -> bool:
        """Hang every tensor into the tree; False where two tensors fall on one place."""
        beside: defaultdict[str, set[str]] = defaultdict(set)
        for parent, leaf in paths:
            if leaf in TELLING:
                beside[parent].add(leaf)
        modules = {parent for parent, _ in paths}
        nodes: dict[str, Node] = {"": self.root}
        for row, (parent, leaf) in enumerate(paths):
            node = self._node_at(parent, nodes, strip)
            kind = leaf_class(leaf, beside.get(parent, set()), bool(node.children))
            if kind is None:
                own, kind = leaf, "weight"
                for suffix, suffix_kind in SUFFIXES:
                    stem = leaf.removesuffix(suffix)
                    if stem and stem != leaf and (suffix_kind != "bias" or len(self.specs[row].shape) == 1):
                        if (f"{parent}{self.separator}{stem}" if parent else stem) not in modules:
                            own, kind = stem, suffix_kind
                        break
                node = self._child(node, own)
            if node.leaves is None:
                node.leaves = {}
            if kind in node.leaves:
                if strip:
                    return False
                kind = f"{kind}~{leaf}"
            node.leaves[kind] = row
        return True

    def _node_at(self, path: str, nodes: dict[str, Node], strip: bool) -> Node:
        missing: list[tuple[str, str]] = []
        while (node := nodes.get(path)) is None:
            above, _, segment = path.rpartition(self.separator)
            missing.append((path, segment))
            path = above
        for whole, segment in reversed(missing):
            for token in self._expand(segment, strip):
                node = self._child(node, token)
            nodes[whole] = node
        return node

    # -- order and numbers -----------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        """Where the listing has lost its order, bring children into the usual one."""
        stack = [self.root]
        while stack:
            node = stack.pop()
            _count_from_none(node)
            _count_letters(node)
            if self.sorted and not self.by_order and len(node.children) > 1:
                ordered = sorted(node.children.values(), key=lambda child: canonical_position(child, node))
                node.children = {child.token: child for child in ordered}
            stack.extend(node.children.values())
        if self.by_order:
            self._arrange_by_execution()

    def _arrange_by_execution(self) -> None:
        first: dict[int, int] = {}
        for node in reversed(self._preorder()):
            own = [self.specs[row].order or 0 for row in (node.leaves or {}).values()]
            first[id(node)] = min([*own, *(first[id(child)] for child in node.children.values())], default=0)
            if len(node.children) > 1:
                ordered = sorted(node.children.values(), key=lambda child: first[id(child)])
                node.children = {child.token: child for child in ordered}

    def _preorder(self) -> list[Node]:
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
        order = self._preorder()
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
    """Take a number with a letter (``5b``, ``5c``) for an index, where siblings differ in the letter alone."""
    lettered: defaultdict[str, list[tuple[int, str, Node]]] = defaultdict(list)
    for child in node.children.values():
        if child.index is None and (match := _LETTERED.match(child.token)):
            lettered[match[1]].append((int(match[2]), match[3], child))
    for stem, members in lettered.items():
        if len({number for number, _, _ in members}) < len(members) >= 3:
            for number, letter, child in members:
                child.stem, child.index = stem, number * 26 + ord(letter) - ord("a")


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
