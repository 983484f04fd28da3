"""Numbers that stand for modules: ``inner.3`` and ``outer.3`` on one side, ``P3.inner`` and ``P3.outer`` on the other.

No module of the first side holds what has one number, so that no votes for modules could bring it together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from wmtui.core.matching.evidence.support import Floats, Scope
from wmtui.core.matching.reading.tally import Tally
from wmtui.core.matching.reading.tree import Node

Place = tuple[int, int]
"""Of a unit, its number in the lists of one module, and the module that holds it; 0 where it has none."""

IndicesOf = Callable[[Node, str], frozenset[int]]


def _place(node: Node, scope: Node, indices_of: IndicesOf) -> Place:
    if node is scope or node.parent is None:
        return 0, 0
    holder = node.parent
    module = 0 if holder is scope else id(holder)
    if node.index is None:
        return 0, module
    above = holder if node.stem or holder is scope or holder.parent is None else holder.parent
    # lists that have other numbers count something else
    return hash((id(above), node.index, indices_of(holder, node.stem))), module


def _ties(ours: Place, theirs: Place) -> Iterator[tuple[tuple[int], tuple[int]]]:
    """What a pair of units says of numbers of either side and modules of the other."""
    if ours[0] and theirs[1]:
        yield (ours[0],), (theirs[1],)
    if ours[1] and theirs[0]:
        yield (ours[1],), (theirs[0],)


def number_votes(
    scope: Scope, fit: Floats, nodes_a: Sequence[Node], nodes_b: Sequence[Node], indices_of: IndicesOf
) -> Floats:
    """How far the units that are alone in their size say that a number is a module, 0 to 1, for each other pair.

    Args:
        fit: shape (m, n), 0 where a pair cannot be.
        nodes_a, nodes_b: m and n units, or the modules that hold nothing but them.
        indices_of: the numbers of a module's children of one stem.
    """
    places_a = [_place(node, scope.a, indices_of) for node in nodes_a]
    places_b = [_place(node, scope.b, indices_of) for node in nodes_b]
    able = fit > 0
    alone = able & (able.sum(1, keepdims=True) == 1) & (able.sum(0, keepdims=True) == 1)
    found: Floats = np.zeros_like(fit)
    ties = [tie for i, j in np.argwhere(alone) for tie in _ties(places_a[i], places_b[j])]
    if not ties:
        return found
    tally = Tally()
    for tie in ties:
        tally.cast(*tie, 1.0)
    for i, j in np.argwhere(able & ~alone):
        shares = [tally.share(a, b) for (a,), (b,) in _ties(places_a[i], places_b[j])]
        found[i, j] = min((share for share in shares if share is not None), default=0.0)
    return found
