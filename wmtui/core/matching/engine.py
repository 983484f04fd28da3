"""The match from end to end: trees, solution, pairs of keys, what is ambiguous, fused tensors, rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from wmtui.core.listing import Listing
from wmtui.core.match_options import MatchOptions
from wmtui.core.matching.evidence.confidence import of_stray
from wmtui.core.matching.evidence.state import State, Switches
from wmtui.core.matching.explain import Explainer
from wmtui.core.matching.given import NO_CONSTRAINTS, Constraints, Given, marks, sort_out, unit_pairs, violated
from wmtui.core.matching.reading.leaves import MAGNITUDE
from wmtui.core.matching.reading.tree import Tree
from wmtui.core.matching.rescue import rescue
from wmtui.core.matching.rules import make_rules, split_key
from wmtui.core.matching.scopes import LEAST_CONFIDENCE, Solver
from wmtui.core.matching.solution import Solution
from wmtui.core.proposal import Facts, Fusion, Pair, Proposal, Transform

_TIE = 1e-6
_MOST_ATTEMPTS = 3
_CONFIRMED = 0.3
Progress = Callable[[str, float], None]


class Engine:
    """One match of two listings; :meth:`propose` does the work.

    Raises:
        Cancelled: from any method, where ``cancelled`` said so.
    """

    def __init__(
        self,
        source: Listing,
        target: Listing,
        *,
        options: MatchOptions,
        facts: Facts,
        switches: Switches | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self._source, self._target = source, target
        self._options = options
        self._progress = progress or (lambda _stage, _share: None)
        self._cancelled = cancelled
        self._switches = switches
        self._ordered = all(spec.order is not None for side in (source, target) for spec in side)
        self.given: Given = sort_out(source, target, facts)
        self.solution: Solution | None = None
        self.state = self._prepare(NO_CONSTRAINTS)

    def _prepare(self, constraints: Constraints) -> State:
        """Trees and shared state under the given constraints."""
        self._progress("reading names and shapes", 0.0)
        marks_a, marks_b = marks(self.given, constraints)
        tree_a = Tree(self.given.source, marks_a, by_order=self._ordered)
        tree_b = Tree(self.given.target, marks_b, by_order=self._ordered)
        partners, refused = unit_pairs(constraints, tree_a, tree_b)
        self._progress("comparing shapes", 0.25)
        state = State(
            tree_a,
            tree_b,
            allow_transforms=self._options.allow_transforms,
            switches=self._switches,
            partners=partners,
            refused=refused,
            cancelled=self._cancelled,
        )
        state.check()
        return state

    def propose(self) -> Proposal:
        """The proposal; its candidates are computed from this engine when asked for.

        Facts that the solution comes to by itself cost nothing; it is solved anew under those that it goes against.
        """
        constraints = NO_CONSTRAINTS
        for attempt in range(_MOST_ATTEMPTS):
            self._progress("pairing blocks and roles", 0.35)
            solver = Solver(self.state)
            solution = self.solution = solver.run()
            self._progress("writing pairs", 0.75)
            pairs, ambiguous = self._pairs(solver, solution)
            fusions = tuple(self._fusions(solution))
            if self.state.switches.rescue:
                self._rescue(solution, pairs, ambiguous, fusions)
            told = violated(self.given, {key: pair.target for key, pair in pairs.items()}, constraints)
            if told == constraints or attempt == _MOST_ATTEMPTS - 1:
                break
            constraints = told
            self.state = self._prepare(constraints)
        self._stand_by_facts(pairs, ambiguous)
        fusions = tuple(f for f in fusions if not pairs.keys() & set(f.sources))
        ordered = {spec.key: pairs[spec.key] for spec in self._source if spec.key in pairs}
        self._progress("finding rules", 0.9)
        rules, counts = make_rules(ordered.values())
        explainer = Explainer(self._source, self._target, self._options, solver, solution, ordered, ambiguous, counts)
        self._progress("done", 1.0)
        return Proposal(ordered, ambiguous, fusions, rules, explainer)

    # -- units to keys ---------------------------------------------------------------------------------------------

    def _pairs(self, solver: Solver, solution: Solution) -> tuple[dict[str, Pair], dict[str, tuple[str, ...]]]:
        tree_a, tree_b = self.state.source, self.state.target
        doubtful = dict(_doubtful_units(solver, solution))
        fit = self.state.shapes.fit
        specs_a, specs_b = tree_a.specs, tree_b.specs
        pairs: dict[str, Pair] = {}
        ambiguous: dict[str, tuple[str, ...]] = {}
        together = Counter((tree_a.nodes[i].template, tree_b.nodes[j].template) for i, j, _ in solution.pairs)
        whole: Counter[str] = Counter()
        for (template, _), count in together.items():
            whole[template] += count
        for i, j, verdict in solution.pairs:
            leaves_a, leaves_b = tree_a.leaves[i], tree_b.leaves[j]
            rivals: tuple[int, ...] = ()
            if i in doubtful:
                rivals = (j, doubtful[i]) if doubtful[i] != j else (j,)
            elif verdict.rivals and (verdict.confidence < LEAST_CONFIDENCE or verdict.margin < _TIE):
                rivals = (j, *(j + offset for offset in verdict.rivals))
            template = tree_a.nodes[i].template
            stray = 2 * together[template, tree_b.nodes[j].template] < whole[template]
            confidence = of_stray(verdict.confidence) if stray else verdict.confidence
            for leaf_a, leaf_b in fit(i, j).leaves:
                spec_a, spec_b = specs_a[leaves_a[leaf_a]], specs_b[leaves_b[leaf_b]]
                if rivals:
                    targets = [tree_b.leaves[k].get(leaf_b) for k in rivals]
                    ambiguous[spec_a.key] = tuple(specs_b[row].key for row in targets if row is not None)
                    continue
                transform = verdict.transform
                if leaf_a != tree_a.main[i]:
                    transform = Transform.NONE if spec_a.shape == spec_b.shape else Transform.RESHAPE
                pairs[spec_a.key] = Pair(spec_a.key, spec_b.key, confidence, transform)
        for i, rivals in solution.undecided:
            for leaf_a, leaf_b in fit(i, rivals[0]).leaves:
                key = specs_a[tree_a.leaves[i][leaf_a]].key
                rival_rows = (tree_b.leaves[j].get(leaf_b) for j in rivals)
                if key not in pairs:
                    ambiguous[key] = tuple(specs_b[row].key for row in rival_rows if row is not None)
        return pairs, ambiguous

    def _fusions(self, solution: Solution) -> Iterator[Fusion]:
        tree_a, tree_b = self.state.source, self.state.target
        for fusion in solution.fusions:
            units_a, units_b = fusion.sources(), fusion.targets()
            shared = set.intersection(
                *(set(tree_a.leaves[u]) for u in units_a), *(set(tree_b.leaves[u]) for u in units_b)
            )
            mains = {tree_a.main[u] for u in units_a} | {tree_b.main[u] for u in units_b}
            for leaf in sorted(shared):
                dim = fusion.dim if leaf in mains else max(0, fusion.dim) if fusion.dim >= 0 else -1
                sources = tuple(tree_a.specs[tree_a.leaves[u][leaf]] for u in units_a)
                targets = tuple(tree_b.specs[tree_b.leaves[u][leaf]] for u in units_b)
                if leaf not in mains:
                    dim = min(dim, 0)
                yield Fusion(fusion.kind, tuple(s.key for s in sources), tuple(t.key for t in targets), dim)
        for i, j, _ in solution.pairs:
            if self.state.shapes.fit(i, j).normed:
                yield self._normed(i, j)

    def _normed(self, i: int, j: int) -> Fusion:
        """Magnitude and direction on one side, the weight that they make on the other."""
        keys_a, keys_b = (
            tuple(
                tree.specs[tree.leaves[unit][leaf]].key for leaf in (MAGNITUDE, "weight") if leaf in tree.leaves[unit]
            )
            for tree, unit in ((self.state.source, i), (self.state.target, j))
        )
        return Fusion("merge" if len(keys_a) > 1 else "split", keys_a, keys_b, None)

    def _rescue(
        self,
        solution: Solution,
        pairs: dict[str, Pair],
        ambiguous: dict[str, tuple[str, ...]],
        fusions: tuple[Fusion, ...],
    ) -> None:
        closed_a = {*pairs, *ambiguous, *(key for fusion in fusions for key in fusion.sources)}
        closed_b = {pair.target for pair in pairs.values()}
        closed_b.update(key for fusion in fusions for key in fusion.targets)
        closed_b.update(key for keys in ambiguous.values() for key in keys)
        specs_a, specs_b = self.state.source.specs, self.state.target.specs
        open_a = {row for row, spec in enumerate(specs_a) if spec.key not in closed_a}
        open_b = {row for row, spec in enumerate(specs_b) if spec.key not in closed_b}
        if not open_a or not open_b:
            return
        matched = ((i, j) for i, j, _ in solution.pairs)
        for found in rescue(self.state, matched, open_a, open_b, self._options.shape_tolerance):
            source, target = specs_a[found.source].key, specs_b[found.target].key
            same = specs_a[found.source].shape == specs_b[found.target].shape or self._options.shape_tolerance
            pairs[source] = Pair(source, target, found.confidence, Transform.NONE if same else Transform.RESHAPE)

    def _stand_by_facts(self, pairs: dict[str, Pair], ambiguous: dict[str, tuple[str, ...]]) -> None:
        """Set the user's pairs, take out what contradicts them or was refused, trust what they confirm elsewhere."""
        given = self.given
        if not given.pairs and not given.refused:
            return
        decided = set(given.pairs.values())
        confirmed = {(split_key(s)[0], split_key(t)[0]) for s, t in given.pairs.items()}
        for source, pair in list(pairs.items()):
            fact = given.pairs.get(source)
            if (fact is None and pair.target in decided) or (source, pair.target) in given.refused:
                del pairs[source]
            elif fact is None and (split_key(source)[0], split_key(pair.target)[0]) in confirmed:
                doubt = _CONFIRMED * (1 - pair.confidence)
                pairs[source] = Pair(source, pair.target, 1 - doubt, pair.transform)
        for source, target in given.pairs.items():
            transform = pairs[source].transform if source in pairs and pairs[source].target == target else None
            if transform is None:
                a, b = self._source[source].shape, self._target[target].shape
                transform = self.state.shapes.of_shapes(a, b)[1]
            pairs[source] = Pair(source, target, 1.0, transform)
        for source, targets in list(ambiguous.items()):
            left = tuple(t for t in targets if t not in decided and (source, t) not in given.refused)
            if source in given.pairs or not left:
                del ambiguous[source]
            else:
                ambiguous[source] = left


def _doubtful_units(solver: Solver, solution: Solution) -> Iterator[tuple[int, int]]:
    """Source units in families of unknown direction, each with its target unit if the family ran in reverse."""
    stack = [(solution, 0, 0)]
    while stack:
        at, off_a, off_b = stack.pop()
        doubtful = [(a, b, key) for a, b, key, doubt in at.children if doubt]
        for k, (child_a, _, key) in enumerate(doubtful):
            _, mirror_b, mirror_key = doubtful[len(doubtful) - 1 - k]
            if key[1] == mirror_key[1]:
                for i, j, _ in solver.memo[key].pairs:
                    yield off_a + child_a + i, off_b + mirror_b + j
        for child_a, child_b, key, doubt in at.children:
            if not doubt and solver.memo[key].has_doubt:
                stack.append((solver.memo[key], off_a + child_a, off_b + child_b))
