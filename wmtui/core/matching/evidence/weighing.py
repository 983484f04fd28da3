"""How much speaks for each pair of a scope: shapes, names, roles and order, each on its own (votes: ``votes``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.blocks.backwards import backwards, places_by_blocks
from wmtui.core.matching.blocks.order import closeness, concordance, global_closeness
from wmtui.core.matching.evidence.bundles import settle
from wmtui.core.matching.evidence.counts import trust_numbers
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import BASE, EXACT, KIN, NAME, ORDER, ROLE, SET_APART, Bools, Scope, Support
from wmtui.core.matching.evidence.votes import apply_facts, vote
from wmtui.core.matching.reading.leaves import FREE_LEAVES
from wmtui.core.matching.reading.names import Names, contrast
from wmtui.core.matching.reading.sequence import usual_places
from wmtui.core.matching.reading.tree import Node, Tree
from wmtui.core.matching.reading.words import words
from wmtui.core.proposal import Transform

Make = tuple[tuple[int, ...], frozenset[str]]

_ELSEWHERE, _ONE_ELSEWHERE, _ROLE_TAKEN = 0.55, 0.7, 0.75
_CONTRAST_CELLS = 4000
_WITNESS_CELLS = 2500
_FEW = 300
"""Units of both sides of a scope up to which its usual order is tried."""

_USUAL = 0.8
"""Of sure pairs that must agree in the usual order, if it is to be used on a side that kept its own, too."""

_OTHER_LIST = 0.2
_SPELLED_APART = 0.3
_A_FEW = range(3, 5)
"""So many matrices of one make, as many on either side, keep their order though others have moved past them; in a
listing by name, where neighbours say little, vectors do so, too."""


_SEVERAL = 3
"""Pairs of modules to compare the order of, at least: those of three modules."""

_MOVED = 0.4
"""Of pairs of modules in the same order: where there are fewer, more have moved than a decoder before an encoder."""

_SORTED_LIKELY = 0.4
"""In a sorted listing nameless pairs weigh this much against a pair of equal names (1.5) when orders are compared."""

_BACKWARDS = 0.3
"""Of sure pairs in the same order: where they are fewer, one side declares its modules backwards."""

_LEAST_KIN_TRUST = 0.3
"""Where a listing is sorted, its usual order rests on numbers and words, not on the listing."""


def weigh(state: State, scope: Scope, rows: list[int], columns: list[int], rounds: int) -> Support:
    """Support of all pairs of the given units of a scope.

    Args:
        rounds: how often the votes of containers are counted anew.
    """
    a, b, size = scope.a, scope.b, (len(rows), len(columns))
    on = state.switches
    arrays = [np.zeros(size) for _ in range(13)]
    support = Support(rows, columns, *arrays)  # type: ignore[arg-type]
    support.place[:] = 1.0
    by_numel = _by_numel(state, rows, columns)
    if on.roles:
        _mark_taken(state, scope, support)
    _fill(state, scope, support, by_numel)
    groups = _competitors(state, rows, columns, by_numel)
    possible = support.fit > 0
    support.contrasted[:] = support.raw_name
    apart = np.zeros(size, bool)
    if on.contrast:
        for group_a, group_b in groups:
            _contrast(state, scope, support, apart, group_a, group_b)
    row_best = np.maximum(support.raw_name.max(1, keepdims=True, initial=0.0), 0.15)
    column_best = np.maximum(support.raw_name.max(0, keepdims=True, initial=0.0), 0.15)
    relative = (support.raw_name / row_best) * (support.raw_name / column_best)
    support.name[:] = np.where(possible, 0.30 * support.raw_name + 0.25 * relative + 0.45 * support.contrasted, 0.0)
    turned = _turned_places(state, scope, rows)
    if on.order:
        _weigh_order(state, scope, support, groups, turned)
        support.order[apart] *= SET_APART
        support.kin[apart] *= SET_APART
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
    apply_facts(state, support)
    if on.votes:
        vote(state, scope, support, apart, base, scale, rounds)
    if on.roles:
        settle((state.source, a), (state.target, b), support, scale, turned, state.directions)
        apply_facts(state, support)
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
    """Groups whose members compete: of one size, and of one make that both sides have equally often."""
    groups: list[tuple[list[int], list[int]]] = []
    for group_a, group_b in by_numel.values():
        left_a, left_b = group_a, group_b
        for leaves in (True, False):
            ours: defaultdict[Make, list[int]] = defaultdict(list)
            theirs: defaultdict[Make, list[int]] = defaultdict(list)
            for i in left_a:
                ours[_make(state.source, rows[i], leaves)].append(i)
            for j in left_b:
                theirs[_make(state.target, columns[j], leaves)].append(j)
            same = [m for m in ours if len(ours[m]) == len(theirs.get(m, ())) and len(ours) + len(theirs) > 2]
            groups += [(ours.pop(m), theirs.pop(m)) for m in same]
            left_a, left_b = (sorted(i for group in side.values() for i in group) for side in (ours, theirs))
        if left_a and left_b:
            groups.append((left_a, left_b))
    return groups


def _make(tree: Tree, unit: int, leaves: bool) -> Make:
    """What tells a unit from others of its size: its shape and, if asked for, its leaves but for free buffers."""
    return tree.shapes[unit], frozenset(tree.leaves[unit]) - FREE_LEAVES if leaves else frozenset()


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
    crossings = state.crossings if a is not state.source.root else ()
    for group_a, group_b in by_numel.values():
        paths_a = [state.path(0, support.rows[i], a) for i in group_a]
        paths_b = [state.path(1, support.columns[j], b) for j in group_b]
        phrases_b = [names.of(state.target.nodes[support.columns[j]], b) for j in group_b]
        for i, path in zip(group_a, paths_a, strict=True):
            x = support.rows[i]
            phrase = names.of(state.source.nodes[x], a)
            known_as = state.roles.known_as(family, path, paths_a)
            inside = a is not state.source.root
            roles = _wrapped(state.roles.targets_of(family, path, inside, known_as), paths_b)
            block_a = scope.from_a.get(x)
            for j, path_b, phrase_b in zip(group_b, paths_b, phrases_b, strict=True):
                y = support.columns[j]
                factor, transform, *_ = shapes.fit(x, y)
                if factor <= 0 or (refused and (x, y) in refused):
                    continue
                block_b = scope.from_b.get(y)
                own = crossings and block_a is None and block_b is None
                if own and (state.source.nodes[x].template, state.target.nodes[y].template) in crossings:
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
                if block_a != block_b:
                    price = _ELSEWHERE if block_a is not None and block_b is not None else _ONE_ELSEWHERE
                    if i in support.taken_a or j in support.taken_b:
                        price *= _ROLE_TAKEN
                    support.place[i, j] = price


def _wrapped(roles: Mapping[str, float], paths: Sequence[str]) -> Mapping[str, float]:
    """Roles of other families, those that a scope has in a module of it only (``block.norm1``) by their paths there."""
    found = dict(roles)
    for role, value in roles.items():
        inner = [path for path in paths if path.endswith(f".{role}")] if role not in paths else ()
        if len(inner) == 1:
            found.setdefault(inner[0], value)
    return found


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


def _contrast(
    state: State, scope: Scope, support: Support, apart: Bools, group_a: list[int], group_b: list[int]
) -> None:
    """Names again, each word weighed by how few of the competitors have it, and whether one sets two apart.

    Two spellings of one word (``batch_norm``, ``layer_norm``) are two words where both sides have both.
    """
    if len(group_a) + len(group_b) < 3 or len(group_a) * len(group_b) > _CONTRAST_CELLS or not state.switches.names:
        return
    names = state.names
    ours = _phrases(names, [state.source.nodes[support.rows[i]] for i in group_a], scope.a)
    theirs = _phrases(names, [state.target.nodes[support.columns[j]] for j in group_b], scope.b)
    among = contrast([names.phrases[p] for p in ours], [names.phrases[p] for p in theirs])
    spelled_a = [state.source.nodes[support.rows[i]].stem for i in group_a]
    spelled_b = [state.target.nodes[support.columns[j]].stem for j in group_b]
    both = set(spelled_a) & set(spelled_b)
    for i, phrase, one in zip(group_a, ours, spelled_a, strict=True):
        for j, phrase_b, other in zip(group_b, theirs, spelled_b, strict=True):
            if support.fit[i, j] > 0:
                support.contrasted[i, j], apart[i, j] = names.contrasted(phrase, phrase_b, among)
                if one != other and {one, other} <= both and words(one) == words(other):
                    support.contrasted[i, j] *= _SPELLED_APART


def _phrases(names: Names, nodes: Sequence[Node], scope: Node) -> list[int]:
    """Phrases of competitors, but for the modules that hold all of them, whose words may tell inside."""
    if len(nodes) < 2:
        return [names.of(node, scope) for node in nodes]
    first, last = min(node.lo for node in nodes), max(node.lo for node in nodes)
    root = nodes[0].parent or scope
    while root is not scope and root.parent is not None and not root.lo < first <= last < root.hi:
        root = root.parent
    return [names.of(node, root) for node in nodes]


def _turned_places(state: State, scope: Scope, rows: Sequence[int]) -> list[float]:
    """Places of the rows among the target's units, where one side lists its blocks backwards; else none."""
    return (
        places_by_blocks([state.source.nodes[u] for u in rows], scope.a, scope.blocks)
        if backwards(scope.blocks)
        else []
    )


