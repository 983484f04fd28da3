"""Fused tensors: several units on one side that together are one unit on the other (qkv, gate_up, stacked experts).

A fusion is worth what it changes in the best one-to-one assignment of a scope, plus what the names say for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from wmtui.core.matching.evidence.shapes import squeezed
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import Kind, Scope, UnitFusion
from wmtui.core.matching.reading.tree import Node, Tree
from wmtui.core.matching.reading.vocabulary import FUSED_SETS, RARE_SETS, WEAK_WORDS
from wmtui.core.matching.reading.words import words

Shape = tuple[int, ...]
Floats = NDArray[np.float64]

_LEAST_VALUE = 0.12
_BONUS, _HIT = 0.2, 0.6
_USUAL, _RARE, _SPELLED = 0.3, 0.15, 0.8
"""What it adds that the parts are a set that many code bases keep in one, or few, or that the whole is called so."""

_DOUBT_GAP = 0.15
_TRIFLE = 16
_MOST_SIBLINGS = 12
_MOST_TRIED = 8
MOST_UNITS = 250
"""Scopes with more open units than this are searched for stacked lists only."""


class Found(NamedTuple):
    """Fusions of a scope, and units that runner-up fusions wanted too (sources, targets)."""

    fusions: list[UnitFusion]
    doubted_a: set[int]
    doubted_b: set[int]


class Side(NamedTuple):
    tree: Tree
    scope: Node
    units: list[int]


def fused_dim(parts: Sequence[Shape], whole: Shape) -> int | None:
    """The dimension (0 or 1) along which the parts, transposed if need be, add up to the whole.

    Parts of one dimension more (heads kept apart) are taken with two neighbouring dimensions made one; beside matrices,
    convolutions of one place are matrices.
    """
    if len({len(shape) for shape in (*parts, whole)}) > 1:
        parts, whole = [_matrix(part) for part in parts], _matrix(whole)
    rank = len(whole)
    if all(len(part) == rank + 1 for part in parts):
        flat = ([(*p[:k], p[k] * p[k + 1], *p[k + 2 :]) for p in parts] for k in range(rank))
        return next((dim for some in flat if (dim := fused_dim(some, whole)) is not None), None)
    if any(len(part) != rank for part in parts):
        return None
    for dim in range(min(rank, 2)):
        if sum(part[dim] for part in parts) == whole[dim] and all(
            part[other] == whole[other] for part in parts for other in range(rank) if other != dim
        ):
            return dim
    if rank == 2:
        for dim in range(2):
            if sum(part[1 - dim] for part in parts) == whole[dim] and all(
                part[dim] == whole[1 - dim] for part in parts
            ):
                return dim
    return None


def _matrix(shape: Shape) -> Shape:
    """A convolution of one place as the matrix that it is; any other shape as it is."""
    plain = squeezed(shape)
    return plain if len(plain) == 2 else shape


def sides(state: State, scope: Scope) -> Iterator[tuple[Kind, Side, Side]]:
    source = Side(state.source, scope.a, scope.units_a)
    target = Side(state.target, scope.b, scope.units_b)
    yield "merge", source, target
    yield "split", target, source


def likeness(state: State, kind: Kind, part: tuple[Node, Node], whole: tuple[Node, Node]) -> float:
    a, b = (part, whole) if kind == "merge" else (whole, part)
    return state.names.similarity(state.names.of(*a), state.names.of(*b))


class _Candidate(NamedTuple):
    hit: float
    fusion: UnitFusion


def find_fused(state: State, scope: Scope, rows: list[int], columns: list[int], weights: Floats) -> Found:
    """Sibling subsets of two to four that add up to one tensor, taken greedily while the whole scope gains.

    Args:
        rows, columns: the units of the one-to-one problem.
        weights: their support, shape (rows, columns).
    """
    by_whole: defaultdict[tuple[Kind, int], list[_Candidate]] = defaultdict(list)
    for kind, side, other in sides(state, scope):
        for candidate in _candidates(state, kind, side, other):
            by_whole[kind, candidate.fusion.whole].append(candidate)
    for members in by_whole.values():
        members.sort(key=lambda candidate: -candidate.hit)
    found = Found([], set(), set())
    gone_a: set[int] = set()
    gone_b: set[int] = set()

    def total(without_a: set[int], without_b: set[int]) -> float:
        kept = [k for k, unit in enumerate(rows) if unit not in without_a]
        kept_b = [k for k, unit in enumerate(columns) if unit not in without_b]
        if not kept or not kept_b:
            return 0.0
        part = weights[np.ix_(kept, kept_b)]
        return float(part[linear_sum_assignment(-part)].sum())

    current = total(gone_a, gone_b) if by_whole else 0.0
    while by_whole:
        tried: list[tuple[float, tuple[Kind, int], UnitFusion]] = []
        for key, members in by_whole.items():
            open_ = [
                c
                for c in members
                if not gone_a.intersection(c.fusion.sources()) and not gone_b.intersection(c.fusion.targets())
            ]
            for hit, fusion in open_[:_MOST_TRIED]:
                rest = total(gone_a.union(fusion.sources()), gone_b.union(fusion.targets()))
                tried.append((rest - current + _HIT * hit + _BONUS, key, fusion))
        if not tried:
            break
        value, key, fusion = max(tried, key=lambda t: t[0])
        if value <= _LEAST_VALUE:
            break
        for other_value, other_key, rival in tried:
            if other_key == key and rival != fusion and value - other_value < _DOUBT_GAP:
                found.doubted_a.update(set(rival.sources()) - set(fusion.sources()))
                found.doubted_b.update(set(rival.targets()) - set(fusion.targets()))
        found.fusions.append(fusion)
        gone_a.update(fusion.sources())
        gone_b.update(fusion.targets())
        current = total(gone_a, gone_b)
        del by_whole[key]
    return found


class _Group(NamedTuple):
    """Open units in one container, with the words that each has below it."""

    units: list[int]
    words: list[set[str]]


def _sibling_groups(side: Side) -> list[_Group]:
    """Open units by the module that holds them, and by the module above where that makes other groups."""
    near: defaultdict[int, list[int]] = defaultdict(list)
    wide: defaultdict[int, list[int]] = defaultdict(list)
    containers: dict[int, Node] = {}
    for unit in side.units:
        parent = side.tree.nodes[unit].parent
        if parent is None or not side.tree.shapes[unit] or side.tree.numels[unit] <= 1:
            continue
        near[id(parent)].append(unit)
        containers[id(parent)] = parent
        if parent is not side.scope and parent.parent is not None:
            wide[id(parent.parent)].append(unit)
            containers[id(parent.parent)] = parent.parent
    groups = [_group(side, containers[key], units) for key, units in near.items()]
    seen = list(near.values())
    for key, units in wide.items():
        merged = sorted({*units, *near.get(key, ())})
        if len(merged) <= _MOST_SIBLINGS and merged not in seen:
            groups.append(_group(side, containers[key], merged))
    return groups


def _group(side: Side, container: Node, units: list[int]) -> _Group:
    found = []
    for unit in units:
        own: set[str] = set()
        at: Node | None = side.tree.nodes[unit]
        while at is not None and at is not container:
            own.update(word.rpartition(":")[2] for word in words(at.stem))
            at = at.parent
        found.append(own)
    return _Group(units, found)


def _candidates(state: State, kind: Kind, side: Side, other: Side) -> Iterator[_Candidate]:
    shapes_here = {side.tree.shapes[unit] for unit in side.units}
    groups = _sibling_groups(side)
    by_shape: defaultdict[Shape, list[int]] = defaultdict(list)
    for unit in other.units:
        by_shape[other.tree.shapes[unit]].append(unit)
    for shape, wholes in by_shape.items():
        if not shape:
            continue
        for group in groups:
            for parts, dim in _subsets(side.tree, group.units, shape):
                for k, whole in enumerate(wholes):
                    place = k / max(1, len(wholes) - 1)
                    fusion = UnitFusion(kind, parts, whole, dim)
                    hit = _hit(state, side, other, group, fusion, place, exact=shape in shapes_here)
                    if hit is not None:
                        yield _Candidate(hit, fusion)


def _subsets(tree: Tree, group: list[int], shape: Shape) -> Iterator[tuple[tuple[int, ...], int]]:
    """Subsets of a group that add up to a shape, with the dimension."""
    able = [
        unit
        for unit in group
        if (len(tree.shapes[unit]) - len(shape) in (0, 1) or len(_matrix(tree.shapes[unit])) == len(_matrix(shape)))
        and any(d in shape for d in tree.shapes[unit][:2])
        and tree.shapes[unit] != shape
    ]
    for count in (3, 2, 4):
        if len(able) < count:
            continue
        if len(group) <= _MOST_SIBLINGS:
            chosen: Iterator[tuple[int, ...]] = combinations(able, count)
        else:
            chosen = (tuple(group[k : k + count]) for k in range(len(group) - count + 1))
        for parts in chosen:
            dim = fused_dim([tree.shapes[unit] for unit in parts], shape)
            if dim is not None:
                yield parts, dim


def _adds_up_by_chance(side: Side, other: Side, fusion: UnitFusion) -> bool:
    """Whether one part is a trifle beside another and has a partner of its own shape (514 positions, 512 and 2)."""
    numels = [side.tree.numels[unit] for unit in fusion.parts]
    least = side.tree.shapes[fusion.parts[numels.index(min(numels))]]
    return max(numels) > _TRIFLE * min(numels) and any(other.tree.shapes[unit] == least for unit in other.units)


def _hit(
    state: State, side: Side, other: Side, group: _Group, fusion: UnitFusion, place: float, exact: bool
) -> float | None:
    """What names and places say for a fusion, about -0.2 to 1.5; None where four parts have no canonical set."""
    count = len(fusion.parts)
    places = [group.units.index(unit) for unit in fusion.parts]
    own = [group.words[place] for place in places]
    whole_node = other.tree.nodes[fusion.whole]
    whole_words = {word for word, _ in state.names.phrases[state.names.of(whole_node, other.scope)]}
    named: set[str] = set()
    for part_words in own:
        for word in sorted(part_words):
            if word in whole_words and word not in named and word not in WEAK_WORDS:
                named.add(word)
                break
    hit = len(named) / count
    canonical = False
    for members in FUSED_SETS:
        if len(members) == count and members <= set().union(*own) and all(len(part & members) == 1 for part in own):
            usual = _SPELLED if members <= set(words(whole_node.stem)) else _RARE if members in RARE_SETS else _USUAL
            hit = max(hit, 0.3) if exact else max(hit, 0.85) + usual
            canonical = True
            break
    if not canonical and ((count == 4 and hit < 1) or _adds_up_by_chance(side, other, fusion)):
        return None
    if places[-1] - places[0] > count - 1 and not (side.tree.sorted and canonical):
        hit -= 0.12
    hit -= 0.05 * abs(places[0] / max(1, len(group.units) - count) - place)
    parent_a, parent_b = side.tree.nodes[fusion.parts[0]].parent, whole_node.parent
    inside_a, inside_b = parent_a not in (None, side.scope), parent_b not in (None, other.scope)
    if inside_a and inside_b and parent_a is not None and parent_b is not None:
        near = likeness(state, fusion.kind, (parent_a, side.scope), (parent_b, other.scope))
    else:
        near = 0.5 if inside_a == inside_b else 0.2
    return hit + 0.5 * near
