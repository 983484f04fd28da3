"""The recursive solution: pair blocks, solve each distinct structure once, assign what is left, hand the rest up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from wmtui.core.matching.blocks.assignment import assign, margins
from wmtui.core.matching.blocks.families import Families
from wmtui.core.matching.evidence.confidence import clip, confidence
from wmtui.core.matching.evidence.crossings import Crossings
from wmtui.core.matching.evidence.crowds import MOST_CELLS, divide, pair_crowd
from wmtui.core.matching.evidence.roles import Record, Roles
from wmtui.core.matching.evidence.state import State
from wmtui.core.matching.evidence.support import Scope, Support, UnitFusion
from wmtui.core.matching.evidence.weighing import weigh
from wmtui.core.matching.fused.fusions import MOST_UNITS, find_fused
from wmtui.core.matching.fused.stacks import find_stacked
from wmtui.core.matching.reading.tree import Node
from wmtui.core.matching.solution import Choice, Solution, UnitPair, Verdict, moved
from wmtui.core.proposal import Transform

Floats = NDArray[np.float64]

LEAST_SUPPORT = 0.08
LEAST_CONFIDENCE = 0.03
_VOTE_ROUNDS = 2
_MOST_RECORDED = 250_000
_MOST_CHOICES = 6
_FUSION_DOUBT = 0.75
_SQUARE_DOUBT = 0.85
"""Of the confidence in a square matrix that is transposed only because oblong ones are."""

_TWIN_DOUBT = 0.9
"""One of nine such pairs at 0.9 was wrong on 343 pairs of listings with look-alikes, of the others one of 170."""

_AS_GOOD = 0.02
_ROLE_DOUBT = 0.5
_UNSTEADY = 0.8
"""Of the confidence inside a block that could as well be another one of its family."""

_DOUBTED, _FOLLOWS_DOUBT = 0.5, 0.6
"""A norm that follows a convolution that is less sure than the first is no surer than the second."""

_RIVAL_GAP = 0.08
_FEW = 5


class Solver:
    """Solves a whole match in two passes; the second knows the roles that the first found."""

    def __init__(self, state: State) -> None:
        self.state = state
        facts = sorted(state.partners.items())
        self.families = Families(state.source, state.target, state.names, state.directions, facts)
        self.memo: dict[tuple[int, int], Solution] = {}
        self._records: dict[tuple[int, int], list[tuple[list[str], list[str], Floats]]] = {}
        self._crossings = Crossings(state.source, state.target)
        self._shape_counts = (Counter(state.source.shapes), Counter(state.target.shapes))
        self.sizes: dict[int, int] = {}

    def run(self) -> Solution:
        """The solution of the two roots."""
        state = self.state
        passes = 2 if state.switches.roles else 1
        for number in range(passes):
            self.memo, self._records = {}, {}
            self._crossings = Crossings(state.source, state.target)
            result = self.solve(state.source.root, state.target.root)
            if number + 1 < passes:
                self._learn()
                state.settle_order()
        return result

    def _learn(self) -> None:
        """Weigh each structure's records by how often it stands in the listings, and settle the roles."""
        root = (self.state.source.root.structure, self.state.target.root.structure)
        order: list[tuple[int, int]] = []
        seen: set[tuple[int, int]] = set()
        stack: list[tuple[tuple[int, int], bool]] = [(root, False)]
        while stack:
            key, done = stack.pop()
            if done:
                order.append(key)
            elif key not in seen:
                seen.add(key)
                stack.append((key, True))
                stack.extend((child, False) for _, _, child, _ in self.memo[key].children)
        times: Counter[tuple[int, int]] = Counter({root: 1})
        for key in reversed(order):
            for _, _, child, _ in self.memo[key].children:
                times[child] += times[key]
        roles = Roles()
        roles.learn(
            [
                Record(self.memo[key].family, paths_a, paths_b, weights, times[key])
                for key, records in self._records.items()
                for paths_a, paths_b, weights in records
            ]
        )
        self.state.roles = roles
        self.state.crossings = self._crossings.settled(times)

    # -- one pair of scopes ----------------------------------------------------------------------------------------

    def solve(self, a: Node, b: Node) -> Solution:
        """The solution for two nodes, from the memo where their structures were met before."""
        key = (a.structure, b.structure)
        found = self.memo.get(key)
        if found is None:
            self.state.check()
            found = self.memo[key] = self._solve(a, b)
            self.sizes[a.structure] = a.size
        return found

    def _solve(self, a: Node, b: Node) -> Solution:
        blocks = self.families.pair(a, b) if self.state.switches.families else []
        solution = Solution((a.template, b.template))
        scope = Scope(a, b, blocks, [], [])
        inside_a, inside_b = np.zeros(a.size, bool), np.zeros(b.size, bool)
        for number, (block_a, block_b, _, doubtful, steady) in enumerate(blocks):
            inner = self.solve(block_a, block_b)
            off_a, off_b = block_a.lo - a.lo, block_b.lo - b.lo
            inside_a[off_a : off_a + block_a.size] = True
            inside_b[off_b : off_b + block_b.size] = True
            solution.children.append((off_a, off_b, (block_a.structure, block_b.structure), doubtful))
            solution.has_doubt |= doubtful or inner.has_doubt
            pairs = inner.pairs if steady else [UnitPair(i, j, _unsteady(verdict)) for i, j, verdict in inner.pairs]
            solution.pairs.extend([UnitPair(i + off_a, j + off_b, verdict) for i, j, verdict in pairs])
            solution.undecided.extend([(i + off_a, tuple(j + off_b for j in rivals)) for i, rivals in inner.undecided])
            solution.fusions.extend([moved(fusion, off_a, off_b) for fusion in inner.fusions])
            for unit in inner.open_a:
                scope.from_a[unit + block_a.lo] = number
            for unit in inner.open_b:
                scope.from_b[unit + block_b.lo] = number
        scope.units_a = sorted([*scope.from_a, *(a.lo + int(k) for k in np.flatnonzero(~inside_a))])
        scope.units_b = sorted([*scope.from_b, *(b.lo + int(k) for k in np.flatnonzero(~inside_b))])
        self._decide(scope, solution)
        return solution

    def _decide(self, scope: Scope, solution: Solution) -> None:
        """Fusions, then the assignment of the rest; fills the solution's own part."""
        state, a, b = self.state, scope.a, scope.b
        gone_a: set[int] = set()
        gone_b: set[int] = set()
        fusions: list[UnitFusion] = []
        doubted: tuple[set[int], set[int]] = (set(), set())
        if state.switches.fusions and scope.units_a and scope.units_b:
            fusions = find_stacked(state, scope)
            for fusion in fusions:
                gone_a.update(fusion.sources())
                gone_b.update(fusion.targets())
            scope.units_a = [unit for unit in scope.units_a if unit not in gone_a]
            scope.units_b = [unit for unit in scope.units_b if unit not in gone_b]
            rows, columns = self._common(scope, gone_a, gone_b)
            small = len(rows) * len(columns) <= MOST_CELLS
            if small and len(scope.units_a) <= MOST_UNITS and len(scope.units_b) <= MOST_UNITS:
                first = weigh(state, scope, rows, columns, rounds=1).total if rows else np.zeros((0, 0))
                found = find_fused(state, scope, rows, columns, np.minimum(first, 3.0))
                fusions += [f for f in found.fusions if not self._decided(f)]
                doubted = (found.doubted_a, found.doubted_b)
                for fusion in fusions:
                    gone_a.update(fusion.sources())
                    gone_b.update(fusion.targets())
        solution.fusions += [moved(fusion, -a.lo, -b.lo) for fusion in fusions]
        scope.fusions = fusions
        problems, crowds = divide(state, *self._common(scope, gone_a, gone_b))
        for rows, columns in problems:
            state.check()
            decided = self._assign(scope, rows, columns, doubted, solution)
            self._crossings.note(scope, [(i, j) for i, j, _ in decided])
            for i, j, verdict in decided:
                solution.pairs.append(UnitPair(i - a.lo, j - b.lo, verdict))
                gone_a.add(i)
                gone_b.add(j)
        for crowd in crowds:
            for i, j, value in pair_crowd(state, scope, crowd):
                solution.pairs.append(UnitPair(i - a.lo, j - b.lo, _crowd_verdict(state, i, j, value)))
                gone_a.add(i)
                gone_b.add(j)
            left = [unit - b.lo for unit in crowd[1] if unit not in gone_b]
            solution.undecided += [
                (unit - a.lo, tuple(left[:_FEW])) for unit in crowd[0] if unit not in gone_a and left
            ]
        solution.open_a = [unit - a.lo for unit in scope.units_a if unit not in gone_a]
        solution.open_b = [unit - b.lo for unit in scope.units_b if unit not in gone_b]

    def _decided(self, fusion: UnitFusion) -> bool:
        """Whether the user decided a pair for one of the fusion's units."""
        state = self.state
        return any(u in state.partners for u in fusion.sources()) or any(
            u in state.partners_back for u in fusion.targets()
        )

    def _common(self, scope: Scope, gone_a: set[int], gone_b: set[int]) -> tuple[list[int], list[int]]:
        """Open units whose size exists on the other side."""
        sizes_a, sizes_b = self.state.source.numels, self.state.target.numels
        here = {sizes_a[unit] for unit in scope.units_a}
        there = {sizes_b[unit] for unit in scope.units_b}
        return (
            [unit for unit in scope.units_a if unit not in gone_a and sizes_a[unit] in there],
            [unit for unit in scope.units_b if unit not in gone_b and sizes_b[unit] in here],
        )

    # -- one assignment --------------------------------------------------------------------------------------------

    def _assign(
        self,
        scope: Scope,
        rows: list[int],
        columns: list[int],
        doubted: tuple[set[int], set[int]],
        solution: Solution,
    ) -> list[tuple[int, int, Verdict]]:
        state = self.state
        support = weigh(state, scope, rows, columns, _VOTE_ROUNDS)
        at_root = scope.a is state.source.root
        if not at_root and support.total.size <= _MOST_RECORDED:
            paths_a = [state.path(0, unit, scope.a) for unit in rows]
            paths_b = [state.path(1, unit, scope.b) for unit in columns]
            key = (scope.a.structure, scope.b.structure)
            self._records.setdefault(key, []).append((paths_a, paths_b, support.total.copy()))
        chosen = {i: j for i, j in assign(support.total).items() if support.total[i, j] >= LEAST_SUPPORT}
        self._keep_choices(scope, support, solution)
        plain = support.without()
        still = support.without(order=False)
        margins_now, margins_plain, margins_still = (margins(w, chosen) for w in (support.total, plain, still))
        used = set(chosen.values())
        free = [i for i in range(len(rows)) if i not in chosen], [j for j in range(len(columns)) if j not in used]
        here = Counter(state.source.shapes[unit] for unit in rows)
        there = Counter(state.target.shapes[unit] for unit in columns)
        found = []
        for i, j in chosen.items():
            x, y = rows[i], columns[j]
            shape = state.source.shapes[x]
            elsewhere = bool(support.place[i, j] < 1)
            balanced = not at_root and not elsewhere and here[shape] == there[shape]
            features = self._features(
                scope, support, i, j, plain[i, j], margins_plain[i], margins_still[i], at_root, elsewhere, balanced
            )
            value = confidence(features)
            if x in doubted[0] or y in doubted[1]:
                value *= _FUSION_DOUBT
            if _has_free_twin(support, i, j, free):
                value *= _TWIN_DOUBT
            if not at_root:
                paths = state.path(0, x, scope.a), state.path(1, y, scope.b)
                value *= 1 - _ROLE_DOUBT * state.roles.against((scope.a.template, scope.b.template), *paths)
            transform = support.transforms.get((i, j), Transform.NONE)
            if transform is Transform.TRANSPOSE and shape == state.target.shapes[y]:
                value *= 1.0 if state.shapes.known_convention else _SQUARE_DOUBT
            decided = state.partners.get(x) == y
            if value < LEAST_CONFIDENCE and (at_root or elsewhere) and not decided:
                continue
            verdict = Verdict(
                1.0 if decided else value,
                float(support.total[i, j]),
                margins_now[i],
                transform,
                features,
                at_root,
                elsewhere,
                support.trust,
                _rivals(support, i, j),
            )
            found.append((x, y, verdict))
        self._follow_mates(found)
        return found

    def _follow_mates(self, found: Sequence[tuple[int, int, Verdict]]) -> None:
        """Doubt norms that follow a convolution in doubt."""
        ours, theirs = self.state.mates
        pairs = {(x, y): verdict for x, y, verdict in found}
        for x, y, verdict in found:
            mate = pairs.get((ours[x], theirs[y]))
            if mate is not None and mate.confidence < _DOUBTED and x not in self.state.partners:
                verdict.confidence = min(verdict.confidence, _FOLLOWS_DOUBT)

    def _features(
        self,
        scope: Scope,
        support: Support,
        i: int,
        j: int,
        plain: float,
        margin: float,
        still: float,
        at_root: bool,
        elsewhere: bool,
        balanced: bool,
    ) -> tuple[float, ...]:
        """What the confidence is computed from, as :data:`FEATURES`."""
        state = self.state
        x, y = support.rows[i], support.columns[j]
        family = (scope.a.template, scope.b.template)
        joint = state.roles.margin(family, state.path(0, x, scope.a), state.path(1, y, scope.b))
        margin, still = min(margin, 1.0), min(still, 1.0)
        margin = max(margin, joint)
        name, votes = float(support.raw_name[i, j]), float(support.votes[i, j])
        named = max(name, votes)
        away = float(elsewhere)
        taken = float(elsewhere and (i in support.taken_a or j in support.taken_b))
        root = float(at_root and not elsewhere)
        share = max(
            self._shape_counts[0][state.source.shapes[x]] / len(state.source.nodes),
            self._shape_counts[1][state.target.shapes[y]] / len(state.target.nodes),
            1e-4,
        )
        rarity = -math.log(share) / 9.2
        order = float(support.trust * support.order[i, j] + support.kin_trust[i, j] * support.kin[i, j]) / 2
        return (
            1.0,
            clip(still, -0.1, 0),
            clip(still, 0, 0.05),
            clip(still, 0, 0.3),
            clip(margin, 0, 0.06),
            clip(margin, 0, 0.3),
            clip(joint, 0, 0.06),
            clip(joint, 0, 0.3),
            min(1.0, float(plain)),
            state.shapes.factor_by_convention(x, y),
            order,
            float(support.contrasted[i, j]),
            support.trust,
            votes,
            name,
            named,
            away,
            away * name,
            away * taken,
            root,
            root * named,
            root * name,
            rarity,
            root * rarity,
            float(balanced),
        )

    @staticmethod
    def _keep_choices(scope: Scope, support: Support, solution: Solution) -> None:
        """The best possible targets of each row, with their evidence, for explanations."""
        kinds = (
            support.fit,
            support.place,
            support.name,
            support.contrasted,
            support.order * support.trust,
            support.kin * support.kin_trust,
            support.votes,
            support.beside * support.beside_trust,
            support.role,
            support.exact,
        )
        for i, unit in enumerate(support.rows):
            row = support.total[i]
            able = np.flatnonzero(row > 0)
            best = able[np.argsort(-row[able], kind="stable")][:_MOST_CHOICES]
            if len(best):
                solution.choices[unit - scope.a.lo] = [
                    Choice(
                        support.columns[j] - scope.b.lo,
                        float(row[j]),
                        tuple(float(kind[i, j]) for kind in kinds),
                        support.transforms.get((i, int(j)), Transform.NONE),
                    )
                    for j in best.tolist()
                ]


