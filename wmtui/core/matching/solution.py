"""What the solver decides for two structures, with relative unit numbers, so that it can be replayed anywhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from wmtui.core.matching.evidence.support import UnitFusion
from wmtui.core.proposal import Transform

PARTS = ("shape", "place", "name", "contrast", "order", "kin", "votes", "beside", "role", "exact")
"""Kinds of evidence that a choice keeps, in this order."""


class Choice(NamedTuple):
    """A possible target unit of a source unit in the scope that decided it, with its evidence (see :data:`PARTS`)."""

    unit: int
    support: float
    parts: tuple[float, ...]
    transform: Transform


@dataclass(slots=True)
class Verdict:
    """What decided a pair; shared by all places that the solution is replayed at.

    Attributes:
        margin: loss of the best alternative, all evidence counted.
        features: as :data:`wmtui.core.matching.evidence.confidence.FEATURES`.
        at_root: decided at the top of the listings.
        trust: of the listing's order in that scope.
        rivals: nearly as good target units, as offsets from the chosen one.
    """

    confidence: float
    support: float
    margin: float
    transform: Transform
    features: tuple[float, ...]
    at_root: bool
    elsewhere: bool
    trust: float
    rivals: tuple[int, ...] = ()


class UnitPair(NamedTuple):
    """A pair of units, relative to the first units of the solution's scopes."""

    i: int
    j: int
    verdict: Verdict


@dataclass(slots=True)
class Solution:
    """What is known of two structures; unit numbers are relative, so that it can be replayed anywhere.

    Attributes:
        open_a, open_b: units that found no partner.
        children: (offset in a, offset in b, structures, doubtful) of the paired blocks.
        choices: source unit -> ranked possible targets, of this scope's own decisions.
        has_doubt: whether a family of unknown direction lies somewhere below.
        undecided: units of crowds, each with a few of the targets that fit equally well.
    """

    family: tuple[str, str]
    pairs: list[UnitPair] = field(default_factory=list)
    fusions: list[UnitFusion] = field(default_factory=list)
    open_a: list[int] = field(default_factory=list)
    open_b: list[int] = field(default_factory=list)
    children: list[tuple[int, int, tuple[int, int], bool]] = field(default_factory=list)
    has_doubt: bool = False
    undecided: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)
    choices: dict[int, list[Choice]] = field(default_factory=dict)


def moved(fusion: UnitFusion, by_a: int, by_b: int) -> UnitFusion:
    """The fusion with its units counted from elsewhere."""
    parts, whole = (by_a, by_b) if fusion.kind == "merge" else (by_b, by_a)
    return fusion._replace(parts=tuple(unit + parts for unit in fusion.parts), whole=fusion.whole + whole)
