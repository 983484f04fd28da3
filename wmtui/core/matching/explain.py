"""Candidates of a source key, when somebody asks: ranked targets with documented score, confidence and reasons."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping
from math import exp, prod
from typing import NamedTuple

from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.match_options import MatchOptions
from wmtui.core.matching.evidence.support import BESIDE, EXACT, KIN, NAME, ORDER, ROLE, VOTES
from wmtui.core.matching.rules import KeyPair, split_key
from wmtui.core.matching.scopes import Solver
from wmtui.core.matching.solution import PARTS, Choice, Solution, Verdict
from wmtui.core.proposal import Candidate, Evidence, Pair, Score, Transform
from wmtui.core.scores import composite

_MOST_SCORED = 32
_NO_EVIDENCE_SUPPORT = -1.0
_CLEAR_LEAD = 0.08


class _Known(NamedTuple):
    """A target unit that some scope weighed for a source unit."""

    unit: int
    choice: Choice
    verdict: Verdict | None


class Explainer:
    """Implements :class:`wmtui.core.proposal.CandidateSource` on a finished solution."""

    def __init__(
        self,
        source: Listing,
        target: Listing,
        options: MatchOptions,
        solver: Solver,
        solution: Solution,
        pairs: Mapping[str, Pair],
        ambiguous: Mapping[str, tuple[str, ...]],
        counts: Mapping[KeyPair, int],
    ) -> None:
        self._source, self._target = source, target
        self._options = options
        self._solver = solver
        self._solution = solution
        self._pairs = pairs
        self._ambiguous = ambiguous

        self._taken = {pair.target: pair.source for pair in pairs.values()}
        self._counts = counts
        self._wholes: Counter[tuple[str, ...]] = Counter()
        for (literals, _), count in counts.items():
            self._wholes[literals] += count
        tree = solver.state.source
        self._row_of = source.index if len(tree.specs) == len(source) else {s.key: r for r, s in enumerate(tree.specs)}
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for row, spec in enumerate(target.tensors):
            by_shape[spec.shape].append(row)
        by_numel: defaultdict[int, list[int]] = defaultdict(list)
        for shape, rows in by_shape.items():
            by_numel[prod(shape)] += rows
        for rows in by_numel.values():
            rows.sort()
        self._by_shape, self._by_numel = dict(by_shape), dict(by_numel)
        ordered = tuple(sum(spec.order is not None for spec in side) for side in (source, target))
        self._ordered = (ordered[0], ordered[1]) if all(ordered) else None

    # -- the answer ------------------------------------------------------------------------------------------------

    def __call__(self, source: str, limit: int) -> tuple[Candidate, ...]:
        spec = self._source[source]
        proposed = self._pairs.get(source)
        known = self._known(source)
        ranked: list[str] = [proposed.target] if proposed is not None else []
        ranked += [key for key in self._ambiguous.get(source, ()) if key not in ranked]
        ranked += [key for key in sorted(known, key=lambda k: -known[k].choice.support) if key not in ranked]
        if len(ranked) < limit:
            ranked += self._others(spec, set(ranked), limit - len(ranked))
        lead = known.get(ranked[0]) if ranked else None
        return tuple(
            self._candidate(spec, key, rank, known.get(key), lead, proposed) for rank, key in enumerate(ranked[:limit])
        )

    def _known(self, source: str) -> dict[str, _Known]:
        """Targets that the scopes around a key weighed, the deciding scope last and winning."""
        row = self._row_of.get(source)
        if row is None:
            return {}
        unit = self._solver.state.source.unit_of[row]
        leaf = next(leaf for leaf, own in self._solver.state.source.leaves[unit].items() if own == row)
        tree = self._solver.state.target
        found: dict[str, _Known] = {}
        at, off_a, off_b = self._solution, 0, 0
        path: list[tuple[Solution, int, int]] = []
        while True:
            path.append((at, off_a, off_b))
            inside = next(
                (c for c in at.children if c[0] <= unit - off_a < c[0] + self._solver.sizes[c[2][0]]),
                None,
            )
            if inside is None:
                break
            at, off_a, off_b = self._solver.memo[inside[2]], off_a + inside[0], off_b + inside[1]
        verdicts = {(i, j): verdict for i, j, verdict in path[-1][0].pairs} if len(path[-1][0].pairs) < 2000 else {}
        for solution, by_a, by_b in path:
            for choice in solution.choices.get(unit - by_a, ()):
                there = choice.unit + by_b
                other = tree.leaves[there].get(self._leaf_there(unit, there, leaf))
                if other is not None:
                    verdict = verdicts.get((unit - by_a, choice.unit)) if solution is path[-1][0] else None
                    found[tree.specs[other].key] = _Known(there, choice, verdict)
        return found

    def _leaf_there(self, unit: int, there: int, leaf: str) -> str:
        return next((b for a, b in self._solver.state.shapes.fit(unit, there).leaves if a == leaf), leaf)

    def _others(self, spec: TensorSpec, seen: set[str], count: int) -> list[str]:
        """More targets with as many elements, the most alike first; of a crowd only those in the nearest places."""
        rows = self._by_numel.get(spec.numel, [])
        if len(rows) > _MOST_SCORED:
            like = self._pairs[spec.key].target if spec.key in self._pairs else None
            share = self._source.index[spec.key] / len(self._source)
            near = self._target.index[like] if like is not None else int(share * len(self._target))
            first = max(0, min(bisect_left(rows, near) - _MOST_SCORED // 2, len(rows) - _MOST_SCORED))
            rows = rows[first : first + _MOST_SCORED]
        rivals = [other for row in rows if (other := self._target.tensors[row]).key not in seen]
        scored = [(self._score(spec, other).total, other.key) for other in rivals]
        scored.sort(key=lambda item: (-item[0], item[1]))
        return [key for _, key in scored[:count]]

    def _score(self, spec: TensorSpec, other: TensorSpec) -> Score:
        options = self._options
        return composite(spec, other, options.weights, options.shape_tolerance, self._ordered)

    def _candidate(
        self, spec: TensorSpec, key: str, rank: int, known: _Known | None, lead: _Known | None, proposed: Pair | None
    ) -> Candidate:
        other = self._target[key]
        chosen = proposed is not None and proposed.target == key
        state = self._solver.state
        if chosen and proposed is not None:
            confidence, transform = proposed.confidence, proposed.transform
        else:
            transform = state.shapes.of_shapes(spec.shape, other.shape)[1]
            confidence = self._confidence_of_rival(rank, known, lead, proposed)
        support = known.choice.support if known is not None else _NO_EVIDENCE_SUPPORT
        evidence = self._evidence(spec, key, chosen, known, lead, transform)
        return Candidate(spec.key, key, self._score(spec, other), confidence, transform, support, evidence)

    def _confidence_of_rival(
        self, rank: int, known: _Known | None, lead: _Known | None, proposed: Pair | None
    ) -> float:
        """What the leader leaves, shared out by how near in support a rival comes; never more than the leader has."""
        if proposed is None:
            return 0.3 / (1 + rank) if known is not None else 0.01
        rest = 1 - proposed.confidence
        if known is None or lead is None:
            share = 0.1
        else:
            share = exp(-max(0.0, lead.choice.support - known.choice.support) / _CLEAR_LEAD) / 2
        return min(rest * share, proposed.confidence)

    # -- reasons ---------------------------------------------------------------------------------------------------

    def _evidence(
        self, spec: TensorSpec, key: str, chosen: bool, known: _Known | None, lead: _Known | None, transform: Transform
    ) -> tuple[Evidence, ...]:
        reasons: list[Evidence] = []
        if transform is not Transform.NONE:
            supported = known is not None and known.choice.parts[0] > 0.9
            text = f"needs a {transform.value}" + (", as its siblings do" if supported else "")
            reasons.append(Evidence("shape", text, 0.0 if supported else -0.2))
        if known is None:
            reasons.append(Evidence("place", "same size, but in another part of the network", -0.3))
        elif chosen:
            reasons += self._reasons_for(spec, key, known)
        else:
            reasons += self._reasons_against(known, lead)
        if not chosen and (owner := self._taken.get(key)) is not None and owner != spec.key:
            reasons.append(Evidence("taken", f"fits {owner} better", -0.1))
        if spec.key in self._ambiguous and key in self._ambiguous[spec.key]:
            reasons.append(Evidence("tie", f"{len(self._ambiguous[spec.key])} targets fit equally well", -0.1))
        reasons.sort(key=lambda reason: -abs(reason.weight))
        return tuple(reasons)

    def _reasons_for(self, spec: TensorSpec, key: str, known: _Known) -> list[Evidence]:
        parts = dict(zip(PARTS, known.choice.parts, strict=True))
        reasons: list[Evidence] = []
        if len(self._by_shape.get(spec.shape, ())) == 1:
            reasons.append(Evidence("shape", "only target of this shape", 0.5))
        count = self._counts.get((split_key(spec.key)[0], split_key(key)[0]), 0)
        if count > 1:
            reasons.append(Evidence("role", f"same role in {count} places", ROLE * min(1.0, parts["role"]) + 0.05))
        if parts["exact"]:
            reasons.append(Evidence("name", "the same name in both", EXACT + NAME * parts["name"]))
        elif parts["name"] > 0.35:
            reasons.append(Evidence("name", "names agree", NAME * parts["name"]))
        elif parts["name"] < 0.15:
            reasons.append(Evidence("name", "names do not help", 0.0))
        order = ORDER * parts["order"] + KIN * parts["kin"]
        if order > 0.12:
            reasons.append(Evidence("order", "in the order of the listings", order))
        if parts["votes"] > 0.6:
            reasons.append(Evidence("siblings", "its module's other tensors agree", VOTES * parts["votes"]))
        if parts["beside"] > 0.6:
            reasons.append(Evidence("order", "its neighbours correspond", BESIDE * parts["beside"]))
        if 2 * count < self._wholes[split_key(spec.key)[0]]:
            reasons.append(Evidence("role", "most keys of its group go elsewhere", -0.1))
        if parts["place"] < 1:
            reasons.append(Evidence("place", "in another block than its neighbours", -0.2))
        verdict = known.verdict
        if verdict is not None and 0 <= verdict.margin < _CLEAR_LEAD:
            reasons.append(Evidence("margin", f"small lead ({verdict.margin:.2f}) over the next", -0.1))
        return reasons

    @staticmethod
    def _reasons_against(known: _Known, lead: _Known | None) -> list[Evidence]:
        if lead is None or lead is known:
            return []
        ours = dict(zip(PARTS, known.choice.parts, strict=True))
        best = dict(zip(PARTS, lead.choice.parts, strict=True))
        texts = {
            "role": ("role", "this role has another partner elsewhere", ROLE),
            "name": ("name", "its name fits less", NAME),
            "order": ("order", "out of the listings' order", ORDER),
            "kin": ("order", "not the one in turn among tensors of its shape", KIN),
            "beside": ("order", "its neighbours do not correspond", BESIDE),
            "votes": ("siblings", "its module's other tensors go elsewhere", VOTES),
            "exact": ("name", "the other has the very same name", EXACT),
            "shape": ("shape", "its shape fits less", 1.0),
            "place": ("place", "in a block that does not correspond", 0.5),
        }
        lost = []
        for kind, (label, text, weight) in texts.items():
            gap = min(1.0, best[kind]) - min(1.0, ours[kind])
            if gap * weight > 0.02:
                lost.append(Evidence(label, text, -gap * weight))
        lost.sort(key=lambda reason: reason.weight)
        if not lost:
            lost.append(Evidence("margin", "nearly as good: only the whole assignment decides", -0.01))
        return lost[:3]
