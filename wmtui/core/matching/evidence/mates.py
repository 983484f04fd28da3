"""Which convolution or matrix a norm belongs to: the one in its module, of its number, or beside it in the listing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise, permutations

from wmtui.core.matching.reading.tree import Node, Tree

_MOST_IN_MODULE = 3
"""A module of so few tensors with one convolution and one norm in it ties the two."""

_LONGEST_CHAIN = 4


def _lost(tree: Tree) -> bool:
    return tree.sorted and not tree.by_order


def _is_norm(tree: Tree, unit: int) -> bool:
    return len(tree.shapes[unit]) == 1 and tree.numels[unit] > 1


def norms_first(source: Tree, target: Tree) -> bool:
    """Whether the networks norm what goes into a convolution, by the listings that kept their order."""
    found = 0
    for tree in (source, target):
        if not _lost(tree):
            behind, before = _beside(tree, first=True), _beside(tree, first=False)
            matrices = set(before.values())
            heads = {node.parent.lo for unit, node in enumerate(tree.nodes) if _is_norm(tree, unit) and node.parent}
            found += sum((head in behind) - (head in matrices) for head in heads)
    return found > 0


def mates(tree: Tree, first: bool) -> list[int]:
    """For each unit that is a norm, the unit that it belongs to; -1 for all others and where nothing tells.

    Args:
        first: whether norms come before their convolutions.
    """
    found = [-1] * len(tree.nodes)
    beside = _in_chains(tree) if _lost(tree) else _beside(tree, first)
    for unit, node in enumerate(tree.nodes):
        if node.parent is None or not _is_norm(tree, unit):
            continue
        mate = _in_module(tree, unit, node.parent)
        if mate < 0:
            mate = _of_number(tree, unit, node.parent, first)
        if mate < 0:
            mate = beside.get(unit, -1)
        found[unit] = mate
    return found


def _fits(tree: Tree, norm: int, matrix: int, inward: bool) -> bool:
    """Whether a norm is as long as the channels going into a convolution, or coming out of it."""
    shape, length = tree.shapes[matrix], tree.numels[norm]
    if len(shape) < 2:
        return False
    out, into = (shape[0], shape[-1]), (shape[1], shape[-2])
    if inward:
        return length in into or (1 in into and length in out)
    return length in out


def _beside(tree: Tree, first: bool) -> dict[int, int]:
    """The convolution behind (or before) each norm in the listing."""
    order = sorted(range(len(tree.nodes)), key=tree.places.__getitem__)
    pairs = pairwise(order) if first else ((norm, mate) for mate, norm in pairwise(order))
    return {
        norm: mate
        for norm, mate in pairs
        if _is_norm(tree, norm) and len(tree.shapes[mate]) > 2 and _fits(tree, norm, mate, inward=first)
    }


def _in_chains(tree: Tree) -> dict[int, int]:
    """The convolutions of numbered norms (``bn1``, ``bn2``), where they can run in one order only.

    In it each gives as many channels as the norm of that number takes, and takes what the norm before it gave.
    """
    modules: dict[int, Node] = {id(node.parent): node.parent for node in tree.nodes if node.parent is not None}
    found: dict[int, int] = {}
    for module in modules.values():
        rows: defaultdict[str, list[Node]] = defaultdict(list)
        for child in module.children.values():
            if child.size == 1 and not child.children and child.index is not None and _is_norm(tree, child.lo):
                rows[child.stem].append(child)
        convolutions = _convolutions(tree, module)
        if len(rows) != 1 or not 2 <= len(convolutions) <= _LONGEST_CHAIN:
            continue
        norms = [node.lo for node in sorted(next(iter(rows.values())), key=lambda node: node.rank)]
        if len(norms) == len(convolutions):
            chains = [chain for chain in permutations(convolutions) if _runs(tree, norms, chain)]
            if len(chains) == 1:
                found.update(zip(norms, (node.lo for node in chains[0]), strict=True))
    return found


def _convolutions(tree: Tree, module: Node) -> list[Node]:
    """A module's own convolutions; a list of some that share the channels is one."""
    return [
        child
        for child in module.children.values()
        if child.size == max(1, len(child.children))
        and all(below.index is not None and not below.stem for below in child.children.values())
        and all(len(tree.shapes[unit]) > 2 for unit in range(child.lo, child.hi))
    ]


def _runs(tree: Tree, norms: Sequence[int], chain: Sequence[Node]) -> bool:
    """Whether convolutions with their norms behind them can run one after another; channels stand first or last."""
    lengths = [tree.numels[norm] for norm in norms]
    for out, into in ((0, 1), (-1, -2)):
        gives, takes = [], []
        for node in chain:
            shapes = [(tree.shapes[unit][out], tree.shapes[unit][into]) for unit in range(node.lo, node.hi)]
            # one by depth gives what it takes
            gives.append(sum(max(some) if 1 in some else some[0] for some in shapes))
            takes.append(sum(max(some) if 1 in some else some[1] for some in shapes))
        if gives == lengths and takes[1:] == lengths[:-1]:
            return True
    return False


def _in_module(tree: Tree, unit: int, parent: Node) -> int:
    """The only convolution or matrix of a small module that holds no other norm, or the first of its only list."""
    convolutions = _convolutions(tree, parent)
    if len(parent.children) == 2 and len(convolutions) == 1 and convolutions[0].children:
        return convolutions[0].lo if _runs(tree, [unit], convolutions) else -1
    if (
        parent.parent is not None
        and parent.index is None
        and all(_is_norm(tree, u) for u in range(parent.lo, parent.hi))
    ):
        parent = parent.parent  # a norm and an activation in one module
    if not 2 <= parent.size <= _MOST_IN_MODULE:
        return -1
    matrices = [other for other in range(parent.lo, parent.hi) if len(tree.shapes[other]) >= 2]
    vectors = [other for other in range(parent.lo, parent.hi) if len(tree.shapes[other]) == 1]
    if len(matrices) != 1 or (len(vectors) > 1 and sum("running_mean" in tree.leaves[other] for other in vectors) != 1):
        return -1
    mate = matrices[0]
    return mate if _fits(tree, unit, mate, inward=False) or _fits(tree, unit, mate, inward=True) else -1


def _of_number(tree: Tree, unit: int, parent: Node, first: bool) -> int:
    """The only convolution beside a norm that has its number (``conv1``, ``bn1``)."""
    index = tree.nodes[unit].index
    if index is None or not tree.nodes[unit].stem:
        return -1
    numbered = [
        child.lo
        for child in parent.children.values()
        if child.index == index and child.size == 1 and child.lo != unit and len(tree.shapes[child.lo]) > 2
    ]
    return numbered[0] if len(numbered) == 1 and _fits(tree, unit, numbered[0], inward=first) else -1
