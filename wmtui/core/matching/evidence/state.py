"""What the stages of one match share: the trees, shapes, names, roles, the user's facts, and how far order counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from wmtui.core.matching.blocks.directions import Directions
from wmtui.core.matching.evidence.crossings import Crossing
from wmtui.core.matching.evidence.mates import mates, norms_first
from wmtui.core.matching.evidence.roles import Roles
from wmtui.core.matching.evidence.shapes import Shapes
from wmtui.core.matching.reading.names import Names
from wmtui.core.matching.reading.tree import Node, Tree
from wmtui.errors import Cancelled

SORTED_TRUST = 0.6
"""Trust in the usual order that stands in for a listing's own, lost one."""

USUAL_RATE = 0.92


@dataclass(frozen=True, slots=True)
class Switches:
    """Kinds of evidence that can be turned off, for ablations."""

    names: bool = True
    contrast: bool = True
    order: bool = True
    votes: bool = True
    neighbours: bool = True
    roles: bool = True
    families: bool = True
    fusions: bool = True
    rescue: bool = True


class State:
    """Shared state of one match.

    Attributes:
        partners, partners_back: source unit -> target unit that the user paired, and the reverse.
        refused: pairs of units that the user refused.
        order_trust: 1 where both listings kept their order.
        order_rate: share of sure pairs in the same order, over all scopes of the pass before.
        crossings: roles that the pass before paired across blocks rather than inside of them.
        directions: which lists are counted the other way round.
        mates: of both sides, for each norm the unit of its convolution, else -1.
        concordance: [agreeing, all] pairs of sure pairs, of this pass.
    """

    def __init__(
        self,
        source: Tree,
        target: Tree,
        *,
        allow_transforms: bool = True,
        switches: Switches | None = None,
        partners: Mapping[int, int] | None = None,
        refused: frozenset[tuple[int, int]] = frozenset(),
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.source = source
        self.target = target
        self.switches = switches or Switches()
        self.shapes = Shapes(source, target, allow_transforms)
        self.names = Names(source, target)
        self.roles = Roles()
        self.crossings: frozenset[Crossing] = frozenset()
        self.directions = Directions(source, target)
        first = norms_first(source, target)
        self.mates = (mates(source, first), mates(target, first))
        self.partners = dict(partners or {})
        self.partners_back = {j: i for i, j in self.partners.items()}
        self.refused = refused
        known = source.by_order and target.by_order
        self.order_trust = SORTED_TRUST if (source.sorted or target.sorted) and not known else 1.0
        self.order_rate = USUAL_RATE
        self.concordance = [0.0, 0.0]
        self._paths: dict[tuple[int, int, int], str] = {}
        self._indices: dict[tuple[int, str], frozenset[int]] = {}
        self._cancelled = cancelled

    def check(self) -> None:
        """Raise :class:`Cancelled` where the user stopped the work."""
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("matching was stopped")

    def path(self, side: int, unit: int, scope: Node) -> str:
        """Path of a unit (side 0: source, 1: target) relative to a scope that holds it."""
        key = (side, unit, id(scope))
        found = self._paths.get(key)
        if found is None:
            parts = []
            at: Node | None = (self.source, self.target)[side].nodes[unit]
            while at is not None and at is not scope:
                parts.append(at.token)
                at = at.parent
            found = self._paths[key] = ".".join(reversed(parts))
        return found

    def is_bare(self, side: int, unit: int) -> bool:
        """Whether a unit is a parameter without a class of its own, like ``scale`` or ``biases.0``."""
        tree = (self.source, self.target)[side]
        leaves = tree.leaves[unit]
        return len(leaves) == 1 and tree.specs[leaves[tree.main[unit]]].key.endswith(tree.nodes[unit].token)

    def indices_of(self, parent: Node, stem: str) -> frozenset[int]:
        """The numbers of a module's children of one stem."""
        key = (id(parent), stem)
        found = self._indices.get(key)
        if found is None:
            children = parent.children.values()
            found = frozenset(child.index for child in children if child.stem == stem and child.index is not None)
            self._indices[key] = found
        return found

    def settle_order(self) -> None:
        """Take the concordance of a finished pass as the expectation of the next."""
        agree, total = self.concordance
        self.order_rate = (agree + 4 * USUAL_RATE) / (total + 4)
        self.concordance = [0.0, 0.0]
