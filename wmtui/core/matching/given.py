"""The user's facts in the matcher's terms: rows to leave out, marks on rows, partners and refused pairs of units."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.matching.tree import Tree
from wmtui.core.proposal import Facts

_DIGITS = re.compile(r"[0-9]+")


@dataclass(slots=True)
class Given:
    """Facts, sorted out for one pair of listings.

    Attributes:
        source, target: the tensors that take part; ignored ones and pairs of unequal sizes do not.
        pairs: the user's pairs of keys, all of which stand in the result.
        marks_source, marks_target: row -> what sets its structure apart.
    """

    source: list[TensorSpec]
    target: list[TensorSpec]
    pairs: dict[str, str]
    refused: frozenset[tuple[str, str]]
    marks_source: dict[int, object] = field(default_factory=dict)
    marks_target: dict[int, object] = field(default_factory=dict)


def sort_out(source: Listing, target: Listing, facts: Facts) -> Given:
    """The facts that concern these listings; pairs of keys that are not there are passed over."""
    pairs = {s: t for s, t in facts.pairs.items() if s in source and t in target}
    refused = frozenset(p for p in facts.refused if p[0] in source and p[1] in target and pairs.get(p[0]) != p[1])
    odd = {s for s, t in pairs.items() if source[s].numel != target[t].numel}
    out_source = facts.ignored_sources | odd
    out_target = facts.ignored_targets | {pairs[s] for s in odd}
    given = Given(
        [spec for spec in source if spec.key not in out_source or (spec.key in pairs and spec.key not in odd)],
        [spec for spec in target if spec.key not in out_target],
        pairs,
        refused,
    )
    if pairs or refused:
        _mark(given, {s: t for s, t in pairs.items() if s not in odd})
    return given


def _mark(given: Given, pairs: dict[str, str]) -> None:
    """Give equal marks to facts that say the same in different layers, so that those layers are solved as one."""
    rows_source = {spec.key: row for row, spec in enumerate(given.source)}
    rows_target = {spec.key: row for row, spec in enumerate(given.target)}
    notes_source: defaultdict[int, list[object]] = defaultdict(list)
    notes_target: defaultdict[int, list[object]] = defaultdict(list)
    for kind, some in (("pair", pairs.items()), ("refused", sorted(given.refused))):
        for s, t in some:
            if s in rows_source and t in rows_target:
                notes_source[rows_source[s]].append((kind, *_difference(s, t)))
                notes_target[rows_target[t]].append((kind, *_difference(t, s)))
    given.marks_source = {row: tuple(sorted(map(repr, notes))) for row, notes in notes_source.items()}
    given.marks_target = {row: tuple(sorted(map(repr, notes))) for row, notes in notes_target.items()}


def _difference(key: str, other: str) -> tuple[str, tuple[int, ...]]:
    """Template of the other key, and its indices relative to the key's own where they can be compared."""
    ours = [int(n[-15:]) for n in _DIGITS.findall(key)]
    theirs = [int(n[-15:]) for n in _DIGITS.findall(other)]
    if len(ours) == len(theirs):
        theirs = [b - a for a, b in zip(ours, theirs, strict=True)]
    return _DIGITS.sub("#", other), tuple(theirs)


def unit_pairs(given: Given, source: Tree, target: Tree) -> tuple[dict[int, int], frozenset[tuple[int, int]]]:
    """The facts as pairs of units: what belongs together, and what may not."""
    if not given.pairs and not given.refused:
        return {}, frozenset()
    place_a, place_b = _places(source), _places(target)
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for s, t in given.pairs.items():
        a, b = place_a.get(s), place_b.get(t)
        if a is not None and b is not None and a not in partners and b not in taken:
            partners[a] = b
            taken.add(b)
    refused = {(place_a[s], place_b[t]) for s, t in given.refused if s in place_a and t in place_b}
    return partners, frozenset(refused - set(partners.items()))


def _places(tree: Tree) -> dict[str, int]:
    """Key -> unit."""
    return {spec.key: unit for spec, unit in zip(tree.specs, tree.unit_of, strict=True)}