def _weigh_order(
    state: State,
    scope: Scope,
    support: Support,
    groups: Sequence[tuple[list[int], list[int]]],
    turned: Sequence[float],
) -> None:
    source, target = state.source, state.target
    ends = dict.fromkeys((*scope.blocks[:1], *scope.blocks[-1:]))
    anchors = [(source.places[block.source.lo], target.places[block.target.lo]) for block in ends]
    if state.order_trust < 1:
        likely = support.fit * (_SORTED_LIKELY + (1.5 - _SORTED_LIKELY) * support.name**2)
    else:
        likely = support.fit * (1 + 0.5 * support.raw_name)
    places_a: Sequence[float] = [source.places[unit] for unit in support.rows]
    places_b: Sequence[float] = [target.places[unit] for unit in support.columns]
    if turned:
        anchors = [(block.target.lo, block.target.lo) for block in ends]
        places_a = turned
        places_b = [target.nodes[unit].lo for unit in support.columns]
    sure = _witnesses(state, support, groups)
    agree, total = concordance([(places_a[i], places_b[j], kind) for i, j, kind in sure])
    one_lost = source.sorted != target.sorted and state.order_trust < 1
    if one_lost and 2 * agree < total and sum(support.total.shape) <= _FEW:
        usual = _usual(state, scope, support, ends)
        more, _ = concordance([(usual[0][i], usual[1][j], kind) for i, j, kind in sure])
        if more > max(2 * agree, _USUAL * total):
            agree = more
            places_a, places_b, anchors = usual
    if one_lost and sum(support.total.shape) <= _FEW:
        checked, in_all = _usual_rate(state, scope, support)
        agree, total = agree + checked, total + in_all
    state.concordance[0] += agree
    state.concordance[1] += total
    rate = (agree + 3 * state.order_rate) / (total + 3)
    backwards = rate < _BACKWARDS and state.order_trust == 1
    if backwards:
        rate = 1 - rate
        places_b = [-place for place in places_b]
        anchors = [(place, -other) for place, other in anchors]
    support.order[:] = global_closeness(likely, places_a, places_b, anchors)
    for group_a, group_b in groups:
        if len(group_a) == len(group_b) == 1:
            support.kin[group_a[0], group_b[0]] = float(support.fit[group_a[0], group_b[0]] > 0)
            continue
        cells = np.ix_(sorted(group_a, key=places_a.__getitem__), sorted(group_b, key=places_b.__getitem__))
        support.kin[cells] = closeness(likely[cells]) * (support.fit[cells] > 0)
        matrices = len(state.source.shapes[support.rows[group_a[0]]]) > 1
        if len(group_a) == len(group_b) in _A_FEW and (matrices or state.order_trust < 1):
            support.order[cells] = np.minimum(support.order[cells], support.kin[cells])
    if _modules_moved(state, scope, backwards):
        support.order[:] *= SET_APART
        support.kin[:] *= SET_APART
    trust = min(1.0, max(0.0, (rate - 0.5) * 2) / 0.7)
    support.trust = state.order_trust * trust
    support.kin_trust[:] = max(support.trust, _LEAST_KIN_TRUST if state.order_trust < 1 else 0.0)
    if state.order_trust < 1:
        trust_numbers(state, support, groups, (places_a, places_b), likely, trust)


