"""The session against a plain model: statuses, one-to-one, counts, undo and redo without end, replay."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from copy import deepcopy
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from wmtui.core.decisions import Accept, Assign, Decision, Ignore, PairRun, Redo, Reject, Reopen, Run, Undo, fold
from wmtui.core.listing import Listing, TensorSpec
from wmtui.core.proposal import Pair, Proposal, Transform
from wmtui.core.session import Session, Status

SOURCES, TARGETS = 6, 7
NUMELS = (4, 4, 4, 9, 9, 2, 4)


def listings() -> tuple[Listing, Listing]:
    return (
        Listing("source", [TensorSpec(f"s.{n}", (NUMELS[n],)) for n in range(SOURCES)]),
        Listing("target", [TensorSpec(f"t.{n}", (NUMELS[-1 - n],)) for n in range(TARGETS)]),
    )


def proposal(pairs: dict[int, int], ambiguous: AbstractSet[int] = frozenset()) -> Proposal:
    target = listings()[1]
    found = {f"s.{s}": Pair(f"s.{s}", f"t.{t}", 0.5) for s, t in pairs.items()}
    equal = {f"s.{s}": tuple(target.keys) for s in ambiguous if s not in pairs}
    return Proposal(found, equal, (), (), lambda key, limit: ())


def session(pairs: dict[int, int] | None = None, ambiguous: AbstractSet[int] = frozenset()) -> Session:
    return Session(*listings(), proposal(pairs or {}, ambiguous))


def pair(source: int, target: int) -> tuple[PairRun, ...]:
    return (PairRun(source, target),)


# ---- examples


def test_a_proposed_pair_is_pending_until_it_is_accepted():
    s = session({0: 1})
    assert (s.status(0), s.partner(0), s.holder(1)) == (Status.PROPOSED, 1, 0)
    s.apply(Accept(pair(0, 1)))
    assert (s.status(0), s.target_status(1)) == (Status.ACCEPTED, Status.ACCEPTED)


def test_a_rejected_pair_is_not_proposed_again():
    s = session({0: 1})
    s.apply(Reject(pair(0, 1)))
    s.apply(Reopen((Run(0),)))
    assert s.status(0) is Status.PROPOSED, "reopen forgets the refusal"
    s.apply(Reject(pair(0, 1)))
    s.propose(proposal({0: 1}))
    assert s.status(0) is Status.REJECTED
    assert s.facts.refused == {("s.0", "t.1")}


def test_each_change_makes_another_version():
    s = session({0: 1})
    versions = [s.version]
    for decision in (Accept(pair(0, 1)), Undo(), Redo()):
        s.apply(decision)
        versions.append(s.version)
    s.propose(proposal({0: 2}))
    assert len({*versions, s.version}) == 5


def test_assigning_a_taken_target_opens_its_holder():
    s = session({0: 0, 1: 1})
    s.apply(Accept(pair(0, 0)))
    change = s.apply(Assign(pair(1, 0)))
    assert (s.status(1), s.partner(1)) == (Status.ACCEPTED, 0)
    assert s.status(0) is Status.UNMATCHED, "its proposal is held by another"
    assert {0, 1} <= change.sources
    assert {0, 1} <= change.targets


def test_ignoring_a_target_opens_its_holder_and_accepting_takes_it_back():
    s = session({0: 0})
    s.apply(Accept(pair(0, 0)))
    s.apply(Ignore(targets=(Run(0),)))
    assert (s.status(0), s.target_status(0)) == (Status.UNMATCHED, Status.IGNORED)
    s.apply(Assign(pair(0, 0)))
    assert s.target_status(0) is Status.ACCEPTED


def test_a_decision_after_undo_forgets_what_was_undone():
    s = session({0: 0, 1: 1})
    s.apply(Accept(pair(0, 0)))
    s.apply(Undo())
    s.apply(Accept(pair(1, 1)))
    with pytest.raises(ValueError, match="again"):
        s.apply(Redo())


@pytest.mark.parametrize(
    "decision",
    [
        Undo(),
        Redo(),
        Accept(pair(0, TARGETS)),
        Accept(pair(SOURCES, 0)),
        Accept(pair(-1, 0)),
        Accept((PairRun(0, 1), PairRun(1, 1))),
        Assign((PairRun(0, 1), PairRun(0, 2))),
        Accept((PairRun(0, 0, 1, 9),)),
        Ignore((Run(SOURCES),)),
        Reopen(targets=(Run(TARGETS),)),
    ],
    ids=repr,
)
def test_what_cannot_be_changes_nothing(decision: Decision):
    s = session({0: 0})
    before = (s.source_counts, s.target_counts, s.facts)
    with pytest.raises(ValueError):
        s.apply(decision)
    assert (s.source_counts, s.target_counts, s.facts) == before
    assert not s.can_undo


def test_an_unmatched_key_is_open_while_a_free_target_is_as_large():
    s = session({0: 0})
    assert s.is_open(3), "9 elements, as t.2 and t.3"
    s.apply(Ignore(targets=(Run(2, 2),)))
    assert not s.is_open(3)


# ---- against a model


@dataclass
class Plain:
    """What the user decided, in the plainest words."""

    settled: dict[int, tuple[Status, int, bool]] = field(default_factory=dict)
    refused: dict[int, set[int]] = field(default_factory=dict)
    ignored_targets: set[int] = field(default_factory=set)

    def free(self, target: int, but: int) -> None:
        for s, (_, t, _) in list(self.settled.items()):
            if t == target and s != but:
                del self.settled[s]

    def apply(self, decision: Decision) -> None:
        if isinstance(decision, Accept | Assign):
            for s, t, _, _ in decision.pairs:
                self.refused.get(s, set()).discard(t)
            for run in decision.pairs:
                self.settled.pop(run.source, None)
            for s, t, _, _ in decision.pairs:
                self.free(t, s)
                self.ignored_targets.discard(t)
                self.settled[s] = (Status.ACCEPTED, t, isinstance(decision, Assign))
        elif isinstance(decision, Reject):
            for s, t, _, _ in decision.pairs:
                self.settled[s] = (Status.REJECTED, -1, False)
                self.refused.setdefault(s, set()).add(t)
        elif isinstance(decision, Ignore):
            for s in (run.start for run in decision.sources):
                self.settled[s] = (Status.IGNORED, -1, False)
            for t in (run.start for run in decision.targets):
                self.free(t, -1)
                self.ignored_targets.add(t)
        elif isinstance(decision, Reopen):
            for s in (run.start for run in decision.sources):
                self.settled.pop(s, None)
                self.refused.pop(s, None)
            self.ignored_targets -= {run.start for run in decision.targets}


places = st.integers(0, SOURCES - 1)
target_places = st.integers(0, TARGETS - 1)


@st.composite
def one_to_one(draw: st.DrawFn) -> dict[int, int]:
    sources = draw(st.lists(places, unique=True))
    targets = draw(st.permutations(range(TARGETS)))
    return dict(zip(sources, targets, strict=False))


class Sessions(RuleBasedStateMachine):
    @initialize(pairs=one_to_one(), ambiguous=st.sets(places))
    def begin(self, pairs: dict[int, int], ambiguous: set[int]) -> None:
        self.pairs, self.ambiguous = pairs, ambiguous - set(pairs)
        self.session = session(pairs, ambiguous)
        self.first = (pairs, ambiguous)
        self.plain = Plain()
        self.past: list[Plain] = []
        self.future: list[Plain] = []
        self.log: list[Decision] = []

    def decide(self, decision: Decision) -> None:
        before = self.look()
        change = self.session.apply(decision)
        self.log.append(decision)
        if isinstance(decision, Undo):
            self.future.append(self.plain)
            self.plain = self.past.pop()
        elif isinstance(decision, Redo):
            self.past.append(self.plain)
            self.plain = self.future.pop()
        else:
            self.past.append(deepcopy(self.plain))
            self.future.clear()
            self.plain.apply(decision)
        after = self.look()
        for side, touched in enumerate((change.sources, change.targets)):
            differ = {n for n, (a, b) in enumerate(zip(before[side], after[side], strict=True)) if a != b}
            assert differ <= touched, "a change that was not reported"

    def look(self) -> tuple[list[object], list[object]]:
        s = self.session
        return (
            [(s.status(n), s.partner(n), s.settled(n)) for n in range(SOURCES)],
            [(s.target_status(n), s.holder(n)) for n in range(TARGETS)],
        )

    @rule(pairs=one_to_one(), by_user=st.booleans())
    def give(self, pairs: dict[int, int], by_user: bool) -> None:
        runs = tuple(PairRun(s, t) for s, t in sorted(pairs.items()))
        self.decide((Assign if by_user else Accept)(runs))

    @rule(source=places)
    def accept_pending(self, source: int) -> None:
        if self.session.status(source) is Status.PROPOSED:
            self.decide(Accept(pair(source, self.session.partner(source))))

    @rule(source=places, other=places)
    def swap(self, source: int, other: int) -> None:
        here, there = self.session.partner(source), self.session.partner(other)
        if source != other and here >= 0 and there >= 0:
            self.decide(Assign((PairRun(source, there), PairRun(other, here))))
            assert (self.session.partner(source), self.session.partner(other)) == (there, here)

    @rule(source=places, other=target_places)
    def reject(self, source: int, other: int) -> None:
        partner = self.session.partner(source)
        self.decide(Reject(pair(source, partner if partner >= 0 else other)))

    @rule(here=st.sets(places), there=st.sets(target_places))
    def ignore(self, here: set[int], there: set[int]) -> None:
        self.decide(Ignore(tuple(map(Run, sorted(here))), tuple(map(Run, sorted(there)))))

    @rule(here=st.sets(places), there=st.sets(target_places))
    def reopen(self, here: set[int], there: set[int]) -> None:
        self.decide(Reopen(tuple(map(Run, sorted(here))), tuple(map(Run, sorted(there)))))

    @precondition(lambda self: self.past)
    @rule()
    def undo(self) -> None:
        self.decide(Undo())

    @precondition(lambda self: self.future)
    @rule()
    def redo(self) -> None:
        self.decide(Redo())

    @rule(pairs=one_to_one(), ambiguous=st.sets(places))
    def propose(self, pairs: dict[int, int], ambiguous: set[int]) -> None:
        self.pairs, self.ambiguous = pairs, ambiguous - set(pairs)
        self.session.propose(proposal(pairs, ambiguous))

    @invariant()
    def agrees_with_the_model(self) -> None:
        s, plain = self.session, self.plain
        held = {t: source for source, (_, t, _) in plain.settled.items() if t >= 0}
        wanted = {
            source: t
            for source, t in self.pairs.items()
            if source not in plain.settled
            and t not in held
            and t not in plain.ignored_targets
            and t not in plain.refused.get(source, ())
        }
        for n in range(SOURCES):
            if n in plain.settled:
                status, partner, by_user = plain.settled[n]
                found = s.settled(n)
                assert found is not None
                assert found.by_user == by_user
            elif n in wanted:
                status, partner = Status.PROPOSED, wanted[n]
            else:
                status, partner = Status.AMBIGUOUS if n in self.ambiguous else Status.UNMATCHED, -1
            assert (s.status(n), s.partner(n)) == (status, partner)
        holders = held | {t: source for source, t in wanted.items()}
        for t in range(TARGETS):
            assert s.holder(t) == holders.get(t, -1)
        refused = {(f"s.{a}", f"t.{b}") for a, targets in plain.refused.items() for b in targets}
        assert s.facts.refused == refused
        assert s.facts.ignored_targets == {f"t.{t}" for t in plain.ignored_targets}

    @invariant()
    def one_to_one(self) -> None:
        for pending in (False, True):
            targets = [m.target for m in self.session.mapped(pending)]
            assert len(set(targets)) == len(targets)

    @invariant()
    def counts_are_a_recount(self) -> None:
        s = self.session
        sources = Counter(map(s.status, range(SOURCES)))
        targets = Counter(map(s.target_status, range(TARGETS)))
        assert s.source_counts == {status: sources[status] for status in Status}
        assert s.target_counts == {status: targets[status] for status in Status}
        for n in range(SOURCES):
            free = any(
                s.target_status(t) is Status.UNMATCHED and s.target.tensors[t].numel == s.source.tensors[n].numel
                for t in range(TARGETS)
            )
            unmatched = s.status(n) is Status.UNMATCHED and free
            assert s.is_open(n) == (unmatched or s.status(n) in (Status.PROPOSED, Status.AMBIGUOUS))

    def teardown(self) -> None:
        if not hasattr(self, "log"):
            return
        again = session(*self.first)
        for decision in self.log:
            again.apply(decision)
        assert [again.settled(n) for n in range(SOURCES)] == [self.session.settled(n) for n in range(SOURCES)]
        assert again.facts == self.session.facts


Sessions.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestSessions = Sessions.TestCase


def test_the_transform_of_a_pair_is_kept():
    s = session()
    s.apply(Assign((PairRun(0, 1, 1, 2),)))
    assert s.transform(0) is Transform.RESHAPE


def test_folding_places():
    assert fold([3, 1, 2, 7]) == (Run(1, 3), Run(7))
