"""Which convolution or matrix a norm belongs to: the one in its module, of its number, or beside it in the listing."""

from __future__ import annotations

from itertools import pairwise

from wmtui.core.matching.tree import Node, Tree

_MOST_IN_MODULE = 3
"""A module of so few tensors with one convolution and one norm in it ties the two."""


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
    beside = {} if _lost(tree) else _beside(tree, first)
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


def _in_module(tree: Tree, unit: int, parent: Node) -> int:
    """The only convolution or matrix of a small module that holds no other norm."""
    if not 2 <= parent.size <= _MOST_IN_MODULE:
        return -1
    others = [other for other in range(parent.lo, parent.hi) if other != unit]
    matrices = [other for other in others if len(tree.shapes[other]) >= 2]
    if len(matrices) != 1 or any(len(tree.shapes[other]) == 1 for other in others):
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