def _has_free_twin(support: Support, i: int, j: int, free: tuple[list[int], list[int]]) -> bool:
    """Whether one that is left over fits in the place of a row or column as well, by shape and by name."""
    fit, name = support.fit[i, j] - _AS_GOOD, support.name[i, j] - _AS_GOOD
    rows, columns = free
    return bool(
        ((support.fit[rows, j] >= fit) & (support.name[rows, j] >= name)).any()
        or ((support.fit[i, columns] >= fit) & (support.name[i, columns] >= name)).any()
    )


def _unsteady(verdict: Verdict) -> Verdict:
    return replace(verdict, confidence=_UNSTEADY * verdict.confidence)


def _crowd_verdict(state: State, i: int, j: int, value: float) -> Verdict:
    transform = state.shapes.fit(i, j).transform
    return Verdict(value, value, 1.0, transform, (), at_root=True, elsewhere=False, trust=0.0)


def _rivals(support: Support, i: int, j: int) -> tuple[int, ...]:
    """Other columns nearly as good as the chosen one, as offsets of their units from its unit."""
    row = support.total[i]
    near = [int(k) for k in np.flatnonzero(row >= row[j] - _RIVAL_GAP) if k != j and row[k] > 0]
    near.sort(key=lambda k: (-row[k], k))
    return tuple(support.columns[k] - support.columns[j] for k in near[:_MOST_CHOICES])
