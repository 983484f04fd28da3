"""The support of every possible pair inside one scope, from all kinds of evidence, each kept apart for explanations.

``W = C · X · (base + name · N + trust · (order · A + kin · K) + votes · V + beside · B + role · R + exact · E)``
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wmtui.core.matching.blocks.alignment import Block
from wmtui.core.matching.reading.tree import Node
from wmtui.core.proposal import Transform

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

BASE, NAME, ORDER, KIN, VOTES, BESIDE, ROLE, EXACT = 0.10, 0.34, 0.16, 0.10, 0.16, 0.16, 0.20, 0.12
"""Weights of the kinds of evidence; N, A, K, V, B, E lie in 0..1, R in 0..1 (3 where the user decided the role)."""

SET_APART = 0.2
"""Of the evidence of order and neighbours where a word sets two apart, since modules move more often than they lose a
telling word; and of order where most modules have moved."""

Kind = Literal["merge", "split"]


class UnitFusion(NamedTuple):
    """A fusion of units: ``parts`` of one side, ``whole`` of the other.

    Attributes:
        kind: ``merge`` where the parts are sources.
        dim: dimension along which the parts lie, -1 for a new leading one.
    """

    kind: Kind
    parts: tuple[int, ...]
    whole: int
    dim: int

    def sources(self) -> tuple[int, ...]:
        return self.parts if self.kind == "merge" else (self.whole,)

    def targets(self) -> tuple[int, ...]:
        return (self.whole,) if self.kind == "merge" else self.parts


@dataclass(slots=True)
class Scope:
    """Two corresponding modules, their paired blocks, and the units that are still open in them.

    Attributes:
        units_a, units_b: open units, in depth-first order.
        fusions: fused units that were found in it.
        from_a, from_b: unit -> number of the block that it was left over in, for units from inside blocks.
    """

    a: Node
    b: Node
    blocks: list[Block]
    units_a: list[int]
    units_b: list[int]
    fusions: list[UnitFusion] = field(default_factory=list)
    from_a: dict[int, int] = field(default_factory=dict)
    from_b: dict[int, int] = field(default_factory=dict)


@dataclass(slots=True)
class Support:
    """Evidence for each pair of ``rows`` (source units) and ``columns`` (target units), in arrays of that shape.

    Attributes:
        total: the support W; 0 where a pair cannot be.
        fit, place: shape factor C, and X for units of blocks that do not correspond.
        name, raw_name, contrasted: N, and two of its parts.
        order, kin, votes, beside, role, exact: A, K, V, B, R, E.
        trust, kin_trust, beside_trust: how far the listings' order can be relied on, 0 to 1: at all, among tensors of
            one size (for each pair), and of neighbours.
        taken: pairs across blocks whose role has another partner.
    """

    rows: list[int]
    columns: list[int]
    total: Floats
    fit: Floats
    place: Floats
    raw_name: Floats
    contrasted: Floats
    name: Floats
    order: Floats
    kin: Floats
    votes: Floats
    beside: Floats
    role: Floats
    exact: Floats
    kin_trust: Floats
    trust: float = 0.0
    beside_trust: float = 0.0
    taken_a: set[int] = field(default_factory=set)
    taken_b: set[int] = field(default_factory=set)
    transforms: dict[tuple[int, int], Transform] = field(default_factory=dict)

    def without(self, *, order: bool = True) -> Floats:
        """The support as it would be without the evidence of roles, or of roles and order."""
        scale = self.fit * self.place
        rest: Floats = self.total - scale * ROLE * self.role
        if not order:
            order_kinds = ORDER * self.trust * self.order + KIN * self.kin_trust * self.kin
            rest = rest - scale * (order_kinds + BESIDE * self.beside_trust * self.beside)
        return rest
