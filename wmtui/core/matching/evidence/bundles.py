"""Bundles: units of a scope that differ in their numbers only, and which bundle is which as a whole.

``norms_1.#`` against ``layers.#.norm``: where lists are nested otherwise on the two sides, no block holds both, so that
each number would be decided by itself. All members of a bundle have the same role, and their numbers correspond.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from wmtui.core.matching.blocks.assignment import assign, margins
from wmtui.core.matching.blocks.directions import Directions
from wmtui.core.matching.blocks.lists import crosswise
from wmtui.core.matching.evidence.support import ROLE, Floats, Support
from wmtui.core.matching.reading.tree import Node, Tree

_FULL_MARGIN = 0.06
_OTHER_NUMBER = 0.6
"""Of a pair's support where its two bundles correspond in length, but its numbers do not."""

_LEAST = 2

Facing = Callable[[list[int], list[int]], list[int]]


def _bundles(tree: Tree, scope: Node, units: Sequence[int], turned: Sequence[float] = ()) -> list[list[int]]:
    """Places in ``units`` of each bundle, by their numbers or as they are ``turned``; bundles of one shape only."""
    start = len(scope.template)
    found: defaultdict[str, list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        template = tree.nodes[unit].template[start:]
        if "#" in template:
            found[template].append(place)
    bundles = [members for members in found.values() if len(members) >= _LEAST]
    for members in bundles:
        members.sort(key=lambda place: (turned[place],) if turned else tree.nodes[units[place]].indices)
    return bundles


def _split(tree: Tree, units: Sequence[int], members: Sequence[int]) -> list[list[int]]:
    """A bundle by the number that takes the fewest values (``norms_{1,2}.{0-5}``: two of six)."""
    columns = list(zip(*(tree.nodes[units[place]].indices for place in members), strict=True))
    several = [column for column in columns if len(set(column)) > 1]
    if len(several) < 2:
        return []
    fixed = min(several, key=lambda column: len(set(column)))
    parts: defaultdict[int, list[int]] = defaultdict(list)
    for place, number in zip(members, fixed, strict=True):
        parts[number].append(place)
    return [part for part in parts.values() if len(part) >= _LEAST]


def _joint(support: Support, ours: Sequence[list[int]], theirs: Sequence[list[int]], facing: Facing) -> Floats:
    """Mean support of the members' pairs for bundles of one length, 0 where one of them cannot be."""
    joint: Floats = np.zeros((len(ours), len(theirs)))
    for a, members in enumerate(ours):
        for b, others in enumerate(theirs):
            if len(members) == len(others):
                cells = support.total[members, facing(members, others)]
                joint[a, b] = cells.mean() if cells.all() else 0.0
    return joint


def settle(
    source: tuple[Tree, Node],
    target: tuple[Tree, Node],
    support: Support,
    scale: Floats,
    turned: Sequence[float],
    directions: Directions,
) -> None:
    """Decide which bundles correspond, and let that speak as a role for the pairs of their members.

    Bundles without a counterpart are divided: how far numbers count as equal is chosen for both sides together.

    Args:
        source, target: trees and scopes of the support's rows and columns.
        scale: what the support's kinds of evidence are multiplied by.
        directions: which lists are counted the other way round.
        turned: places of the rows, where their blocks run the other way than their numbers; else none.
    """
    ours, theirs = _bundles(*source, support.rows, turned), _bundles(*target, support.columns)
    if not ours or not theirs:
        return

    def facing(members: list[int], others: list[int]) -> list[int]:
        """The members of the second bundle in the order of the first."""
        first = [source[0].nodes[support.rows[i]] for i in members]
        second = [target[0].nodes[support.columns[j]] for j in others]
        if crosswise(first, second):
            return sorted(others, key=lambda j: target[0].nodes[support.columns[j]].indices[-2:][::-1])
        return others[::-1] if not turned and directions.opposite(first, second) else others

    joint = _joint(support, ours, theirs, facing)
    alone_a, alone_b = ~joint.any(1), ~joint.any(0)
    parts_a = [part for k in np.flatnonzero(alone_a) for part in _split(source[0], support.rows, ours[k])]
    parts_b = [part for k in np.flatnonzero(alone_b) for part in _split(target[0], support.columns, theirs[k])]
    if parts_a or parts_b:
        ours, theirs = [*ours, *parts_a], [*theirs, *parts_b]
        joint = _joint(support, ours, theirs, facing)
    chosen = assign(joint)
    for a, b in zip(*np.nonzero(joint), strict=True):
        block = np.ix_(ours[a], facing(ours[a], theirs[b]))
        support.total[block] *= np.where(np.eye(len(ours[a]), dtype=bool), 1.0, _OTHER_NUMBER)
    for a, margin in margins(joint, chosen).items():
        cells = (ours[a], facing(ours[a], theirs[chosen[a]]))
        before = support.role[cells]
        after = np.maximum(before, min(1.0, max(0.0, margin) / _FULL_MARGIN))
        support.role[cells] = after
        support.total[cells] += scale[cells] * ROLE * (after - before)
