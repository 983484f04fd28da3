"""Votes: what the pairs around a pair say for it, and what the user's pairs decide."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from wmtui.core.matching.blocks.assignment import assign
from wmtui.core.matching.evidence.numbered import number_votes
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import BESIDE, SET_APART, VOTES, Bools, Floats, Scope, Support
from wmtui.core.matching.reading.tally import Tally, alone, chain
from wmtui.core.matching.reading.tree import Node, Tree

_VOTING_BLOCKS = 400
_VOTING_PARTS = 4
_FACT_SUPPORT = 1000.0
_NEAR_SIZE = 3
_VOTES_NEAR = 0.25
"""Added to the weight of votes between modules of two or three units, which hardly ever part."""

_MATE_SHARE = 0.7
"""What the convolutions of two norms count against all other votes for the norms."""

_UNKNOWN = 0.5
_OUTER = 0.25
"""What the outermost modules in a scope count against those that hold two tensors."""

_RUN = 0.25
_SORTED_NEIGHBOURS = 0.25


Sides = tuple[tuple[Node, ...], tuple[Node, ...]]


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


def _beside(node: Node, scope: Node) -> tuple[Node | None, Node | None]:
    """The modules before and behind a node in the module that holds it."""
    if node is scope or node.parent is None:
        return None, None
    siblings = list(node.parent.children.values())
    place = next(k for k, sibling in enumerate(siblings) if sibling is node)
    return (
        siblings[place - 1] if place else None,
        siblings[place + 1] if place + 1 < len(siblings) else None,
    )


def _nearest(tree: Tree, node: Node, scope: Node) -> Sides:
    """The modules before and behind a node, each with its tensor that stands nearest to the node."""
    before, behind = _beside(node, scope)
    return (
        () if before is None else (before, tree.nodes[before.hi - 1]),
        () if behind is None else (behind, tree.nodes[behind.lo]),
    )


def _in_run(tree: Tree, node: Node) -> bool:
    """Whether a norm is declared beside other norms, so that its neighbours say nothing of where it is used."""
    beside = (node, *_beside(node, tree.root))
    return sum(other is not None and other.size == 1 and len(tree.shapes[other.lo]) == 1 for other in beside) > 1


def _shares(tally: Tally, ours: Sequence[Sides], theirs: Sequence[Sides], cells: Sequence[tuple[int, int]]) -> Floats:
    """How far what stands before (0) and behind (1) two units corresponds, shape (2, m, n); two ends agree by half.

    A module counts as itself or as its tensor that stands nearest, whichever corresponds more.
    """
    found: Floats = np.zeros((2, len(ours), len(theirs)))
    for i, j in cells:
        for side in (0, 1):
            near_a, near_b = ours[i][side], theirs[j][side]
            if near_a and near_b:
                shares = [tally.share(id(a), id(b)) for a in near_a for b in near_b]
                found[side, i, j] = max((share for share in shares if share is not None), default=_UNKNOWN)
            elif near_a == near_b:
                found[side, i, j] = _UNKNOWN
    return found


def _neighbours(shares: Floats) -> Floats:
    """Both neighbours together, shape (m, n); the side that corresponds for more of the units counts more.

    Where networks norm what comes out of a module, each norm is declared behind its module in both listings, whatever
    the order of the modules.
    """
    best = shares.max(axis=2, initial=0.0).sum(axis=1) ** 3
    result: Floats = np.tensordot(best / max(1e-9, float(best.sum())), shares, 1)
    return result


def vote(state: State, scope: Scope, support: Support, apart: Bools, base: Floats, scale: Floats, rounds: int) -> None:
    """Modules that hold other matched pairs draw the pairs of their own tensors: Dice of common votes, own vote out.

    So do the modules beside them, as far as the listings kept their order and no telling word sets a pair ``apart``.
    """
    nodes_a = [alone(state.source.nodes[unit], scope.a) for unit in support.rows]
    nodes_b = [alone(state.target.nodes[unit], scope.b) for unit in support.columns]
    chains_a = [chain(node, scope.a) for node in nodes_a]
    chains_b = [chain(node, scope.b) for node in nodes_b]
    beside_a = [_nearest(state.source, node, scope.a) for node in nodes_a]
    beside_b = [_nearest(state.target, node, scope.b) for node in nodes_b]
    norms_a = np.array([len(state.source.shapes[unit]) == 1 for unit in support.rows], bool)
    norms_b = np.array([len(state.target.shapes[unit]) == 1 for unit in support.columns], bool)
    lost = state.order_trust < 1
    runs_a = norms_a & np.array([lost or _in_run(state.source, node) for node in nodes_a], bool)
    runs_b = norms_b & np.array([lost or _in_run(state.target, node) for node in nodes_b], bool)
    block_votes = [
        (chain(a, scope.a), chain(b, scope.b), min(5.0, a.size * 0.5) * likeness)
        for a, b, likeness, *_ in scope.blocks[:_VOTING_BLOCKS]
    ]
    for fusion in scope.fusions:
        for x, y in product(fusion.sources()[:_VOTING_PARTS], fusion.targets()[:_VOTING_PARTS]):
            ours, theirs = chain(state.source.nodes[x], scope.a), chain(state.target.nodes[y], scope.b)
            block_votes.append((ours[1:], theirs[1:], 1.0))
    cells = [(int(i), int(j)) for i, j in zip(*np.nonzero(scale), strict=True)]
    near = np.logical_and.outer(
        [_is_pair(node, scope.a) for node in nodes_a], [_is_pair(node, scope.b) for node in nodes_b]
    )
    mates = _mate_cells(state, support, cells)
    for cell in mates:
        near[cell] = True
    known = np.ones_like(near)
    numbered = number_votes(scope, support.fit, nodes_a, nodes_b, state.indices_of)
    if state.switches.neighbours:
        support.beside_trust = 1.0 if state.order_trust == 1 else _SORTED_NEIGHBOURS
    votes, beside = np.zeros_like(support.votes), np.zeros_like(support.beside)
    for number in range(1, rounds + 1):
        chosen = assign(support.total)
        back = {j: i for i, j in chosen.items()}
        voters = {
            (i, j): (chains_a[i], chains_b[j], float(min(1.0, support.total[i, j])))
            for i, j in chosen.items()
            if (i, j) not in mates
        }
        tally = Tally()
        for vote_cast in (*block_votes, *voters.values()):
            tally.cast(*vote_cast)
        for i, j in cells:
            own = [voters[cell] for cell in {(i, chosen.get(i, -1)), (back.get(j, -1), j)} if cell in voters]
            share = tally.share(chains_a[i][1], chains_b[j][1], own)
            known[i, j] = share is not None
            outer = tally.share(chains_a[i][-2], chains_b[j][-2], own)
            if share is not None and outer is not None:
                share += _OUTER * (outer - share)
            support.votes[i, j] = max(_UNKNOWN if share is None else share, numbered[i, j])
        # the mean of all rounds, since of two tensors that disagree each would follow the other for ever
        votes += support.votes
        support.votes[:] = votes / number
        strength = VOTES + _VOTES_NEAR * (near & known)
        shares = _shares(tally, beside_a, beside_b, cells)
        for group in (np.ix_(norms_a, norms_b), np.ix_(~norms_a, ~norms_b)):
            support.beside[group] = _neighbours(np.array([shares[side][group] for side in (0, 1)]))
        support.beside[runs_a, :] = support.beside[:, runs_b] = _RUN
        support.beside[apart] *= SET_APART
        beside += support.beside
        support.beside[:] = beside / number
        around = BESIDE * support.beside_trust * support.beside
        support.total[:] = scale * (base + strength * support.votes + around)
        if mates:
            chosen = assign(support.total)
            for cell, (row, column) in mates.items():
                support.votes[cell] *= 1 - _MATE_SHARE
                support.votes[cell] += _MATE_SHARE * (chosen.get(row) == column)
            support.total[:] = scale * (base + strength * support.votes + around)
        apply_facts(state, support)