def _usual_rate(state: State, scope: Scope, support: Support) -> tuple[float, float]:
    """On the side that kept its order, how many pairs of units stand in the usual one, and how many there are."""
    tree, units, root = (
        (state.target, support.columns, scope.b) if state.source.sorted else (state.source, support.rows, scope.a)
    )
    usual = usual_places([tree.nodes[unit] for unit in units], root)
    return concordance(
        [(tree.places[unit], place, len(tree.shapes[unit]) > 1) for unit, place in zip(units, usual, strict=True)]
    )


def _modules_moved(state: State, scope: Scope, backwards: bool) -> bool:
    """Whether most modules that are paired by what they hold stand in another order, so that the rest may do so too.

    Args:
        backwards: whether one side is read from its end.
    """
    source, target = state.source.places, state.target.places
    fused = [(min(source[u] for u in f.sources()), min(target[u] for u in f.targets())) for f in scope.fusions]
    blocks = [(source[block.source.lo], target[block.target.lo]) for block in scope.blocks]
    agree, total = concordance([(*places, True) for places in (*fused, *blocks)])
    return total >= _SEVERAL and (total - agree if backwards else agree) < _MOVED * total


def _witnesses(
    state: State, support: Support, groups: Sequence[tuple[list[int], list[int]]]
) -> list[tuple[int, int, bool]]:
    """Rows and columns sure without order, alone in their shape or far ahead by name, and whether they are matrices."""
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
        left_a = [i for i in group_a if not any(i == a for a, _ in found)]
        left_b = [j for j in group_b if not any(j == b for _, b in found)]
        if len(left_a) == len(left_b) == 1 and support.fit[left_a[0], left_b[0]] > 0.5:
            found.add((left_a[0], left_b[0]))
    shapes = state.source.shapes
    pairs = sorted(found, key=lambda cell: (support.rows[cell[0]], support.columns[cell[1]]))
    return [(i, j, sum(d > 1 for d in shapes[support.rows[i]]) > 1) for i, j in pairs]


def _usual(
    state: State, scope: Scope, support: Support, ends: Iterable[Block]
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Places of rows, columns and matched blocks in the order that modules usually run in."""
    ends = list(ends)
    nodes_a = [*(state.source.nodes[unit] for unit in support.rows), *(block.source for block in ends)]
    nodes_b = [*(state.target.nodes[unit] for unit in support.columns), *(block.target for block in ends)]
    ours, theirs = usual_places(nodes_a, scope.a), usual_places(nodes_b, scope.b)
    m, n = len(support.rows), len(support.columns)
    return ours[:m], theirs[:n], list(zip(ours[m:], theirs[n:], strict=True))
