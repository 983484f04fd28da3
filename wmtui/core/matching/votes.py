"""Votes: what the pairs around a pair say for it, and what the user's pairs decide."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from wmtui.core.matching.state import State
from wmtui.core.matching.support import VOTES, Floats, Scope, Support, assign
from wmtui.core.matching.tree import Node

_VOTING_BLOCKS = 400
_FACT_SUPPORT = 1000.0
_NEAR_SIZE = 3
_VOTES_NEAR = 0.25
"""Added to the weight of votes between modules of two or three units, which hardly ever part."""

_MATE_SHARE = 0.7
"""What the convolutions of two norms count against all other votes for the norms."""

_HIGHEST = 10


def apply_facts(state: State, support: Support) -> None:
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


def _mate_cells(
    state: State, support: Support, cells: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], tuple[int, int]]:
    """For cells of two norms, the cell of their convolutions, where both are in this scope."""
    places_a = {unit: i for i, unit in enumerate(support.rows)}
    places_b = {unit: j for j, unit in enumerate(support.columns)}
    mates_a = {i: places_a.get(state.mates[0][unit], -1) for i, unit in enumerate(support.rows)}
    mates_b = {j: places_b.get(state.mates[1][unit], -1) for j, unit in enumerate(support.columns)}
    return {(i, j): (mates_a[i], mates_b[j]) for i, j in cells if mates_a[i] >= 0 and mates_b[j] >= 0}


def vote(state: State, scope: Scope, support: Support, base: Floats, scale: Floats, rounds: int) -> None:
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
    mates = _mate_cells(state, support, cells)
    for cell in mates:
        near[cell] = True
    strength = VOTES + _VOTES_NEAR * near
    for _ in range(rounds):
        chosen = assign(support.total)
        cast: Sequence[tuple[list[int], list[int], float]] = [
            *block_votes,
            *(
                (above_a[i], above_b[j], float(min(1.0, support.total[i, j])))
                for i, j in chosen.items()
                if (i, j) not in mates
            ),
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
                if row >= 0 and column >= 0 and (row, column) not in mates:
                    own = float(min(1.0, support.total[row, column]))
                    if a in above_a[row]:
                        mine -= own
                        if b in above_b[column]:
                            agreed -= own * 0.5 ** abs(above_a[row].index(a) - above_b[column].index(b))  # type: ignore[assignment]
                    if b in above_b[column]:
                        yours -= own
            support.votes[i, j] = 2 * agreed / (mine + yours) if mine + yours > 1e-6 else 0.5
        support.total[:] = scale * (base + strength * support.votes)
        if mates:
            chosen = assign(support.total)
            for cell, (row, column) in mates.items():
                support.votes[cell] *= 1 - _MATE_SHARE
                support.votes[cell] += _MATE_SHARE * (chosen.get(row) == column)
            support.total[:] = scale * (base + strength * support.votes)
        apply_facts(state, support)
