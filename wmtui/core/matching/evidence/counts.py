"""Order that numbers tell among tensors of one size and module (``norm1``, ``norm2``), in a listing by name, too."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence

import numpy as np

from wmtui.core.matching.blocks.order import closeness
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import Floats, Support
from wmtui.core.matching.reading.tree import Tree

Group = tuple[list[int], list[int]]


def _in_order(tree: Tree, units: Sequence[int], members: list[int], places: Sequence[float]) -> list[list[int]]:
    """Members whose order is known: all of them where the listing kept it, else those of one module and one name."""
    members = sorted(members, key=places.__getitem__)
    if not tree.sorted:
        return [members]
    nodes = [tree.nodes[units[member]] for member in members]
    if len({id(node.parent) for node in nodes}) > 1:
        return []
    found: defaultdict[Hashable, list[int]] = defaultdict(list)
    for member, node in zip(members, nodes, strict=True):
        found[node.token if node.index is None else (node.stem,)].append(member)
    return list(found.values())


def trust_numbers(
    state: State,
    support: Support,
    groups: Sequence[Group],
    places: tuple[Sequence[float], Sequence[float]],
    likely: Floats,
    trust: float,
) -> None:
    """Where numbers tell the order of some of a group, let them alone speak for it, and trust them.

    Args:
        groups: rows and columns of one size.
        places: of the rows and of the columns.
        likely: shape (m, n), what each pair weighs when orders are compared.
        trust: how far the listings' order could be relied on if none were sorted, 0 to 1.
    """
    for group_a, group_b in groups:
        for rows in _in_order(state.source, support.rows, group_a, places[0]):
            for columns in _in_order(state.target, support.columns, group_b, places[1]):
                if min(len(rows), len(columns)) > 1:
                    cells = np.ix_(rows, columns)
                    support.kin[cells] = closeness(likely[cells]) * (support.fit[cells] > 0)
                    support.kin_trust[cells] = trust
                    support.order[cells] = np.maximum(support.order[cells], support.kin[cells])
