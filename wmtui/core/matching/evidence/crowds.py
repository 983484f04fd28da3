"""Crowds: more units of one size than can be compared pair by pair.

Only what needs no comparison is paired: the very same path on both sides, and two lists of one length, member by
member. The rest of a crowd stays open; nothing tells its members apart.
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import Scope

SAME_PATH_CONFIDENCE = 0.97
LIST_CONFIDENCE = 0.91
MOST_CELLS = 62_500
"""A size with more possible pairs than this is a crowd."""

_BATCH = 400

Problem = tuple[list[int], list[int]]


class CrowdPair(NamedTuple):
    """A pair of units of a crowd."""

    source: int
    target: int
    confidence: float


def divide(state: State, rows: list[int], columns: list[int]) -> tuple[list[Problem], list[Problem]]:
    """The assignment problems of a scope, small enough to be solved exactly, and its crowds.

    Units of one size always stay together, so that a division changes nothing but the sight of other sizes.
    """
    groups: dict[int, Problem] = {}
    for unit in rows:
        groups.setdefault(state.source.numels[unit], ([], []))[0].append(unit)
    for unit in columns:
        if (group := groups.get(state.target.numels[unit])) is not None:
            group[1].append(unit)
    problems: list[Problem] = []
    crowds: list[Problem] = []
    open_a: list[int] = []
    open_b: list[int] = []
    cells = 0
    for group_a, group_b in groups.values():
        size = len(group_a) * len(group_b)
        if size > MOST_CELLS:
            crowds.append((group_a, group_b))
            continue
        if open_a and (cells + size > MOST_CELLS or len(open_a) + len(group_a) > _BATCH):
            problems.append((sorted(open_a), sorted(open_b)))
            open_a, open_b, cells = [], [], 0
        open_a += group_a
        open_b += group_b
        cells += size
    if open_a and open_b:
        problems.append((sorted(open_a), sorted(open_b)))
    return problems, crowds


def pair_crowd(state: State, scope: Scope, crowd: Problem) -> list[CrowdPair]:
    """What can be paired in a crowd without comparing everything with everything."""
    found: list[CrowdPair] = []
    paths = {state.path(1, unit, scope.b): unit for unit in crowd[1]}
    lists_a: defaultdict[str, list[int]] = defaultdict(list)
    lists_b: defaultdict[str, list[int]] = defaultdict(list)
    taken: set[int] = set()
    for unit in crowd[0]:
        twin = paths.get(state.path(0, unit, scope.a))
        if twin is not None and _may(state, unit, twin):
            found.append(CrowdPair(unit, twin, SAME_PATH_CONFIDENCE))
            taken.add(twin)
        else:
            lists_a[state.source.nodes[unit].template].append(unit)
    for unit in crowd[1]:
        if unit not in taken:
            lists_b[state.target.nodes[unit].template].append(unit)
    if len(lists_a) == len(lists_b) == 1:
        members_a, members_b = next(iter(lists_a.values())), next(iter(lists_b.values()))
        if len(members_a) == len(members_b):
            members_a.sort(key=lambda unit: state.source.nodes[unit].indices)
            members_b.sort(key=lambda unit: state.target.nodes[unit].indices)
            pairs = zip(members_a, members_b, strict=True)
            found += [CrowdPair(x, y, LIST_CONFIDENCE) for x, y in pairs if _may(state, x, y)]
    return found


def _may(state: State, x: int, y: int) -> bool:
    if (x, y) in state.refused or state.partners.get(x, y) != y or state.partners_back.get(y, x) != x:
        return False
    return state.shapes.fit(x, y).factor > 0
