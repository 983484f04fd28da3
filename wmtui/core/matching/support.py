"""The support of every possible pair inside one scope, from all kinds of evidence, each kept apart for explanations.

``W = C · X · (base + name · N + trust · (order · A + kin · K) + votes · V + role · R + exact · E)``
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from wmtui.core.matching.families import Block
from wmtui.core.matching.names import contrast
from wmtui.core.matching.order import closeness, concordance, global_closeness
from wmtui.core.matching.state import State
from wmtui.core.matching.tree import Node
from wmtui.core.proposal import Transform

Floats = NDArray[np.float64]

BASE, NAME, ORDER, KIN, VOTES, ROLE, EXACT = 0.10, 0.34, 0.16, 0.10, 0.16, 0.20, 0.12
"""Weights of the kinds of evidence; N, A, K, V, E lie in 0..1, R in 0..1 (3 where the user decided the role)."""

_ELSEWHERE, _ONE_ELSEWHERE, _ROLE_TAKEN = 0.55, 0.7, 0.75
_CONTRAST_CELLS = 4000
_WITNESS_CELLS = 2500
_VOTING_BLOCKS = 400
_FACT_SUPPORT = 1000.0
_OTHER_LIST = 0.2
_NEAR_SIZE = 3
VOTES_NEAR = 0.25
"""Added to the weight of votes between modules of two or three units, which hardly ever part."""

_HIGHEST = 10
_SORTED_LIKELY = 0.4
"""In a sorted listing nameless pairs weigh this much against a pair of equal names (1.5) when orders are compared."""

_LEAST_KIN_TRUST = 0.3
"""Where a listing is sorted, its usual order rests on numbers and words, not on the listing."""


@dataclass(slots=True)
class Scope:
    """Two corresponding modules, their paired blocks, and the units that are still open in them.

    Attributes:
        units_a, units_b: open units, in depth-first order.
        from_a, from_b: unit -> number of the block that it was left over in, for units from inside blocks.
    """

    a: Node
    b: Node
    blocks: list[Block]
    units_a: list[int]
    units_b: list[int]
    from_a: dict[int, int] = field(default_factory=dict)
    from_b: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Support:
    """Evidence for each pair of ``rows`` (source units) and ``columns`` (target units), in arrays of that shape.

    Attributes:
        total: the support W; 0 where a pair cannot be.
        fit, place: shape factor C, and X for units of blocks that do not correspond.
        name, raw_name, contrasted: N, and two of its parts.
        order, kin, votes, role, exact: A, K, V, R, E.
        trust, kin_trust: how far the listings' order can be relied on, 0 to 1, at all and among tensors of one size.
        taken: pairs across blocks whose role has another partner.
    """

    rows: list[int]
    columns: list[int]
    total: Floats
    fit: Floats
    place: Floats
    raw_name: Floats
    contrasted: Floats
    name: Floats
    order: Floats
    kin: Floats
    votes: Floats
    role: Floats
    exact: Floats
    trust: float = 0.0
    kin_trust: float = 0.0
    taken_a: set[int] = field(default_factory=set)
    taken_b: set[int] = field(default_factory=set)
    transforms: dict[tuple[int, int], Transform] = field(default_factory=dict)

    def without(self, *, order: bool = True, role: bool = False) -> Floats:
        """The support as it would be without the evidence of roles, or of roles and order."""
        scale = self.fit * self.place
        rest = self.total - scale * ROLE * self.role
        if not order:
            rest = rest - scale * (ORDER * self.trust * self.order + KIN * self.kin_trust * self.kin)
        result: Floats = rest + (scale * ROLE * self.role if role else 0.0)
        return result


def assign(weights: Floats) -> dict[int, int]:
    """Row -> column of the assignment with the largest sum; cells of zero are no pair."""
    if weights.size == 0:
        return {}
    rows, columns = linear_sum_assignment(-weights)
    return {int(i): int(j) for i, j in zip(rows, columns, strict=True) if weights[i, j] > 0}


def weigh(state: State, scope: Scope, rows: list[int], columns: list[int], rounds: int) -> Support:
    """Support of all pairs of the given units of a scope.

    Args:
        rounds: how often the votes of containers are counted anew.
    """
    size = (len(rows), len(columns))
    on = state.switches
    arrays = [np.zeros(size) for _ in range(11)]
    support = Support(rows, columns, *arrays)  # type: ignore[arg-type]
    support.place[:] = 1.0
    by_numel = _by_numel(state, rows, columns)
    if on.roles:
        _mark_taken(state, scope, support)
    _fill(state, scope, support, by_numel)
    groups = _competitors(state, rows, columns, by_numel)
    possible = support.fit > 0
    support.contrasted[:] = support.raw_name
    if on.contrast:
        for group_a, group_b in groups:
            _contrast(state, scope, support, group_a, group_b)
    row_best = np.maximum(support.raw_name.max(1, keepdims=True, initial=0.0), 0.15)
    column_best = np.maximum(support.raw_name.max(0, keepdims=True, initial=0.0), 0.15)
    relative = (support.raw_name / row_best) * (support.raw_name / column_best)
    support.name[:] = np.where(possible, 0.30 * support.raw_name + 0.25 * relative + 0.45 * support.contrasted, 0.0)
    if on.order:
        _weigh_order(state, scope, support, groups)
    exact = EXACT + 0.15 * support.exact.sum() / max(1, min(size))
    base = (
        BASE
        + NAME * support.name
        + ORDER * support.trust * support.order
        + KIN * support.kin_trust * support.kin
        + ROLE * support.role
        + exact * support.exact
    )
    scale = np.where(possible, support.fit * support.place, 0.0)
    support.total[:] = scale * base
    _apply_facts(state, support)
    if on.votes:
        _vote(state, scope, support, base, scale, rounds)
    return support


def _by_numel(state: State, rows: list[int], columns: list[int]) -> dict[int, tuple[list[int], list[int]]]:
    groups: dict[int, tuple[list[int], list[int]]] = {}
    for i, unit in enumerate(rows):
        groups.setdefault(state.source.numels[unit], ([], []))[0].append(i)
    for j, unit in enumerate(columns):
        group = groups.get(state.target.numels[unit])
        if group is not None:
            group[1].append(j)
    return {numel: group for numel, group in groups.items() if group[1]}


def _competitors(
    state: State, rows: list[int], columns: list[int], by_numel: Mapping[int, tuple[list[int], list[int]]]
) -> list[tuple[list[int], list[int]]]:
    """Groups whose members compete: of one size, and of one shape where both sides have it equally often."""
    groups: list[tuple[list[int], list[int]]] = []
    for group_a, group_b in by_numel.values():
        ours: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        theirs: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for i in group_a:
            ours[state.source.shapes[rows[i]]].append(i)
        for j in group_b:
            theirs[state.target.shapes[columns[j]]].append(j)
        same = [s for s in ours if len(ours[s]) == len(theirs.get(s, ())) and len(ours) + len(theirs) > 2]
        groups += [(ours.pop(shape), theirs.pop(shape)) for shape in same]
        rest = (sorted(i for g in ours.values() for i in g), sorted(j for g in theirs.values() for j in g))
        if rest[0] and rest[1]:
            groups.append(rest)
    return groups


def _mark_taken(state: State, scope: Scope, support: Support) -> None:
    """Note units left over in a block though the family gave their role a partner."""
    for i, unit in enumerate(support.rows):
        if (block := scope.from_a.get(unit)) is not None:
            a, b, *_ = scope.blocks[block]
            if state.roles.has_source((a.template, b.template), state.path(0, unit, a)):
                support.taken_a.add(i)
    for j, unit in enumerate(support.columns):
        if (block := scope.from_b.get(unit)) is not None:
            a, b, *_ = scope.blocks[block]
            if state.roles.has_target((a.template, b.template), state.path(1, unit, b)):
                support.taken_b.add(j)


def _fill(state: State, scope: Scope, support: Support, by_numel: Mapping[int, tuple[list[int], list[int]]]) -> None:
    """Shape, raw names, roles, exact names, and the price of pairs across blocks."""
    a, b = scope.a, scope.b
    family = (a.template, b.template)
    names, shapes, use_names = state.names, state.shapes, state.switches.names
    refused = state.refused
    for group_a, group_b in by_numel.values():
        paths_b = [state.path(1, support.columns[j], b) for j in group_b]
        phrases_b = [names.of(state.target.nodes[support.columns[j]], b) for j in group_b]
        for i in group_a:
            x = support.rows[i]
            phrase = names.of(state.source.nodes[x], a)
            path = state.path(0, x, a)
            roles = state.roles.targets_of(family, path, inside=a is not state.source.root)
            block_a = scope.from_a.get(x)
            for j, path_b, phrase_b in zip(group_b, paths_b, phrases_b, strict=True):
                y = support.columns[j]
                factor, transform, _ = shapes.fit(x, y)
                if factor <= 0 or (refused and (x, y) in refused):
                    continue
                support.fit[i, j] = factor
                if transform is not Transform.NONE:
                    support.transforms[i, j] = transform
                if use_names:
                    support.raw_name[i, j] = names.similarity(phrase, phrase_b)
                    if path == path_b:
                        support.exact[i, j] = _exactness(state, x, y)
                if roles:
                    support.role[i, j] = roles.get(path_b, 0.0)
                block_b = scope.from_b.get(y)
                if block_a != block_b:
                    price = _ELSEWHERE if block_a is not None and block_b is not None else _ONE_ELSEWHERE
                    if i in support.taken_a or j in support.taken_b:
                        price *= _ROLE_TAKEN
                    support.place[i, j] = price


def _exactness(state: State, x: int, y: int) -> float:
    """What an equal path is worth: little where its indices count in lists that have few indices in common."""
    a: Node | None = state.source.nodes[x]
    b: Node | None = state.target.nodes[y]
    while a is not None and b is not None and a.token == b.token:
        if a.index is not None and a.parent is not None and b.parent is not None and a.kin != b.kin:
            ours, theirs = state.indices_of(a.parent, a.stem), state.indices_of(b.parent, b.stem)
            if 2 * len(ours & theirs) < len(ours | theirs):
                return _OTHER_LIST
        a, b = a.parent, b.parent
    return 1.0


def _contrast(state: State, scope: Scope, support: Support, group_a: list[int], group_b: list[int]) -> None:
    """Names again, each word weighed by how few of the competitors have it."""
    if len(group_a) + len(group_b) < 3 or len(group_a) * len(group_b) > _CONTRAST_CELLS or not state.switches.names:
        return
    names = state.names
    ours = [names.of(state.source.nodes[support.rows[i]], scope.a) for i in group_a]
    theirs = [names.of(state.target.nodes[support.columns[j]], scope.b) for j in group_b]
    weights = contrast([names.phrases[p] for p in ours], [names.phrases[p] for p in theirs])
    for i, phrase in zip(group_a, ours, strict=True):
        for j, phrase_b in zip(group_b, theirs, strict=True):
            if support.fit[i, j] > 0:
                support.contrasted[i, j] = names.contrasted(phrase, phrase_b, weights)


def _weigh_order(state: State, scope: Scope, support: Support, groups: Sequence[tuple[list[int], list[int]]]) -> None:
    source, target = state.source, state.target
    ends = dict.fromkeys((*scope.blocks[:1], *scope.blocks[-1:]))
    anchors = [(source.places[block.source.lo], target.places[block.target.lo]) for block in ends]
    if state.order_trust < 1:
        likely = support.fit * (_SORTED_LIKELY + (1.5 - _SORTED_LIKELY) * support.name**2)
    else:
        likely = support.fit * (1 + 0.5 * support.raw_name)
    places_a = [source.places[unit] for unit in support.rows]
    places_b = [target.places[unit] for unit in support.columns]
    support.order[:] = global_closeness(likely, places_a, places_b, anchors)
    for group_a, group_b in groups:
        if len(group_a) == len(group_b) == 1:
            support.kin[group_a[0], group_b[0]] = float(support.fit[group_a[0], group_b[0]] > 0)
            continue
        cells = np.ix_(sorted(group_a, key=places_a.__getitem__), sorted(group_b, key=places_b.__getitem__))
        support.kin[cells] = closeness(likely[cells]) * (support.fit[cells] > 0)
    agree, total = concordance(_witnesses(state, support, groups))
    state.concordance[0] += agree
    state.concordance[1] += total
    rate = (agree + 3 * state.order_rate) / (total + 3)
    support.trust = state.order_trust * min(1.0, max(0.0, (rate - 0.5) * 2) / 0.7)
    support.kin_trust = max(support.trust, _LEAST_KIN_TRUST if state.order_trust < 1 else 0.0)


def _witnesses(
    state: State, support: Support, groups: Sequence[tuple[list[int], list[int]]]
) -> list[tuple[int, int, bool]]:
    """Pairs that are sure without order: the only one of a shape, or far ahead by name."""
    found: set[tuple[int, int]] = set()
    for group_a, group_b in groups:
        if len(group_a) * len(group_b) > _WITNESS_CELLS:
            continue
        cells = np.ix_(group_a, group_b)
        able = support.fit[cells] > 0.5
        for i in np.flatnonzero(able.sum(1) == 1).tolist():
            j = int(able[i].argmax())
            if able[:, j].sum() == 1:
                found.add((group_a[i], group_b[j]))
        if len(group_a) * len(group_b) <= 1:
            continue
        names = support.contrasted[cells] * able
        for i in range(len(names)):
            j = int(names[i].argmax())
            best = names[i, j]
            if best > 0.6 and int(names[:, j].argmax()) == i:
                row, column = np.sort(names[i]), np.sort(names[:, j])
                if (len(row) < 2 or row[-2] < 0.7 * best) and (len(column) < 2 or column[-2] < 0.7 * best):
                    found.add((group_a[i], group_b[j]))
    shapes = state.source.shapes
    pairs = sorted((support.rows[i], support.columns[j]) for i, j in found)
    return [(state.source.places[x], state.target.places[y], sum(d > 1 for d in shapes[x]) > 1) for x, y in pairs]


def _apply_facts(state: State, support: Support) -> None:
    """What the user paired gets all the support, and nothing else may have either of the two."""
    if not state.partners:
        return
    for i, unit in enumerate(support.rows):
        if unit in state.partners:
            support.total[i, :] = 0.0
    for j, unit in enumerate(support.columns):
        if unit in state.partners_back:
            support.total[:, j] = 0.0
    places = {unit: j for j, unit in enumerate(support.columns)}
    for i, unit in enumerate(support.rows):
        partner = places.get(state.partners.get(unit, -1))
        if partner is not None:
            support.total[i, partner] = _FACT_SUPPORT


def _containers(node: Node, scope: Node) -> list[int]:
    found: list[int] = []
    at = node.parent
    while at is not None and len(found) < _HIGHEST:
        found.append(id(at))
        if at is scope:
            break
        at = at.parent
    return found or [id(scope)]


def _is_pair(node: Node, scope: Node) -> bool:
    """Whether a unit's module holds just it and one or two others (a convolution and its norm)."""
    return node.parent is not None and node.parent is not scope and 2 <= node.parent.size <= _NEAR_SIZE


