"""The user's facts in the matcher's terms: tensors to leave out, marks on rows, partners and refused pairs of units."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.matching.reading.tree import Tree
from wmtui.core.proposal import Facts

_DIGITS = re.compile(r"[0-9]+")
_NUMBERS = re.compile(r"([0-9]+)")


@dataclass(slots=True)
class Given:
    """Facts, sorted out for one pair of listings.

    Attributes:
        source, target: the tensors that take part; ignored ones and pairs of unequal sizes do not.
        pairs: the user's pairs of keys, all of which stand in the result.
        refused: pairs of keys that may not be in it.
        odd: source keys of pairs of unequal sizes.
    """

    source: list[TensorSpec]
    target: list[TensorSpec]
    pairs: dict[str, str]
    refused: frozenset[tuple[str, str]]
    odd: frozenset[str]


class Constraints(NamedTuple):
    """The facts that a solution has to be told, since it did not come to them by itself."""

    pairs: dict[str, str]
    refused: frozenset[tuple[str, str]]


NO_CONSTRAINTS = Constraints({}, frozenset())


def sort_out(source: Listing, target: Listing, facts: Facts) -> Given:
    """The facts that concern these listings; pairs of keys that are not there are passed over."""
    pairs = {s: t for s, t in facts.pairs.items() if s in source and t in target}
    refused = frozenset(p for p in facts.refused if p[0] in source and p[1] in target and pairs.get(p[0]) != p[1])
    odd = frozenset(s for s, t in pairs.items() if source[s].numel != target[t].numel)
    copies = _copies(source), _copies(target)
    if copies[0] and copies[1]:
        copies = set(), set()
    out_source = odd | ((facts.ignored_sources | copies[0]) - pairs.keys())
    out_target = {pairs[s] for s in odd} | ((facts.ignored_targets | copies[1]) - set(pairs.values()))
    return Given(
        [spec for spec in source if spec.key not in out_source],
        [spec for spec in target if spec.key not in out_target],
        pairs,
        refused,
        odd,
    )


def _copies(side: Listing) -> set[str]:
    """Keys that go on where another tensor's of the same shape ends: averages and slots of an optimizer."""
    found = set()
    for spec in side:
        for separator in "./":
            above = spec.key.rpartition(separator)[0]
            if above in side and side[above].shape == spec.shape:
                found.add(spec.key)
    return found


def violated(given: Given, proposed: Mapping[str, str], known: Constraints) -> Constraints:
    """The constraints so far, and the facts that a proposal (source key -> target key) goes against."""
    pairs = {s: t for s, t in given.pairs.items() if s not in given.odd and proposed.get(s) != t}
    refused = {(s, t) for s, t in given.refused if proposed.get(s) == t}
    return Constraints({**known.pairs, **pairs}, known.refused | refused)


def marks(given: Given, constraints: Constraints) -> tuple[dict[int, object], dict[int, object]]:
    """Row -> what sets its structure apart, on both sides; equal where facts say the same in different layers."""
    rows_source = {spec.key: row for row, spec in enumerate(given.source)}
    rows_target = {spec.key: row for row, spec in enumerate(given.target)}
    notes_source: defaultdict[int, list[str]] = defaultdict(list)
    notes_target: defaultdict[int, list[str]] = defaultdict(list)
    for kind, some in (("pair", constraints.pairs.items()), ("refused", sorted(constraints.refused))):
        for s, t in some:
            if s in rows_source and t in rows_target:
                notes_source[rows_source[s]].append(f"{kind} {_difference(s, t)}")
                notes_target[rows_target[t]].append(f"{kind} {_difference(t, s)}")
    return (
        {row: tuple(sorted(notes)) for row, notes in notes_source.items()},
        {row: tuple(sorted(notes)) for row, notes in notes_target.items()},
    )


def _difference(key: str, other: str) -> str:
    """The other key, with each number that comes next in the key too replaced by a sign."""
    ours = iter([*_DIGITS.findall(key), ""])
    expected = next(ours)
    parts = _NUMBERS.split(other)
    for place in range(1, len(parts), 2):
        if parts[place] == expected:
            parts[place] = "#"
            expected = next(ours)
    return "".join(parts)


def unit_pairs(
    constraints: Constraints, source: Tree, target: Tree
) -> tuple[dict[int, int], frozenset[tuple[int, int]]]:
    """The constraints as pairs of units: what belongs together, and what may not."""
    if not constraints.pairs and not constraints.refused:
        return {}, frozenset()
    place_a, place_b = _places(source), _places(target)
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for s, t in constraints.pairs.items():
        a, b = place_a.get(s), place_b.get(t)
        if a is not None and b is not None and a not in partners and b not in taken:
            partners[a] = b
            taken.add(b)
    refused = {(place_a[s], place_b[t]) for s, t in constraints.refused if s in place_a and t in place_b}
    return partners, frozenset(refused - set(partners.items()))


def _places(tree: Tree) -> dict[str, int]:
    """Key -> unit."""
    return {spec.key: unit for spec, unit in zip(tree.specs, tree.unit_of, strict=True)}
