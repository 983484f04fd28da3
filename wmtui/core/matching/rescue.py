"""Tensors left over: single leaves whose unit matched or was divided otherwise pair by shape, class, name and place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from wmtui.core.matching.evidence.shapes import squeezed
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.reading.tree import Node

_LEAST = 0.5
_HEIGHT = 4
_DECAY = 0.6
_DIVIDED = 0.15
"""For what one side keeps beside the module that the other side keeps it in (a bias of an activation)."""

_FEW = 3
_CROWD = 200
_CROWD_KEPT = 50
_CLASSES = frozenset({"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})


class Rescued(NamedTuple):
    """A pair of rows of the two listings."""

    source: int
    target: int
    confidence: float


class _Leaf(NamedTuple):
    unit: int
    leaf: str
    row: int


def rescue(
    state: State,
    pairs: Iterable[tuple[int, int]],
    open_source: set[int],
    open_target: set[int],
    tolerance: float = 0.0,
) -> list[Rescued]:
    """Pair rows that nobody matched.

    Args:
        pairs: matched units.
        open_source, open_target: rows without a partner that are no part of a fusion.
        tolerance: relative difference by which the lengths of a pair's dimensions may differ.
    """
    ours = _open_leaves(state, 0, open_source)
    theirs: defaultdict[object, list[_Leaf]] = defaultdict(list)
    beside: defaultdict[tuple[str, int], list[_Leaf]] = defaultdict(list)
    for leaf in _open_leaves(state, 1, open_target):
        for key in _class_keys(state, 1, leaf, tolerance):
            theirs[key].append(leaf)
        beside[leaf.leaf, id(state.target.nodes[leaf.unit].parent)].append(leaf)
    keys = [_class_keys(state, 0, leaf, tolerance) for leaf in ours]
    tasks = [(leaf, key, theirs[key]) for leaf, some in zip(ours, keys, strict=True) for key in some if key in theirs]
    if not tasks:
        return []
    matched = list(pairs)
    votes = _votes(state, matched, [leaf for leaf, _, _ in tasks])
    partners = dict(matched), {j: i for i, j in matched}
    scored: list[tuple[float, _Leaf, _Leaf]] = []
    seen: set[tuple[int, int]] = set()
    for leaf, key, rivals in tasks:
        node = state.source.nodes[leaf.unit]
        if len(rivals) > _CROWD:
            likely = votes.get(id(node.parent), Counter()).most_common(_HEIGHT)
            crowd = [rival for parent, _ in likely for rival in beside.get((leaf.leaf, parent), ())[:_CROWD_KEPT]]
            rivals = [rival for rival in crowd if key in _class_keys(state, 1, rival, tolerance)]
        phrase = state.names.of(node, state.source.root)
        path = state.path(0, leaf.unit, state.source.root)
        for rival in rivals:
            if (leaf.row, rival.row) in seen or not _near(state, leaf, rival, tolerance):
                continue
            seen.add((leaf.row, rival.row))
            other = state.target.nodes[rival.unit]
            same = path == state.path(1, rival.unit, state.target.root)
            name = 1.0 if same else state.names.similarity(phrase, state.names.of(other, state.target.root))
            place = _place(votes, node, other)
            value = 0.55 * name + 0.35 * place + 0.1 * (leaf.leaf == rival.leaf)
            divided = _beside(node, partners[1].get(rival.unit)) or _beside(other, partners[0].get(leaf.unit))
            scored.append((value + _DIVIDED * divided, leaf, rival))
    return _take(scored)


def _open_leaves(state: State, side: int, rows: set[int]) -> list[_Leaf]:
    tree = (state.source, state.target)[side]
    return [
        _Leaf(unit, leaf, row) for unit, leaves in enumerate(tree.leaves) for leaf, row in leaves.items() if row in rows
    ]


def _class_keys(state: State, side: int, leaf: _Leaf, tolerance: float) -> list[object]:
    """What leaves that can be a pair have in common; a vector without a class of its own can be a bias, too."""
    spec = (state.source, state.target)[side].specs[leaf.row]
    shape = squeezed(spec.shape) if state.shapes.allow_transforms and not tolerance else spec.shape
    kinds = [leaf.leaf if leaf.leaf in _CLASSES else "x"]
    if kinds == ["weight"] and len(shape) == 1 and state.is_bare(side, leaf.unit):
        kinds.append("bias")
    return [(kind, len(shape) if tolerance else shape, "float" in spec.dtype) for kind in kinds]


def _near(state: State, leaf: _Leaf, rival: _Leaf, tolerance: float) -> bool:
    a, b = state.source.specs[leaf.row], state.target.specs[rival.row]
    if state.refused and (leaf.unit, rival.unit) in state.refused:
        return False
    if a.shape == b.shape or not tolerance:
        return True
    return all(abs(x - y) <= tolerance * max(x, y) for x, y in zip(a.shape, b.shape, strict=True))


def _votes(state: State, pairs: Iterable[tuple[int, int]], leaves: list[_Leaf]) -> dict[int, Counter[int]]:
    """For the modules above the open leaves: how often matched pairs put them beside which modules of the target."""
    needed: set[int] = set()
    for leaf in leaves:
        at: Node | None = state.source.nodes[leaf.unit]
        for _ in range(_HEIGHT):
            if at is not None:
                needed.add(id(at))
                at = at.parent
    votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for i, j in pairs:
        node: Node | None = state.source.nodes[i]
        for height in range(_HEIGHT + 1):
            if node is None:
                break
            if id(node) in needed:
                other: Node | None = state.target.nodes[j]
                for other_height in range(_HEIGHT + 1):
                    if other is None:
                        break
                    votes[id(node)][id(other)] += _DECAY ** abs(height - other_height)  # type: ignore[assignment]
                    other = other.parent
            node = node.parent
    return votes


def _place(votes: dict[int, Counter[int]], node: Node, other: Node) -> float:
    """How far the modules around two leaves correspond, 0 to 1."""
    at: Node | None = node
    for _ in range(_HEIGHT):
        if at is None:
            return 0.0
        found = votes.get(id(at))
        if found:
            most = max(found.values())
            best = 0.0
            there: Node | None = other
            for _ in range(_HEIGHT):
                if there is None:
                    break
                best = max(best, found.get(id(there), 0.0) / most)
                there = there.parent
            return best
        at = at.parent
    return 0.0


def _beside(node: Node, unit: int | None) -> bool:
    """Whether a unit stands in the small module that holds a leaf's own."""
    above = node.parent
    return unit is not None and above is not None and above.size <= _FEW and above.lo <= unit < above.hi


def _take(scored: list[tuple[float, _Leaf, _Leaf]]) -> list[Rescued]:
    """Greedily the best pairs; the lead over the runner-up makes the confidence."""
    scored.sort(key=lambda item: (-item[0], item[1].row, item[2].row))
    values: defaultdict[tuple[int, int], list[float]] = defaultdict(list)
    for value, leaf, rival in scored:
        values[0, leaf.row].append(value)
        values[1, rival.row].append(value)
    used: tuple[set[int], set[int]] = (set(), set())
    found = []
    for value, leaf, rival in scored:
        if value < _LEAST:
            break
        if leaf.row in used[0] or rival.row in used[1]:
            continue
        used[0].add(leaf.row)
        used[1].add(rival.row)
        runner_up = max([*values[0, leaf.row][1:2], *values[1, rival.row][1:2]], default=0.0)
        found.append(Rescued(leaf.row, rival.row, max(0.3, min(0.93, 0.05 + 0.6 * value + (value - runner_up)))))
    return found