def _vote(state: State, scope: Scope, support: Support, base: Floats, scale: Floats, rounds: int) -> None:
    """Modules that hold other matched pairs draw the pairs of their own tensors: Dice of common votes, own vote out."""
    above_a = [_containers(state.source.nodes[unit], scope.a) for unit in support.rows]
    above_b = [_containers(state.target.nodes[unit], scope.b) for unit in support.columns]
    block_votes = [
        (_containers(a, scope.a), _containers(b, scope.b), min(5.0, a.size * 0.5) * likeness)
        for a, b, likeness, _ in scope.blocks[:_VOTING_BLOCKS]
    ]
    cells = [(int(i), int(j)) for i, j in zip(*np.nonzero(scale), strict=True)]
    near = np.outer(
        [_is_pair(state.source.nodes[unit], scope.a) for unit in support.rows],
        [_is_pair(state.target.nodes[unit], scope.b) for unit in support.columns],
    )
    for _ in range(rounds):
        chosen = assign(support.total)
        cast: Sequence[tuple[list[int], list[int], float]] = [
            *block_votes,
            *((above_a[i], above_b[j], float(min(1.0, support.total[i, j]))) for i, j in chosen.items()),
        ]
        common: Counter[tuple[int, int]] = Counter()
        ours: defaultdict[int, float] = defaultdict(float)
        theirs: defaultdict[int, float] = defaultdict(float)
        for up_a, up_b, weight in cast:
            for a in up_a:
                ours[a] += weight
            for b in up_b:
                theirs[b] += weight
            for high_a, a in enumerate(up_a):
                for high_b, b in enumerate(up_b):
                    common[a, b] += weight * 0.5 ** abs(high_a - high_b)  # type: ignore[assignment]
        back = {j: i for i, j in chosen.items()}
        for i, j in cells:
            a, b = above_a[i][0], above_b[j][0]
            agreed, mine, yours = common[a, b], ours[a], theirs[b]
            for row, column in {(i, chosen.get(i, -1)), (back.get(j, -1), j)}:
                if row >= 0 and column >= 0:
                    own = float(min(1.0, support.total[row, column]))
                    if a in above_a[row]:
                        mine -= own
                        if b in above_b[column]:
                            agreed -= own * 0.5 ** abs(above_a[row].index(a) - above_b[column].index(b))  # type: ignore[assignment]
                    if b in above_b[column]:
                        yours -= own
            support.votes[i, j] = 2 * agreed / (mine + yours) if mine + yours > 1e-6 else 0.5
        support.total[:] = scale * (base + (VOTES + VOTES_NEAR * near) * support.votes)
        _apply_facts(state, support)
