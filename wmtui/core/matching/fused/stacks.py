"""Stacked lists: a role over a numbered list whose tensors together are one tensor of the other side (experts)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import Kind, Scope, UnitFusion
from wmtui.core.matching.fused.fusions import Side, fused_dim, likeness, sides
from wmtui.core.matching.reading.tree import Tree
from wmtui.core.matching.reading.vocabulary import FUSED_SETS
from wmtui.core.matching.reading.words import words

Shape = tuple[int, ...]
Floats = NDArray[np.float64]

_LEAST = 0.45
_FEW = 4
"""So many times as many tensors of one shape must a list have as the other side, to be one tensor there."""

_SEVERAL = 4
"""Stacks of one length that show that all of that list is stacked, whatever the names of the rest."""

_MOST_WHOLES = 400
_NEW_AXIS = -1


class _Stack(NamedTuple):
    """Units of one shape that may be one tensor; ``roles`` of each of ``length`` members, one after the other."""

    units: list[int]
    length: int
    roles: int = 1


def find_stacked(state: State, scope: Scope) -> list[UnitFusion]:
    """Roles over a numbered list whose tensors together are one tensor (experts on a new axis or end to end)."""
    found: list[UnitFusion] = []
    for kind, side, other in sides(state, scope):
        if len(other.units) <= _MOST_WHOLES and not found:
            lists = _lists(side, other)
            joint = _stacked(state, kind, side, other, _joint(side.tree, lists))
            parts, wholes = {unit for fusion in joint for unit in fusion.parts}, {fusion.whole for fusion in joint}
            rest = [stack for stack in lists if parts.isdisjoint(stack.units)]
            left = other._replace(units=[unit for unit in other.units if unit not in wholes])
            found = joint + _stacked(state, kind, side, left, rest)
    return found


def _lists(side: Side, other: Side) -> list[_Stack]:
    """Roles over lists of the one side, those left out that the other side has tensors for."""
    start = len(side.scope.template)
    there = Counter(other.tree.shapes[unit] for unit in other.units)
    roles: defaultdict[tuple[str, Shape], list[int]] = defaultdict(list)
    for unit in side.units:
        node = side.tree.nodes[unit]
        if side.tree.numels[unit] <= 1 or node is side.scope or node.parent is None:
            continue
        template = f"{node.parent.template[start:]}.{node.token}"
        if "#" in template:
            roles[template, side.tree.shapes[unit]].append(unit)
    return [
        _Stack(units, len(units)) for (_, shape), units in roles.items() if len(units) >= max(2, _FEW * there[shape])
    ]


def _joint(tree: Tree, lists: Sequence[_Stack]) -> list[_Stack]:
    """Two roles of one module that are often kept together (gate and up, key and value), over a list."""
    beside: defaultdict[tuple[str, Shape, int], list[_Stack]] = defaultdict(list)
    for stack in lists:
        node = tree.nodes[stack.units[0]]
        if node.parent is not None:
            beside[node.parent.template, tree.shapes[stack.units[0]], stack.length].append(stack)
    return [
        _Stack([unit for pair in zip(one.units, two.units, strict=True) for unit in pair], one.length, 2)
        for stacks in beside.values()
        for one, two in combinations(stacks, 2)
        if _kept_together(tree, (one, two))
    ]


def _kept_together(tree: Tree, stacks: Iterable[_Stack]) -> bool:
    own = [set(words(tree.nodes[stack.units[0]].stem)) for stack in stacks]
    sets = (some for some in FUSED_SETS if len(some) == len(own))
    return any(all(len(mine & some) == 1 for mine in own) and some == set().union(*own) & some for some in sets)


def _stacked(state: State, kind: Kind, side: Side, other: Side, lists: Sequence[_Stack]) -> list[UnitFusion]:
    if not lists:
        return []
    shapes_here = {side.tree.shapes[unit] for unit in side.units}
    value: Floats = np.zeros((len(other.units), len(lists)))
    dims: dict[tuple[int, int], int] = {}
    for i, whole in enumerate(other.units):
        shape = other.tree.shapes[whole]
        if not shape or shape in shapes_here:
            continue
        for j, stack in enumerate(lists):
            if other.tree.numels[whole] != len(stack.units) * side.tree.numels[stack.units[0]]:
                continue
            if (dim := _dim(side.tree.shapes[stack.units[0]], stack, shape)) is not None:
                dims[i, j] = dim
                part, full = side.tree.nodes[stack.units[0]], other.tree.nodes[whole]
                name = likeness(state, kind, (part, side.scope), (full, other.scope))
                value[i, j] = 0.3 + name - 0.02 * abs(i / len(other.units) - j / len(lists))
                value[i, j] = max(value[i, j], _LEAST + 0.01) if stack.roles > 1 else value[i, j]
    rows, columns = linear_sum_assignment(-value)
    cells = [(i, j) for i, j in zip(rows.tolist(), columns.tolist(), strict=True) if value[i, j]]
    sure = Counter(lists[j].length for i, j in cells if value[i, j] > _LEAST)
    return [
        UnitFusion(kind, tuple(lists[j].units), other.units[i], dims[i, j])
        for i, j in cells
        if value[i, j] > _LEAST or sure[lists[j].length] >= _SEVERAL
    ]


def _dim(part: Shape, stack: _Stack, whole: Shape) -> int | None:
    """The dimension along which the units of a stack are the whole, -1 for one or two axes of their own."""
    if stack.roles > 1:
        return _NEW_AXIS if whole[:2] == (stack.length, stack.roles) else None
    dim = fused_dim([part] * stack.length, whole)
    return _NEW_AXIS if dim is None and whole[0] == stack.length else dim
